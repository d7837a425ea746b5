/**
 * PEM blocks with RFC 1421 headers, as Notary and OpenSSL write them. Text before, between and after blocks is
 * allowed, as everywhere; what looks like a block must be one to its end.
 */
import { base64Decode, base64Encode, compareUtf8, type Bytes } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";

export interface PemBlock {
  /** E.g. `PRIVATE KEY`. */
  readonly label: string;
  /** Header names as written, e.g. `role`. */
  readonly headers: ReadonlyMap<string, string>;
  readonly bytes: Bytes;
}

type PemCode = "KEY_INVALID" | "CERTIFICATE_INVALID";
/** Makes the error for damage at a line, counted from 0. */
type PemFault = (message: string, line: number) => FormatError;

/** Characters of a PEM file: a bundle of some hundred certificates, or every key of a person. */
const MAX_PEM_LENGTH = 1024 * 1024;
/** Blocks in one file: as above. */
const MAX_BLOCKS = 1000;
/** Headers of one block; three are in use. */
const MAX_HEADERS = 16;

/** Comes first wherever it occurs (RFC 1421 §4.6.1.1). */
const PROC_TYPE = "Proc-Type";
const COLUMNS = 64;
const BEGIN = /^-----BEGIN ([A-Z0-9](?:[A-Z0-9 ]{0,62}[A-Z0-9])?)-----[ \t]*$/;
const HEADER = /^([A-Za-z][A-Za-z0-9-]{0,62}):[ \t]*(.*?)[ \t]*$/;
const BASE64_LINE = /^[A-Za-z0-9+/]+={0,2}$/;

/**
 * Reads every block of a text; none is no error.
 *
 * @param what names the text in messages, e.g. the file
 * @param code the code of damage: KEY_INVALID unless told
 * @throws {FormatError} with that code where a block is damaged; LIMIT_EXCEEDED
 */
export function parsePem(text: string, what = "the PEM text", code: PemCode = "KEY_INVALID"): PemBlock[] {
  const fault: PemFault = (message, line) =>
    new FormatError(code, `${what} is not valid PEM: ${message} (line ${line + 1})`, { details: { line: line + 1 } });
  if (text.length > MAX_PEM_LENGTH) throw tooMuch(what, `${MAX_PEM_LENGTH} characters`);
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  const blocks: PemBlock[] = [];
  for (let at = 0; at < lines.length; at++) {
    if (!lines[at]!.startsWith("-----BEGIN")) continue;
    const label = BEGIN.exec(lines[at]!)?.[1];
    if (label === undefined) throw fault("a BEGIN line is damaged", at);
    if (blocks.length === MAX_BLOCKS) throw tooMuch(what, `${MAX_BLOCKS} blocks`);
    const end = findEnd(lines, at, label, fault);
    const body = lines.slice(at + 1, end);
    blocks.push({ label, ...parseBody(body, at + 1, what, fault) });
    at = end;
  }
  return blocks;
}

/** Writes one block: headers sorted by name, a blank line, base64 in 64 columns, a newline at the end. */
export function formatPem(block: PemBlock): string {
  const headers = [...block.headers];
  headers.sort(([a], [b]) => (b === PROC_TYPE ? 1 : a === PROC_TYPE ? -1 : compareUtf8(a, b)));
  for (const [name, value] of headers) {
    if (!HEADER.test(`${name}: ${value}`) || /[\r\n]/.test(value) || value.trim() !== value || value === "") {
      throw new FormatError("KEY_INVALID", `${JSON.stringify(`${name}: ${value}`)} cannot be a PEM header`);
    }
  }
  const base64 = base64Encode(block.bytes);
  const lines = [`-----BEGIN ${block.label}-----`];
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);
  if (headers.length > 0) lines.push("");
  for (let at = 0; at < base64.length; at += COLUMNS) lines.push(base64.slice(at, at + COLUMNS));
  lines.push(`-----END ${block.label}-----`, "");
  return lines.join("\n");
}

function findEnd(lines: readonly string[], begin: number, label: string, fault: PemFault): number {
  for (let at = begin + 1; at < lines.length; at++) {
    if (!lines[at]!.startsWith("-----")) continue;
    if (lines[at]!.trimEnd() === `-----END ${label}-----`) return at;
    throw fault(`the block ${label} does not end`, begin);
  }
  throw fault(`the block ${label} does not end`, begin);
}

function parseBody(lines: readonly string[], first: number, what: string, fault: PemFault): Omit<PemBlock, "label"> {
  const headers = new Map<string, string>();
  let at = 0;
  for (; at < lines.length && lines[at]!.includes(":"); at++) {
    const [, name, value] = HEADER.exec(lines[at]!) ?? [];
    if (name === undefined || value === undefined) throw fault("a header is damaged", first + at);
    if (headers.has(name)) throw fault(`the header ${name} occurs twice`, first + at);
    if (headers.size === MAX_HEADERS) throw tooMuch(what, `${MAX_HEADERS} headers`);
    headers.set(name, value);
  }
  if (headers.size > 0 && lines[at]?.trim() !== "") throw fault("no blank line follows the headers", first + at);
  let base64 = "";
  for (; at < lines.length; at++) {
    const line = lines[at]!.trim();
    if (line === "" && (base64 === "" || at === lines.length - 1)) continue;
    if (!BASE64_LINE.test(line) || base64.endsWith("=")) throw fault("a line is not base64", first + at);
    base64 += line;
  }
  const bytes = base64Decode(base64);
  if (bytes === undefined || bytes.length === 0) throw fault("its base64 is damaged", first);
  return { headers, bytes };
}

function tooMuch(what: string, limit: string): FormatError {
  return new FormatError("LIMIT_EXCEEDED", `${what} is larger than the ${limit} allowed for it`);
}
