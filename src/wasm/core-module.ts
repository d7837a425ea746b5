/** Reads core modules. https://webassembly.github.io/spec/core/binary/modules.html */
import { showName, wasmFault, type ByteReader } from "./byte-reader.ts";
import type { CoreExternKind, WasmExport, WasmImport, WasmMemory, WasiVersion } from "./info.ts";
import { countExterns, type Facts, type SectionReader, type SectionUse } from "./sections.ts";

/** Section names by id. */
const SECTIONS: readonly string[] = [
  "custom",
  "type",
  "import",
  "function",
  "table",
  "memory",
  "global",
  "export",
  "start",
  "element",
  "code",
  "data",
  "data-count",
  "tag",
];

/** The order in which known sections must come, each at most once; custom sections lie anywhere between. */
const ORDER: readonly string[] = [
  "type",
  "import",
  "function",
  "table",
  "memory",
  "tag",
  "global",
  "export",
  "start",
  "element",
  "data-count",
  "code",
  "data",
];

const EXTERN_KINDS: readonly CoreExternKind[] = ["function", "table", "memory", "global", "tag"];

const PAGE = 65_536;

/** Limits are a set of flags, then one or two sizes. */
const HAS_MAXIMUM = 0x01;
const IS_SHARED = 0x02;
const IS_64_BIT = 0x04;
const HAS_PAGE_SIZE = 0x08;

/** Stand in the place of an import's kind where a list of imports of the same module follows. */
const GROUP = 0x7f;
const GROUP_OF_ONE_TYPE = 0x7e;

/** A function of exactly the type given (custom descriptors). */
const EXACT_FUNCTION = 0x20;

const WASI_MODULES: readonly WasiVersion[] = ["wasi_unstable", "wasi_snapshot_preview1"];

export class CoreModuleReader implements SectionReader {
  readonly nameSection = "name";
  private readonly imports: WasmImport[] = [];
  private readonly exports: WasmExport[] = [];
  private readonly memories: WasmMemory[] = [];
  private lastInOrder = -1;

  sectionName(id: number): string {
    return SECTIONS[id] ?? `unknown-${id}`;
  }

  begin(id: number, offset: number): SectionUse {
    const name = this.sectionName(id);
    const place = ORDER.indexOf(name);
    if (place !== -1) {
      // Two import sections would be one list to us and another to an engine.
      if (place <= this.lastInOrder) throw wasmFault(`a ${name} section out of order or twice`, offset);
      this.lastInOrder = place;
    }
    return name === "import" || name === "memory" || name === "export" ? "whole" : "skip";
  }

  read(id: number, content: ByteReader): void {
    const name = this.sectionName(id);
    if (name === "import") this.readImports(content);
    else if (name === "memory") this.readMemories(content);
    else this.readExports(content);
    content.end();
  }

  /** No section of a core module is optional. */
  skip(): void {}

  facts(): Facts {
    const modules = new Set(this.imports.map((entry) => entry.module));
    return {
      kind: "module",
      imports: this.imports,
      exports: this.exports,
      memories: this.memories,
      nested: { modules: 0, components: 0 },
      wasi: WASI_MODULES.filter((module) => modules.has(module)),
      notes: [],
    };
  }

  private readImports(content: ByteReader): void {
    const count = countExterns(content, 0, 4, "imports");
    for (let i = 0; i < count; i++) {
      const module = content.name();
      const name = content.name();
      const group = name === "" ? content.peek() : undefined;
      if (group === GROUP || group === GROUP_OF_ONE_TYPE) this.readGroup(content, module);
      else this.addImport(module, name, readExternType(content));
    }
  }

  /** Several imports of one module. https://github.com/WebAssembly/compact-import-section */
  private readGroup(content: ByteReader, module: string): void {
    const shared = content.byte() === GROUP_OF_ONE_TYPE ? readExternType(content) : undefined;
    const count = countExterns(content, this.imports.length, shared === undefined ? 3 : 1, "imports");
    for (let i = 0; i < count; i++) this.addImport(module, content.name(), shared ?? readExternType(content));
  }

  private addImport(module: string, name: string, type: ExternType): void {
    this.imports.push({ module, name, kind: type.kind });
    if (type.memory !== undefined) this.memories.push(type.memory);
  }

  private readMemories(content: ByteReader): void {
    const count = countExterns(content, this.memories.length, 2, "memories");
    for (let i = 0; i < count; i++) this.memories.push(readMemoryType(content, false));
  }

  private readExports(content: ByteReader): void {
    const count = countExterns(content, 0, 3, "exports");
    const seen = new Set<string>();
    for (let i = 0; i < count; i++) {
      const start = content.offset;
      const name = content.name();
      if (seen.has(name)) content.fail(`a second export named ${showName(name)}`, start);
      seen.add(name);
      this.exports.push({ name, kind: readExternKind(content, "export") });
      content.u32();
    }
  }
}

function readExternKind(reader: ByteReader, what: string): CoreExternKind {
  const start = reader.offset;
  const byte = reader.byte();
  if (byte === EXACT_FUNCTION) return "function";
  // Guessing the length of an unknown kind would lose imports without a word, which a policy might look for.
  return EXTERN_KINDS[byte] ?? reader.fail(`an ${what} of the unknown kind 0x${byte.toString(16)}`, start);
}

interface ExternType {
  readonly kind: CoreExternKind;
  readonly memory?: WasmMemory;
}

/** Reads the kind of an import and passes over its type, of which only a memory's is kept. */
function readExternType(reader: ByteReader): ExternType {
  const kind = readExternKind(reader, "import");
  if (kind === "memory") return { kind, memory: readMemoryType(reader, true) };
  if (kind === "function") {
    reader.u32();
  } else if (kind === "table") {
    skipValueType(reader);
    readLimits(reader);
  } else if (kind === "global") {
    skipValueType(reader);
    if (reader.byte() > 0x03) reader.fail("an unknown mutability of a global", reader.offset - 1);
  } else {
    if (reader.byte() !== 0x00) reader.fail("an unknown attribute of a tag", reader.offset - 1);
    reader.u32();
  }
  return { kind };
}

function readMemoryType(reader: ByteReader, imported: boolean): WasmMemory {
  const start = reader.offset;
  const { flags, minimum, maximum, pageSize } = readLimits(reader);
  const largest = maximum ?? minimum;
  if (minimum > largest) reader.fail("a memory whose minimum is above its maximum", start);
  if (largest > BigInt(Number.MAX_SAFE_INTEGER)) reader.fail("a memory of more than 2^53-1 pages", start);
  return {
    minimum: Number(minimum),
    ...(maximum === undefined ? {} : { maximum: Number(maximum) }),
    imported,
    shared: (flags & IS_SHARED) !== 0,
    memory64: (flags & IS_64_BIT) !== 0,
    pageSize,
  };
}

function readLimits(reader: ByteReader): {
  flags: number;
  minimum: bigint;
  maximum: bigint | undefined;
  pageSize: number;
} {
  const start = reader.offset;
  const flags = reader.byte();
  if (flags > (HAS_MAXIMUM | IS_SHARED | IS_64_BIT | HAS_PAGE_SIZE)) {
    reader.fail(`unknown flags of limits, 0x${flags.toString(16)}`, start);
  }
  const readSize = (): bigint => ((flags & IS_64_BIT) === 0 ? BigInt(reader.u32()) : reader.u64());
  const minimum = readSize();
  const maximum = (flags & HAS_MAXIMUM) === 0 ? undefined : readSize();
  const exponent = (flags & HAS_PAGE_SIZE) === 0 ? undefined : reader.u32();
  if (exponent !== undefined && exponent > 16) reader.fail("pages of more than 65,536 bytes", start);
  return { flags, minimum, maximum, pageSize: exponent === undefined ? PAGE : 2 ** exponent };
}

const REFERENCE = 0x64;
const REFERENCE_NULL = 0x63;
const HEAP_EXACT = 0x62;
const HEAP_SHARED = 0x65;

/** Passes over a value or reference type: one byte, or a reference and its heap type. */
function skipValueType(reader: ByteReader): void {
  const start = reader.offset;
  const byte = reader.byte();
  if (byte === REFERENCE || byte === REFERENCE_NULL) {
    skipHeapType(reader);
  } else if (byte === HEAP_SHARED) {
    reader.byte();
  } else if (byte < 0x40 || byte > 0x7f) {
    reader.fail(`an unknown type 0x${byte.toString(16)}`, start);
  }
}

/** A heap type is one signed integer; the two prefixes are integers of one byte that another follows. */
function skipHeapType(reader: ByteReader): void {
  const first = reader.skipS33();
  if (first === HEAP_EXACT || first === HEAP_SHARED) reader.skipS33();
}
