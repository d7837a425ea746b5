/**
 * Reads parsed JSON with its path in hand, so that each wrong type is reported as `targets["v1"].length: …`.
 * Objects name the keys they know: a key that equals one of them but for its case is refused, because Go
 * readers take it for the known one.
 */
import { base64Decode, type Bytes } from "./bytes.ts";
import { FormatError, type WasmToOciError } from "./errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "./json.ts";

/** Of a key that somebody else chose, messages show this much. */
const SHOWN_KEY_LENGTH = 100;

/** Where a value stands. Put together when somebody asks: large documents have many places and no faults. */
type Place = string | (() => string);

/** Makes the error of a format from the text of a fault, so that each format keeps its own code. */
export type CursorFault = (message: string) => WasmToOciError;

/** Makes faults with one of the format codes. */
export function formatFault(code: ConstructorParameters<typeof FormatError>[0], what: string): CursorFault {
  return (message) => new FormatError(code, `${what} is not valid: ${message}`);
}

export class JsonCursor {
  readonly value: JsonValue | undefined;
  private readonly place: Place;
  private readonly fault: CursorFault;

  constructor(value: JsonValue | undefined, fault: CursorFault, path: Place = "") {
    this.value = value;
    this.place = path;
    this.fault = fault;
  }

  get path(): string {
    return textOf(this.place);
  }

  /** True where the member is absent. A `null` is present. */
  get absent(): boolean {
    return this.value === undefined;
  }

  /** True where the member is absent or `null`, for formats whose writers mean the same by both. */
  get empty(): boolean {
    return this.value === undefined || this.value === null;
  }

  fail(message: string): never {
    throw this.fault(`${this.path === "" ? "the document" : this.path}: ${message}`);
  }

  string(): string {
    return typeof this.value === "string" ? this.value : this.mismatch("a string");
  }

  boolean(): boolean {
    return typeof this.value === "boolean" ? this.value : this.mismatch("true or false");
  }

  /** A whole number from `min` (0 unless told) up. */
  integer(min = 0): number {
    if (typeof this.value !== "number" || !Number.isSafeInteger(this.value)) return this.mismatch("an integer");
    if (this.value < min) this.fail(`expected at least ${min}, got ${this.value}`);
    return this.value;
  }

  /** Standard base64 with padding. */
  base64(): Bytes {
    return base64Decode(this.string()) ?? this.fail("expected standard base64");
  }

  /** The elements of an array of at most `max`. */
  array(max: number): JsonCursor[] {
    if (!Array.isArray(this.value)) return this.mismatch("an array");
    if (this.value.length > max) this.fail(`expected at most ${max} elements, got ${this.value.length}`);
    return this.value.map((element, index) => new JsonCursor(element, this.fault, () => `${this.path}[${index}]`));
  }

  /** An object with known members; refuses keys that differ from a known one only by case. Others are kept. */
  object(known: readonly string[]): ObjectCursor {
    const object = this.plainObject();
    let byFold: ReadonlyMap<string, string> | undefined;
    for (const key of Object.keys(object)) {
      if (known.includes(key)) continue;
      byFold ??= new Map(known.map((name) => [foldCase(name), name])); // once: there may be a million of others
      const expected = byFold.get(foldCase(key));
      if (expected !== undefined) {
        this.fail(`the key ${JSON.stringify(key)} differs from ${JSON.stringify(expected)} only by case`);
      }
    }
    return new ObjectCursor(object, this.fault, this.place);
  }

  /** An object with no other members than these: what we would ignore silently may be a rule that somebody relies on. */
  closedObject(known: readonly string[]): ObjectCursor {
    const object = this.object(known);
    const other = Object.keys(object.value).find((key) => !known.includes(key));
    return other === undefined ? object : this.fail(`unknown member ${showKey(other)}`);
  }

  /** An object whose keys are data, e.g. target names, as [key, cursor] pairs; at most `max`. */
  entries(max: number): [string, JsonCursor][] {
    const object = this.plainObject();
    const keys = Object.keys(object);
    if (keys.length > max) this.fail(`expected at most ${max} members, got ${keys.length}`);
    return keys.map((key) => [key, new JsonCursor(object[key], this.fault, () => `${this.path}[${showKey(key)}]`)]);
  }

  private plainObject(): JsonObject {
    return isJsonObject(this.value) ? this.value : this.mismatch("an object");
  }

  private mismatch(expected: string): never {
    const got = this.value === null ? "null" : Array.isArray(this.value) ? "an array" : `a ${typeof this.value}`;
    return this.fail(this.value === undefined ? `missing, expected ${expected}` : `expected ${expected}, got ${got}`);
  }
}

export class ObjectCursor {
  readonly value: JsonObject;
  private readonly fault: CursorFault;
  private readonly place: Place;

  constructor(value: JsonObject, fault: CursorFault, path: Place) {
    this.value = value;
    this.fault = fault;
    this.place = path;
  }

  field(key: string): JsonCursor {
    return new JsonCursor(this.value[key], this.fault, () => {
      const path = textOf(this.place);
      return path === "" ? key : `${path}.${key}`;
    });
  }
}

function textOf(place: Place): string {
  return typeof place === "string" ? place : place();
}

function showKey(key: string): string {
  return JSON.stringify(key.length > SHOWN_KEY_LENGTH ? `${key.slice(0, SHOWN_KEY_LENGTH)}…` : key);
}

/** Folds case as Go's encoding/json does: U+017F is an s, U+212A a k. */
function foldCase(key: string): string {
  return key.toUpperCase().toLowerCase();
}
