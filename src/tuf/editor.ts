/** Applies changes to a draft: targets, delegations, keys, periods. Does no I/O but loading what it edits. */
import { UsageError } from "../base/errors.ts";
import type { TargetContent, TufChange } from "./changes.ts";
import { delegationsFor, pathHash } from "./delegations.ts";
import { refused, type TufDraft } from "./draft.ts";
import { changeKeys, delegate, spreadOverBins, undelegate } from "./edit-delegations.ts";
import { withPeriods, type Periods } from "./periods.ts";
import { checkNamesTogether, checkTargetFile, checkTargetName } from "./publishable.ts";
import type { RoleKeys, TargetFile, Targets } from "./schema.ts";
import { sameTarget } from "./target-file.ts";

/**
 * Applies changes in order. A change to what is already so leaves its role unsigned, as it is.
 *
 * @throws {UsageError} TARGET_NAME_INVALID, TARGET_INVALID, ROLE_INVALID, USAGE: what a strict client would refuse
 * @throws {TrustError} DELEGATION_REFUSED where a role does not exist, is unusable, or may not sign a name
 */
export async function applyChanges(draft: TufDraft, changes: readonly TufChange[]): Promise<void> {
  const edits = new TargetEdits(draft);
  for (const change of changes) {
    if (change.action === "add" || change.action === "remove") {
      await edits.apply(change);
      continue;
    }
    edits.flush();
    await applyOther(draft, change);
  }
  edits.flush();
}

async function applyOther(
  draft: TufDraft,
  change: Exclude<TufChange, { readonly action: "add" | "remove" }>,
): Promise<void> {
  switch (change.action) {
    case "delegate":
      return delegate(draft, change);
    case "undelegate":
      return undelegate(draft, change);
    case "bins":
      return spreadOverBins(draft, change);
    case "keys":
      return changeKeys(draft, change);
    case "periods":
      return changePeriods(draft, change.role, change.periods);
    case "renew":
      return renew(draft, change.role);
    case "reset-version":
      draft.reset.add(change.role);
      return renew(draft, change.role);
  }
}

/** A role whose targets are being changed. */
interface OpenRole {
  readonly document: Targets;
  readonly targets: Map<string, TargetFile>;
  readonly touched: Set<string>;
}

/** Changes to targets, collected by role: ten thousand of them copy a document once. */
class TargetEdits {
  private readonly draft: TufDraft;
  private readonly delegators = new Map<string, string[]>();
  private readonly open = new Map<string, OpenRole>();

  constructor(draft: TufDraft) {
    this.draft = draft;
  }

  async apply(change: TufChange & { readonly action: "add" | "remove" }): Promise<void> {
    const { role, name } = change;
    let edited = this.open.get(role);
    if (edited === undefined) {
      const document = await this.draft.document(role);
      edited = { document, targets: new Map(document.targets), touched: new Set() };
      this.open.set(role, edited);
    }
    edited.touched.add(name);
    if (change.action === "remove") {
      edited.targets.delete(name);
      return;
    }
    checkTargetName(name);
    checkTargetFile(name, change.content);
    await this.checkCovered(role, name);
    const former = edited.targets.get(name);
    edited.targets.set(name, targetFile(change.content, former));
  }

  flush(): void {
    this.delegators.clear();
    for (const [role, { document, targets, touched }] of this.open) {
      if ([...touched].every((name) => sameTarget(document.targets.get(name), targets.get(name)))) continue;
      checkNamesTogether(targets, document.targets);
      this.draft.update(role, { ...document, targets });
    }
    this.open.clear();
  }

  /** A name must be within the patterns of its role, and of every role on a way from the top to it. */
  private async checkCovered(role: string, name: string): Promise<void> {
    if (role === "targets" || (await this.isCovered(role, name, await pathHash(name), new Set()))) return;
    throw refused(
      role,
      `it may not sign ${JSON.stringify(name)}, or not by its delegators' leave`,
      "Add the path to the delegation, or sign in another role",
    );
  }

  private async isCovered(role: string, name: string, hash: string, seen: Set<string>): Promise<boolean> {
    if (role === "targets") return true;
    if (seen.has(role)) return false;
    seen.add(role);
    for (const delegator of this.delegatorsOf(role)) {
      const { delegations } = await this.draft.document(delegator);
      const covers = delegationsFor(delegations!, name, hash).some((delegation) => delegation.name === role);
      if (covers && (await this.isCovered(delegator, name, hash, seen))) return true;
    }
    return false;
  }

  private delegatorsOf(role: string): string[] {
    const known = this.delegators.get(role) ?? this.draft.delegatorsOf(role);
    this.delegators.set(role, known);
    return known;
  }
}

function targetFile({ length, hashes, custom }: TargetContent, former: TargetFile | undefined): TargetFile {
  return { length, hashes, ...(custom === undefined || custom === null ? {} : { custom }), extra: former?.extra ?? {} };
}

async function changePeriods(draft: TufDraft, role: string, periods: Periods): Promise<void> {
  if (role === "timestamp" || role === "snapshot") {
    const former = draft.root.roles.get(role)!;
    const next: RoleKeys = { ...former, extra: withPeriods(role, former.extra, periods) };
    draft.root = { ...draft.root, roles: new Map(draft.root.roles).set(role, next) };
    draft.dirty.add("root");
    draft.dirty.add(role); // its present expiry follows from the former ones
    return;
  }
  if (role === "root") {
    draft.root = { ...draft.root, extra: withPeriods(role, draft.root.extra, periods) };
    draft.dirty.add("root");
    return;
  }
  const document = await draft.document(role);
  draft.update(role, { ...document, extra: withPeriods(role, document.extra, periods) });
}

async function renew(draft: TufDraft, role: string): Promise<void> {
  if (role === "root" || role === "timestamp" || role === "snapshot") draft.dirty.add(role);
  else draft.update(role, await draft.document(role));
}

/**
 * The patterns of "everything below a prefix": a pattern matches one number of parts only, so one per depth.
 *
 * @param prefix e.g. `team/`; the empty one means every name
 * @throws {UsageError} USAGE
 * @example
 * ```ts
 * prefixPatterns("team/", 1); // ["team/*"]
 * ```
 */
export function prefixPatterns(prefix: string, depth = PREFIX_DEPTH): string[] {
  if (prefix !== "" && !prefix.endsWith("/")) {
    throw new UsageError("USAGE", `the prefix ${JSON.stringify(prefix)} must end with a slash`, {
      hint: `Write ${JSON.stringify(`${prefix}/`)}: without it, names that merely begin so would be covered too`,
    });
  }
  return Array.from(
    { length: depth },
    (_, index) =>
      `${prefix}${Array(index + 1)
        .fill("*")
        .join("/")}`,
  );
}

/** Parts below a prefix that are covered: repository names in registries rarely have more than four. */
const PREFIX_DEPTH = 8;
