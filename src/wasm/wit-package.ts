/**
 * Types of components, as far as needed to name the interfaces and worlds of a WIT package. Such a package is
 * a component of nothing but types, each exported one a component type that exports an interface (an instance)
 * or a world (a component) under its full name.
 */
import type { ByteReader } from "./byte-reader.ts";
import { readExternName, readExternType, readFlag } from "./component-extern.ts";
import type { WasmExport } from "./info.ts";

/** WIT packages nest 4 deep; each level is a level of our stack. */
const MAX_TYPE_DEPTH = 32;

/**
 * Types, and what they export, of one package in all. A type may be a single byte, so the bytes read do not
 * bound what is kept of them; the largest packages have some hundreds.
 */
const MAX_KEPT = 100_000;

/** What a component type exports; undefined for every other type. */
export type ExportsOfType = readonly WasmExport[] | undefined;

/**
 * Reads a type section onto the end of an index space.
 *
 * @throws {FormatError} WASM_INVALID for types that are damaged, unknown or too many
 */
export function readTypes(reader: ByteReader, types: ExportsOfType[]): void {
  const count = reader.count(1);
  let kept = types.length + count;
  for (let i = 0; i < count; i++) {
    if (kept > MAX_KEPT) reader.fail(`more than ${MAX_KEPT} types and exports of types`);
    const exports = readType(reader, 0);
    kept += exports?.length ?? 0;
    types.push(exports);
  }
  reader.end();
}

/** `namespace:package/name`, with or without a version. */
const FULL_NAME = /^[^:/]+:[^/]+\/./;

/** The interfaces and worlds that the exported types of a package hold, each once; undefined where it is none. */
export function namesOfPackage(exported: readonly ExportsOfType[]): WasmExport[] | undefined {
  const names = new Map<string, WasmExport>();
  // One type may be exported under many names: each is looked at once, or the work would be their product.
  for (const type of new Set(exported)) {
    if (type === undefined) return undefined;
    for (const item of type) {
      if (item.kind !== "instance" && item.kind !== "component") continue;
      if (!FULL_NAME.test(item.name)) return undefined;
      names.set(item.name, { ...item, kind: item.kind === "instance" ? "interface" : "world" });
    }
  }
  return [...names.values()];
}

function readType(reader: ByteReader, depth: number): ExportsOfType {
  const start = reader.offset;
  if (depth > MAX_TYPE_DEPTH) reader.fail(`types nested more than ${MAX_TYPE_DEPTH} deep`);
  const opcode = reader.byte();
  switch (opcode) {
    case 0x41: // component
      return readDeclarations(reader, depth);
    case 0x42: // instance
      readDeclarations(reader, depth);
      return undefined;
    case 0x40: // function
    case 0x43: // async function
      each(reader, 2, skipLabelled);
      skipResults(reader);
      return undefined;
    case 0x3f: // resource
      reader.byte();
      if (readFlag(reader, "a destructor")) reader.u32();
      return undefined;
    case 0x72: // record
      each(reader, 2, skipLabelled);
      return undefined;
    case 0x71: // variant
      each(reader, 3, skipCase);
      return undefined;
    case 0x6e: // flags
    case 0x6d: // enum
      each(reader, 1, () => reader.name());
      return undefined;
    case 0x6f: // tuple
      each(reader, 1, () => reader.skipS33());
      return undefined;
    case 0x70: // list
    case 0x6b: // option
      reader.skipS33();
      return undefined;
    case 0x67: // list of fixed length
      reader.skipS33();
      reader.u32();
      return undefined;
    case 0x63: // map
      reader.skipS33();
      reader.skipS33();
      return undefined;
    case 0x6a: // result
      skipOptional(reader);
      skipOptional(reader);
      return undefined;
    case 0x66: // stream
    case 0x65: // future
      skipOptional(reader);
      return undefined;
    case 0x69: // own
    case 0x68: // borrow
      reader.u32();
      return undefined;
    default:
      if (opcode !== 0x64 && (opcode < 0x73 || opcode > 0x7f)) {
        reader.fail(`an unknown type 0x${opcode.toString(16)}`, start);
      }
      return undefined;
  }
}

/** The declarations of a component or instance type; gives its exports where it is not nested in another. */
function readDeclarations(reader: ByteReader, depth: number): WasmExport[] {
  const exports: WasmExport[] = [];
  each(reader, 2, () => {
    const start = reader.offset;
    const declaration = reader.byte();
    switch (declaration) {
      case 0x01:
        readType(reader, depth + 1);
        break;
      case 0x02:
        skipAlias(reader);
        break;
      case 0x03:
      case 0x04: {
        const name = readExternName(reader);
        const kind = readExternType(reader);
        if (declaration === 0x04 && depth === 0) exports.push({ ...name, kind });
        if (exports.length > MAX_KEPT) reader.fail(`more than ${MAX_KEPT} exports of a type`, start);
        break;
      }
      default:
        reader.fail(`an unknown declaration 0x${declaration.toString(16)}`, start);
    }
  });
  return exports;
}

function skipAlias(reader: ByteReader): void {
  if (reader.byte() === 0x00) reader.byte(); // a core sort has a second byte
  const start = reader.offset;
  const target = reader.byte();
  reader.u32();
  if (target === 0x00 || target === 0x01) reader.name();
  else if (target === 0x02) reader.u32();
  else reader.fail(`an unknown alias 0x${target.toString(16)}`, start);
}

function skipLabelled(reader: ByteReader): void {
  reader.name();
  reader.skipS33();
}

function skipCase(reader: ByteReader): void {
  reader.name();
  skipOptional(reader);
  if (readFlag(reader, "a refinement")) reader.u32();
}

function skipOptional(reader: ByteReader): void {
  if (readFlag(reader, "an optional type")) reader.skipS33();
}

/** One result, or a list of named ones, which today must be empty and in early components was not. */
function skipResults(reader: ByteReader): void {
  if (readFlag(reader, "a list of results")) each(reader, 2, skipLabelled);
  else reader.skipS33();
}

function each(reader: ByteReader, atLeast: number, read: (reader: ByteReader) => void): void {
  const count = reader.count(atLeast);
  for (let i = 0; i < count; i++) read(reader);
}
