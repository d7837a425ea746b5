/**
 * The index of an OCI image layout: which manifests there are, and which names they have. Entries are kept as they
 * came, with members that are not known here.
 * https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md#indexjson-file
 */
import { utf8Encode, type Bytes } from "../base/bytes.ts";
import type { Digest } from "../base/digest.ts";
import { FormatError } from "../base/errors.ts";
import { isJsonObject, parseJson, type JsonObject } from "../base/json.ts";
import { parseManifest } from "./manifest.ts";
import { isTag } from "./reference.ts";
import { MediaType, type Annotations, type Descriptor } from "./types.ts";

/** The name of an entry; most tools write a tag here. */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** The same in full, e.g. `ghcr.io/acme/app:v1`, as docker and containerd write it beside the tag. */
export const FULL_NAME = "io.containerd.image.name";

/** What stands in `oci-layout`. */
export const LAYOUT_MARKER = '{"imageLayoutVersion":"1.0.0"}';

/** How the entries of an index stand for tags. */
export interface LayoutNames {
  /** The tag of an entry; undefined where it has none that counts here. */
  tagOf(entry: Descriptor): string | undefined;
  /** The annotations that give an entry a tag. */
  annotationsOf(tag: string): Annotations;
}

/** The tags of a layout by itself. */
export const PLAIN_NAMES: LayoutNames = {
  tagOf({ annotations }) {
    const name = annotations?.[REF_NAME];
    return name !== undefined && isTag(name) ? name : undefined;
  },
  annotationsOf: (tag) => ({ [REF_NAME]: tag }),
};

/** The tags of one repository, e.g. `ghcr.io/acme/app`, in a layout that holds several. */
export function namesInRepository(repository: string): LayoutNames {
  return {
    tagOf({ annotations }) {
      const name = annotations?.[FULL_NAME] ?? "";
      const tag = name.startsWith(`${repository}:`) ? name.slice(repository.length + 1) : "";
      return isTag(tag) ? tag : undefined;
    },
    annotationsOf: (tag) => ({ [FULL_NAME]: `${repository}:${tag}`, [REF_NAME]: `${repository}:${tag}` }),
  };
}

export class LayoutIndex {
  readonly entries: readonly Descriptor[];
  private readonly raw: readonly JsonObject[];
  private readonly rest: JsonObject;

  private constructor(entries: readonly Descriptor[], raw: readonly JsonObject[], rest: JsonObject) {
    this.entries = entries;
    this.raw = raw;
    this.rest = rest;
  }

  /** @param bytes undefined stands for an index without entries @throws {FormatError} LAYOUT_INVALID, JSON_INVALID, MANIFEST_INVALID */
  static async parse(bytes: Uint8Array | undefined): Promise<LayoutIndex> {
    if (bytes === undefined) return new LayoutIndex([], [], { schemaVersion: 2, mediaType: MediaType.ociIndex });
    const { content } = await parseManifest(bytes, undefined);
    const document = parseJson(bytes);
    if (content.kind !== "index" || !isJsonObject(document) || !Array.isArray(document["manifests"])) {
      throw new FormatError("LAYOUT_INVALID", "the layout's index.json is no image index");
    }
    const { manifests, ...rest } = document;
    return new LayoutIndex(content.manifests, manifests.filter(isJsonObject), rest);
  }

  /** Finds the one entry of a tag. @throws {FormatError} LAYOUT_INVALID where several manifests have it */
  tagged(tag: string, names: LayoutNames): Descriptor | undefined {
    const found = this.entries.filter((entry) => names.tagOf(entry) === tag);
    if (found.every(({ digest }) => digest === found[0]?.digest)) return found[0];
    throw new FormatError(
      "LAYOUT_INVALID",
      `the layout's index names ${found.length} manifests ${JSON.stringify(tag)}`,
      {
        hint: "Which one is meant cannot be told; make the layout again",
        details: { tag },
      },
    );
  }

  find(digest: Digest): Descriptor | undefined {
    return this.entries.find((entry) => entry.digest === digest);
  }

  /** Adds a manifest that has no name, unless it is there. */
  withManifest(entry: Descriptor): LayoutIndex {
    return this.find(entry.digest) === undefined ? this.with([...this.pairs(), pair(entry)]) : this;
  }

  /** Makes a tag name a manifest; the one that it named before stays, without the name. */
  withTag(entry: Descriptor, tag: string, names: LayoutNames): LayoutIndex {
    const kept: [Descriptor, JsonObject][] = [];
    for (const [descriptor, raw] of this.pairs()) {
      const isSame = descriptor.digest === entry.digest;
      const isNamed =
        descriptor.annotations?.[REF_NAME] !== undefined || descriptor.annotations?.[FULL_NAME] !== undefined;
      if (names.tagOf(descriptor) !== tag) {
        if (!isSame || isNamed) kept.push([descriptor, raw]);
      } else if (!isSame && this.entries.filter(({ digest }) => digest === descriptor.digest).length === 1) {
        kept.push(pair(withoutName(descriptor)));
      }
    }
    return this.with([...kept, pair({ ...entry, annotations: names.annotationsOf(tag) })]);
  }

  /** The index with other entries. */
  withEntries(entries: readonly Descriptor[]): LayoutIndex {
    return this.with(entries.map(pair));
  }

  /** The index as bytes, always the same for the same entries. */
  encode(): Bytes {
    return utf8Encode(JSON.stringify({ ...this.rest, manifests: this.raw }));
  }

  private pairs(): [Descriptor, JsonObject][] {
    return this.entries.map((entry, at) => [entry, this.raw[at]!]);
  }

  private with(pairs: readonly [Descriptor, JsonObject][]): LayoutIndex {
    return new LayoutIndex(
      pairs.map(([entry]) => entry),
      pairs.map(([, raw]) => raw),
      this.rest,
    );
  }
}

function pair(entry: Descriptor): [Descriptor, JsonObject] {
  const { mediaType, digest, size, artifactType, annotations } = entry;
  const raw: JsonObject = {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations: { ...annotations } }),
  };
  return [entry, raw];
}

function withoutName({ annotations: _name, ...entry }: Descriptor): Descriptor {
  return entry;
}
