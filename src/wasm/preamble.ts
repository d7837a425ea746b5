/** The first eight bytes: Wasm or not, and which kind. */
import type { FormatError } from "../base/errors.ts";
import { wasmFault } from "./byte-reader.ts";

export const PREAMBLE_SIZE = 8;

const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const MODULE_VERSION = "1.0"; // version and layer as two little-endian numbers
const COMPONENT_VERSION = "13.1";

/** What other files begin with, to name the mistake. */
const OTHER_FILES: readonly { readonly begins: readonly number[]; readonly what: string; readonly hint: string }[] = [
  { begins: [0x1f, 0x8b], what: "gzip data", hint: "Unpack it first, e.g. with gunzip" },
  { begins: [0x28, 0xb5, 0x2f, 0xfd], what: "zstd data", hint: "Unpack it first, e.g. with zstd -d" },
  { begins: [0x28], what: "WebAssembly text", hint: "Assemble it first, e.g. with wat2wasm or wasm-tools parse" },
  { begins: [0x50, 0x4b], what: "a zip archive", hint: "Unpack it first" },
  { begins: [0x7f, 0x45, 0x4c, 0x46], what: "a native executable", hint: "Build it for a Wasm target" },
  { begins: [0x3c], what: "HTML or XML", hint: "A download may have saved an error page; fetch the file again" },
  { begins: [0x7b], what: "JSON", hint: "A download may have saved an error message; fetch the file again" },
];

/**
 * Tells the kind of a binary by its preamble, given as far as it has come.
 *
 * @param final true where no more bytes will come
 * @returns undefined where more bytes are needed
 * @throws {FormatError} WASM_INVALID
 */
export function checkPreamble(bytes: Uint8Array, final: boolean): "module" | "component" | undefined {
  const wrong = MAGIC.findIndex((byte, index) => index < bytes.length && bytes[index] !== byte);
  if (wrong !== -1 && (final || bytes.length >= MAGIC.length)) throw notWasm(bytes);
  if (bytes.length < PREAMBLE_SIZE) {
    if (!final) return undefined;
    if (bytes.length === 0) throw wasmFault("it is empty", 0);
    throw wasmFault("it ends within the preamble", bytes.length);
  }
  const version = bytes[4]! + 256 * bytes[5]!;
  const layer = bytes[6]! + 256 * bytes[7]!;
  const both = `${version}.${layer}`;
  if (both === MODULE_VERSION) return "module";
  if (both === COMPONENT_VERSION) return "component";
  throw wasmFault(
    layer === 1
      ? `a component of binary version ${version}; version 13 (0x0d) is supported`
      : `binary version ${version}, layer ${layer}; version 1 of modules and version 13 of components are supported`,
    4,
    "Build it with current tools: components of other versions are drafts that no runtime loads any more, or not yet",
  );
}

function notWasm(bytes: Uint8Array): FormatError {
  const other = OTHER_FILES.find(({ begins }) => begins.every((byte, index) => bytes[index] === byte));
  return wasmFault(
    other === undefined ? "it does not begin with 00 61 73 6d" : `it looks like ${other.what}`,
    0,
    other?.hint ?? "Give the .wasm file that your compiler made",
  );
}
