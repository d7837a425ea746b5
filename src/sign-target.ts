/** Publishes one target's mapping, and puts the former one back. Shared by push and sign. */
import type { Digest } from "./base/digest.ts";
import type { Contract } from "./trust/contract/contract.ts";
import type { Pin } from "./trust/pin.ts";
import type { TrustRules } from "./trust/policy/rules.ts";
import type { PublishResult, SignedTarget, TargetEdit, TrustedCollection, TrustSource } from "./trust/source.ts";
import { hasSoundBinding, readBinding, withBinding, type TargetBinding } from "./trust/target-custom.ts";

/** In which collection, and how, to sign. */
export interface Signing {
  readonly source: TrustSource;
  /** E.g. `acme/app`, or `ghcr.io/acme/app` for Notary. Created by the first publish. */
  readonly collection: string;
  /** What stands before tags in the collection's names. */
  readonly prefix?: string | undefined;
  readonly pin?: Pin | undefined;
  /** Whether an existing collection that was never seen here may be trusted as it is. */
  readonly firstUse: "accept" | "refuse";
  /** Roles to sign in; undefined: the source's convention. */
  readonly roles?: readonly string[] | undefined;
  /** What a policy demands of whatever is signed here: it would be refused by whoever pulls it. */
  readonly rules?: TrustRules | undefined;
  /** The collection is known from elsewhere: one that is not there is not made anew. */
  readonly mustExist?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface WantedTarget {
  readonly name: string;
  readonly length: number;
  readonly hashes: { readonly sha256: string; readonly sha512?: string };
  /** Manifests to sign for this module. */
  readonly manifests: readonly Digest[];
  /** What the module imports and exports. */
  readonly contract: Contract;
  /** What the registry's tag names right now. */
  readonly tagDigest: Digest | undefined;
  /** Keep manifests that are already signed for the same module, as `sign` and `convert` do. */
  readonly keepManifests?: boolean;
  /** Called where another module is signed under this name; may throw to keep it. */
  readonly onReplace?: (former: SignedTarget) => void;
}

export interface PublishedTarget {
  readonly wanted: WantedTarget;
  readonly result: PublishResult;
  /** The mapping that was signed before; undefined where the name is new. */
  readonly former: SignedTarget | undefined;
}

/** Signs a mapping; publishes nothing where it is signed already just so. */
export async function publishTarget(signing: Signing, wanted: WantedTarget): Promise<PublishedTarget> {
  let former: SignedTarget | undefined;
  const edit = (current: TrustedCollection | undefined): TargetEdit[] => {
    former = current?.find(wanted.name);
    return targetEdits(former, wanted, signing.roles);
  };
  const names = [wanted.name];
  const result = await signing.source.publish(signing.collection, edit, { ...signing, names });
  return { wanted, result, former };
}

/** What signs a mapping; nothing where it is signed already just so. */
export function targetEdits(
  former: SignedTarget | undefined,
  wanted: WantedTarget,
  roles: readonly string[] | undefined,
): TargetEdit[] {
  const binding = nextBinding(former, wanted);
  if (former !== undefined && isIn(former, roles) && isSigned(former, wanted, binding)) return [];
  if (former !== undefined && !sameContent(former, wanted)) wanted.onReplace?.(former);
  const { name, length, hashes } = wanted;
  return [{ action: "add", name, length, hashes, custom: withBinding(former?.custom, binding) }];
}

/**
 * Puts the former mapping back as a new version, unless somebody has changed it since. One that another role
 * signed is there still: it counts again once ours is gone.
 */
export async function restoreTarget(signing: Signing, published: PublishedTarget): Promise<void> {
  const { wanted, result } = published;
  const role = result.collection.find(wanted.name)?.role;
  const former = published.former?.role === role ? published.former : undefined;
  await signing.source.publish(
    signing.collection,
    (current) => {
      const now = current?.find(wanted.name);
      if (now === undefined || !sameContent(now, wanted)) return [];
      if (former === undefined) return [{ action: "remove", name: wanted.name }];
      return [{ ...former, action: "add" }];
    },
    { ...signing, names: [wanted.name] },
  );
}

/**
 * What the target replaces is what the tag names while the new mapping is published: the former signed
 * manifest, or an unsigned one that the tag was left at. A push that is run again finds its own mapping and
 * keeps what that one replaces.
 */
function nextBinding(former: SignedTarget | undefined, wanted: WantedTarget): TargetBinding {
  const signed = soundBinding(former);
  const again = former !== undefined && sameContent(former, wanted);
  const kept = again && wanted.keepManifests === true ? (signed?.manifests ?? []) : [];
  const manifests = [...new Set([...wanted.manifests, ...kept])];
  const tagDigest = wanted.tagDigest;
  const replaces =
    tagDigest === undefined || manifests.includes(tagDigest) ? (again ? signed?.replaces : undefined) : tagDigest;
  return { manifests, replaces, contract: wanted.contract };
}

/** Roles that the caller names are signed in, whatever another role says; of several it is not known which have it. */
function isIn(former: SignedTarget, roles: readonly string[] | undefined): boolean {
  return roles === undefined || roles.every((role) => role === former.role || role === former.home);
}

function isSigned(former: SignedTarget, wanted: WantedTarget, binding: TargetBinding): boolean {
  const signed = soundBinding(former);
  return (
    sameContent(former, wanted) &&
    former.hashes.sha512 === (wanted.hashes.sha512 ?? former.hashes.sha512) &&
    signed !== undefined &&
    signed.manifests.join() === binding.manifests.join() &&
    signed.replaces === binding.replaces &&
    signed.contract?.digest === wanted.contract.digest
  );
}

/** One that cannot be read is written anew: signing again is what its error asks for. */
function soundBinding(former: SignedTarget | undefined): TargetBinding | undefined {
  return former !== undefined && hasSoundBinding(former) ? readBinding(former.custom, former.name) : undefined;
}

function sameContent(target: SignedTarget, wanted: WantedTarget): boolean {
  return target.length === wanted.length && target.hashes.sha256 === wanted.hashes.sha256;
}
