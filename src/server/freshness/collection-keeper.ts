/**
 * Keeps the timestamp of one collection in this server's own registry fresh. The server signs again what is there, and
 * decides nothing: what is there must follow from the root that it trusts, and be no older than anything that it has seen
 * or signed. So who turns the registry back gets no fresh signature for it.
 */
import { equalBytes, type Bytes } from "../../base/bytes.ts";
import { TrustError } from "../../base/errors.ts";
import type { Clock } from "../../base/runtime.ts";
import { collectionOf } from "../../trust/oci/changes.ts";
import { OciPublisherStore } from "../../trust/oci/publisher-store.ts";
import type { TrustPlaceInRegistry } from "../../trust/oci/repository.ts";
import { ociStaging } from "../../trust/oci/staging.ts";
import { keepAnchor, matchesPin, type TufCollectionKey, type TufTrustStore } from "../../trust/tuf/source.ts";
import { findAnchor } from "../../tuf/bootstrap.ts";
import type { TufKey } from "../../tuf/keys.ts";
import { decodeMetadata } from "../../tuf/metadata.ts";
import { metadataFile } from "../../tuf/names.ts";
import { isDue, periodsOf } from "../../tuf/periods.ts";
import { publishChanges, type PublishAccess } from "../../tuf/publish.ts";
import { loadPublished, type PublishedCollection } from "../../tuf/published.ts";
import type { TufPublisherStore } from "../../tuf/publisher-store.ts";
import type { Root } from "../../tuf/schema.ts";
import { openSigningKeys, type SigningKeys } from "../../tuf/signing-keys.ts";
import { reviewStaged, signStaged } from "../../tuf/staged.ts";
import type { TufStore } from "../../tuf/store.ts";
import type { Log } from "../log.ts";
import type { TimestampKey } from "./timestamp-key.ts";

/** As for any timestamp. */
const MAX_TIMESTAMP = 16_384;

export interface CollectionKeeperOptions {
  /** Name in the registry, e.g. `acme/app`. */
  readonly repository: string;
  /** Of a registry that compares a tag before it moves it. */
  readonly place: TrustPlaceInRegistry;
  readonly key: TimestampKey["key"];
  /** What the server trusts and has seen. */
  readonly trust: TufTrustStore;
  /** Root keys of which one must have signed; the first root that lists the server's key is trusted otherwise. */
  readonly fingerprints: readonly string[];
  readonly now: Clock;
  readonly log: Log;
}

/** What a collection is trusted under: the same whatever the server's port. */
export function trustKey(repository: string): TufCollectionKey {
  return { location: "this registry", collection: repository };
}

export class CollectionKeeper {
  private readonly options: CollectionKeeperOptions;
  private readonly store: TufPublisherStore;
  private readonly signing: SigningKeys;
  private readonly fingerprint: Promise<string>;
  /** What was said last: the same is not said at every look. */
  private said = "";

  constructor(options: CollectionKeeperOptions) {
    this.options = options;
    const store = new OciPublisherStore(options.place, options.now);
    // No coordination: this registry compares, so that nobody's publish is overwritten, and nothing of anybody's is published.
    this.store = {
      location: store.location,
      metadata: (request) => store.metadata(request),
      target: () => store.target(),
      view: () => store.view(),
      publish: (files, base) => store.publish(files, base),
      inTurn: (action) => store.inTurn(action),
    };
    this.signing = openSigningKeys([options.key], "the server");
    this.fingerprint = options.key.publicKey.fingerprint();
  }

  /**
   * Looks at what is published: remembers it, and signs its timestamp again where that is due.
   *
   * @throws {TrustError} METADATA_ROLLED_BACK, TRUST_WITHHELD, SIGNATURE_THRESHOLD, …: nothing was signed
   */
  async look(): Promise<void> {
    const anchor = await this.anchor();
    if (anchor === undefined) return;
    const stored = this.options.trust.openStore(this.collectionKey, anchor);
    const newest = (await stored.read("root")) ?? anchor;
    const { floors, isCrossed } = await this.floorsFor(stored);
    const access: PublishAccess = {
      store: this.store,
      anchor: newest,
      floors,
      check: async ({ root }) => checkName(this.options.repository, newest, root.bytes),
    };
    const base = await loadPublished(this.store, { anchor: newest, floors });
    await access.check!(base);
    await remember(stored, base);
    if (!(await this.isListed(base.root.signed))) {
      this.say("its root does not list the server's key for the timestamp any more; nothing is renewed");
      return;
    }
    const { collection, files } = await publishChanges(
      access,
      () => (isCrossed ? [{ action: "renew", role: "timestamp" }] : []),
      { signing: this.signing, now: this.options.now },
      { lenient: true },
    );
    if (files.length > 0) await remember(stored, collection);
    const { timestamp } = collection;
    const expires = timestamp.signed.expires.toISOString();
    const { repository, log } = this.options;
    for (const { role, version } of files) log.info({ repository, role, version, expires }, "signed again");
    this.sayWhatEnds(collection);
  }

  /**
   * Shows that the server holds its key, where a change waits for that: root's holders list a key only with its signature.
   * It signs nothing else, and not where the key would be for more than that.
   */
  async proveKey(): Promise<void> {
    const { place, now, log, repository } = this.options;
    const staging = ociStaging(place);
    if ((await staging.read()) === undefined) return;
    const anchor = (await this.options.trust.readAnchor(this.collectionKey)) ?? (await this.firstRoot());
    if (anchor === undefined) return; // nothing to compare a change with
    const access: PublishAccess = { store: this.store, anchor };
    const environment = { signing: this.signing, now };
    const review = await reviewStaged(access, staging, environment);
    let isWanted = false;
    for (const { role, reason, keys, signedBy } of review?.requirements ?? []) {
      if (!(await this.isAmong(keys))) continue;
      if (role !== "root" || reason !== "possession") return;
      isWanted = !(await this.isAmong(signedBy));
    }
    if (!isWanted) return;
    await signStaged(access, staging, review!.digest, environment);
    log.info(
      { repository, fingerprint: await this.fingerprint },
      "a change that lists the server's key was signed to show that the server has it",
    );
  }

  private get collectionKey(): TufCollectionKey {
    return trustKey(this.options.repository);
  }

  /** The root that trust began with; undefined where there is none yet. */
  private async anchor(): Promise<Bytes | undefined> {
    const { trust, fingerprints, repository, log } = this.options;
    const known = await trust.readAnchor(this.collectionKey);
    if (known !== undefined) return known;
    const pin = { fingerprints };
    const found = await findAnchor({
      repository: this.store,
      accepts: async (root) =>
        (await this.isListed(root.document.signed)) && (fingerprints.length === 0 || (await matchesPin(pin, root))),
    });
    if (found === "absent") return undefined;
    if (found === "refused") {
      this.say("no root that may be trusted lists the server's key for the timestamp; nothing is renewed");
      return undefined;
    }
    await keepAnchor(trust, this.collectionKey, found.anchor);
    const { signed } = decodeMetadata(found.anchor, "root");
    const rootKeys = signed.roles.get("root")?.keyIds.flatMap((id) => signed.keys.get(id)?.publicKey ?? []) ?? [];
    const keys = (await Promise.all(rootKeys.map((key) => key.fingerprint()))).join(", ");
    const fields = { repository, collection: collectionOf(signed), version: signed.version, rootKeys: keys };
    log.warn(fields, fingerprints.length === 0 ? "trusts this root, the first one seen" : "trusts this root");
    return found.anchor;
  }

  /** Not trusted: whatever a change is compared with, the key says no more than that it is there. */
  private async firstRoot(): Promise<Bytes | undefined> {
    const found = await findAnchor({ repository: this.store, accepts: async () => true });
    return typeof found === "string" ? undefined : found.anchor;
  }

  private async isListed({ roles, keys }: Root): Promise<boolean> {
    return this.isAmong(roles.get("timestamp")?.keyIds.flatMap((id) => keys.get(id) ?? []) ?? []);
  }

  private async isAmong(keys: readonly TufKey[]): Promise<boolean> {
    const own = await this.fingerprint;
    for (const { publicKey } of keys) if ((await publicKey?.fingerprint()) === own) return true;
    return false;
  }

  /**
   * What may not be gone below. A publisher whose move of the tag crossed ours has given the same version to another
   * timestamp: with a newer snapshot it stands, and is signed again at once, above both, for whoever has seen ours.
   */
  private async floorsFor(stored: TufStore): Promise<{ floors: TufStore; isCrossed: boolean }> {
    const own = await stored.read("timestamp");
    const served = await this.store.metadata({ file: metadataFile("timestamp"), limit: MAX_TIMESTAMP });
    if (own === undefined || served === undefined || equalBytes(own, served))
      return { floors: stored, isCrossed: false };
    const before = decodeMetadata(own, "timestamp").signed;
    const after = decodeMetadata(served, "timestamp").signed;
    const isCrossed = after.version === before.version && after.snapshot.version > before.snapshot.version;
    if (!isCrossed) return { floors: stored, isCrossed };
    return {
      floors: { ...stored, read: async (role) => (role === "timestamp" ? undefined : stored.read(role)) },
      isCrossed,
    };
  }

  /** Snapshot and roles that will end, whose keys are with others. */
  private sayWhatEnds({ root, snapshot, targets }: PublishedCollection): void {
    const now = this.options.now();
    const due = [root, snapshot, ...targets.values()]
      .map(({ signed }) => signed)
      .filter((signed) => isDue(signed.expires, periodsOf(signed.type, root.signed, signed), now));
    const ends = due.map(({ type, expires }) => `${type} ends ${expires.toISOString()}`);
    this.say(ends.length === 0 ? "" : `others must sign soon: ${ends.join(", ")}`);
  }

  private say(message: string): void {
    if (message !== "" && message !== this.said)
      this.options.log.warn({ repository: this.options.repository }, message);
    this.said = message;
  }
}

/** Takes note of a state, so that nothing older passes any more. Root first: its keys say what the others are worth. */
async function remember(store: TufStore, { root, timestamp, snapshot }: PublishedCollection): Promise<void> {
  const known = await store.read("root");
  if (known === undefined || !equalBytes(known, root.bytes)) await store.writeRoot(root.signed.version, root.bytes);
  await store.update("timestamp", () => timestamp.bytes);
  await store.update("snapshot", () => snapshot.bytes);
}

/** @throws {TrustError} COLLECTION_MISMATCH */
function checkName(repository: string, trusted: Bytes, served: Bytes): void {
  const expected = collectionOf(decodeMetadata(trusted, "root").signed);
  const got = collectionOf(decodeMetadata(served, "root").signed);
  if (expected === got) return;
  throw new TrustError("COLLECTION_MISMATCH", `the root in ${repository} is of ${JSON.stringify(got)}`, {
    role: "root",
    hint: "A collection keeps its name; ask who holds the root key",
    details: { expected, got },
  });
}
