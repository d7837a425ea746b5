/** Reads components. https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md */
import { FormatError } from "../base/errors.ts";
import { showName, type ByteReader } from "./byte-reader.ts";
import { readExternName, readExternType, readFlag, readSort } from "./component-extern.ts";
import type { WasmExport, WasmImport, WasiVersion } from "./info.ts";
import { countExterns, type Facts, type SectionReader, type SectionUse } from "./sections.ts";
import { namesOfPackage, readTypes, type ExportsOfType } from "./wit-package.ts";

/** Section names by id. */
const SECTIONS: readonly string[] = [
  "custom",
  "core-module",
  "core-instance",
  "core-type",
  "component",
  "instance",
  "alias",
  "type",
  "canon",
  "start",
  "import",
  "export",
  "value",
];

const CORE_MODULE = 1;
const COMPONENT = 4;
const TYPE = 7;
const IMPORT = 10;
const EXPORT = 11;

export class ComponentReader implements SectionReader {
  readonly nameSection = "component-name";
  private readonly imports: WasmImport[] = [];
  private readonly exports: WasmExport[] = [];
  private readonly importNames = new Set<string>();
  private readonly exportNames = new Set<string>();
  private modules = 0;
  private components = 0;

  /** True as long as there are only types and exports of types, as in a WIT package. */
  private onlyTypes = true;
  /** The type index space; undefined once a part of it could not be read. */
  private types: ExportsOfType[] | undefined = [];
  private readonly exportedTypes: ExportsOfType[] = [];

  sectionName(id: number): string {
    return SECTIONS[id] ?? `unknown-${id}`;
  }

  begin(id: number): SectionUse {
    if (id === CORE_MODULE) this.modules++;
    if (id === COMPONENT) this.components++;
    if (id === IMPORT || id === EXPORT) return "whole";
    if (id !== TYPE) {
      this.onlyTypes = false;
    } else if (this.onlyTypes && this.types !== undefined) {
      return "optional";
    }
    return "skip";
  }

  read(id: number, content: ByteReader): void {
    if (id === IMPORT) this.readImports(content);
    else if (id === EXPORT) this.readExports(content);
    else this.readTypeSection(content);
  }

  /** Only type sections are optional. */
  skip(): void {
    this.types = undefined;
  }

  facts(): Facts {
    const candidate = this.onlyTypes && this.exports.length > 0;
    const names = candidate && this.types !== undefined ? namesOfPackage(this.exportedTypes) : undefined;
    return {
      kind: names === undefined ? "component" : "wit-package",
      imports: this.imports,
      exports: names ?? this.exports,
      memories: [],
      nested: { modules: this.modules, components: this.components },
      wasi: names === undefined ? wasiVersions([...this.imports, ...this.exports]) : [],
      notes:
        candidate && this.types === undefined
          ? ["the types that it exports could not be read: it may be a WIT package"]
          : [],
    };
  }

  private readImports(content: ByteReader): void {
    this.onlyTypes = false;
    const count = countExterns(content, this.imports.length, 4, "imports");
    for (let i = 0; i < count; i++) {
      const name = readUniqueName(content, this.importNames, "import");
      this.imports.push({ ...name, kind: readExternType(content) });
    }
    content.end();
  }

  private readExports(content: ByteReader): void {
    const count = countExterns(content, this.exports.length, 5, "exports");
    for (let i = 0; i < count; i++) {
      const name = readUniqueName(content, this.exportNames, "export");
      const kind = readSort(content);
      const index = content.u32();
      if (readFlag(content, "an ascribed type")) readExternType(content);
      this.exports.push({ ...name, kind });
      if (kind === "type") this.exportType(index);
      else this.onlyTypes = false;
    }
    content.end();
  }

  /** An export gives its type a further index. */
  private exportType(index: number): void {
    if (!this.onlyTypes || this.types === undefined) return;
    const type = this.types[index];
    this.types.push(type);
    this.exportedTypes.push(type);
  }

  private readTypeSection(content: ByteReader): void {
    if (this.types === undefined) return;
    try {
      readTypes(content, this.types);
    } catch (error) {
      // Types are read only to name a WIT package's interfaces; new kinds of types must not make a component unreadable.
      if (!(error instanceof FormatError)) throw error;
      this.types = undefined;
    }
  }
}

function readUniqueName(content: ByteReader, seen: Set<string>, what: string): Omit<WasmExport, "kind"> {
  const start = content.offset;
  const name = readExternName(content);
  if (seen.has(name.name)) content.fail(`a second ${what} named ${showName(name.name)}`, start);
  seen.add(name.name);
  return name;
}

/** The minor version of a WASI interface, the part that tells 0.2 from 0.3. */
const WASI_MINOR = /^wasi:[^@]*@0\.(\d+)(?![^.+-])/;

function wasiVersions(externs: readonly WasmExport[]): WasiVersion[] {
  const minors = new Set(externs.map((extern) => WASI_MINOR.exec(extern.implements ?? extern.name)?.[1]));
  const versions: WasiVersion[] = [];
  if (minors.has("2")) versions.push("wasip2");
  if (minors.has("3")) versions.push("wasip3");
  return versions;
}
