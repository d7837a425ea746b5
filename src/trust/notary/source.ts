/** Trust data on a Notary v1 server: reading, publishing, and the keys and roles of a collection. */
import { errorCode, UsageError } from "../../base/errors.ts";
import { goLocation } from "../../notary/go-reference.ts";
import { parseGun } from "../../notary/gun.ts";
import { createCollection } from "../../notary/initialise.ts";
import { publishChanges, type ComputeChanges, type Published } from "../../notary/publish.ts";
import { changesOf } from "../../notary/role-choice.ts";
import { verifiedRoles, type NotaryState } from "../../notary/state.ts";
import { NotaryAdministration } from "./administration.ts";
import type { NotarySourceOptions } from "./source-options.ts";
import type {
  EditTargets,
  OpenOptions,
  PublishOptions,
  PublishResult,
  SignedTarget,
  TrustedCollection,
  TrustSource,
} from "../source.ts";

/** A trust source on a Notary server, with the management of its collections. */
export type NotarySource = TrustSource & NotaryAdministration;

/**
 * Opens a Notary server as a trust source. Nothing is contacted yet.
 *
 * @throws {UsageError} USAGE where the server is no address
 * @example
 * ```ts
 * const source = createNotarySource({ server: "https://notary.example.com:4443", runtime, metadata, trust, keyStore, keyLocation, passphrases });
 * const collection = await source.open("ghcr.io/acme/app", { firstUse: "refuse", pin });
 * collection.find("v1")?.hashes.sha256;
 * ```
 */
export function createNotarySource(options: NotarySourceOptions): NotarySource {
  return new NotaryServerSource(options);
}

class NotaryServerSource extends NotaryAdministration implements TrustSource {
  readonly kind = "notary";

  async open(collection: string, options: OpenOptions): Promise<TrustedCollection> {
    const { freshness = this.options.freshness } = options;
    const { readGoNames } = this.options;
    const { gun, target } = readGoNames === true ? goLocation(collection) : { gun: collection, target: undefined };
    const seenBefore = options.floors !== undefined || (await this.client.isKnown(gun));
    const state = await this.client.update(gun, { ...options, freshness });
    const opened = { ...(await this.view(state)), seenBefore };
    return target === undefined ? opened : goCollection(opened, target);
  }

  isKnown(collection: string): Promise<boolean> {
    return this.client.isKnown(this.options.readGoNames === true ? goLocation(collection).gun : collection);
  }

  async publish(collection: string, edit: EditTargets, options: PublishOptions): Promise<PublishResult> {
    if (this.options.readGoNames === true) {
      throw new UsageError("USAGE", "nothing can be signed under the names of the 2019 tool", {
        hint: "Sign without that option: the signature goes where every other tool looks for it",
      });
    }
    const gun = parseGun(collection);
    const compute: ComputeChanges = async (draft, state) => {
      const current = state && (await this.view(state));
      return changesOf(edit(current), draft, this.keys, options.roles);
    };
    const { published, created } = await this.publishOrCreate(gun, compute, options);
    return this.result(published, created);
  }

  private async publishOrCreate(
    gun: string,
    compute: ComputeChanges,
    options: PublishOptions,
  ): Promise<{ published: Published; created: boolean }> {
    const target = await this.reach(gun, options);
    const environment = this.environment(options.signal);
    try {
      return { published: await publishChanges(target, compute, environment), created: false };
    } catch (error) {
      if (errorCode(error) !== "TRUST_NOT_FOUND") throw error;
    }
    await this.confirmAbsence(target, options);
    const created = await createCollection(target, compute, this.options.newCollections ?? {}, environment);
    return { published: created, created: true };
  }

  private async result({ state, warnings }: Published, created: boolean): Promise<PublishResult> {
    const collection = await this.view(state, warnings);
    return { created, collection, freshUntil: freshUntil(state) };
  }
}

/** The earliest expiry of the base roles; a server renews its timestamp, and its snapshot where it holds that key. */
function freshUntil(state: NotaryState): Date {
  const times = verifiedRoles(state).map(({ expires }) => expires.getTime());
  return new Date(Math.min(...times));
}

/** Every tag of the repository is the one target that the Go tool signed for it. */
function goCollection(opened: TrustedCollection, target: string): TrustedCollection {
  const find = (): SignedTarget | undefined => opened.find(target);
  const warning =
    `signatures are read from the collection ${JSON.stringify(opened.name)}, where the 2019 tool put them: ` +
    "they cover the repository without its tag, and its signers can sign for every repository of that host";
  return {
    ...opened,
    warnings: [...opened.warnings, warning],
    find,
    list: () => [find() ?? []].flat(),
    authorities: () => opened.authorities(target),
  };
}
