/** What the scanner and the readers of the two kinds of binary agree on. */
import { FormatError } from "../base/errors.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { WasmExport, WasmImport, WasmKind, WasmMemory, WasiVersion } from "./info.ts";

/**
 * Imports and exports of one binary, each. Engines load no more than 100,000 (V8 for years) or 1,000,000; the
 * largest modules in use, dynamically linked interpreters, have some 30,000.
 */
const MAX_EXTERNS = 100_000;

/** `whole`: must be read; `optional`: is read where it is small enough; `skip`: passes by. */
export type SectionUse = "whole" | "optional" | "skip";

export interface Facts {
  readonly kind: WasmKind;
  readonly imports: readonly WasmImport[];
  readonly exports: readonly WasmExport[];
  readonly memories: readonly WasmMemory[];
  readonly nested: { readonly modules: number; readonly components: number };
  readonly wasi: readonly WasiVersion[];
  readonly notes: readonly string[];
}

/** Reads the sections of one kind of binary; custom sections never reach it. */
export interface SectionReader {
  /** The custom section that holds the binary's own name. */
  readonly nameSection: string;
  sectionName(id: number): string;
  /** Takes note of a section that starts at `offset`. @throws {FormatError} WASM_INVALID where it may not stand here */
  begin(id: number, offset: number): SectionUse;
  /** Reads the whole content of a section. */
  read(id: number, content: ByteReader): void;
  /** Called instead of `read` for an optional section that was too large. */
  skip(id: number): void;
  facts(): Facts;
}

/** Reads how many imports or exports follow. @param known how many there are already */
export function countExterns(reader: ByteReader, known: number, atLeast: number, what: string): number {
  const { offset } = reader;
  const count = reader.count(atLeast);
  if (known + count <= MAX_EXTERNS) return count;
  throw new FormatError("LIMIT_EXCEEDED", `the binary has more than ${MAX_EXTERNS} ${what} (at byte ${offset})`, {
    hint: "No engine's default settings load such a binary",
    details: { limit: MAX_EXTERNS, offset },
  });
}
