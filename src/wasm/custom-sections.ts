/**
 * The custom sections that say where a binary comes from. None is needed to run it, so a damaged one is a note
 * and not an error.
 */
import { FormatError } from "../base/errors.ts";
import { wasmFault, type ByteReader } from "./byte-reader.ts";
import type { ProducerField } from "./info.ts";

/** More of a custom section is not read; producers sections have a few hundred bytes. */
export const MAX_CUSTOM_CONTENT = 65_536;

/** Fields and values per field: tools write three fields of a few values each. */
const MAX_PRODUCERS = 1_000;

/** Sections of plain text whose names the wasm-metadata convention gives. */
const TEXT_SECTIONS: ReadonlySet<string> = new Set([
  "authors",
  "description",
  "homepage",
  "licenses",
  "revision",
  "source",
  "version",
]);

/** Gathers what the custom sections of one binary say; the first of each name counts. */
export class CustomSectionReader {
  name: string | undefined;
  producers: ProducerField[] | undefined;
  readonly metadata: Record<string, string> = {};
  readonly notes: string[] = [];
  private readonly seen = new Set<string>();
  private readonly nameSection: string;

  /** @param nameSection `name` in core modules, `component-name` in components */
  constructor(nameSection: string) {
    this.nameSection = nameSection;
  }

  wants(section: string): boolean {
    return section === this.nameSection || section === "producers" || TEXT_SECTIONS.has(section);
  }

  /** @param complete false where the section goes on behind the bytes at hand */
  read(section: string, content: ByteReader, complete: boolean): void {
    if (this.seen.has(section)) {
      this.note(`the second section named ${section} was not read`);
      return;
    }
    this.seen.add(section);
    // The name of the module comes first in a name section, before the long lists.
    if (!complete && section !== this.nameSection) {
      this.note(`the ${section} section is too large to read: more than ${MAX_CUSTOM_CONTENT} bytes`);
      return;
    }
    try {
      if (section === this.nameSection) this.name = readName(content);
      else if (section === "producers") this.producers = readProducers(content);
      else this.metadata[section] = content.text(content.left);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.note(`the ${section} section could not be read: ${error.message}`);
    }
  }

  private note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }
}

/** The first subsection, where it is the module's or component's own name. */
function readName(reader: ByteReader): string | undefined {
  if (reader.left === 0 || reader.byte() !== 0x00) return undefined;
  const part = reader.part(reader.u32(), "the name section");
  const name = part.name();
  part.end();
  return name;
}

/** https://github.com/WebAssembly/tool-conventions/blob/main/ProducersSection.md */
function readProducers(reader: ByteReader): ProducerField[] {
  const fields: ProducerField[] = [];
  const fieldCount = limited(reader, reader.count(2));
  for (let i = 0; i < fieldCount; i++) {
    const field = reader.name();
    const values: { name: string; version: string }[] = [];
    const valueCount = limited(reader, reader.count(2));
    for (let k = 0; k < valueCount; k++) values.push({ name: reader.name(), version: reader.name() });
    fields.push({ field, values });
  }
  reader.end();
  return fields;
}

function limited(reader: ByteReader, count: number): number {
  if (count > MAX_PRODUCERS) throw wasmFault(`${count} producers; ${MAX_PRODUCERS} are read`, reader.offset);
  return count;
}
