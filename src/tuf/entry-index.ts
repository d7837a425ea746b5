/**
 * The entries of a large document, left where they are: in its text. One strict look proves that the part is in
 * canonical form with every type right, and notes where each entry is; only those that are asked for are ever made into
 * objects. What that look does not prove (escapes, other than ASCII, white space, unknown fields) is read the usual way.
 */
import { parseJson, type JsonObject } from "../base/json.ts";
import { endOf, endOfValue, findMember, NATURAL, PLAIN_CHARACTERS } from "./canonical-scan.ts";
import type { Hashes, MetaFile, TargetFile } from "./schema.ts";

/** Below this size the usual way takes no time worth saving; a hash bin with a hundred targets has 14 KiB. */
export const MIN_INDEXED_BYTES = 4 * 1024;
/** Of a name, as in the usual reader. */
const MAX_NAME = 4096;

const HASHES =
  '"hashes":\\{(?:"sha256":"([0-9a-f]{64})"(?:,"sha512":"([0-9a-f]{128})")?|"sha512":"([0-9a-f]{128})")\\}';
const CUSTOM = '"custom":';

/** One kind of entries: how they are told, and made. */
interface EntryForm<Entry> {
  /** Which member of `signed` holds them. */
  readonly member: string;
  /** What follows each name, which is no part of it. */
  readonly suffix: string;
  /** An entry to where its fields begin; its first group is the name. */
  readonly head: RegExp;
  /** Whether a field `custom` of any form may come first. */
  readonly custom: boolean;
  /** All other fields, to the end of the entry. */
  readonly fields: RegExp;
  /** @param fields the groups that `fields` has matched */
  read(fields: RegExpExecArray, custom: string | undefined): Entry;
}

const TARGETS: EntryForm<TargetFile> = {
  member: "targets",
  suffix: "",
  head: new RegExp(`"(${PLAIN_CHARACTERS}+)":\\{`, "y"),
  custom: true,
  fields: new RegExp(`${HASHES},"length":(${NATURAL})\\}`, "y"),
  read(fields, custom) {
    const file = { length: Number(fields[4]), hashes: hashesOf(fields)!, extra: noExtra() };
    return custom === undefined ? file : { ...file, custom: parseJson(custom) };
  },
};

const META: EntryForm<MetaFile> = {
  member: "meta",
  suffix: ".json",
  head: new RegExp(`"(${PLAIN_CHARACTERS}+)\\.json":\\{`, "y"),
  custom: false,
  fields: new RegExp(`(?:${HASHES},)?(?:"length":(${NATURAL}),)?"version":([1-9][0-9]{0,14})\\}`, "y"),
  read(fields) {
    const hashes = hashesOf(fields);
    return {
      version: Number(fields[5]),
      ...(fields[4] === undefined ? {} : { length: Number(fields[4]) }),
      ...(hashes === undefined ? {} : { hashes }),
      extra: noExtra(),
    };
  },
};

/** A document whose entries were taken out. */
export interface Excerpt<Entry> {
  /** The document with `{}` in place of its entries. */
  readonly rest: string;
  /** The entries' canonical form. */
  readonly region: string;
  readonly entries: ReadonlyMap<string, Entry>;
}

/**
 * Takes the targets out of a document.
 *
 * @returns undefined where they are not all plain and in canonical form, or the document is no JSON that has any
 */
export function excerptTargets(document: string): Excerpt<TargetFile> | undefined {
  return excerpt(document, TARGETS);
}

/** The same for what a snapshot lists. */
export function excerptMeta(document: string): Excerpt<MetaFile> | undefined {
  return excerpt(document, META);
}

function excerpt<Entry>(document: string, form: EntryForm<Entry>): Excerpt<Entry> | undefined {
  const start = findMember(document, ["signed", form.member]);
  if (start === undefined || document[start] !== "{") return undefined;
  const offsets: number[] = [];
  const end = document[start + 1] === "}" ? start + 2 : noteEntries(document, start + 1, form, offsets);
  if (end === undefined) return undefined;
  return {
    rest: `${document.slice(0, start)}{}${document.slice(end)}`,
    region: document.slice(start, end),
    entries: new EntryIndex(document, Uint32Array.from(offsets), form),
  };
}

/** Notes where each entry begins. @returns where they all end; undefined where anything is not as it must be */
function noteEntries<Entry>(
  text: string,
  start: number,
  form: EntryForm<Entry>,
  offsets: number[],
): number | undefined {
  let before = "";
  for (let at = start; ;) {
    const begin = endOf(form.head, text, at);
    const end = begin === undefined ? undefined : endOfEntry(text, begin, form);
    if (end === undefined) return undefined;
    const key = keyAt(text, at);
    if (key.length > MAX_NAME || key <= before) return undefined;
    before = key;
    offsets.push(at);
    if (text[end] === "}") return end + 1;
    if (text[end] !== ",") return undefined;
    at = end + 1;
  }
}

function endOfEntry<Entry>(text: string, begin: number, form: EntryForm<Entry>): number | undefined {
  const fields = form.custom ? endOfCustom(text, begin) : begin;
  return fields === undefined ? undefined : endOf(form.fields, text, fields);
}

/** Where the fields after `custom` begin, if it is there. */
function endOfCustom(text: string, begin: number): number | undefined {
  if (!text.startsWith(CUSTOM, begin)) return begin;
  const end = endOfValue(text, begin + CUSTOM.length);
  return end !== undefined && text[end] === "," ? end + 1 : undefined;
}

/** Up to the next quote: these have no escapes. */
function keyAt(text: string, offset: number): string {
  return text.slice(offset + 1, text.indexOf('"', offset + 1));
}

/** A map of entries over the text that holds them, sorted. Lookups take the logarithm of their number. */
class EntryIndex<Entry> implements ReadonlyMap<string, Entry> {
  private readonly text: string;
  private readonly offsets: Uint32Array;
  private readonly form: EntryForm<Entry>;

  constructor(text: string, offsets: Uint32Array, form: EntryForm<Entry>) {
    this.text = text;
    this.offsets = offsets;
    this.form = form;
  }

  get size(): number {
    return this.offsets.length;
  }

  has(name: string): boolean {
    return this.locate(name) !== undefined;
  }

  get(name: string): Entry | undefined {
    const offset = this.locate(name);
    return offset === undefined ? undefined : this.read(offset);
  }

  *entries(): MapIterator<[string, Entry]> {
    for (const offset of this.offsets) yield [this.nameAt(offset), this.read(offset)];
    return undefined;
  }

  *keys(): MapIterator<string> {
    for (const offset of this.offsets) yield this.nameAt(offset);
    return undefined;
  }

  *values(): MapIterator<Entry> {
    for (const offset of this.offsets) yield this.read(offset);
    return undefined;
  }

  [Symbol.iterator](): MapIterator<[string, Entry]> {
    return this.entries();
  }

  forEach(callback: (entry: Entry, name: string, map: ReadonlyMap<string, Entry>) => void): void {
    for (const [name, entry] of this) callback(entry, name, this);
  }

  private locate(name: string): number | undefined {
    const wanted = name + this.form.suffix;
    let low = 0;
    let high = this.offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const offset = this.offsets[middle]!;
      const key = keyAt(this.text, offset);
      if (key === wanted) return offset;
      if (key < wanted) low = middle + 1;
      else high = middle;
    }
    return undefined;
  }

  private nameAt(offset: number): string {
    const key = keyAt(this.text, offset);
    return key.slice(0, key.length - this.form.suffix.length);
  }

  private read(offset: number): Entry {
    const { text, form } = this;
    const begin = endOf(form.head, text, offset)!;
    const fields = form.custom ? endOfCustom(text, begin)! : begin;
    form.fields.lastIndex = fields;
    const custom = fields === begin ? undefined : text.slice(begin + CUSTOM.length, fields - 1);
    return form.read(form.fields.exec(text)!, custom);
  }
}

function hashesOf([, sha256, both, sha512 = both]: RegExpExecArray): Hashes | undefined {
  if (sha256 === undefined && sha512 === undefined) return undefined;
  const hashes = noExtra() as Record<string, string>;
  if (sha256 !== undefined) hashes["sha256"] = sha256;
  if (sha512 !== undefined) hashes["sha512"] = sha512;
  return hashes;
}

function noExtra(): JsonObject {
  return Object.create(null) as JsonObject;
}
