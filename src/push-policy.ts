/** Publishes a policy beside modules: an artifact under a tag, signed like them. */
import { hexEncode, utf8Encode, type Bytes } from "./base/bytes.ts";
import { digestBytes, digestHex, hashBytes, type Digest } from "./base/digest.ts";
import { UsageError } from "./base/errors.ts";
import type { ContentStores } from "./oci/content-store.ts";
import { formatTagged, taggedReference } from "./oci/tagged-reference.ts";
import { MediaType } from "./oci/types.ts";
import type { Signing } from "./sign-target.ts";
import { targetName } from "./trust/coverage.ts";
import { PolicyIndex } from "./trust/policy/match.ts";
import { parsePolicy } from "./trust/policy/policy.ts";
import type { PublishResult } from "./trust/source.ts";
import { withBinding } from "./trust/target-custom.ts";
import { isTrustTag } from "./trust/oci/tags.ts";

/** What the artifact is, and its one layer. */
const POLICY_MEDIA_TYPE = "application/vnd.wasm-to-oci.policy.v1+json";

export interface PushPolicyOptions {
  readonly registry: ContentStores;
  /** `host/repository:tag`; the tag is what consumers name. */
  readonly reference: string;
  readonly policy: Bytes;
  readonly sign: Signing;
  readonly signal?: AbortSignal | undefined;
}

export interface PushPolicyReport {
  readonly reference: string;
  readonly policy: { readonly digest: Digest; readonly size: number };
  readonly manifest: Digest;
  readonly signed: PublishResult;
}

/**
 * Publishes a policy and signs it. One that consumers could not use is refused before anything is uploaded.
 *
 * @throws {FormatError} POLICY_INVALID, also where it names files, which nobody else has; POLICY_AMBIGUOUS
 * @throws {UsageError} USAGE; {TrustError}, {RegistryError} what stands in the way
 */
export async function pushPolicy(options: PushPolicyOptions): Promise<PushPolicyReport> {
  const { policy, sign, signal } = options;
  const reference = taggedReference(options.reference);
  const name = formatTagged(reference);
  if (!reference.tagged || reference.digest !== undefined || isTrustTag(reference.tag)) {
    throw new UsageError("USAGE", `${name} does not name a tag for a policy`, { hint: "Name one: REPOSITORY:v1" });
  }
  requireUsable(policy, name);
  const store = options.registry.repository(reference);
  const digest = await digestBytes(policy);
  const config = utf8Encode("{}");
  const configDigest = await digestBytes(config);
  const layer = { mediaType: POLICY_MEDIA_TYPE, digest, size: policy.length };
  const empty = { mediaType: MediaType.ociEmpty, digest: configDigest, size: config.length };
  const manifest = utf8Encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      artifactType: POLICY_MEDIA_TYPE,
      config: empty,
      layers: [layer],
    }),
  );
  const manifestDigest = await digestBytes(manifest);
  await store.blobs.put(empty, config, { signal });
  await store.blobs.put(layer, policy, { signal });
  await store.manifests.putByDigest(manifest, MediaType.ociManifest, manifestDigest, { signal });
  const sha512 = hexEncode(await hashBytes("sha512", policy));
  const signed = await sign.source.publish(
    sign.collection,
    () => [
      {
        action: "add",
        name: targetName(sign, reference.tag),
        length: policy.length,
        hashes: { sha256: digestHex(digest), sha512 },
        custom: withBinding(undefined, { manifests: [manifestDigest] }),
      },
    ],
    { ...sign, signal },
  );
  await store.manifests.tag(manifest, MediaType.ociManifest, reference.tag, { signal });
  return { reference: name, policy: { digest, size: policy.length }, manifest: manifestDigest, signed };
}

function requireUsable(policy: Bytes, name: string): void {
  const toAbsolute = (path: string): never => {
    throw new UsageError("USAGE", `${JSON.stringify(path)} is a path, which nobody else has`);
  };
  const { entries } = new PolicyIndex(parsePolicy(policy, { origin: name, toAbsolute })).policy;
  const filed = entries.find(({ roots }) => roots !== undefined && "file" in roots);
  if (filed === undefined) return;
  throw new UsageError("USAGE", `${filed.origin} names a root file, which nobody else has`, {
    hint: "Name the fingerprints of its root keys",
  });
}
