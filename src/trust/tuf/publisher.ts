/**
 * Publishing to plain TUF repositories: signed targets for the use cases, and the management of roles and keys for
 * those who hold them.
 */
import type { Bytes } from "../../base/bytes.ts";
import { errorCode, TrustError } from "../../base/errors.ts";
import type { Clock } from "../../base/runtime.ts";
import type { KeyStore } from "../../keys/key-store.ts";
import type { PassphraseProvider } from "../../keys/signer.ts";
import { findAnchor } from "../../tuf/bootstrap.ts";
import type { TufChange } from "../../tuf/changes.ts";
import { chooseRole, roleOf } from "../../tuf/choose-role.ts";
import { newCollection, type NewRole } from "../../tuf/create.ts";
import type { TufDraft } from "../../tuf/draft.ts";
import { applyChanges } from "../../tuf/editor.ts";
import {
  checkAbsent,
  publishChanges,
  publishNew,
  readBase,
  type ComputeChanges,
  type PublishAccess,
  type Published,
  type PublishEnvironment,
} from "../../tuf/publish.ts";
import type { PublishedCollection } from "../../tuf/published.ts";
import type { StagingStore, TufPublisherStore } from "../../tuf/publisher-store.ts";
import {
  repairCollection,
  revocation,
  type Repaired,
  type RepairOptions,
  type RevokeOptions,
} from "../../tuf/repair.ts";
import { TOP_LEVEL_ROLES, type ExtraFields, type MetadataType } from "../../tuf/schema.ts";
import { canHelpSign, canSign, storedSigningKeys, type SigningKeys } from "../../tuf/signing-keys.ts";
import {
  dropStaged,
  publishStaged,
  reviewStaged,
  signStaged,
  stageChanges,
  type StagedReview,
} from "../../tuf/staged.ts";
import { statusOf, type TufRoleStatus } from "../../tuf/status.ts";
import type { ReachOptions } from "../administration.ts";
import { newRoleKey } from "../new-role-keys.ts";
import type { EditTargets, PublishOptions, PublishResult } from "../source.ts";
import {
  checkName,
  checkPin,
  COLLECTION_FIELD,
  hasPin,
  keepAnchor,
  matchesPin,
  type PublishTuf,
  type TufSource,
  type TufTrustStore,
} from "./source.ts";

export interface TufPublisherOptions {
  readonly store: TufPublisherStore;
  readonly staging: StagingStore;
  /** The same that the source reads with: what it has trusted, publishers build upon. */
  readonly trust: TufTrustStore;
  /** A root file that the caller trusts; it goes before anything that is stored. */
  readonly anchor?: Bytes | undefined;
  readonly keyStore: KeyStore;
  readonly passphrases: PassphraseProvider;
  /** Where the keys are, for people. */
  readonly keyLocation: string;
  readonly now: Clock;
  /** Root key of new collections, by its canonical id; the only one at hand, or a new one, unless told. */
  readonly rootKeyId?: string | undefined;
}

/** Keys of a new collection; those that are not given are made, and stored. */
export type NewTufRoles = Partial<Readonly<Record<MetadataType, NewRole>>>;

export interface TufStatus {
  readonly collection: string;
  readonly location: string;
  readonly roles: readonly TufRoleStatus[];
  /** True where any role has expired. */
  readonly expired: boolean;
  /** What waits for signatures; undefined where nothing does. */
  readonly staged: StagedReview | undefined;
}

/**
 * Publishes collections to one repository.
 *
 * @example
 * ```ts
 * const publisher = new TufPublisher({ store, staging: store.staging, trust, keyStore, passphrases, keyLocation, now });
 * const source = createTufSource({ repository: store, runtime, trust, publish: publisher.publish });
 * await source.publish("acme/app", () => [{ action: "add", name: "v1", length, hashes }], { firstUse: "refuse" });
 * ```
 */
export class TufPublisher {
  private readonly options: TufPublisherOptions;
  private readonly signing: SigningKeys;

  constructor(options: TufPublisherOptions) {
    this.options = options;
    this.signing = storedSigningKeys(options.keyStore, options.passphrases, options.keyLocation);
  }

  /** Signs targets, and makes the collection where there is none: for {@link createTufSource}. */
  readonly publish: PublishTuf = async (
    collection: string,
    edit: EditTargets,
    options: PublishOptions,
    source: TufSource,
  ): Promise<PublishResult> => {
    const access = await this.reach(collection, options);
    const created = access.anchor === undefined;
    if (created && options.mustExist === true) throw vanished(collection, this.options.store.location);
    const published = created
      ? await this.create(collection, {}, (draft) => this.edits(draft, edit(undefined), options), options)
      : await publishChanges(
          access,
          // opened after the draft was read, so that it is never older: where it is newer, the publish is refused
          async (draft) => this.edits(draft, edit(await source.open(collection, options)), options),
          this.environment(options.signal),
        );
    const opened = await source.open(collection, options);
    const view = { ...opened, warnings: [...opened.warnings, ...published.warnings] };
    return { created, collection: view, freshUntil: freshUntil(published.collection) };
  };

  /**
   * Makes a collection.
   *
   * @throws {TrustError} TRUST_EXISTS where there is one, TRUST_CONFLICT where somebody made it at the same moment
   */
  async init(collection: string, roles: NewTufRoles = {}, options: ReachOptions = {}): Promise<Published> {
    await checkAbsent(this.options.store, options.signal);
    return this.create(collection, roles, () => [], options);
  }

  /**
   * Makes a collection that has content and further fields of root from its first version on.
   *
   * @throws as {@link init}
   */
  async initWith(
    collection: string,
    roles: NewTufRoles,
    { changes, extra }: { readonly changes: readonly TufChange[]; readonly extra: ExtraFields },
    options: ReachOptions = {},
  ): Promise<Published> {
    await checkAbsent(this.options.store, options.signal);
    return this.create(collection, roles, () => changes, options, extra);
  }

  /** Prepares a collection whose keys are with several people, for them to sign. */
  async stageInit(collection: string, roles: NewTufRoles, options: ReachOptions = {}): Promise<StagedReview> {
    const { store, staging } = this.options;
    await checkAbsent(store, options.signal);
    const draft = await this.newDraft(collection, roles, []);
    return stageChanges({ store, anchor: undefined }, staging, draft, this.environment(options.signal));
  }

  /** Publishes changes; without any, snapshot and timestamp where they are due. */
  async change(
    collection: string,
    changes: ComputeChanges | readonly TufChange[],
    options: ReachOptions = {},
  ): Promise<Published> {
    const access = await this.reachExisting(collection, options);
    return publishChanges(access, computed(changes), this.environment(options.signal));
  }

  /**
   * Applies what publishers have left undone, signs snapshot and timestamp where they are due, or what is asked for, and
   * removes what is left behind and of no use. Does nothing where there is nothing to do.
   */
  async tend(
    collection: string,
    changes: ComputeChanges | readonly TufChange[],
    options: ReachOptions = {},
  ): Promise<Published> {
    const access = await this.reachExisting(collection, options);
    const environment = { ...this.environment(options.signal), thorough: true };
    const published = await publishChanges(access, computed(changes), environment);
    await access.store.tidy?.(published.collection, environment);
    return published;
  }

  /** Leaves changes for several people to sign. */
  async stage(
    collection: string,
    changes: ComputeChanges | readonly TufChange[],
    options: ReachOptions = {},
  ): Promise<StagedReview> {
    const access = await this.reachExisting(collection, options);
    return stageChanges(access, this.options.staging, computed(changes), this.environment(options.signal));
  }

  /** Leaves signed names for others to sign: for roles that need the keys of several people. */
  async stageEdits(
    collection: string,
    edit: EditTargets,
    options: PublishOptions,
    source: TufSource,
  ): Promise<StagedReview> {
    const compute = async (draft: TufDraft): Promise<TufChange[]> =>
      this.edits(draft, edit(await source.open(collection, options)), options, canHelpSign);
    return this.stage(collection, compute, options);
  }

  /** Shows what is staged and who still has to sign; undefined where nothing is. */
  async review(collection: string, options: ReachOptions = {}): Promise<StagedReview | undefined> {
    const access = await this.reach(collection, options);
    return reviewStaged(access, this.options.staging, this.environment(options.signal));
  }

  /** Adds the signatures of the keys at hand to what was reviewed. */
  async sign(
    collection: string,
    review: Pick<StagedReview, "digest">,
    options: ReachOptions = {},
  ): Promise<StagedReview> {
    const access = await this.reach(collection, options);
    return signStaged(access, this.options.staging, review.digest, this.environment(options.signal));
  }

  /** Publishes what is staged. @throws {TrustError} SIGNATURE_THRESHOLD where somebody still has to sign */
  async publishStaged(collection: string, options: ReachOptions = {}): Promise<Published> {
    const access = await this.reach(collection, options);
    const published = await publishStaged(access, this.options.staging, this.environment(options.signal));
    if (access.anchor === undefined) await this.keepOwnRoot(collection, published);
    return published;
  }

  /** Forgets what is staged. */
  dropStaged(): Promise<void> {
    return dropStaged(this.options.staging);
  }

  /** Takes a key out of every role. */
  async revoke(collection: string, options: RevokeOptions & ReachOptions): Promise<Published> {
    return this.change(collection, (draft) => revocation(draft, options), options);
  }

  /** Signs again what has expired or soon will, as far as the keys at hand go. */
  async repair(collection: string, options: RepairOptions & ReachOptions = {}): Promise<Repaired> {
    const access = await this.reachExisting(collection, options);
    return repairCollection(access, options, this.environment(options.signal));
  }

  /** Tells every role's version, expiry and keys, also of a collection that has expired. */
  async status(collection: string, options: ReachOptions = {}): Promise<TufStatus> {
    const access = await this.reachExisting(collection, options);
    const base = await readBase(access, options.signal);
    const roles = await statusOf(base, this.signing, this.options.now());
    const staged = await this.review(collection, options);
    return {
      collection,
      location: this.options.store.location,
      roles,
      expired: roles.some(({ expired }) => expired),
      staged,
    };
  }

  private async edits(
    draft: TufDraft,
    edits: ReturnType<EditTargets>,
    { roles }: Pick<PublishOptions, "roles">,
    suffices = canSign,
  ): Promise<TufChange[]> {
    const changes: TufChange[] = [];
    for (const edit of edits) {
      if (edit.action === "remove") {
        const holder = await roleOf(draft, edit.name);
        for (const role of roles ?? (holder === undefined ? [] : [holder])) changes.push({ ...edit, role });
        continue;
      }
      const { action, name, ...content } = edit;
      const chosen = roles ?? [
        draft.base === undefined ? "targets" : await chooseRole(draft, name, this.signing, suffices),
      ];
      for (const role of chosen) changes.push({ action, role, name, content });
    }
    return changes;
  }

  private async create(
    collection: string,
    roles: NewTufRoles,
    compute: ComputeChanges,
    { signal }: ReachOptions,
    extra: ExtraFields = {},
  ): Promise<Published> {
    const { store, keyStore } = this.options;
    const made: string[] = [];
    try {
      const draft = await this.newDraft(collection, roles, made, extra);
      await applyChanges(draft, await compute(draft));
      const published = await publishNew({ store, anchor: undefined }, draft, this.environment(signal));
      await this.keepOwnRoot(collection, published);
      return published;
    } catch (error) {
      // keys of a collection that may exist must not get lost
      if (errorCode(error) !== "PUBLISH_UNREADABLE" && (await isAbsent(store))) {
        for (const id of made) await keyStore.remove(id);
      }
      throw error;
    }
  }

  private async newDraft(
    collection: string,
    given: NewTufRoles,
    made: string[],
    extra: ExtraFields = {},
  ): Promise<TufDraft> {
    const roles: Partial<Record<MetadataType, NewRole>> = { ...given };
    for (const role of TOP_LEVEL_ROLES) {
      roles[role] ??= { keys: [await newRoleKey(role, collection, this.options, made)] };
    }
    return newCollection({
      roles: roles as Record<MetadataType, NewRole>,
      extra: { ...extra, [COLLECTION_FIELD]: collection },
    });
  }

  private async reachExisting(collection: string, options: ReachOptions): Promise<PublishAccess> {
    const access = await this.reach(collection, options);
    if (access.anchor !== undefined) return access;
    throw new TrustError("TRUST_NOT_FOUND", `there is no collection in ${this.options.store.location}`, {
      hint: "Create it first",
      details: { collection },
    });
  }

  /** Finds the root to start from. @throws {TrustError} PIN_MISMATCH, FIRST_USE_REFUSED, TRUST_WITHHELD */
  private async reach(collection: string, { pin, firstUse = "refuse", signal }: ReachOptions): Promise<PublishAccess> {
    const { store, trust } = this.options;
    const key = { location: store.location, collection };
    const known = this.options.anchor ?? (await trust.readAnchor(key));
    const check = async (base: PublishedCollection): Promise<void> => {
      checkName(base.root.signed, collection);
      if (known !== undefined) await checkPin(collection, pin, known, base.verifiedRoot);
    };
    if (known !== undefined) return { store, anchor: known, floors: trust.openStore(key, known), check };
    const isPinned = hasPin(pin);
    const accepts = async (root: Parameters<typeof matchesPin>[1]): Promise<boolean> =>
      isPinned ? matchesPin(pin, root) : firstUse === "accept";
    const found = await findAnchor({ repository: store, accepts, signal });
    if (found === "absent" && !isPinned) return { store, anchor: undefined };
    if (found === "absent") {
      throw vanished(collection, store.location);
    }
    if (found === "refused") {
      throw new TrustError(
        isPinned ? "PIN_MISMATCH" : "FIRST_USE_REFUSED",
        isPinned
          ? `the root of ${collection} is not signed by the keys that are pinned for it`
          : `nothing says which root of ${collection} to trust`,
        {
          role: "root",
          hint: "Pin the fingerprint of a root key that its publisher tells you",
          details: { collection },
        },
      );
    }
    const { anchor } = found;
    return {
      store,
      anchor,
      check: async (base) => {
        await check(base);
        await keepAnchor(trust, key, anchor); // verified and of this name: from here on it is the only one
      },
    };
  }

  /** The first root of a collection that was made here. */
  private async keepOwnRoot(collection: string, { files }: Published): Promise<void> {
    const root = files.find(({ role }) => role === "root");
    const { store, trust } = this.options;
    if (root !== undefined) await keepAnchor(trust, { location: store.location, collection }, root.bytes);
  }

  private environment(signal: AbortSignal | undefined): PublishEnvironment {
    return { signing: this.signing, now: this.options.now, signal };
  }
}

function computed(changes: ComputeChanges | readonly TufChange[]): ComputeChanges {
  return (draft) => (typeof changes === "function" ? changes(draft) : changes);
}

async function isAbsent(store: TufPublisherStore): Promise<boolean> {
  try {
    await checkAbsent(store);
    return true;
  } catch {
    return false; // it is there, or cannot be seen
  }
}

/** The earliest expiry of what every client needs. */
function freshUntil({ root, timestamp, snapshot, targets }: PublishedCollection): Date {
  const documents = [root, timestamp, snapshot, ...targets.values()];
  return new Date(Math.min(...documents.map(({ signed }) => signed.expires.getTime())));
}

function vanished(collection: string, location: string): TrustError {
  return new TrustError("TRUST_WITHHELD", `${location} has no root metadata, and one of ${collection} is known`, {
    role: "root",
    hint: "Restore it from a backup, or remove the pin (`wasm-to-oci trust remove`) to make a new collection",
    details: { collection },
  });
}
