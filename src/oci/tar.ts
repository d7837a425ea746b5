/**
 * The tar format as far as OCI layouts need it: regular files and folders of the ustar format, with pax records where
 * a path or a size does not fit. Whatever else a tar can hold (links, devices, sparse files, GNU's own records) is
 * refused, and modes, owners and times are never looked at.
 * https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
 */
import { concatBytes, utf8Decode, utf8Encode, type Bytes } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";

export const TAR_BLOCK = 512;
/** Two empty blocks. */
export const TAR_END = new Uint8Array(2 * TAR_BLOCK);
/** Paths and times take some hundred bytes. */
export const MAX_TAR_ATTRIBUTES = 64 * 1024;

/** What a ustar header has room for. */
const MAX_NAME = 100;
const MAX_OCTAL_SIZE = 0o77777777777;
/** The longest path of a layout is a sha512 blob's. */
const MAX_PATH = 1024;
/** All that names in layouts are made of. */
const PATH_PART = /^[A-Za-z0-9._-]+$/;

export interface TarHeader {
  readonly kind: "file" | "folder" | "attributes";
  /** As it stands there; of attributes without meaning. */
  readonly path: string;
  /** Length in bytes of what follows. */
  readonly size: number;
}

/** What pax records say about the entry after them. */
export interface TarAttributes {
  readonly path?: string;
  readonly size?: number;
}

/** Reads a header; undefined for the empty block at the end. @throws {FormatError} LAYOUT_INVALID */
export function readTarHeader(block: Uint8Array): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const sum = octal(block.subarray(148, 156), "a checksum");
  if (sum !== checksum(block)) throw invalid("a header has a wrong checksum: the archive is damaged, or no tar");
  if (text(block.subarray(257, 262), "the format") !== "ustar") throw invalid("it is not in the ustar format");
  const type = String.fromCharCode(block[156]!);
  const name = text(block.subarray(0, 100), "a name");
  const prefix = text(block.subarray(345, 500), "a name");
  const path = prefix === "" ? name : `${prefix}/${name}`;
  const kind =
    type === "0" || type === "\0" ? "file" : type === "5" ? "folder" : type === "x" ? "attributes" : undefined;
  if (kind === undefined) {
    throw new FormatError("LAYOUT_INVALID", `the archive has ${typeName(type)} at "${escapeUntrusted(path)}"`, {
      hint: "Layouts consist of regular files; a link could lead outside of it",
      details: { entry: escapeUntrusted(path) },
    });
  }
  return { kind, path, size: octal(block.subarray(124, 136), "a size") };
}

/** Reads the pax records before an entry. @throws {FormatError} LAYOUT_INVALID */
export function readTarAttributes(bytes: Uint8Array): TarAttributes {
  const found: { path?: string; size?: number } = {};
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(
      /^[1-9]\d{0,5}$/.exec(text(bytes.subarray(at, Math.max(at, space)), "a record"))?.[0] ?? Number.NaN,
    );
    if (space === -1 || !(length > space - at + 1) || at + length > bytes.length || bytes[at + length - 1] !== 0x0a) {
      throw invalid("a pax record has a wrong length");
    }
    const record = text(bytes.subarray(space + 1, at + length - 1), "a record");
    const equals = record.indexOf("=");
    if (equals < 1) throw invalid("a pax record has no value");
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
    if (key === "path") found.path = value;
    if (key === "size")
      found.size = /^\d{1,15}$/.test(value) ? Number(value) : fail("a pax record has a size that is none");
    if (key.startsWith("GNU.sparse")) throw invalid("it has a sparse file");
    at += length;
  }
  return found;
}

/**
 * Gives a path below the archive in its one spelling.
 *
 * @returns undefined for the archive's own folder
 * @throws {FormatError} LAYOUT_INVALID for one that leads elsewhere
 */
export function tarPath(path: string): string | undefined {
  const parts = path.split("/");
  if (parts[0] === ".") parts.shift();
  if (parts.at(-1) === "") parts.pop();
  const harmless = parts.every((part) => PATH_PART.test(part) && part !== "." && part !== "..");
  if (!harmless || path.length > MAX_PATH) {
    throw new FormatError(
      "LAYOUT_INVALID",
      `the archive has an entry "${escapeUntrusted(path)}", which may lead elsewhere`,
      {
        hint: "Somebody made this archive to write where it should not; do not use it",
        details: { entry: escapeUntrusted(path) },
      },
    );
  }
  return parts.length === 0 ? undefined : parts.join("/");
}

/** How many bytes follow an entry's content to fill its last block. */
export function tarPadding(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;
}

/** Writes what stands before a file's content: always the same for the same path and size. */
export function writeTarHeader(path: string, size: number): Bytes {
  const records =
    (path.length > MAX_NAME ? paxRecord("path", path) : "") +
    (size > MAX_OCTAL_SIZE ? paxRecord("size", `${size}`) : "");
  const header = headerBlock("0", path.slice(0, MAX_NAME), Math.min(size, MAX_OCTAL_SIZE));
  if (records === "") return header;
  const body = utf8Encode(records);
  return concatBytes([headerBlock("x", "pax", body.length), body, new Uint8Array(tarPadding(body.length)), header]);
}

function headerBlock(type: "0" | "x", name: string, size: number): Bytes {
  const block = new Uint8Array(TAR_BLOCK);
  const put = (at: number, value: string): void => block.set(utf8Encode(value), at);
  const number = (at: number, digits: number, value: number): void => put(at, value.toString(8).padStart(digits, "0"));
  put(0, name);
  number(100, 7, 0o644);
  number(108, 7, 0); // no owner
  number(116, 7, 0);
  number(124, 11, size);
  number(136, 11, 0); // no time
  put(156, type);
  put(257, "ustar\u000000");
  number(148, 6, checksum(block));
  block[155] = 0x20;
  return block;
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (length !== rest.length + `${length}`.length) length = rest.length + `${length}`.length;
  return `${length}${rest}`;
}

/** The sum of all bytes, those of the checksum itself taken as spaces. */
function checksum(block: Uint8Array): number {
  let sum = 8 * 0x20;
  for (const [at, byte] of block.entries()) if (at < 148 || at > 155) sum += byte;
  return sum;
}

function octal(field: Uint8Array, what: string): number {
  const digits = /^ *([0-7]{1,12})[\0 ]*$/.exec(latin(field))?.[1];
  return digits === undefined ? fail(`a header has ${what} that is no octal number`) : Number.parseInt(digits, 8);
}

function text(field: Uint8Array, what: string): string {
  const end = field.indexOf(0);
  try {
    return utf8Decode(end === -1 ? field : field.subarray(0, end));
  } catch (cause) {
    throw new FormatError("LAYOUT_INVALID", `the archive has ${what} that is not UTF-8`, { cause });
  }
}

function latin(field: Uint8Array): string {
  return String.fromCharCode(...field);
}

function typeName(type: string): string {
  const names: Readonly<Record<string, string>> = {
    "1": "a hard link",
    "2": "a symbolic link",
    "3": "a device",
    "4": "a device",
    "6": "a pipe",
  };
  return names[type] ?? `an entry of type ${JSON.stringify(escapeUntrusted(type))}`;
}

function fail(reason: string): never {
  throw invalid(reason);
}

function invalid(reason: string): FormatError {
  return new FormatError("LAYOUT_INVALID", `the archive cannot be read: ${reason}`);
}
