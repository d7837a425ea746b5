/**
 * Pull: trust metadata and manifest are fetched side by side; the module is downloaded while metadata is
 * still being checked; one pass hashes and writes; the output is committed after everything has matched.
 */
import { isWorthFetching, mayBeUnsigned, requireAllowedArtifact, requireAllowedModule } from "./apply-rules.ts";
import { requireApprovedModule, type Approvals } from "./approve-contract.ts";
import { UsageError } from "./base/errors.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import type { ContentCache } from "./content-cache.ts";
import { Download, type ModuleOutput } from "./download.ts";
import { findArtifact } from "./find-artifact.ts";
import { requireLocked, requireLockedBytes } from "./lock.ts";
import type { ContentStores } from "./oci/content-store.ts";
import type { Reference } from "./oci/reference.ts";
import { formatTagged, repositoryName, taggedReference, type TaggedReference } from "./oci/tagged-reference.ts";
import type { ReceivedManifest } from "./oci/types.ts";
import { askingOf, releaseModule, type ResolvedModule } from "./release-module.ts";
import { notInRegistry, resolveReference } from "./resolve-reference.ts";
import { lockedArtifact, resolveLocked, resolveOffline } from "./resolve-stored.ts";
import { storedContent, type ReadableContent } from "./stored-content.ts";
import type { FoundArtifact } from "./trust/binding.ts";
import type { Coverage } from "./trust/coverage.ts";
import type { LockedModule } from "./trust/lock/lockfile.ts";
import type { Check, Note, VerificationReport } from "./trust/report.ts";

/** What is fetched before anybody has signed for it: more than modules have, less than fills a disk. */
const MAX_SPECULATIVE_BYTES = 256 * 1024 * 1024;

export interface PullOptions {
  readonly runtime: Runtime;
  readonly registry: ContentStores;
  /** `host/repository:tag`, `…@digest` or both; the tag is `latest` unless told. */
  readonly reference: string | Reference;
  readonly output: ModuleOutput;
  /** What to verify against. Undefined: deliver unverified, and say so in the report. */
  readonly trust?: Coverage | undefined;
  /** What was approved, where a policy wants wider contracts approved. What is locked was approved then. */
  readonly approvals?: Approvals | undefined;
  /** What was verified before: looked into before the registry is asked for a module, and added to. */
  readonly cache?: ContentCache | undefined;
  /** Ask nobody: trust data as it is stored (`trust.freshness` says so too), everything else out of the cache. */
  readonly offline?: boolean | undefined;
  /** What a lockfile says the result must be. */
  readonly lock?: PullLock | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * - `locked`: the reference must still be what is locked
 * - `frozen`: what the tag names is not asked; the locked bytes are delivered, verified where `trust` is given
 */
export interface PullLock {
  readonly mode: "locked" | "frozen";
  readonly module: LockedModule;
}

/** What one pull works with. */
interface Run {
  readonly options: PullOptions;
  readonly reference: TaggedReference;
  readonly content: ReadableContent;
  readonly download: Download;
  /** The manifests that were read: kept where they turn out to be signed. */
  readonly manifests: ReceivedManifest[];
}

/**
 * Pulls a module, verified where `trust` is given.
 *
 * @throws {TrustError} every refusal; the output is then aborted
 * @throws {RegistryError} REGISTRY_NOT_FOUND, DIGEST_MISMATCH, …
 * @throws {FormatError} MODULE_MISSING, MODULE_AMBIGUOUS, MANIFEST_INVALID
 * @throws {TransportError} OFFLINE_MISSING where `offline` forbids to fetch what is not there
 * @example
 * ```ts
 * const report = await pull({ runtime, registry, reference: "ghcr.io/acme/app:v1", output, trust });
 * if (report.verified === "none") throw new Error("not signed");
 * ```
 */
export async function pull(options: PullOptions): Promise<VerificationReport> {
  const { runtime, output, onProgress, cache, trust, lock } = options;
  const vouched = trust !== undefined || lock !== undefined;
  const download = new Download(runtime, output, onProgress, vouched ? cache : undefined);
  try {
    const reference = taggedReference(options.reference);
    checkLockUse(reference, lock, trust);
    const registry = options.offline === true ? undefined : options.registry.repository(reference);
    const run = { options, reference, content: storedContent(cache, registry), download, manifests: [] };
    const report = await (trust === undefined ? pullUnverified(run) : pullVerified(run, trust));
    await output.commit();
    if (lock !== undefined || report.verified !== "none") await keep(run, report);
    return withCacheNote(report, cache);
  } catch (error) {
    await download.stop();
    await output.abort();
    throw error;
  }
}

/** @throws {UsageError} USAGE */
function checkLockUse(reference: TaggedReference, lock: PullLock | undefined, trust: Coverage | undefined): void {
  if (lock === undefined) return;
  const name = formatTagged(reference);
  if (lock.module.reference !== name) throw new UsageError("USAGE", `${lock.module.reference} does not lock ${name}`);
  if (lock.mode === "frozen" || trust !== undefined) return;
  throw new UsageError("USAGE", `nothing says whether what is locked for ${name} is signed still`, {
    hint: "Say what to verify against, or take the locked bytes as they are: mode frozen",
  });
}

async function pullUnverified(run: Run, trust?: Coverage): Promise<VerificationReport> {
  const { options, reference, content, download } = run;
  const { lock, signal } = options;
  const name = formatTagged(reference);
  const found = await (lock === undefined
    ? findArtifact(content, reference.digest ?? reference.tag, signal)
    : lockedArtifact(lock.module, content, signal, keepIn(run)));
  if (found === undefined) throw notInRegistry(reference);
  if (found.module === undefined) throw found.fault;
  const early = requireAllowedArtifact(trust?.rules, name, found);
  const module = await download.complete(content, found.module, signal);
  const { digest, size } = module;
  if (lock !== undefined) await requireLockedBytes(lock.module, module);
  const late = await requireAllowedModule(trust?.rules, name, module);
  const asking = trust && askingOf({ name, trust, collection: { name: trust.collection } }, options);
  if (asking !== undefined) late.push(await requireApprovedModule(asking, module.scan));
  const { checks, notes } = trust === undefined ? unverifiedAccount(name, lock) : unsignedAccount(name, trust);
  return {
    reference: name,
    verified: "none",
    module: { digest, size },
    artifact: { digest: found.digest, format: found.format },
    trust: undefined,
    checks: [...checks, ...early, ...late],
    notes,
  };
}

function unverifiedAccount(name: string, lock: PullLock | undefined): { checks: Check[]; notes: Note[] } {
  if (lock !== undefined) {
    const message =
      `${name} was taken from the lockfile: these are the bytes that were verified when it was written; ` +
      "no signature was checked now";
    return {
      checks: [{ check: "as-locked", detail: `${lock.module.module} in ${lock.module.manifest}` }],
      notes: [{ code: "frozen", message }],
    };
  }
  return {
    checks: [{ check: "registry-digests", detail: "manifest and module are what their digests say" }],
    notes: [{ code: "unverified", message: `${name} was delivered unverified: nobody's signature was checked` }],
  };
}

/** A policy has said what to do where nobody has signed anything. Whether somebody has was asked, and answered. */
function unsignedAccount(name: string, { collection, source, rules }: Coverage): { checks: Check[]; notes: Note[] } {
  const accepted = rules?.missing === "accept";
  const message =
    `${name} was delivered unverified: there is no trust data for ${collection} at ${source.location}, ` +
    `which ${rules?.origin ?? "the policy"} ${accepted ? "accepts" : "allows with a warning"}`;
  return {
    checks: [{ check: "registry-digests", detail: "manifest and module are what their digests say" }],
    notes: [{ code: accepted ? "unverified-accepted" : "unverified", message }],
  };
}

async function pullVerified(run: Run, trust: Coverage): Promise<VerificationReport> {
  const { options, reference, content, download } = run;
  const { lock, signal } = options;
  let resolved: ResolvedModule;
  try {
    resolved = await resolve(run, trust);
  } catch (error) {
    if (lock === undefined && options.offline !== true && (await mayBeUnsigned(trust, error))) {
      return pullUnverified(run, trust);
    }
    throw error;
  }
  if (lock?.mode === "locked") {
    await requireLocked(resolved, lock.module, content, repositoryName(reference), signal);
  }
  const report = await releaseModule(resolved, download, content, options);
  if (lock === undefined) return report;
  const { manifest } = lock.module;
  return { ...report, checks: [...report.checks, { check: "as-locked", detail: `it is what is locked: ${manifest}` }] };
}

function resolve(run: Run, trust: Coverage): Promise<ResolvedModule> {
  const { options, reference, content, download } = run;
  const { lock, offline, signal } = options;
  const onManifest = keepIn(run);
  if (lock?.mode === "frozen") return resolveLocked({ reference, trust, content, onManifest, signal }, lock.module);
  if (offline === true) return resolveOffline({ reference, trust, content, signal });
  const onFound = (found: FoundArtifact): void => {
    const { module } = found;
    if (module === undefined || module.size > MAX_SPECULATIVE_BYTES || !isWorthFetching(trust.rules, found)) return;
    download.begin(content, module, signal);
  };
  return resolveReference({ reference, trust, content, onFound, onManifest, signal });
}

function keepIn({ manifests }: Run): (manifest: ReceivedManifest) => void {
  return (manifest) => void manifests.push(manifest);
}

/** Everything has matched: what was fetched need not be fetched again. A manifest is kept where somebody vouches for it. */
async function keep({ options, download, manifests }: Run, report: VerificationReport): Promise<void> {
  const vouched = report.verified === "module" ? [] : manifests;
  await Promise.all([download.keep(), ...vouched.map(({ digest, bytes }) => options.cache?.put(digest, bytes))]);
}

function withCacheNote(report: VerificationReport, cache: ContentCache | undefined): VerificationReport {
  if (cache?.problem === undefined) return report;
  return { ...report, notes: [...report.notes, { code: "cache-problem", message: cache.problem }] };
}
