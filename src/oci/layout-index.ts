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
import { MediaType, type Descriptor } from "./types.ts";

/** The name of an entry; most tools write a tag here. */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** The same in full, e.g. `ghcr.io/acme/app:v1`, as docker and containerd write it beside the tag. */
export const FULL_NAME = "io.containerd.image.name";

/** What stands in `oci-layout`. */
export const LAYOUT_MARKER = '{"imageLayoutVersion":"1.0.0"}';

/** Gives the tag of an entry; undefined where it has none that counts here. */
export type TagOf = (entry: Descriptor) => string | undefined;

/** The tags of a layout by itself. */
export const plainTag: TagOf = ({ annotations }) => {
  const name = annotations?.[REF_NAME];
  return name !== undefined && isTag(name) ? name : undefined;
};

/** The tags of one repository, in a layout that holds several. */
export function tagInRepository(repository: string): TagOf {
  return ({ annotations }) => {
    const name = annotations?.[FULL_NAME] ?? "";
    const tag = name.startsWith(`${repository}:`) ? name.slice(repository.length + 1) : "";
    return isTag(tag) ? tag : undefined;
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
  tagged(tag: string, tagOf: TagOf): Descriptor | undefined {
    const found = this.entries.filter((entry) => tagOf(entry) === tag);
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
  withTag(entry: Descriptor, tag: string): LayoutIndex {
    const named = { ...entry, annotations: { [REF_NAME]: tag } };
    const others = this.pairs().flatMap(([descriptor, raw]): [Descriptor, JsonObject][] => {
      if (plainTag(descriptor) !== tag)
        return descriptor.digest === entry.digest && plainTag(descriptor) === undefined ? [] : [[descriptor, raw]];
      const still =
        descriptor.digest === entry.digest ||
        this.entries.some((other) => other !== descriptor && other.digest === descriptor.digest);
      return still ? [] : [pair(withoutName(descriptor))];
    });
    return this.with([...others, pair(named)]);
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
