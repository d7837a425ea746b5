/**
 * What this project writes into a target's `custom`: the manifests that were signed together with the
 * module's bytes, and the module's contract. It lets a consumer verify the whole artifact, tells a publish that is
 * under way from an attack on the tag, and lets a policy decide before the download.
 */
import { parseDigest, type Digest } from "../base/digest.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../base/json.ts";
import { JsonCursor } from "../base/json-cursor.ts";
import { TrustError } from "../base/errors.ts";
import { contractJson, readContract, type Contract } from "./contract/contract.ts";

/** Our member of `custom`; other members belong to other tools and are kept. */
const MEMBER = "wasm-to-oci";
const MEMBERS = ["manifests", "replaces", "contract"] as const;

/** A module in several formats and registries has a few manifests; more means something is wrong. */
const MAX_MANIFESTS = 64;

export interface TargetBinding {
  /** Manifests whose module is the signed target. The first one is the one that the tag should name. */
  readonly manifests: readonly Digest[];
  /** The manifest that the tag named before this mapping was published. */
  readonly replaces?: Digest | undefined;
  /** What the module imports and exports; absent where an older version signed. */
  readonly contract?: Contract | undefined;
}

/** Adds our member to a target's `custom`, keeping what others wrote there. */
export function withBinding(custom: JsonValue | undefined, binding: TargetBinding): JsonObject {
  const merged: JsonObject = Object.assign(Object.create(null) as JsonObject, isJsonObject(custom) ? custom : {});
  const member: JsonObject = { manifests: [...binding.manifests] };
  if (binding.replaces !== undefined) member["replaces"] = binding.replaces;
  if (binding.contract !== undefined) member["contract"] = contractJson(binding.contract);
  merged[MEMBER] = member;
  return merged;
}

/**
 * Reads our member of a target's `custom`.
 *
 * @returns undefined where another tool signed the target
 * @throws {TrustError} TARGET_MISMATCH where the member is ours but broken: it is signed, so nothing is guessed around it
 */
export function readBinding(custom: JsonValue | undefined, target: string): TargetBinding | undefined {
  if (!isJsonObject(custom) || !(MEMBER in custom)) return undefined;
  const fault = (message: string): TrustError =>
    new TrustError(
      "TARGET_MISMATCH",
      `the signed target ${JSON.stringify(target)} carries a broken binding: ${message}`,
      {
        hint: "Sign the target again with a current version",
        details: { target },
      },
    );
  const cursor = new JsonCursor(custom[MEMBER], fault, `custom["${MEMBER}"]`).object(MEMBERS);
  const manifests = cursor.field("manifests").array(MAX_MANIFESTS).map(readDigest);
  if (manifests.length === 0) cursor.field("manifests").fail("lists no manifest");
  const replaces = cursor.field("replaces");
  const contract = cursor.field("contract");
  return {
    manifests,
    replaces: replaces.absent ? undefined : readDigest(replaces),
    contract: contract.absent ? undefined : readContract(contract),
  };
}

/** Tells whether a target can be bound at all. In a search, one that is broken must not stand before all others. */
export function hasSoundBinding({ custom, name }: { custom: JsonValue | undefined; name: string }): boolean {
  try {
    readBinding(custom, name);
    return true;
  } catch (error) {
    if (error instanceof TrustError) return false;
    throw error;
  }
}

function readDigest(cursor: JsonCursor): Digest {
  const text = cursor.string();
  try {
    return parseDigest(text);
  } catch {
    return cursor.fail(`${JSON.stringify(text)} is not a digest`);
  }
}
