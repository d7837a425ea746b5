/** Turns a trusted collection and a reference into the one signed target, or a refusal that says why. */
import type { Digest } from "../base/digest.ts";
import { digestHex } from "../base/digest.ts";
import { TrustError } from "../base/errors.ts";
import { isPin } from "../notary/pinning.ts";
import { formatTagged, type TaggedReference } from "../oci/tagged-reference.ts";
import { signsManifest, type FoundArtifact } from "./binding.ts";
import type { Check, Note, TrustReport } from "./report.ts";
import { tagOf, targetName, type Coverage } from "./coverage.ts";
import type { RoleReport, SignedTarget, TrustedCollection } from "./source.ts";
import { hasSoundBinding, readBinding } from "./target-custom.ts";

/** A month: long enough to find the key holders, short enough not to be noise. Servers renew timestamps by themselves. */
const NEAR_EXPIRY_MS = 30 * 24 * 60 * 60 * 1000;

/** Finds the target of a tag. @throws {TrustError} TARGET_NOT_FOUND */
export function findTarget(collection: TrustedCollection, name: string, reference: string): SignedTarget {
  const target = collection.find(name);
  if (target !== undefined) return target;
  throw new TrustError(
    "TARGET_NOT_FOUND",
    `${reference} is not signed: ${collection.name} has no target ${JSON.stringify(name)}`,
    {
      hint: "Check the tag, or ask the publisher to sign it",
      details: { collection: collection.name, target: name },
    },
  );
}

/** Finds the target that signs an artifact by its manifest digest or its module. @throws {TrustError} TARGET_NOT_FOUND */
function findTargetByDigest(
  coverage: Coverage,
  collection: TrustedCollection,
  found: FoundArtifact,
  reference: string,
): SignedTarget {
  const target = collection
    .list()
    .filter(({ name }) => tagOf(coverage, name) !== undefined)
    .find((candidate) => hasSoundBinding(candidate) && signsArtifact(candidate, found));
  if (target !== undefined) return target;
  throw new TrustError(
    "TARGET_NOT_FOUND",
    `${reference} is not signed: no target of ${collection.name} has this digest`,
    {
      hint: "The digest may have been signed once and replaced since; pull the tag instead",
      details: { collection: collection.name, got: found.digest },
    },
  );
}

function signsArtifact(target: SignedTarget, found: FoundArtifact): boolean {
  const binding = readBinding(target.custom, target.name);
  if (binding !== undefined) return binding.manifests.includes(found.digest);
  const { sha256 } = target.hashes;
  if (sha256 === undefined) return false;
  return (
    signsManifest(target, found) ||
    (found.module !== undefined && sha256 === digestHex(found.module.digest) && target.length === found.module.size)
  );
}

/** `repo:tag@digest` says twice what it wants: both must agree. @throws {TrustError} TAG_MISMATCH */
function requireDigestAgrees(target: SignedTarget, wanted: Digest, reference: string): void {
  const binding = readBinding(target.custom, target.name);
  const signed = binding?.manifests ?? [`sha256:${target.hashes.sha256 ?? ""}`];
  if (signed.includes(wanted)) return;
  if (binding === undefined) return; // a foreign target: the manifest fetched by this digest is compared with it
  throw new TrustError(
    "TAG_MISMATCH",
    `${reference}: the tag is signed for ${signed.join(" or ")}, not for this digest`,
    {
      role: target.role,
      hint: "The tag has a newer version; drop the digest, or the tag",
      details: { expected: signed, got: wanted },
    },
  );
}

/**
 * Finds the target of a reference: of its tag, which its digest must then agree with, or of its digest alone.
 *
 * @param found what the reference names in the registry
 * @throws {TrustError} TARGET_NOT_FOUND, TAG_MISMATCH
 */
export function chooseTarget(
  trust: Coverage,
  collection: TrustedCollection,
  reference: TaggedReference,
  found: FoundArtifact | undefined,
): SignedTarget {
  const name = formatTagged(reference);
  if (!reference.tagged && found !== undefined) return findTargetByDigest(trust, collection, found, name);
  const target = findTarget(collection, targetName(trust, reference.tag), name);
  if (reference.digest !== undefined) requireDigestAgrees(target, reference.digest, name);
  return target;
}

/** The earliest expiry among the roles that a verification used. */
function freshUntil(collection: TrustedCollection): Date {
  return new Date(Math.min(...collection.roles.map((role) => role.expires.getTime())));
}

export function trustReport(coverage: Coverage, collection: TrustedCollection, target: SignedTarget): TrustReport {
  return {
    source: coverage.source.kind,
    location: coverage.source.location,
    collection: collection.name,
    target: target.name,
    role: target.role,
    rootKeys: collection.rootKeys,
    firstUse: collection.firstUse,
    roles: collection.roles,
    asOf: collection.checkedAt,
    freshUntil: freshUntil(collection),
  };
}

function fingerprints(collection: TrustedCollection): string {
  return collection.rootKeys.map((key) => key.fingerprint).join(", ");
}

/** Why this root is trusted. */
function anchorOf(coverage: Coverage, collection: TrustedCollection): string {
  if (collection.firstUse) return "trusted on first use";
  if (coverage.reason === "first-use-record") return "the one first seen, or its successor";
  if (coverage.reason === "lock") return "as locked";
  return isPin(coverage.pin) ? "as pinned" : "the one stored before, or its successor";
}

/** The checks that the workflow behind a collection has made; each would have thrown. */
export function trustChecks(coverage: Coverage, collection: TrustedCollection, target: SignedTarget): Check[] {
  return [
    { check: "root-trusted", detail: `root ${fingerprints(collection)}: ${anchorOf(coverage, collection)}` },
    ...collection.roles.map((role) => ({
      check: `${role.role}-verified`,
      detail: `version ${role.version}, ${role.signedBy.length} of ${role.threshold} signatures, expires ${role.expires.toISOString()}`,
    })),
    { check: "target-signed", detail: `${JSON.stringify(target.name)} signed by ${target.role}` },
  ];
}

/** Says how old the knowledge is, where the source was not asked in this run. */
export function knowledgeNotes({ freshness, source }: Coverage, collection: TrustedCollection): Note[] {
  if (freshness === undefined || freshness.mode === "online") return [];
  const { checkedAt } = collection;
  const asOf = checkedAt === undefined ? "of an unknown moment" : `as of ${checkedAt.toISOString()}`;
  const until = freshUntil(collection).toISOString();
  const message =
    source.kind === "bundle"
      ? `the trust data of ${collection.name} is in ${source.location}: ${asOf}, fresh until ${until}; what was signed after it was saved is not known`
      : `the trust data of ${collection.name} is ${asOf}, fresh until ${until}: what was published since is not known`;
  return [{ code: "stored-knowledge", message }];
}

/** A server renews Notary's timestamps; what others sign for how long is in their metadata, or their own affair. */
function isNearExpiry({ role, expires, signAgainFrom }: RoleReport, now: Date): boolean {
  if (signAgainFrom !== undefined) return now >= signAgainFrom;
  return role !== "timestamp" && expires.getTime() - now.getTime() <= NEAR_EXPIRY_MS;
}

export function trustNotes(collection: TrustedCollection, now: Date): Note[] {
  const notes: Note[] = collection.warnings.map((message) => ({ code: "trust-warning", message }));
  if (collection.firstUse) {
    notes.push({
      code: "first-use",
      message: `${collection.name} was trusted because it was seen for the first time; root key fingerprint ${fingerprints(collection)}`,
    });
  }
  if (collection.seenBefore === false) {
    notes.push({
      code: "no-history",
      message:
        `nothing of ${collection.name} was seen here before: whoever runs the place could have shown an older state, ` +
        `until ${freshUntil(collection).toISOString()}; a lockfile rules that out`,
    });
  }
  for (const role of collection.roles) {
    if (!isNearExpiry(role, now)) continue;
    notes.push({
      code: "near-expiry",
      message: `${role.role} of ${collection.name} expires ${role.expires.toISOString()}; its key holder should sign it again`,
    });
  }
  return notes;
}
