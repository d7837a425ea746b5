/** Fetches a policy that is signed like a module: under a tag, in a collection of its own. */
import { concatBytes, type Bytes } from "./base/bytes.ts";
import { hexEncode } from "./base/bytes.ts";
import { hashBytes, type Digest } from "./base/digest.ts";
import { FormatError } from "./base/errors.ts";
import { checkModule } from "./check-module.ts";
import type { ContentCache } from "./content-cache.ts";
import type { BlobAddress } from "./download.ts";
import { formatTagged, taggedReference } from "./oci/tagged-reference.ts";
import type { ReadableContent } from "./stored-content.ts";
import { signedBlob } from "./trust/binding.ts";
import { targetName, type Coverage } from "./trust/coverage.ts";
import { MAX_POLICY_BYTES } from "./trust/policy/policy.ts";
import { findTarget } from "./trust/resolve.ts";
import { checkTargetRules } from "./trust/policy/rules.ts";

export interface FetchPolicyOptions {
  /** `ghcr.io/acme/policy:v1` */
  readonly reference: string;
  readonly trust: Coverage;
  /** The repository, for the policy's bytes. */
  readonly content: Pick<ReadableContent, "blobs">;
  /** Keeps policies that were verified, so that one is fetched only when it changed. */
  readonly cache?: ContentCache | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface FetchedPolicy {
  readonly bytes: Bytes;
  readonly digest: Digest;
}

/**
 * Fetches a policy. Its trust data is verified each time, and never goes back behind what was seen here before.
 *
 * @throws {TrustError} every refusal of its trust data; POLICY_REFUSED where another role has signed it
 * @throws {FormatError} LIMIT_EXCEEDED
 */
export async function fetchPolicy(options: FetchPolicyOptions): Promise<FetchedPolicy> {
  const { trust, cache, signal } = options;
  const reference = taggedReference(options.reference);
  const name = formatTagged(reference);
  const wanted = targetName(trust, reference.tag);
  const collection = await trust.source.open(trust.collection, { ...trust, names: [wanted], signal });
  const target = findTarget(collection, wanted, name);
  const { role, home } = target;
  if (trust.rules !== undefined) checkTargetRules(trust.rules, { reference: name, role, home });
  const blob = signedBlob(target, name);
  if (blob.size > MAX_POLICY_BYTES) {
    throw new FormatError("LIMIT_EXCEEDED", `${name} has ${blob.size} bytes; a policy has ${MAX_POLICY_BYTES} at most`);
  }
  const kept = await cache?.read(blob.digest, MAX_POLICY_BYTES);
  const bytes = kept ?? (await download(options, blob));
  const sha512 = hexEncode(await hashBytes("sha512", bytes));
  checkModule(target, { ...blob, size: bytes.length, sha512 }, name, target);
  if (kept === undefined) await cache?.put(blob.digest, bytes);
  return { bytes, digest: blob.digest };
}

async function download({ content, signal }: FetchPolicyOptions, blob: BlobAddress): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.blobs.get(blob, { signal })) chunks.push(chunk);
  return concatBytes(chunks);
}
