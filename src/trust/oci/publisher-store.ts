/**
 * Publishes states to a registry: blobs first, then one manifest under the tag, which is the moment of publication.
 * Registries have no compare-and-swap on tags: what somebody else publishes in the very moment between the last look
 * and the move of the tag is lost from the tag, and found again by its change request (`oci-changes.ts`).
 */
import type { Bytes } from "../../base/bytes.ts";
import { equalBytes } from "../../base/bytes.ts";
import { RegistryError, TrustError } from "../../base/errors.ts";
import type { TrustManifest } from "./manifest.ts";
import { buildTrustManifest, type ConfigKind } from "./manifest.ts";
import { OciView, type TrustPlaceInRegistry, type TrustState } from "./repository.ts";
import { MediaType } from "../../oci/types.ts";
import { decodeMetadata } from "../../tuf/metadata.ts";
import { metadataFile } from "../../tuf/names.ts";
import type { MetadataFile } from "../../tuf/publish-files.ts";
import type { Clock } from "../../base/runtime.ts";
import type { PublishEnvironment } from "../../tuf/publish.ts";
import type { PublishedCollection } from "../../tuf/published.ts";
import type { Coordination, PublishedBase, TufPublisherStore } from "../../tuf/publisher-store.ts";
import { ChangeLog } from "./change-log.ts";
import { foundCollection } from "./founding.ts";
import { timeOfTag } from "./changes.ts";
import { isSettled, marksOf } from "./marks.ts";
import { OciCoordination } from "./coordination.ts";
import type { MetadataRequest } from "../../tuf/repository.ts";
import { roleOfFile } from "./layout.ts";

/** Uploads at once. */
const PARALLEL = 8;
/** Whoever publishes may have been stopped for so long, and needs the requests that it overwrote. */
const SETTLED_MS = 60 * 60 * 1000;
/** Requests that are removed at once; the next refresh removes more. */
const MAX_REMOVED = 500;
/** Publishers that met wait up to so long before they try again. */
const MAX_PAUSE_MS = 150;
/** What a registry that compares answers where the tag has moved on. */
const PRECONDITION_FAILED = 412;
/** As for any metadata. */
const MAX_FILE_BYTES = 128 * 1024 * 1024;

export class OciPublisherStore implements TufPublisherStore {
  readonly location: string;
  readonly place: TrustPlaceInRegistry;
  private turn: Promise<unknown> = Promise.resolve();

  private readonly now: Clock;

  constructor(place: TrustPlaceInRegistry, now: Clock) {
    this.place = place;
    this.now = now;
    this.location = place.location;
  }

  metadata(request: MetadataRequest): Promise<Bytes | undefined> {
    return this.view().metadata(request);
  }

  async target(): Promise<undefined> {
    return undefined;
  }

  view(names?: readonly string[]): OciView {
    return new OciView(this.place, names);
  }

  async publish(files: readonly MetadataFile[], base: PublishedBase | undefined): Promise<void> {
    const { place } = this;
    if (base === undefined) {
      const move = (content: ReadonlyMap<string, Bytes>, former: TrustState | undefined): Promise<void> =>
        moveTrustTag(place, content, former);
      await foundCollection(files, { place, now: this.now, pause, move });
      return;
    }
    const view = this.view();
    const state = await view.state();
    await this.checkBase(view, state, base);
    const content = await nextContent(view, state, files);
    await moveTrustTag(this.place, content, state);
  }

  coordinate(environment: PublishEnvironment): Coordination {
    return new OciCoordination({ ...environment, log: new ChangeLog(this.place.store), pause });
  }

  /** Removes change requests that were dealt with a while ago, where the registry removes anything. */
  async tidy(collection: PublishedCollection, { now, signal }: PublishEnvironment): Promise<number> {
    const { store } = this.place;
    const log = new ChangeLog(store);
    const marks = Array.from(collection.targets.values(), ({ signed }) => marksOf(signed));
    const floor = marksOf(collection.targets.get("targets")?.signed).since;
    const old = (await log.list(signal)).filter((id) => now().getTime() - timeOfTag(id) > SETTLED_MS);
    const settled = old.filter((id) => id <= floor || marks.some((one) => isSettled(one, id)));
    let removed = 0;
    for (const tag of settled.slice(0, MAX_REMOVED)) {
      const head = await store.manifests.head(tag, { signal });
      if (head !== undefined && (await store.manifests.remove?.(head.digest, { signal })) !== true) break;
      removed++;
    }
    return removed;
  }

  /** Publishers of one process take turns; those of others are spread by chance. */
  async inTurn<T>(action: () => Promise<T>): Promise<T> {
    const mine = this.turn.then(() => pause(Math.random() * MAX_PAUSE_MS)).then(action);
    this.turn = mine.catch(() => undefined);
    return mine;
  }

  /** @throws {TrustError} TRUST_CONFLICT */
  private async checkBase(view: OciView, state: TrustState | undefined, base: PublishedBase): Promise<void> {
    const limit = MAX_FILE_BYTES;
    const timestamp = await view.metadata({ file: metadataFile("timestamp"), limit });
    const root = state?.files.has(metadataFile("root", base.root + 1)) ?? false;
    if (timestamp !== undefined && equalBytes(timestamp, base.timestamp) && !root) return;
    throw conflict(this.location);
  }
}

/** What a state holds after a publish: every root, and of all other roles the version that the snapshot lists. */
async function nextContent(
  view: OciView,
  state: TrustState | undefined,
  files: readonly MetadataFile[],
): Promise<Map<string, Bytes>> {
  const content = new Map(files.map(({ file, bytes }) => [file, bytes]));
  const replaced = new Set(files.filter(({ role }) => role !== "root").map(({ file }) => roleOfFile(file)));
  const snapshot = files.find(({ role }) => role === "snapshot");
  const listed = snapshot && decodeMetadata(snapshot.bytes, "snapshot").signed.meta;
  const listedFiles = listed && new Set(Array.from(listed, ([role, { version }]) => metadataFile(role, version)));
  for (const { name, size } of state?.files.values() ?? []) {
    const role = roleOfFile(name);
    if (replaced.has(role) || content.has(name)) continue;
    const isGone = listedFiles !== undefined && role !== "root" && role !== "timestamp" && role !== "snapshot";
    if (isGone && !listedFiles.has(name)) continue;
    content.set(name, (await view.metadata({ file: name, limit: size })) as Bytes);
  }
  return content;
}

/**
 * Uploads a state and moves the tag to it.
 *
 * @param content every file by name
 * @param former the state that it replaces; undefined where there must be none
 * @throws {TrustError} TRUST_CONFLICT where the tag names another state by now; nothing visible was changed
 */
export async function moveTrustTag(
  place: TrustPlaceInRegistry,
  content: ReadonlyMap<string, Bytes>,
  former: TrustState | undefined,
): Promise<void> {
  const { store, tag } = place;
  const known = former?.manifest.content;
  const kind = known?.kind === "manifest" && known.config.mediaType === MediaType.ociConfig ? "image" : "empty";
  const write = async (config: ConfigKind): Promise<void> => {
    const manifest = await buildTrustManifest(content, config);
    await uploadBlobs(place, manifest, former);
    const now = await store.manifests.head(tag);
    if (now?.digest !== former?.manifest.digest) throw conflict(place.location);
    const ifMatch = place.compares === true ? now?.digest : undefined;
    try {
      await store.manifests.tag(manifest.bytes, manifest.mediaType, tag, { ifMatch });
    } catch (error) {
      if (error instanceof RegistryError && error.status === PRECONDITION_FAILED) throw conflict(place.location);
      throw error;
    }
  };
  try {
    await write(kind);
  } catch (error) {
    const isRefused = error instanceof RegistryError && error.code === "REGISTRY_REFUSED" && kind === "empty";
    if (!isRefused) throw error;
    await write("image"); // a registry that knows images only
  }
}

async function uploadBlobs(
  { store }: TrustPlaceInRegistry,
  { blobs }: TrustManifest,
  former: TrustState | undefined,
): Promise<void> {
  const there = new Set(Array.from(former?.files.values() ?? [], ({ blob }) => blob.digest));
  const { content } = former?.manifest ?? {};
  if (content?.kind === "manifest") there.add(content.config.digest);
  const missing = blobs.filter(({ digest }) => !there.has(digest));
  for (let at = 0; at < missing.length; at += PARALLEL) {
    await Promise.all(missing.slice(at, at + PARALLEL).map((blob) => store.blobs.put(blob, blob.bytes)));
  }
}

function conflict(location: string): TrustError {
  return new TrustError("TRUST_CONFLICT", `somebody else has published to ${location} meanwhile`, {
    hint: "Nothing was published; run the command again",
  });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
