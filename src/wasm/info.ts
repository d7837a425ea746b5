/** What a Wasm binary says about itself. Plain data: it goes to JSON as it is. */

/**
 * - `module`: a core module
 * - `component`: a component of the component model
 * - `wit-package`: interfaces and worlds in binary form, in the shape of a component that has nothing to run
 */
export type WasmKind = "module" | "component" | "wit-package";

/** What core modules import and export, in the words of the JavaScript API. */
export type CoreExternKind = "function" | "table" | "memory" | "global" | "tag";

/** What components import and export; `interface` and `world` are what a WIT package holds. */
export type ComponentExternKind =
  | "module"
  | "function"
  | "value"
  | "type"
  | "component"
  | "instance"
  | "interface"
  | "world";

export type ExternKind = CoreExternKind | ComponentExternKind;

export interface WasmExport {
  /** For a component the full name, e.g. `wasi:http/incoming-handler@0.2.0`. */
  readonly name: string;
  readonly kind: ExternKind;
  /** The interface that a component's plain name stands for, where the binary says so. */
  readonly implements?: string;
  /** What follows the version in the name, where a component's name holds only its compatible part. */
  readonly versionSuffix?: string;
}

export interface WasmImport extends WasmExport {
  /** The first half of a core module's import, e.g. `wasi_snapshot_preview1`. Components have none. */
  readonly module?: string;
}

export interface WasmSection {
  /** The specification's name, e.g. `code`; `custom`; `unknown-14` for ids that no specification gave when this was written. */
  readonly name: string;
  /** Where its content starts, in bytes from the start of the binary. */
  readonly offset: number;
  /** Length of its content in bytes. */
  readonly size: number;
}

export interface CustomSection {
  readonly name: string;
  /** Length in bytes, without the name. */
  readonly size: number;
}

/** A linear memory of a core module, defined or imported. Sizes are in pages. */
export interface WasmMemory {
  readonly minimum: number;
  readonly maximum?: number;
  readonly imported: boolean;
  readonly shared: boolean;
  /** Addressed by 64 bits. */
  readonly memory64: boolean;
  /** Length of a page in bytes: 65,536 unless the module says otherwise. */
  readonly pageSize: number;
}

/** One field of the producers section, e.g. `language: Rust`. */
export interface ProducerField {
  readonly field: string;
  readonly values: readonly { readonly name: string; readonly version: string }[];
}

/** A system interface that the binary's imports and exports name. */
export type WasiVersion = "wasi_unstable" | "wasi_snapshot_preview1" | "wasip2" | "wasip3";

export interface WasmInfo {
  readonly kind: WasmKind;
  /** Length of the binary in bytes. */
  readonly size: number;
  /** In the order of the binary. */
  readonly imports: readonly WasmImport[];
  /** In the order of the binary; of a WIT package its interfaces and worlds. */
  readonly exports: readonly WasmExport[];
  /** Every section in order, custom ones included. */
  readonly sections: readonly WasmSection[];
  readonly customSections: readonly CustomSection[];
  readonly memories: readonly WasmMemory[];
  /** How many modules and components lie directly inside a component. */
  readonly nested: { readonly modules: number; readonly components: number };
  readonly wasi: readonly WasiVersion[];
  /** From the name section. */
  readonly name?: string;
  readonly producers?: readonly ProducerField[];
  /** `authors`, `description`, `homepage`, `licenses`, `revision`, `source`, `version` from sections of these names. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Parts that could not be read though the binary is sound without them, e.g. a damaged producers section. */
  readonly notes: readonly string[];
}
