/** Reads published states out of a registry: one manifest per view, everything else by the digests that it names. */
import type { Bytes } from "../../base/bytes.ts";
import { hexEncode, utf8Encode } from "../../base/bytes.ts";
import { hashBytes, type Digest } from "../../base/digest.ts";
import { errorCode, TransportError, TrustError } from "../../base/errors.ts";
import type { ContentStore } from "../../oci/content-store.ts";
import type { ReceivedManifest } from "../../oci/types.ts";
import type { MetadataRequest, TufRepository } from "../../tuf/repository.ts";
import { readTrustFiles, roleOfFile, type TrustFile, type TrustFiles } from "./layout.ts";

/** Blobs that are read ahead of being asked for: a top-level document of the usual limit each, and a few roles. */
const MAX_AHEAD_FILE = 5_000_000;
const MAX_AHEAD = 8_000_000;
const MAX_AHEAD_BLOBS = 16;

/** One published state as it was received. */
export interface TrustState {
  readonly manifest: ReceivedManifest;
  readonly files: TrustFiles;
}

/** Trust data at a tag of a repository. */
export interface TrustPlaceInRegistry {
  readonly store: ContentStore;
  readonly tag: string;
  /** For people and for what is kept: `oci://` and the repository. */
  readonly location: string;
  /** True where the registry is known to compare a tag before it moves it: ours, from inside. */
  readonly compares?: boolean | undefined;
}

/**
 * Reads the state that the tag names now.
 *
 * @returns undefined where the registry says, twice, that there is no such tag
 * @throws {FormatError} MANIFEST_INVALID
 * @throws {RegistryError} what the registry answers, and DIGEST_MISMATCH
 */
export async function readTrustTag(
  { store, tag }: TrustPlaceInRegistry,
  signal?: AbortSignal,
): Promise<TrustState | undefined> {
  // a registry that moves a tag may not find it for a moment
  const manifest = (await store.manifests.get(tag, { signal })) ?? (await store.manifests.get(tag, { signal }));
  return manifest && { manifest, files: readTrustFiles(manifest, `${store.name}:${tag}`) };
}

/** One published state, read from lazily. */
export class OciView implements TufRepository {
  readonly location: string;
  private readonly place: TrustPlaceInRegistry;
  private readonly names: readonly string[];
  private loading: Promise<TrustState | undefined> | undefined;
  private readonly blobs = new Map<Digest, Promise<Bytes>>();
  private isAhead = false;

  constructor(place: TrustPlaceInRegistry, names: readonly string[] = []) {
    this.location = place.location;
    this.place = place;
    this.names = names;
  }

  /** The state that this view is of; undefined where there was none. */
  state(signal?: AbortSignal): Promise<TrustState | undefined> {
    this.loading ??= readTrustTag(this.place, signal);
    return this.loading;
  }

  async metadata({ file: name, limit, signal }: MetadataRequest): Promise<Bytes | undefined> {
    const state = await this.state(signal);
    const file = state?.files.get(name);
    if (state === undefined || file === undefined) return undefined;
    if (file.size > limit) throw tooLarge(`${name} in ${this.location}`, limit);
    if (file.blob.data === undefined && !this.blobs.has(file.blob.digest)) await this.readAhead(state.files, signal);
    const blob = await this.blob(file, signal);
    return blob.slice(file.offset, file.offset + file.size);
  }

  async target(): Promise<undefined> {
    return undefined;
  }

  private async blob({ name, blob }: TrustFile, signal: AbortSignal | undefined): Promise<Bytes> {
    const known = this.blobs.get(blob.digest);
    if (known !== undefined) return known;
    const reading = this.read(name, blob, signal);
    this.blobs.set(blob.digest, reading);
    return reading;
  }

  private async read(name: string, blob: TrustFile["blob"], signal: AbortSignal | undefined): Promise<Bytes> {
    try {
      return await this.place.store.blobs.read(blob, blob.size, { signal });
    } catch (cause) {
      if (errorCode(cause) !== "REGISTRY_NOT_FOUND") throw cause;
      throw new TrustError("TRUST_WITHHELD", `${this.location} lists ${name} and does not have it`, {
        cause,
        hint: "It is being published this very moment, damaged, or withheld; try again, and tell the publisher",
        details: { file: name, digest: blob.digest },
      });
    }
  }

  /**
   * Begins to read, side by side, what a client will need that needs anything: it costs no further round trip then.
   * A guess from names and sizes; what it gets is checked like everything else.
   */
  private async readAhead(files: TrustFiles, signal: AbortSignal | undefined): Promise<void> {
    if (this.isAhead) return;
    this.isAhead = true;
    const bins = await binsOf(files, this.names);
    let total = 0;
    const wanted = new Map<Digest, TrustFile>();
    for (const file of files.values()) {
      const role = roleOfFile(file.name);
      if (role === "root" || file.blob.data !== undefined || wanted.has(file.blob.digest)) continue;
      const isTop = role === "snapshot" || role === "targets" || role === "timestamp";
      if (!isTop && bins !== undefined && !bins.has(role)) continue;
      if (file.blob.size > MAX_AHEAD_FILE || total + file.blob.size > MAX_AHEAD) continue;
      total += file.blob.size;
      if (wanted.size < MAX_AHEAD_BLOBS || isTop) wanted.set(file.blob.digest, file);
    }
    for (const file of wanted.values()) this.blob(file, signal).catch(() => undefined); // who asks for it is told
  }
}

/**
 * The hash bins that names fall in, told from the names of the files: as many as a power of two, numbered.
 *
 * @returns undefined where there are none
 */
async function binsOf(files: TrustFiles, names: readonly string[]): Promise<Set<string> | undefined> {
  const counts = new Map<string, number>();
  for (const name of files.keys()) {
    const match = /^(.+)-([0-9a-f]+)$/.exec(roleOfFile(name));
    if (match !== null) counts.set(match[1]!, (counts.get(match[1]!) ?? 0) + 1);
  }
  const bins = new Set<string>();
  for (const [prefix, count] of counts) {
    const bits = Math.log2(count);
    if (!Number.isInteger(bits) || bits < 1) continue;
    for (const name of names) {
      const first = Number.parseInt(hexEncode(await hashBytes("sha256", utf8Encode(name))).slice(0, 8), 16);
      const bin = Math.floor(first / 2 ** (32 - bits)).toString(16);
      bins.add(`${prefix}-${bin.padStart(Math.ceil(bits / 4), "0")}`);
    }
  }
  return bins.size === 0 ? undefined : bins;
}

function tooLarge(what: string, limit: number): TransportError {
  return new TransportError("RESPONSE_TOO_LARGE", `${what} is larger than the ${limit} bytes allowed for it`, {
    hint: "No honest publisher sends this much here; tell whoever runs the collection",
    details: { limit },
  });
}
