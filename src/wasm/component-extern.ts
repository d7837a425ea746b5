/** Names and types of what components import and export. https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md */
import type { ByteReader } from "./byte-reader.ts";
import type { ComponentExternKind, WasmExport } from "./info.ts";

/** Sorts by their byte; 0 is a core sort, of which only modules are imported and exported. */
const SORTS: readonly ComponentExternKind[] = ["module", "function", "value", "type", "component", "instance"];
const CORE_MODULE_SORT = 0x11;

/** More attributes than there are kinds of them; each is short and none is of use twice. */
const MAX_ATTRIBUTES = 16;

/** The name of an import or export, with what its attributes add. */
export function readExternName(reader: ByteReader): Omit<WasmExport, "kind"> {
  const start = reader.offset;
  const form = reader.byte();
  if (form > 0x02) reader.fail(`a name of the unknown form 0x${form.toString(16)}`, start);
  const name = reader.name();
  if (form < 0x02) return { name };
  const result: { name: string; implements?: string; versionSuffix?: string } = { name };
  const attributes = reader.count(2);
  if (attributes > MAX_ATTRIBUTES) reader.fail(`a name with ${attributes} attributes`, start);
  for (let i = 0; i < attributes; i++) {
    const kind = reader.byte();
    const value = reader.name();
    if (kind === 0x00) result.implements = value;
    else if (kind === 0x01) result.versionSuffix = value;
    else if (kind !== 0x02) reader.fail(`an unknown attribute 0x${kind.toString(16)} of a name`, start);
  }
  return result;
}

/** Passes over the type of an import or export and gives its kind. */
export function readExternType(reader: ByteReader): ComponentExternKind {
  const kind = readSort(reader);
  if (kind === "value") {
    // Equal to another value, or any of a type.
    if (readFlag(reader, "a value's bound")) reader.skipS33();
    else reader.u32();
  } else if (kind !== "type" || !readFlag(reader, "a type's bound")) {
    reader.u32(); // the index of its type; a type that is bound to nothing is a new resource and has none
  }
  return kind;
}

/** The kind of what is imported or exported. */
export function readSort(reader: ByteReader): ComponentExternKind {
  const start = reader.offset;
  const byte = reader.byte();
  if (byte === 0x00) {
    const core = reader.byte();
    if (core !== CORE_MODULE_SORT) reader.fail(`a core sort 0x${core.toString(16)}, expected a module`, start);
  }
  return SORTS[byte] ?? reader.fail(`an unknown sort 0x${byte.toString(16)}`, start);
}

/** One byte, 0 or 1. */
export function readFlag(reader: ByteReader, what: string): boolean {
  const start = reader.offset;
  const byte = reader.byte();
  if (byte > 0x01) reader.fail(`${what} marked 0x${byte.toString(16)}, expected 0 or 1`, start);
  return byte === 0x01;
}
