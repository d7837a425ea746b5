/** What the bundle commands have in common: a bundle that is open, and what its modules are verified against. */
import { join } from "node:path";
import { FormatError, TrustError, UsageError } from "../base/errors.ts";
import { utf8Encode, type Bytes } from "../base/bytes.ts";
import { Bundle, type BundledTrust } from "../bundle.ts";
import { openBundleTrust } from "../node/bundle-trust.ts";
import { nodeHasher } from "../node/hasher.ts";
import { openPolicyFile, openPolicyIfThere, POLICY_FILE, type LoadedPolicy } from "../node/policy-file.ts";
import { openLayoutArchive } from "../node/layout-archive.ts";
import { formatReference } from "../oci/reference.ts";
import { repositoryName, taggedReference, type TaggedReference } from "../oci/tagged-reference.ts";
import { coverRepository } from "../trust/cover.ts";
import type { Coverage } from "../trust/coverage.ts";
import { matchPin } from "../trust/pins.ts";
import type { Context } from "./command.ts";
import { readTextFile } from "./input-file.ts";
import { nonEmpty, value } from "./options.ts";
import type { Session } from "./session.ts";
import { collectionOptions, directoryOptions, outputOptions, pinOptions, rootKeyOptions } from "./shared-options.ts";
import { trustDirectory } from "./trust-directory.ts";

const asOfOption = value("--as-of TIME", "judge as of this moment instead of now, and remember nothing", (text) => {
  const time = new Date(text);
  if (/^\d{4}-\d{2}-\d{2}/.test(text) && !Number.isNaN(time.getTime())) return time;
  throw new UsageError("USAGE", `${JSON.stringify(text)} is no time`, { hint: "Write it like 2026-11-22T12:00:00Z" });
});

/** For commands that verify what a bundle holds. */
export const bundleTrustOptions = {
  ...rootKeyOptions,
  policy: pinOptions.policy,
  root: value("--root FILE", "trust this root file (TUF)", nonEmpty),
  asOf: asOfOption,
  ...collectionOptions,
  ...directoryOptions,
  ...outputOptions,
};

/** Opens a bundle for some work. @throws {FormatError} LAYOUT_INVALID @throws {StorageError} FILE_NOT_FOUND */
export async function withBundle<T>(path: string, work: (bundle: Bundle) => Promise<T>): Promise<T> {
  const archive = await openLayoutArchive(path);
  try {
    return await work(await Bundle.open(archive, nodeHasher));
  } finally {
    await archive.close();
  }
}

/** The modules that are asked for; all that the bundle has, unless some are named. @throws {FormatError} MODULE_MISSING */
export function chosenModules(bundle: Bundle, given: readonly string[]): TaggedReference[] {
  const wanted = given.length === 0 ? bundle.references.map(taggedReference) : given.map(taggedReference);
  for (const reference of wanted) {
    if (reference.tagged && bundle.references.includes(fullName(reference))) continue;
    throw missing(bundle, fullName(reference));
  }
  if (wanted.length === 0) throw missing(bundle, "any module");
  return wanted;
}

function fullName({ registry, repository, tag }: TaggedReference): string {
  return formatReference({ registry, repository, tag });
}

function missing(bundle: Bundle, what: string): FormatError {
  return new FormatError("MODULE_MISSING", `${bundle.location} does not have ${what}`, {
    hint: bundle.references.length === 0 ? "It holds no modules" : `It has ${bundle.references.slice(0, 5).join(", ")}`,
    details: { has: bundle.references },
  });
}

export interface BundleCoverageOptions {
  readonly dir: string | undefined;
  readonly gun: string | undefined;
  readonly root?: string | undefined;
  readonly asOf?: Date | undefined;
  /** The moment of the run: one for all modules, so that their reports agree. Each has its own unless given. */
  readonly now?: Date | undefined;
  readonly policy?: string | undefined;
}

/** A module's coverage by the bundle's own trust data, and that data. */
export interface BundleCoverage {
  readonly trust: BundledTrust;
  /** Undefined where nothing here says which root keys to expect. */
  readonly coverage: Coverage | undefined;
}

/**
 * What a module of a bundle is verified against: root keys come from flags, pins and first-use records, and never from
 * the bundle.
 *
 * @throws {TrustError} TRUST_NOT_FOUND where the bundle has no trust data for it
 */
export async function bundleCoverage(
  context: Context,
  session: Session,
  bundle: Bundle,
  reference: TaggedReference,
  options: BundleCoverageOptions,
): Promise<BundleCoverage> {
  const repository = repositoryName(reference);
  const trust = await bundle.trustOf(reference);
  if (trust === undefined) {
    throw new TrustError("TRUST_NOT_FOUND", `${bundle.location} has no trust data for ${repository}`, {
      hint: "It was saved from an unsigned repository; nothing in it can be verified",
      details: { repository },
    });
  }
  const pins = await session.pins.list();
  const dir = trustDirectory(context, options.dir);
  const policy = await (await policyOf(dir, options))?.apply(repository);
  const pinned = matchPin(pins, repository)?.entry.source;
  const anchor = options.root === undefined ? undefined : await rootFile(options.root, trust);
  const { now } = options;
  const source = await openBundleTrust({
    dir,
    trust,
    location: bundle.location,
    runtime: now === undefined ? session.runtime : { ...session.runtime, now: () => now },
    asOf: options.asOf,
    anchor,
    server: pinned?.kind === "notary" ? pinned.server : undefined,
  });
  const collection = options.gun ?? (trust.kind === "notary" && pinned === undefined ? repository : undefined);
  const { pin } = session;
  const covered = coverRepository({
    repository,
    pins,
    policy,
    source,
    pin,
    collection,
    freshness: { mode: "offline" }, // what a policy has to say about that, it says now; nothing stored is meant
    allowFirstUse: false,
    openSource: () => source,
  });
  const isCovered = policy !== undefined || pinned !== undefined || pin !== undefined || anchor !== undefined;
  return { trust, coverage: isCovered ? covered : undefined };
}

async function rootFile(path: string, trust: BundledTrust): Promise<Bytes> {
  if (trust.kind === "tuf") return utf8Encode(await readTextFile(path));
  throw new UsageError("USAGE", "a root file vouches for TUF collections, and this one is Notary's", {
    hint: "Pin its root key with --root-fingerprint",
  });
}

/** The policy that is named, or the trust directory's own if it has one. */
function policyOf(dir: string, { policy }: BundleCoverageOptions): Promise<LoadedPolicy | undefined> {
  return policy === undefined ? openPolicyIfThere(join(dir, POLICY_FILE)) : openPolicyFile(policy);
}

/** @throws {TrustError} FIRST_USE_REFUSED */
export function requireCoverage({ coverage }: BundleCoverage, reference: TaggedReference): Coverage {
  if (coverage !== undefined) return coverage;
  throw new TrustError("FIRST_USE_REFUSED", `nothing says which root keys to trust for ${fullName(reference)}`, {
    role: "root",
    hint: "A bundle cannot vouch for itself: pin the repository, or add --root-fingerprint HEX or --root FILE",
    details: { repository: repositoryName(reference) },
  });
}
