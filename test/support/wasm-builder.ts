/** Assembles Wasm binaries from bytes, sound ones and broken ones. */
import { concatBytes, utf8Encode, type Bytes } from "../../src/base/bytes.ts";

export const MODULE_PREAMBLE = bytes(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);
const COMPONENT_PREAMBLE = bytes(0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00);

export function bytes(...values: number[]): Bytes {
  return Uint8Array.from(values);
}

/** LEB128, with padding up to `width` bytes where one is given. */
export function u32(value: number, width = 1): Bytes {
  const out: number[] = [];
  do {
    const low = value % 128;
    value = Math.floor(value / 128);
    out.push(value > 0 || out.length + 1 < width ? low + 128 : low);
  } while (value > 0 || out.length < width);
  return Uint8Array.from(out);
}

export function name(text: string | Uint8Array): Bytes {
  const content = typeof text === "string" ? utf8Encode(text) : text;
  return concatBytes([u32(content.length), content]);
}

export function vec(items: readonly Uint8Array[]): Bytes {
  return concatBytes([u32(items.length), ...items]);
}

export function section(id: number, ...parts: Uint8Array[]): Bytes {
  const content = concatBytes(parts);
  return concatBytes([bytes(id), u32(content.length), content]);
}

export function custom(title: string | Uint8Array, ...parts: Uint8Array[]): Bytes {
  return section(0, name(title), ...parts);
}

export function wasmModule(...sections: Uint8Array[]): Bytes {
  return concatBytes([MODULE_PREAMBLE, ...sections]);
}

export function component(...sections: Uint8Array[]): Bytes {
  return concatBytes([COMPONENT_PREAMBLE, ...sections]);
}

/** What follows the names of an import of each kind; functions and tags have type 0, `[] → []`. */
export const IMPORT_TYPES = {
  function: bytes(0x00, 0x00),
  table: bytes(0x01, 0x70, 0x00, 0x01),
  memory: bytes(0x02, 0x00, 0x01),
  global: bytes(0x03, 0x7f, 0x00),
  tag: bytes(0x04, 0x00, 0x00),
} as const;

export type ImportKind = keyof typeof IMPORT_TYPES;

/** The type section with `[] → []` as its only type. */
export const ONE_TYPE = section(1, bytes(0x01, 0x60, 0x00, 0x00));

export function coreImport(module: string | Uint8Array, field: string | Uint8Array, kind: ImportKind): Bytes {
  return concatBytes([name(module), name(field), IMPORT_TYPES[kind]]);
}

export function coreImports(...entries: Uint8Array[]): Bytes {
  return section(2, vec(entries));
}

const EXPORT_KINDS: Readonly<Record<ImportKind, number>> = { function: 0, table: 1, memory: 2, global: 3, tag: 4 };

export function coreExport(title: string | Uint8Array, kind: ImportKind, index = 0): Bytes {
  return concatBytes([name(title), bytes(EXPORT_KINDS[kind]), u32(index)]);
}

export function coreExports(...entries: Uint8Array[]): Bytes {
  return section(7, vec(entries));
}

/** An import or export name of a component in its plain form. */
export function externName(text: string): Bytes {
  return concatBytes([bytes(0x00), name(text)]);
}

/** A component's import of an instance or function of type 0. */
export function componentImport(text: string, kind: "instance" | "function" = "instance"): Bytes {
  return concatBytes([externName(text), bytes(kind === "instance" ? 0x05 : 0x01), u32(0)]);
}

export function componentImports(...entries: Uint8Array[]): Bytes {
  return section(10, vec(entries));
}

export function componentExport(text: string, kind: "instance" | "function" | "type" = "instance", index = 0): Bytes {
  const sort = { instance: 0x05, function: 0x01, type: 0x03 }[kind];
  return concatBytes([externName(text), bytes(sort), u32(index), bytes(0x00)]);
}

export function componentExports(...entries: Uint8Array[]): Bytes {
  return section(11, vec(entries));
}

export interface Producer {
  readonly field: string;
  readonly values: readonly { readonly name: string; readonly version: string }[];
}

export function producers(fields: readonly Producer[]): Bytes {
  const values = (list: Producer["values"]): Bytes =>
    vec(list.map((value) => concatBytes([name(value.name), name(value.version)])));
  return custom("producers", vec(fields.map((field) => concatBytes([name(field.field), values(field.values)]))));
}

/** The name section (`component-name` in components) with the binary's own name only. */
export function nameSection(text: string, title: "name" | "component-name" = "name"): Bytes {
  return custom(title, section(0, name(text)));
}

/** Cuts bytes at the given places. */
export function chunksOf(whole: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map((cut) => cut % (whole.length + 1)))].toSorted((a, b) => a - b);
  return [...places, whole.length].map((end, index) => whole.subarray(places[index - 1] ?? 0, end));
}

/** A component that asks for interfaces such as `wasi:cli/stdin@0.2.0`. */
export function componentAsking(...interfaces: string[]): Bytes {
  return component(componentImports(...interfaces.map((asked) => componentImport(asked))));
}

/** A core module that imports functions of a module. */
export function moduleAsking(module: string, ...functions: string[]): Bytes {
  return wasmModule(ONE_TYPE, coreImports(...functions.map((asked) => coreImport(module, asked, "function"))));
}
