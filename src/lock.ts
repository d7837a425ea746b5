/** Lock: what a reference is today, verified, as an entry of a lockfile. No module is downloaded for it. */
import { requireAllowedTarget } from "./apply-rules.ts";
import { recordApprovedTarget, requireApprovedTarget, type Approvals, type Asking } from "./approve-contract.ts";
import { digestAlgorithm, type Digest } from "./base/digest.ts";
import { TrustError, UsageError } from "./base/errors.ts";
import type { ContentCache } from "./content-cache.ts";
import type { DownloadedModule } from "./download.ts";
import { findArtifact } from "./find-artifact.ts";
import type { ContentStores } from "./oci/content-store.ts";
import type { Reference } from "./oci/reference.ts";
import { repositoryName, taggedReference } from "./oci/tagged-reference.ts";
import type { ReceivedManifest } from "./oci/types.ts";
import { askingOf, type ResolvedModule } from "./release-module.ts";
import { resolveReference } from "./resolve-reference.ts";
import { resolveOffline } from "./resolve-stored.ts";
import { storedContent, type ReadableContent } from "./stored-content.ts";
import { fullContract } from "./trust/contract/contract.ts";
import type { Coverage } from "./trust/coverage.ts";
import { checkFloors } from "./trust/lock/floors.ts";
import { lockDifferences } from "./trust/lock/comparison.ts";
import type { LockedModule } from "./trust/lock/lockfile.ts";
import { placeOf } from "./trust/place.ts";
import type { Note, TrustReport } from "./trust/report.ts";
import { knowledgeNotes, trustNotes, trustReport } from "./trust/resolve.ts";
import type { Runtime } from "./base/runtime.ts";
import { readBinding } from "./trust/target-custom.ts";

export interface LockOptions {
  readonly runtime: Runtime;
  readonly registry: ContentStores;
  /** `host/repository:tag`, `…@digest` or both; the tag is `latest` unless told. */
  readonly reference: string | Reference;
  /** What to verify against; with the floors of the lockfile where there is one already. */
  readonly trust: Coverage;
  /** What was approved, where a policy wants wider contracts approved: what is locked need not be approved again. */
  readonly approvals?: Approvals | undefined;
  readonly cache?: ContentCache | undefined;
  /** Ask nobody: trust data as it is stored (`trust.freshness` says so too), manifests out of the cache. */
  readonly offline?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface LockReport {
  readonly module: LockedModule;
  readonly trust: TrustReport;
  readonly notes: readonly Note[];
}

/**
 * Verifies what a reference names now, and gives its entry for a lockfile.
 *
 * @throws {TrustError} every refusal of a pull that can be made without the module's bytes; CONTRACT_WIDENED where only
 *   they could tell
 * @throws {UsageError} USAGE where what is signed cannot be locked
 * @example
 * ```ts
 * const { module } = await lock({ runtime, registry, reference: "ghcr.io/acme/app:v1", trust });
 * await writeFile("wasm-to-oci.lock", encodeLockfile([module]));
 * ```
 */
export async function lock(options: LockOptions): Promise<LockReport> {
  const { trust, cache, offline, signal, runtime } = options;
  const reference = taggedReference(options.reference);
  const registry = offline === true ? undefined : options.registry.repository(reference);
  const content = storedContent(cache, registry);
  const seen: ReceivedManifest[] = [];
  const onManifest = (manifest: ReceivedManifest): void => void seen.push(manifest);
  const resolved = await (registry === undefined
    ? resolveOffline({ reference, trust, content, signal })
    : resolveReference({ reference, trust, content, onManifest, signal }));
  requireAllowedTarget(resolved);
  const asking = await requireApprovedLock(resolved, options.approvals);
  const module = await lockedModule(resolved, content, repositoryName(reference), signal);
  if (asking !== undefined) await recordApprovedTarget(asking, resolved.target);
  for (const { digest, bytes } of seen) await cache?.put(digest, bytes);
  const { collection, target } = resolved;
  const notes = [...trustNotes(collection, runtime.now()), ...knowledgeNotes(trust, collection)];
  return { module, trust: trustReport(trust, collection, target), notes };
}

/** A pull of what is locked asks for no approval any more, so it must be given now. */
async function requireApprovedLock(
  resolved: ResolvedModule,
  approvals: Approvals | undefined,
): Promise<Asking | undefined> {
  const asking = askingOf(resolved, { approvals });
  if (asking === undefined) return undefined;
  const { name, target } = resolved;
  const contract = readBinding(target.custom, target.name)?.contract;
  if (contract?.truncated === false) {
    await requireApprovedTarget(asking, target);
    return asking;
  }
  throw new TrustError("CONTRACT_WIDENED", `nobody has signed all that ${name} asks for, so it cannot be locked`, {
    role: target.role,
    hint: "The policy wants what modules ask for approved; let the publisher sign the module again, which says so",
    details: { reference: name, kind: null, imports: [] },
  });
}

/**
 * The entry of what a reference was resolved to. Where its tag does not name the signed manifest yet, the manifest is
 * fetched by its digest.
 */
async function lockedModule(
  resolved: ResolvedModule,
  content: ReadableContent,
  repository: string,
  signal: AbortSignal | undefined,
): Promise<LockedModule> {
  const { name, trust, collection, target, binding } = resolved;
  const signed = readBinding(target.custom, target.name);
  const wanted = wantedManifest(resolved, signed?.manifests);
  const found = wanted === resolved.found?.digest ? resolved.found : await findArtifact(content, wanted, signal);
  const place = placeOf(trust.source, repository);
  if (found === undefined || place === undefined || digestAlgorithm(binding.blob.digest) !== "sha256") {
    const reason = found === undefined ? `the registry has no ${wanted}` : "its place or its digest has no name there";
    throw new UsageError("USAGE", `${name} cannot be locked: ${reason}`, {
      hint: "Push the module again if it is yours; what is read from a bundle cannot be locked",
    });
  }
  const fingerprints = (role: string): string[] =>
    collection.roles
      .filter((one) => one.role === role)
      .flatMap(({ signedBy }) => signedBy.map((key) => key.fingerprint));
  const sha512 = binding.module === target ? target.hashes.sha512 : undefined;
  const roles = new Set(["root", "timestamp", "snapshot", "targets", target.role]);
  return {
    reference: name,
    manifest: wanted,
    format: found.format,
    module: binding.blob.digest,
    sha512: sha512 === undefined ? undefined : `sha512:${sha512}`,
    size: binding.blob.size,
    contract: signed?.contract?.digest,
    place,
    collection: collection.name,
    target: target.name,
    role: target.role,
    rootKeys: unique(collection.rootKeys.map((key) => key.fingerprint)),
    signedBy: unique(fingerprints(target.role)),
    versions: new Map(
      collection.roles.filter(({ role }) => roles.has(role)).map(({ role, version }) => [role, version]),
    ),
  };
}

/** What the tag names where that is signed or nobody signs manifests; else the one that it should name. */
function wantedManifest({ found, target }: ResolvedModule, manifests: readonly Digest[] | undefined): Digest {
  if (found !== undefined && manifests?.includes(found.digest) !== false) return found.digest;
  const [first] = manifests ?? [];
  return first ?? `sha256:${target.hashes.sha256 ?? ""}`;
}

function unique(keys: readonly string[]): string[] {
  return [...new Set(keys)].toSorted();
}

/**
 * Requires the sha512 and the contract that are locked: the sha256 has led to the bytes already. The contract was what
 * somebody signed, and locking has read no module to see whether it is true.
 *
 * @throws {TrustError} LOCK_MISMATCH
 */
export async function requireLockedBytes(
  { reference, sha512, contract }: LockedModule,
  got: Pick<DownloadedModule, "sha512" | "scan">,
): Promise<void> {
  const differs = (what: string, expected: string, found: string | null): TrustError =>
    new TrustError("LOCK_MISMATCH", `the module of ${reference} has another ${what} than the one that is locked`, {
      hint: "The lockfile was edited by hand, or the publisher signed what is not true: verify the reference, and lock it again",
      details: { reference, expected, got: found },
    });
  if (sha512 !== undefined && sha512 !== `sha512:${got.sha512}`) {
    throw differs("sha512", sha512, `sha512:${got.sha512}`);
  }
  if (contract === undefined) return;
  const actual = got.scan.info && (await fullContract(got.scan.info)).digest;
  if (actual !== contract) throw differs("contract", contract, actual ?? null);
}

/**
 * Requires that what a reference was resolved to is what is locked, and not older.
 *
 * @throws {TrustError} LOCK_MISMATCH, METADATA_ROLLED_BACK
 */
export async function requireLocked(
  resolved: ResolvedModule,
  locked: LockedModule,
  content: ReadableContent,
  repository: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  checkFloors(resolved.collection.roles, locked.versions);
  const now = await lockedModule(resolved, content, repository, signal);
  const differences = lockDifferences(locked, now);
  if (differences.length === 0) return;
  throw new TrustError("LOCK_MISMATCH", `${locked.reference} is not what is locked: ${differences.join("; ")}`, {
    role: now.role,
    hint: "It is signed, so the publisher released something new: look at it, then run `wasm-to-oci lock`",
    details: { reference: locked.reference, expected: locked.module, got: now.module, differences },
  });
}
