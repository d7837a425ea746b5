/** What the holders of a Notary collection's keys can do with it, besides signing targets. */
import { shellWord } from "../../base/shell-word.ts";
import { errorCode, TrustError } from "../../base/errors.ts";
import { DEFAULT_RETRY } from "../../base/retry.ts";
import { NotaryApi } from "../../notary/api.ts";
import type { Change, NewKey } from "../../notary/changes.ts";
import { NotaryClient } from "../../notary/client.ts";
import { NotaryCollection } from "../../notary/collection.ts";
import { readDelegationKeys } from "../../notary/delegation-keys.ts";
import { delegationsOfKeys } from "../../notary/delegations.ts";
import type { Draft } from "../../notary/draft.ts";
import { parseGun } from "../../notary/gun.ts";
import { createCollection, type NewCollectionOptions } from "../../notary/initialise.ts";
import { isPin } from "../../notary/pinning.ts";
import { publishChanges, type ComputeChanges, type Published, type PublishEnvironment } from "../../notary/publish.ts";
import { repairCollection, type Repaired } from "../../notary/repair.ts";
import { canSign } from "../../notary/role-choice.ts";
import { parseTargetsRole } from "../../notary/roles.ts";
import { rotateKeys, type Rotated, type RotateOptions } from "../../notary/rotate.ts";
import { SigningKeys } from "../../notary/signing-keys.ts";
import type { NotaryState } from "../../notary/state.ts";
import { statusOf } from "../../notary/status.ts";
import type {
  Administered,
  Administration,
  CollectionStatus,
  ReachOptions,
  RepairOptions,
  UndelegateOptions,
} from "../administration.ts";
import type { NotarySourceOptions } from "./source-options.ts";
import { trustedCollection } from "./collection.ts";
import type { TrustedCollection } from "../source.ts";

/** With all that is signed in the collection now. */
interface NotaryAdministered extends Administered {
  readonly collection: TrustedCollection;
}

/** With Notary's own names for collection and location. */
export interface NotaryStatus extends CollectionStatus {
  readonly gun: string;
  readonly server: string;
}

export interface DelegateOptions extends ReachOptions {
  /** E.g. `targets/releases`. */
  readonly role: string;
  /** PEM texts of public keys or certificates. */
  readonly keys: readonly string[];
  /** Prefixes of target names; the empty one means all. */
  readonly paths: readonly string[];
  /** Signatures needed; 1 for a new role unless told. */
  readonly threshold?: number | undefined;
}

export class NotaryAdministration implements Administration {
  readonly location: string;
  protected readonly options: NotarySourceOptions;
  protected readonly client: NotaryClient;
  protected readonly keys: SigningKeys;
  private readonly api: NotaryApi;

  constructor(options: NotarySourceOptions) {
    const { runtime, credentials, retry, metadata, trust } = options;
    this.options = options;
    this.api = new NotaryApi({ server: options.server, runtime, credentials, retry });
    this.client = new NotaryClient({ api: this.api, metadata, trust, now: runtime.now });
    this.keys = new SigningKeys(options.keyStore, options.passphrases, options.keyLocation);
    this.location = this.api.server;
  }

  /**
   * Creates an empty collection.
   *
   * @throws {TrustError} TRUST_EXISTS where there is one, TRUST_CONFLICT where somebody made it at the same moment
   */
  async init(collection: string, options: NewCollectionOptions & ReachOptions = {}): Promise<NotaryAdministered> {
    const target = await this.reach(parseGun(collection), options);
    if ((await target.rootBytes()) !== undefined) {
      throw new TrustError("TRUST_EXISTS", `${target.gun} exists already on ${this.location}`, {
        hint: "See who made it with `wasm-to-oci trust show`",
        details: { collection: target.gun },
      });
    }
    await this.confirmAbsence(target);
    const settings = { ...this.options.newCollections, ...options };
    return this.administered(await createCollection(target, () => [], settings, this.environment(options.signal)));
  }

  async status(collection: string, options: ReachOptions = {}): Promise<NotaryStatus> {
    const target = await this.reach(parseGun(collection), options);
    const state = await target.readExpired();
    const roles = await statusOf(state, this.keys, this.options.runtime.now());
    const { warnings } = await this.view(state);
    const expired = roles.some((role) => role.expired);
    const { gun } = target;
    const server = this.location;
    return { collection: gun, source: "notary", location: server, gun, server, roles, expired, warnings };
  }

  /** Reads all of a collection, for those who take it elsewhere; past its expiry only where that is accepted. */
  async readState(
    collection: string,
    { acceptExpired, ...options }: ReachOptions & { readonly acceptExpired: boolean },
  ): Promise<NotaryState> {
    const target = await this.reach(parseGun(collection), options);
    return acceptExpired ? target.readExpired() : target.read();
  }

  /** Replaces the keys of root, targets, snapshot or timestamp. @throws {UsageError} USAGE */
  async rotate(collection: string, options: RotateOptions & ReachOptions): Promise<NotaryAdministered & Rotated> {
    const target = await this.reach(parseGun(collection), options);
    const rotated = await rotateKeys(target, options, this.environment(options.signal));
    return { ...rotated, ...(await this.administered(rotated)) };
  }

  /** Lets keys sign for names; makes the role where it does not exist. */
  async delegate(collection: string, options: DelegateOptions): Promise<NotaryAdministered> {
    const { role, paths, threshold } = options;
    const keys: NewKey[] = [];
    for (const pem of options.keys) keys.push(...(await readDelegationKeys(pem, this.options.runtime.now())));
    let isNew = false;
    const changed = await this.change(collection, options, (draft) => {
      isNew = draft.delegation(role) === undefined;
      return [{ action: "grant", role, keys, paths, threshold }];
    });
    const revived = changed.state.delegations.get(role)?.verified?.metadata.targets.size ?? 0;
    if (!isNew || revived === 0) return changed;
    const warning = `${revived} target(s) signed earlier as ${role} count again: the server had kept them`;
    return { ...changed, warnings: [...changed.warnings, warning] };
  }

  /**
   * Takes keys or paths away from a delegation, or deletes it. What a key alone had signed counts no longer, so the
   * role is signed again where another of its keys is at hand.
   */
  async undelegate(collection: string, options: UndelegateOptions): Promise<NotaryAdministered> {
    const { role, keyIds = [], paths = [] } = options;
    if (keyIds.length === 0 && paths.length === 0) {
      return this.change(collection, options, () => [{ action: "delete", role }]);
    }
    const warnings: string[] = [];
    const changed = await this.change(collection, options, async (draft) => {
      const changes: Change[] = [{ action: "revoke", role, keyIds, paths }];
      if (keyIds.length > 0) changes.push(...(await this.witnesses(draft, [role], keyIds, warnings)));
      return changes;
    });
    return { ...changed, warnings: [...changed.warnings, ...new Set(warnings)] };
  }

  /** Takes keys away from every delegation that can be changed here. */
  async purge(
    collection: string,
    options: ReachOptions & { readonly keyIds: readonly string[] },
  ): Promise<NotaryAdministered> {
    const warnings: string[] = [];
    const changed = await this.change(collection, options, async (draft) => {
      const found = await delegationsOfKeys(draft, new Set(options.keyIds));
      const changes = found.map(({ role, keyIds }): Change => ({ action: "revoke", role, keyIds, paths: [] }));
      const roles = found.map(({ role }) => role);
      return [...changes, ...(await this.witnesses(draft, roles, options.keyIds, warnings))];
    });
    return { ...changed, warnings: [...changed.warnings, ...new Set(warnings)] };
  }

  /**
   * Signs roles again as they are, also one that only keys have signed which were taken away since: the caller then
   * vouches for what it holds, and should have looked at it.
   */
  async witness(
    collection: string,
    options: ReachOptions & { readonly roles: readonly string[] },
  ): Promise<NotaryAdministered> {
    const roles = options.roles.map(parseTargetsRole);
    const target = await this.reach(parseGun(collection), options);
    const compute: ComputeChanges = (draft, state) =>
      Promise.all(
        roles.map(async (role) => {
          const orphaned = errorCode(state!.delegations.get(role)?.fault) === "SIGNATURE_THRESHOLD";
          const document = orphaned ? await target.unsignedTargets(role, state!) : undefined;
          return { action: "witness" as const, role, document };
        }),
      );
    return this.administered(await publishChanges(target, compute, this.environment(options.signal)));
  }

  /** Signs again what has expired, as far as the keys at hand go. */
  async repair(collection: string, options: RepairOptions = {}): Promise<NotaryAdministered & Repaired> {
    const target = await this.reach(parseGun(collection), options);
    const repaired = await repairCollection(target, options, this.environment(options.signal));
    return { ...repaired, ...(await this.administered(repaired)) };
  }

  /**
   * Forgets a collection here: cache, trusted root and versions seen, so that the next contact is the first again.
   * Private keys stay.
   *
   * @param options.remote deletes it on the server too, for everybody, which needs the right to do so
   */
  async remove(
    collection: string,
    options: { remote?: boolean | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const gun = parseGun(collection);
    const target = this.collectionOf(gun, { ...options, firstUse: "refuse" });
    if (options.remote === true) await target.delete();
    const key = { server: this.location, gun };
    await this.options.metadata.remove(key);
    await this.options.trust.remove(key);
  }

  /** A collection as this caller reaches it; one that our own root key signs needs no other pin. */
  protected async reach(gun: string, options: ReachOptions): Promise<NotaryCollection> {
    const { pin, signal } = options;
    const target = this.collectionOf(gun, { pin, signal, firstUse: options.firstUse ?? "refuse" });
    if (isPin(pin) || options.firstUse === "accept" || (await this.client.isKnown(gun))) return target;
    const own = (await this.options.keyStore.list()).filter(({ role }) => role === "root").map(({ id }) => id);
    if (own.length === 0) return target;
    try {
      await target.withPin({ certificateIds: own }).read(); // remembers the root
    } catch (error) {
      if (!(error instanceof TrustError)) throw error; // not ours, or not there: the caller's own read says which
    }
    return target;
  }

  /** A failed read is never "no such collection": the server must say so again, and nothing here may know better. */
  protected async confirmAbsence(target: NotaryCollection, { pin }: ReachOptions = {}): Promise<void> {
    const known = isPin(pin) || (await this.client.isKnown(target.gun));
    if (!known && (await target.rootBytes()) === undefined) return;
    throw new TrustError("TRUST_WITHHELD", `${this.location} says that it has no ${target.gun}, which must exist`, {
      hint: "The server lost or withholds trust data. If the collection was deleted on purpose: `wasm-to-oci trust remove`",
      details: { collection: target.gun },
    });
  }

  protected environment(signal: AbortSignal | undefined): PublishEnvironment {
    const { runtime, retry = DEFAULT_RETRY } = this.options;
    return { keys: this.keys, now: runtime.now, retry, signal };
  }

  protected async view(state: NotaryState, warnings: readonly string[] = []): Promise<TrustedCollection> {
    const { searchOrder = "docker", stagedChanges } = this.options;
    const staged = (await stagedChanges?.(state.gun)) ?? 0;
    const pending =
      staged === 0
        ? []
        : [`the notary command has ${staged} unpublished change(s) for ${state.gun} here; they were left alone`];
    return trustedCollection(state, searchOrder, [...warnings, ...pending]);
  }

  private collectionOf(gun: string, options: ReachOptions & { firstUse: "accept" | "refuse" }): NotaryCollection {
    const { api, client } = this;
    return new NotaryCollection({
      gun,
      api,
      client,
      trust: this.options.trust,
      now: this.options.runtime.now,
      ...options,
    });
  }

  private async change(
    collection: string,
    options: ReachOptions,
    compute: ComputeChanges,
  ): Promise<NotaryAdministered & Published> {
    const target = await this.reach(parseGun(collection), options);
    const published = await publishChanges(target, compute, this.environment(options.signal));
    return { ...published, ...(await this.administered(published)) };
  }

  private async administered({ state, files, warnings }: Published): Promise<NotaryAdministered> {
    const collection = await this.view(state, warnings);
    return { collection, published: files.map(({ role }) => role), warnings: collection.warnings };
  }

  /** Signs roles again from which keys are taken, where other keys of theirs are at hand. */
  private async witnesses(
    draft: Draft,
    roles: readonly string[],
    gone: readonly string[],
    warnings: string[],
  ): Promise<Change[]> {
    const changes: Change[] = [];
    for (const role of roles) {
      if (!draft.base.targets.has(role)) continue; // nothing was signed yet
      if (await canSign(role, draft, this.keys, new Set(gone))) changes.push({ action: "witness", role });
      else
        warnings.push(
          `what the removed keys had signed as ${role} counts no longer: one of its other signers must run \`wasm-to-oci trust repair --role ${shellWord(role)}\``,
        );
    }
    return changes;
  }
}
