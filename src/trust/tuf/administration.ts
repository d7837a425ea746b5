/**
 * What key holders do with TUF collections, in directories and in registries: the verbs of the command line over the
 * publisher. Every change is published at once, or staged for others to sign.
 */
import { errorCode, errorMessage, TrustError, UsageError, WasmToOciError } from "../../base/errors.ts";
import { canonicalKeyId } from "../../keys/notary-key-id.ts";
import type { TufChange } from "../../tuf/changes.ts";
import type { NewRole } from "../../tuf/create.ts";
import { TufDraft } from "../../tuf/draft.ts";
import type { TufKey } from "../../tuf/keys.ts";
import { DAY_MS } from "../../tuf/periods.ts";
import type { ComputeChanges, Published } from "../../tuf/publish.ts";
import { onceEach, revocation } from "../../tuf/repair.ts";
import { TOP_LEVEL_ROLES, type MetadataType } from "../../tuf/schema.ts";
import { canSign, listedKeys, storedSigningKeys, type SigningKeys } from "../../tuf/signing-keys.ts";
import type { StagedReview } from "../../tuf/staged.ts";
import { statusOf } from "../../tuf/status.ts";
import type {
  Administered,
  Administration,
  CollectionStatus,
  ReachOptions,
  RepairOptions,
  RoleExpiry,
  Staged,
  UndelegateOptions,
} from "../administration.ts";
import { ChosenKeys, findKeyNamed } from "../key-choice.ts";
import type { EditTargets, PublishOptions } from "../source.ts";
import type {
  ChangeOptions,
  InitOptions,
  KeyExchange,
  PeriodsOptions,
  Refreshed,
  RevokeKeyOptions,
  ThresholdOptions,
  TufAdministrationOptions,
  TufDelegateOptions,
  TufRotateOptions,
} from "./administration-options.ts";
import {
  delegationChanges,
  everyKey,
  isSameKey,
  keyedRole,
  offlineChanges,
  patternsOf,
  replacedKeys,
  roleOfKey,
  undelegationChanges,
} from "./changes.ts";
import { keyReports, roleReport } from "./collection.ts";
import type { TufPublisher } from "./publisher.ts";

/**
 * Manages TUF collections in one place.
 *
 * @example
 * ```ts
 * const admin = new TufAdministration({ source, publisher, keyStore, passphrases, keyLocation, now });
 * await admin.init("acme/app", { roles: { root: { keys: [mine, alices], threshold: 2 } }, stage: true });
 * ```
 */
export class TufAdministration implements Administration {
  readonly location: string;
  private readonly options: TufAdministrationOptions;
  private readonly signing: SigningKeys;

  constructor(options: TufAdministrationOptions) {
    this.options = options;
    this.location = options.source.location;
    this.signing = storedSigningKeys(options.keyStore, options.passphrases, options.keyLocation);
  }

  async status(collection: string, options: ReachOptions): Promise<CollectionStatus> {
    const { source, publisher, now } = this.options;
    const base = await source.readPublished(collection, opening(options));
    const roles = await statusOf(base, this.signing, now());
    const warnings = roles.flatMap(({ role, fault }) =>
      fault === undefined ? [] : [`${role} cannot be used: ${fault}`],
    );
    let staged: StagedReview | undefined;
    try {
      staged = await publisher?.review(collection, options);
    } catch (error) {
      if (!(error instanceof WasmToOciError) || ["network", "interrupted"].includes(error.kind)) throw error;
      warnings.push(`what is staged cannot be published any more: ${error.message}`);
    }
    const { kind, location } = source;
    return {
      collection,
      source: kind,
      location,
      roles,
      expired: roles.some(({ expired }) => expired),
      staged,
      warnings,
    };
  }

  /**
   * Makes a collection.
   *
   * @throws {TrustError} TRUST_EXISTS where there is one; KEY_MISSING where others must sign: stage it then
   */
  async init(collection: string, { roles = {}, stage, ...reach }: InitOptions): Promise<Administered | Staged> {
    const { publisher } = this.writable();
    const keys = this.chosenKeys();
    return keys.settle(async () => {
      const chosen: Partial<Record<MetadataType, NewRole>> = {};
      for (const role of TOP_LEVEL_ROLES) {
        const { keys: wanted, threshold, periods } = roles[role] ?? {};
        const own = wanted === undefined ? [await keys.usual(role, collection)] : undefined;
        chosen[role] = { keys: own ?? (await keys.resolve(wanted ?? [], role, collection)), threshold, periods };
      }
      if (stage === true) return { staged: await publisher.stageInit(collection, chosen, reach) };
      return this.administered(collection, await publisher.init(collection, chosen, reach), reach);
    });
  }

  /** Signs snapshot and timestamp again where they are due, and completes what publishers have left undone. */
  async refresh(collection: string, { withinDays, ...reach }: RepairOptions): Promise<Refreshed> {
    const { publisher } = this.writable();
    const limit = this.options.now().getTime() + (withinDays ?? 0) * DAY_MS;
    const isFirst = onceEach();
    const published = await publisher.tend(
      collection,
      ({ base }) => {
        if (withinDays === undefined || base === undefined) return [];
        const online = [base.snapshot.signed, base.timestamp.signed];
        const due = online.filter((signed) => signed.expires.getTime() <= limit && isFirst(signed, signed.type));
        return due.map(({ type }): TufChange => ({ action: "renew", role: type }));
      },
      reach,
    );
    const { root, timestamp, snapshot, targets } = published.collection;
    const times = [root, timestamp, snapshot, ...targets.values()].map(({ signed }) => signed.expires.getTime());
    return {
      ...(await this.administered(collection, published, reach)),
      freshUntil: new Date(Math.min(...times)),
    };
  }

  async repair(
    collection: string,
    options: RepairOptions,
  ): Promise<Administered & { readonly remaining: readonly RoleExpiry[] }> {
    const repaired = await this.writable().publisher.repair(collection, options);
    const draft = TufDraft.of(repaired.collection);
    const remaining = repaired.remaining.map(({ role, expires }): RoleExpiry => {
      const needed = draft.keyedRoles(role).map(({ roleKeys }) => `${roleKeys.threshold} of ${roleKeys.keyIds.length}`);
      return { role, expires, reason: `${needed.join(" and ")} key(s) must sign, and they are not here` };
    });
    return { ...(await this.administered(collection, repaired, options)), remaining };
  }

  async witness(
    collection: string,
    { roles, ...options }: ChangeOptions & { readonly roles: readonly string[] },
  ): Promise<Administered | Staged> {
    const online = roles.find((role) => role === "snapshot" || role === "timestamp");
    if (online !== undefined) {
      throw new UsageError("ROLE_INVALID", `${online} is signed again by a refresh, when it is due`, {
        hint: "Name root, targets or a delegation",
      });
    }
    return this.change(collection, () => roles.map((role): TufChange => ({ action: "renew", role })), options);
  }

  /** Lets keys sign for names. Keys of others must sign too, to show that they are held: stage it then. */
  async delegate(collection: string, options: TufDelegateOptions): Promise<Administered | Staged> {
    const keys = this.chosenKeys();
    return keys.settle(async () => {
      const chosen = await keys.resolve(options.keys, options.role, collection);
      const paths = options.paths.flatMap(patternsOf);
      return this.change(collection, (draft) => delegationChanges(draft, { ...options, keys: chosen, paths }), options);
    });
  }

  async undelegate(
    collection: string,
    options: UndelegateOptions & Pick<ChangeOptions, "stage">,
  ): Promise<Administered | Staged> {
    const { role, keyIds = [], paths = [] } = options;
    const warnings = new Set<string>();
    const changed = await this.change(
      collection,
      async (draft) => {
        const { changes, left } = await undelegationChanges(draft, { role, keyIds, paths });
        const more = offlineChanges(draft, left);
        if (more.length === 0) return changes;
        if (options.stage === true || (await canSign(keyedRole(draft, "root"), this.signing))) {
          return [...changes, ...more];
        }
        warnings.add(
          "the keys that were removed may sign snapshot and timestamp still: a root key holder must revoke them",
        );
        return changes;
      },
      options,
    );
    return "staged" in changed ? changed : { ...changed, warnings: [...changed.warnings, ...warnings] };
  }

  /** Changes how many keys of a role must sign. */
  async threshold(
    collection: string,
    { role, threshold, add = [], ...options }: ThresholdOptions,
  ): Promise<Administered | Staged> {
    const keys = this.chosenKeys();
    return keys.settle(async () => {
      const added = await keys.resolve(add, role, collection);
      return this.change(collection, () => [{ action: "keys", role, add: added, threshold }], options);
    });
  }

  /** Replaces keys of a role. */
  async rotate(
    collection: string,
    { role, add = [], remove = [], deleteOld = false, ...options }: TufRotateOptions,
  ): Promise<(Administered | Staged) & KeyExchange> {
    const keys = this.chosenKeys();
    return keys.settle(async () => {
      const added = await keys.resolve(add.length === 0 ? [{ kind: "new" }] : add, role, collection);
      let replaced: readonly TufKey[] = [];
      const { changed, published } = await this.applied(
        collection,
        async (draft) => {
          replaced = await replacedKeys(keyedRole(draft, role), remove, this.signing);
          replaced = replaced.filter((key) => !added.some((other) => isSameKey(key, other)));
          return [{ action: "keys", role, add: added, remove: replaced.map(({ id }) => id) }];
        },
        options,
      );
      const backups = published === undefined ? [] : await this.retire(collection, published, replaced, deleteOld);
      return { ...changed, newKeys: await keyReports(added), oldKeys: await keyReports(replaced), backups };
    });
  }

  /** Takes a key out of every role. @throws {TrustError} KEY_MISSING where no role has it */
  async revoke(
    collection: string,
    { key: name, replacement, compromised, ...options }: RevokeKeyOptions,
  ): Promise<(Administered | Staged) & KeyExchange> {
    const base = await this.options.source.readPublished(collection, opening(options));
    const draft = TufDraft.of(base);
    const revoked = await findKeyNamed(everyKey(draft), name);
    const fingerprint = (await revoked.publicKey?.fingerprint()) ?? unknownKind(revoked);
    const keys = this.chosenKeys();
    return keys.settle(async () => {
      const choices = replacement === undefined ? [] : [replacement];
      const added = await keys.resolve(choices, roleOfKey(draft, revoked), collection);
      const wanted = { fingerprint, replacement: added[0], resetVersions: compromised };
      const revoking = await this.change(collection, (newest) => revocation(newest, wanted), options);
      const changed = compromised === true ? withoutOthers(revoking, draft, revoked) : revoking;
      return { ...changed, newKeys: await keyReports(added), oldKeys: await keyReports([revoked]), backups: [] };
    });
  }

  /** Changes how long signatures of a role last. */
  async periods(collection: string, { role, periods, ...options }: PeriodsOptions): Promise<Administered | Staged> {
    return this.change(collection, () => [{ action: "periods", role, periods }], options);
  }

  /** Leaves signed names for others to sign: for roles that need the keys of several people. */
  async stageTargets(collection: string, edit: EditTargets, options: PublishOptions): Promise<Staged> {
    const { publisher } = this.writable();
    return { staged: await publisher.stageEdits(collection, edit, options, this.options.source) };
  }

  /** What is staged, and who still has to sign; undefined where nothing is. */
  review(collection: string, reach: ReachOptions): Promise<StagedReview | undefined> {
    return this.writable().publisher.review(collection, reach);
  }

  /** The keys here that are wanted for what is staged, and have not signed. */
  async wantedKeys({ requirements }: StagedReview): Promise<TufKey[]> {
    const wanted: TufKey[] = [];
    for (const { keys, signedBy, threshold } of requirements) {
      if (signedBy.length >= threshold) continue;
      for (const key of keys) {
        const isOpen = ![...signedBy, ...wanted].some((other) => isSameKey(key, other));
        if (isOpen && key.publicKey !== undefined && (await this.signing.holds(key.publicKey))) wanted.push(key);
      }
    }
    return wanted;
  }

  /** Adds the signatures of the keys here to exactly what was reviewed. */
  sign(collection: string, review: Pick<StagedReview, "digest">, reach: ReachOptions): Promise<StagedReview> {
    return this.writable().publisher.sign(collection, review, reach);
  }

  /** @throws {TrustError} SIGNATURE_THRESHOLD where somebody still has to sign; KEY_MISSING without the online keys */
  async publishStaged(collection: string, reach: ReachOptions): Promise<Administered> {
    return this.administered(collection, await this.writable().publisher.publishStaged(collection, reach), reach);
  }

  /** Forgets what is staged. */
  dropStaged(): Promise<void> {
    return this.writable().publisher.dropStaged();
  }

  async remove(collection: string, { remote }: { readonly remote?: boolean | undefined }): Promise<void> {
    if (remote === true) {
      throw new UsageError("USAGE", `${this.location} is no server that deletes collections on request`, {
        hint: "Remove its files, or its tag in the registry, with the tools for them",
      });
    }
    await this.options.source.forget(collection);
  }

  private async change(collection: string, compute: ComputeChanges, options: ChangeOptions) {
    return (await this.applied(collection, compute, options)).changed;
  }

  private async applied(
    collection: string,
    compute: ComputeChanges,
    { stage, ...reach }: ChangeOptions,
  ): Promise<{ changed: Administered | Staged; published?: Published }> {
    const { publisher } = this.writable();
    if (stage === true) return { changed: { staged: await publisher.stage(collection, compute, reach) } };
    const published = await publisher.change(collection, compute, reach);
    return { changed: await this.administered(collection, published, reach), published };
  }

  private async administered(collection: string, published: Published, reach: ReachOptions): Promise<Administered> {
    const { collection: served, files, warnings } = published;
    const more = await this.remember(collection, reach);
    const { root } = served;
    const rootKeys = root.signed.roles.get("root")!.keyIds.flatMap((id) => root.signed.keys.get(id) ?? []);
    return {
      collection: {
        name: collection,
        roles: await Promise.all(served.verifiedRoles().map((role) => roleReport(role, root.signed))),
        rootKeys: await keyReports(rootKeys),
      },
      published: files.map(({ role }) => role),
      warnings: [...warnings, ...more],
    };
  }

  /** Takes note of what is served now, so that nothing older passes here any more. */
  private async remember(collection: string, reach: ReachOptions): Promise<string[]> {
    try {
      await this.options.source.open(collection, { ...opening(reach), names: [] });
      return [];
    } catch (error) {
      if (errorCode(error) === "METADATA_EXPIRED") return []; // of somebody else's: what was published stands
      if (!(error instanceof TrustError) && errorCode(error) === undefined) throw error;
      return [`what was published was not taken note of here: ${errorMessage(error)}`];
    }
  }

  /** Takes private keys out of use that were this collection's alone and that no role of it has any more. */
  private async retire(
    collection: string,
    published: Published,
    replaced: readonly TufKey[],
    deleteThem: boolean,
  ): Promise<string[]> {
    const { keyStore } = this.options;
    const kept = everyKey(TufDraft.of(published.collection));
    const stored = await keyStore.list();
    const backups: string[] = [];
    for (const key of replaced) {
      if (key.publicKey === undefined || kept.some((other) => isSameKey(key, other))) continue;
      const id = await canonicalKeyId(key.publicKey);
      if (!stored.some((own) => own.id === id && own.gun === collection)) continue;
      const location = deleteThem ? undefined : await keyStore.retire(id);
      if (deleteThem) await keyStore.remove(id);
      if (location !== undefined) backups.push(location);
    }
    return backups;
  }

  private chosenKeys(): ChosenKeys {
    return new ChosenKeys(this.options.keyStore, this.options.passphrases);
  }

  private writable(): { readonly publisher: TufPublisher } {
    const { publisher } = this.options;
    if (publisher !== undefined) return { publisher };
    throw new UsageError("USAGE", `${this.location} can be read here, not written`, {
      hint: "Publish to the directory that the web server serves",
    });
  }
}

function opening({ pin, firstUse = "refuse", signal }: ReachOptions) {
  return { pin, firstUse, signal };
}

function unknownKind(key: TufKey): never {
  throw new UsageError("USAGE", `the key ${key.id} is of a kind that signs nothing anyway`, {
    details: { keyId: key.id },
  });
}

/** Says that versions which start anew have taken other keys of these roles along, so that nobody finds out by a failed push. */
function withoutOthers(changed: Administered | Staged, draft: TufDraft, revoked: TufKey): Administered | Staged {
  if ("staged" in changed) return changed;
  const roles = ["snapshot", "timestamp"].filter((role) => {
    const listed = listedKeys(keyedRole(draft, role));
    return listed.length > 1 && listed.some((key) => isSameKey(key, revoked));
  });
  if (roles.length === 0) return changed;
  const message = `${roles.join(" and ")} lost their other keys, too, since their versions start anew: let their holders add them again`;
  return { ...changed, warnings: [...changed.warnings, message] };
}
