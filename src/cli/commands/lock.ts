import type { Approvals } from "../../approve-contract.ts";
import { TrustError, UsageError } from "../../base/errors.ts";
import { lock, type LockReport } from "../../lock.ts";
import { openApprovalFile } from "../../node/approval-file.ts";
import { formatTagged, repositoryName, taggedReference, type TaggedReference } from "../../oci/tagged-reference.ts";
import { readOnlyApprovals } from "../../trust/contract/approvals.ts";
import { lockDifferences } from "../../trust/lock/comparison.ts";
import type { LockedModule } from "../../trust/lock/lockfile.ts";
import { defineCommand, type Context } from "../command.ts";
import { lockedCoverage } from "../lock-coverage.ts";
import { readLockfileState, updateLockfile, type LockfileState } from "../lockfile-update.ts";
import { flag, variadic } from "../options.ts";
import { rememberCollection, sayNotes } from "../reports.ts";
import { withSession, type SessionOptions } from "../session.ts";
import {
  directoryOptions,
  lockfileOptions,
  outputOptions,
  pinOptions,
  registryOptions,
  storedOptions,
  trustServerOptions,
} from "../shared-options.ts";
import { trustDirectory } from "../trust-directory.ts";

/** One reference as it was locked, beside what was locked before. */
interface Locked extends LockReport {
  readonly change: "added" | "updated" | "unchanged";
  /** What is another than before, in words. */
  readonly differences: readonly string[];
}

export const lockCommand = defineCommand({
  arguments: {
    references: variadic("REFERENCE", "what to lock; all that is in the file unless given", "some"),
  },
  options: {
    check: flag("--check", "change nothing; fail where the file is not what locking would write"),
    sign: flag("--sign", "verify: by the registry itself, unless a pin, --server or --trust says where"),
    approve: flag("--approve", "agree to what the modules ask for, where a policy wants that said of more than before"),
    ...lockfileOptions,
    ...trustServerOptions,
    ...pinOptions,
    ...storedOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Writes what each reference is today, verified: manifest, module, keys, and the versions of the trust data, below which nothing is accepted from then on. Nothing unverified is locked, and no module is downloaded.",
    "After a merge with conflicts in the file, run it without references: it reads both sides and locks all of them anew.",
  ],
  examples: [
    ["wasm-to-oci lock ghcr.io/acme/hello:v1", "add a reference, or update it"],
    ["wasm-to-oci lock", "update all references"],
    ["wasm-to-oci lock --check", "in CI: is everything still what is locked?"],
  ],
  json: "lock",
  async run(context, { references }, options) {
    const { out } = context;
    const { lockfile: path, check } = options;
    const state = await readLockfileState(path);
    const wanted = wantedReferences(references, state, path, check);
    const locked: Locked[] = [];
    const store = openApprovalFile(trustDirectory(context, options.dir));
    const approvals = { store: check ? readOnlyApprovals(store) : store, approve: options.approve };
    for (const reference of wanted) locked.push(await lockOne(context, options, reference, state.modules, approvals));
    const changed = locked.filter(({ change }) => change !== "unchanged");
    if (!check) {
      const entries = locked.map(({ module }) => module);
      await updateLockfile(trustDirectory(context, options.dir), path, entries, state.conflicted);
    }
    if (out.format === "json") await out.json({ lockfile: path, checked: check, modules: locked.map(document) });
    else await out.lines(locked.map(line));
    if (!check || changed.length === 0) return;
    const [first] = changed;
    throw new TrustError(
      "LOCK_MISMATCH",
      `${path} is out of date for ${changed.length} of ${locked.length} references`,
      {
        hint: "Look at what is new, then run `wasm-to-oci lock`, and commit the file",
        details: {
          file: path,
          references: changed.map(({ module }) => module.reference),
          first: first?.differences ?? [],
        },
      },
    );
  },
});

function wantedReferences(
  given: readonly string[],
  { exists, conflicted, modules }: LockfileState,
  path: string,
  check: boolean,
): TaggedReference[] {
  if (conflicted && (given.length > 0 || check)) {
    throw new UsageError("USAGE", `${path} has conflicts of a merge`, {
      hint: "Lock all of it anew: wasm-to-oci lock",
    });
  }
  if (given.length === 0 && !exists) {
    throw new UsageError("USAGE", `there is no ${path}, and no reference was given`, {
      hint: "Name what to lock: wasm-to-oci lock ghcr.io/acme/hello:v1",
    });
  }
  const names = given.length > 0 ? given : modules.map(({ reference }) => reference);
  const references = names.map((name) => taggedReference(name));
  return [...new Map(references.map((reference) => [formatTagged(reference), reference])).values()];
}

async function lockOne(
  context: Context,
  options: SessionOptions,
  reference: TaggedReference,
  modules: readonly LockedModule[],
  approvals: Approvals,
): Promise<Locked> {
  return withSession(context, { ...options, reference }, async (session) => {
    const trust =
      (await lockedCoverage(session, reference, modules, true)) ?? (await session.requiredCoverage(reference));
    const { runtime, registry, cache, offline } = session;
    const report = await lock({
      runtime,
      registry,
      reference,
      trust,
      approvals,
      cache,
      offline,
      signal: context.signal,
    });
    sayNotes(context, report.notes);
    const seen = { ...report.trust, name: report.trust.collection };
    await rememberCollection(context, session, repositoryName(reference), trust, seen);
    const before = modules.find((module) => module.reference === report.module.reference);
    if (before === undefined) return { ...report, change: "added", differences: [] };
    const differences = lockDifferences(before, report.module);
    return { ...report, change: differences.length === 0 ? "unchanged" : "updated", differences };
  });
}

function line({ module, change, differences }: Locked): string {
  const what = `${module.reference} ${change}: ${module.module} (${module.size} bytes), signed by ${module.role}`;
  return differences.length === 0 ? what : [what, ...differences.map((text) => `  - ${text}`)].join("\n");
}

function document({ module, change, differences, trust, notes }: Locked): object {
  const { versions, place, ...rest } = module;
  return { ...rest, place, versions: Object.fromEntries(versions), change, differences, trust, notes };
}
