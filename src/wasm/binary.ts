/**
 * Recognises and reads Wasm binaries from their bytes, piece by piece: the code of a module of any size passes
 * by in constant memory, only the short sections that say something are kept until they are complete.
 */
import { FormatError, InternalError } from "../base/errors.ts";
import { ByteReader, MAX_NAME_BYTES, wasmFault } from "./byte-reader.ts";
import { ComponentReader } from "./component.ts";
import { CoreModuleReader } from "./core-module.ts";
import { CustomSectionReader, MAX_CUSTOM_CONTENT } from "./custom-sections.ts";
import type { CustomSection, WasmInfo, WasmSection } from "./info.ts";
import { checkPreamble, PREAMBLE_SIZE } from "./preamble.ts";
import type { SectionReader } from "./sections.ts";

export type { WasmInfo } from "./info.ts";

/**
 * Bytes of imports, exports, types and names read of one binary, in all. Names become text of about the same
 * size in memory; 100,000 names of 160 bytes fit in.
 */
const MAX_READ_BYTES = 16 * 1024 * 1024;

/** Components interleave their sections: large compositions have some thousands. */
const MAX_SECTIONS = 100_000;

const CUSTOM = 0;

/** A name's length takes 5 bytes at most. */
const CUSTOM_PREFIX = 5 + MAX_NAME_BYTES + MAX_CUSTOM_CONTENT;

/** First buffer of a section that comes in pieces; it grows with what really comes, not with what was announced. */
const FIRST_BUFFER = 4_096;

/** The section whose content is passing by. */
interface OpenSection {
  readonly id: number;
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  /** Length of the first part of the content that is read. */
  readonly wanted: number;
  /** Bytes of the content that have passed. */
  passed: number;
}

/**
 * Reads one binary as its bytes come.
 *
 * @example
 * ```ts
 * const scanner = new WasmScanner();
 * for await (const chunk of file) scanner.push(chunk);
 * const { kind, imports } = scanner.end();
 * ```
 */
export class WasmScanner {
  private offset = 0;
  private readonly head = new Uint8Array(PREAMBLE_SIZE);
  private headLength = 0;
  private reader: SectionReader | undefined;
  private custom: CustomSectionReader | undefined;
  private open: OpenSection | undefined;
  private buffer = new Uint8Array(0);
  private buffered = 0;
  private readBytes = 0;
  private fault: unknown;
  private readonly sections: WasmSection[] = [];
  private readonly customSections: CustomSection[] = [];

  /**
   * Takes the next bytes; keeps no reference to them.
   *
   * @throws {FormatError} WASM_INVALID as soon as the bytes so far cannot begin a Wasm binary, LIMIT_EXCEEDED
   */
  push(chunk: Uint8Array): void {
    if (this.fault !== undefined) throw this.fault;
    try {
      let at = 0;
      while (at < chunk.length) {
        if (this.reader === undefined) at += this.preamble(chunk, at);
        else if (this.open === undefined) at += this.header(chunk, at);
        else at += this.content(this.open, chunk, at);
      }
    } catch (error) {
      this.fault = error;
      throw error;
    }
  }

  /**
   * Ends the binary.
   *
   * @throws {FormatError} WASM_INVALID where it is cut off
   */
  end(): WasmInfo {
    if (this.fault !== undefined) throw this.fault;
    if (this.reader === undefined || this.custom === undefined) {
      checkPreamble(this.head.subarray(0, this.headLength), true);
      throw new InternalError("a short preamble passed its check");
    }
    if (this.open !== undefined) {
      const missing = this.open.size - this.open.passed;
      throw wasmFault(`it ends ${missing} bytes before the end of its ${this.open.name} section`, this.offset);
    }
    if (this.headLength > 0) throw wasmFault("it ends within the head of a section", this.offset);
    const { notes, ...facts } = this.reader.facts();
    const { name, producers, metadata } = this.custom;
    return {
      ...facts,
      size: this.offset,
      sections: this.sections,
      customSections: this.customSections,
      ...(name === undefined ? {} : { name }),
      ...(producers === undefined ? {} : { producers }),
      metadata,
      notes: [...notes, ...this.custom.notes],
    };
  }

  private preamble(chunk: Uint8Array, at: number): number {
    const part = chunk.subarray(at, at + PREAMBLE_SIZE - this.headLength);
    this.head.set(part, this.headLength);
    this.headLength += part.length;
    this.offset += part.length;
    const layer = checkPreamble(this.head.subarray(0, this.headLength), false);
    if (layer !== undefined) {
      this.reader = layer === "module" ? new CoreModuleReader() : new ComponentReader();
      this.custom = new CustomSectionReader(this.reader.nameSection);
      this.headLength = 0;
    }
    return part.length;
  }

  /** Takes one byte of a section's head: its id, then its size as LEB128. */
  private header(chunk: Uint8Array, at: number): number {
    const byte = chunk[at]!;
    this.head[this.headLength++] = byte;
    this.offset++;
    if (this.headLength > 1 && (byte < 0x80 || this.headLength === 6)) {
      const start = this.offset - this.headLength;
      const head = new ByteReader(this.head.subarray(0, this.headLength), start, "the head of a section");
      const id = head.byte();
      const size = head.u32();
      this.headLength = 0;
      this.begin(id, size);
    }
    return 1;
  }

  private begin(id: number, size: number): void {
    const { offset } = this;
    if (this.sections.length === MAX_SECTIONS) throw limitExceeded(`more than ${MAX_SECTIONS} sections`, offset);
    const name = this.reader!.sectionName(id);
    this.sections.push({ name, offset, size });
    this.open = { id, name, offset, size, wanted: this.wanted(id, name, size), passed: 0 };
    this.buffered = 0;
    if (this.open.wanted === 0) this.read(this.open, new Uint8Array(0));
    if (size === 0) this.open = undefined;
  }

  private wanted(id: number, name: string, size: number): number {
    if (id === CUSTOM) return Math.min(size, CUSTOM_PREFIX);
    const use = this.reader!.begin(id, this.offset);
    const fits = this.readBytes + size <= MAX_READ_BYTES;
    if (use === "whole" && !fits) {
      throw limitExceeded(`a ${name} section of ${size} bytes; ${MAX_READ_BYTES} are read in all`, this.offset);
    }
    if (use === "optional" && !fits) this.reader!.skip(id);
    if (use === "skip" || !fits) return -1;
    this.readBytes += size;
    return size;
  }

  /** Takes what the chunk holds of the open section. */
  private content(open: OpenSection, chunk: Uint8Array, at: number): number {
    const length = Math.min(open.size - open.passed, chunk.length - at);
    const wanted = Math.min(open.wanted - open.passed, length);
    if (wanted > 0) {
      const part = chunk.subarray(at, at + wanted);
      if (open.passed === 0 && wanted === open.wanted) {
        this.read(open, part);
      } else {
        this.keep(part);
        if (this.buffered === open.wanted) this.read(open, this.buffer.subarray(0, this.buffered));
      }
    }
    open.passed += length;
    this.offset += length;
    if (open.passed === open.size) this.open = undefined;
    return length;
  }

  private keep(part: Uint8Array): void {
    const needed = this.buffered + part.length;
    if (needed > this.buffer.length) {
      const larger = new Uint8Array(Math.max(FIRST_BUFFER, 2 * this.buffer.length, needed));
      larger.set(this.buffer.subarray(0, this.buffered));
      this.buffer = larger;
    }
    this.buffer.set(part, this.buffered);
    this.buffered = needed;
  }

  private read(open: OpenSection, bytes: Uint8Array): void {
    const content = new ByteReader(bytes, open.offset, `the ${open.name} section`);
    if (open.id === CUSTOM) this.readCustom(open, content);
    else this.reader!.read(open.id, content);
    this.buffered = 0;
  }

  private readCustom(open: OpenSection, content: ByteReader): void {
    const name = content.name();
    const size = open.offset + open.size - content.offset;
    const wanted = this.custom!.wants(name);
    this.readBytes += content.offset - open.offset + (wanted ? Math.min(size, MAX_CUSTOM_CONTENT) : 0);
    if (this.readBytes > MAX_READ_BYTES) {
      throw limitExceeded(`names of more than ${MAX_READ_BYTES} bytes in all`, open.offset);
    }
    this.customSections.push({ name, size });
    if (!wanted) return;
    const prefix = content.part(Math.min(content.left, MAX_CUSTOM_CONTENT), `the ${name} section`);
    this.custom!.read(name, prefix, prefix.left === size);
  }
}

/**
 * Reads a binary that is in memory.
 *
 * @throws {FormatError} WASM_INVALID with the place of the fault, LIMIT_EXCEEDED
 */
export function scanWasm(bytes: Uint8Array): WasmInfo {
  const scanner = new WasmScanner();
  scanner.push(bytes);
  return scanner.end();
}

function limitExceeded(reason: string, offset: number): FormatError {
  return new FormatError("LIMIT_EXCEEDED", `the Wasm binary has ${reason} (at byte ${offset})`, {
    hint: "No engine's default settings load such a binary",
    details: { offset },
  });
}
