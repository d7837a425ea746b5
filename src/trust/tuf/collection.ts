/** A verified TUF repository as use cases see it. */
import { hexEncode, utf8Encode } from "../../base/bytes.ts";
import type { CreateHasher } from "../../base/digest.ts";
import { FormatError, InternalError, TrustError, type WasmToOciError } from "../../base/errors.ts";
import { binNames, searchSteps, type FoundTarget, type RoleVisit } from "../../tuf/delegations.ts";
import type { TufKey } from "../../tuf/keys.ts";
import { statedRenewal } from "../../tuf/periods.ts";
import type { Root, Targets } from "../../tuf/schema.ts";
import type { VerifiedRole } from "../../tuf/trusted-set.ts";
import type { VerifiedState } from "../../tuf/verified-state.ts";
import type { KeyReport, RoleReport, SignedTarget, TrustedCollection } from "../source.ts";
import { tufAuthorities } from "./authorities.ts";
import { homesOf } from "./homes.ts";

/** Roles of one collection that are loaded to list it: PEP 458's 16,384 bins, and the rest. */
const MAX_LISTED_ROLES = 20_000;
/** Roles under way at once. */
const PARALLEL = 16;

export interface TufCollectionOptions {
  readonly state: VerifiedState;
  readonly name: string;
  /** The only names to load roles for; all unless given. */
  readonly names: readonly string[] | undefined;
  readonly firstUse: boolean;
  readonly seenBefore: boolean;
  readonly warnings: readonly string[];
  readonly createHasher: CreateHasher;
}

/** Makes the view of what a client has verified, and loads the delegated roles that it needs. */
export async function tufCollection(options: TufCollectionOptions): Promise<TrustedCollection> {
  const { state, names, createHasher } = options;
  const roles = new LoadedRoles(state, createHasher);
  if (names === undefined) await roles.loadAll();
  else for (const name of names) await state.find(name);
  const { roles: verified, warnings } = state.report();
  const root = (verified[0] as VerifiedRole<Root>).document.signed;
  const reports = await Promise.all(verified.map((role) => roleReport(role, root)));
  const homes = await homesOf(state, verified, reports);
  return {
    name: options.name,
    roles: reports,
    rootKeys: await keyReports(root.roles.get("root")!.keyIds.flatMap((id) => root.keys.get(id) ?? [])),
    firstUse: options.firstUse,
    checkedAt: state.checkedAt,
    seenBefore: options.seenBefore,
    warnings: [...options.warnings, ...warnings, ...roles.warnings()],
    find: (name) => {
      const found = roles.find(name);
      return found && signedTarget(found, homes);
    },
    list: () => roles.list().map((found) => signedTarget(found, homes)),
    authorities: (name) => tufAuthorities(state, name),
  };
}

/** What was loaded, to be searched without any further I/O. */
class LoadedRoles {
  private readonly state: VerifiedState;
  private readonly createHasher: CreateHasher;
  /** Roles that cannot be used: names for which they are asked cannot be answered. */
  private readonly faults = new Map<string, WasmToOciError>();
  private complete = false;

  constructor(state: VerifiedState, createHasher: CreateHasher) {
    this.state = state;
    this.createHasher = createHasher;
  }

  /** Loads every role that is delegated to, level by level. */
  async loadAll(): Promise<void> {
    this.complete = true;
    const seen = new Set<string>();
    let level: RoleVisit[] = [{ role: this.state.topRole, delegator: undefined }];
    while (level.length > 0) {
      const next: RoleVisit[] = [];
      for (let at = 0; at < level.length; at += PARALLEL) {
        const loaded = await Promise.all(level.slice(at, at + PARALLEL).map((visit) => this.load(visit)));
        for (const targets of loaded) {
          for (const visit of delegationsOf(targets)) if (isFirst(seen, visit)) next.push(visit);
        }
      }
      if (seen.size > MAX_LISTED_ROLES) throw tooManyRoles();
      level = next;
    }
  }

  find(name: string): FoundTarget | undefined {
    const hasher = this.createHasher("sha256");
    hasher.update(utf8Encode(name));
    const steps = searchSteps(name, this.state.topRole, hexEncode(hasher.digest()));
    for (let step = steps.next(); ;) {
      if (step.done === true) return step.value;
      step = steps.next(this.loaded(step.value, name));
    }
  }

  list(): FoundTarget[] {
    if (!this.complete) throw new InternalError("a collection that was opened for some names cannot be listed");
    const names = new Set<string>();
    for (const { document } of this.state.report().roles) {
      if (document.signed.type === "targets") for (const name of document.signed.targets.keys()) names.add(name);
    }
    const sorted = [...names];
    sorted.sort((a, b) => (a < b ? -1 : 1));
    return sorted.flatMap((name) => this.findUsable(name) ?? []);
  }

  warnings(): string[] {
    return [...this.faults].map(([role, fault]) => `the role ${JSON.stringify(role)} cannot be used: ${fault.message}`);
  }

  /** Names behind a role that cannot be used are left out of lists; the warnings say which role it is. */
  private findUsable(name: string): FoundTarget | undefined {
    try {
      return this.find(name);
    } catch (error) {
      if (error instanceof TrustError || error instanceof FormatError) return undefined;
      throw error;
    }
  }

  private async load(visit: RoleVisit): Promise<VerifiedRole<Targets> | undefined> {
    try {
      return await this.state.targets(visit.role, visit.delegator);
    } catch (error) {
      if (!(error instanceof TrustError || error instanceof FormatError)) throw error;
      this.faults.set(visit.role, error);
      return undefined;
    }
  }

  private loaded({ role, delegator }: RoleVisit, name: string): Targets {
    const targets = this.state.loadedTargets(role, delegator)?.document.signed;
    if (targets !== undefined) return targets;
    throw this.faults.get(role) ?? new InternalError(`the collection was not opened for ${JSON.stringify(name)}`);
  }
}

function delegationsOf(role: VerifiedRole<Targets> | undefined): RoleVisit[] {
  const delegations = role?.document.signed.delegations;
  if (role === undefined || delegations === undefined) return [];
  const { succinct, roles } = delegations;
  if (succinct !== undefined && 2 ** succinct.bitLength > MAX_LISTED_ROLES) throw tooManyRoles();
  const names = succinct === undefined ? roles.map(({ name }) => name) : [...binNames(succinct)];
  return names.map((name) => ({ role: name, delegator: role.role }));
}

function isFirst(seen: Set<string>, { role, delegator }: RoleVisit): boolean {
  const key = JSON.stringify([delegator ?? null, role]);
  return seen.size < seen.add(key).size;
}

export async function roleReport(verified: VerifiedRole, root: Root): Promise<RoleReport> {
  const { role, document, threshold, from } = verified;
  const { version, expires } = document.signed;
  const { type } = document.signed;
  const isOnline = type === "timestamp" || type === "snapshot"; // short-lived with most publishers, and renewed in time
  const signAgainFrom = statedRenewal(root, document.signed) ?? (isOnline ? expires : undefined);
  return { role, version, expires, signAgainFrom, threshold, from, signedBy: await keyReports(verified.signedBy) };
}

export async function keyReports(keys: readonly TufKey[]): Promise<KeyReport[]> {
  const reports: KeyReport[] = [];
  for (const { id, publicKey } of keys) {
    if (publicKey !== undefined) reports.push({ keyId: id, fingerprint: await publicKey.fingerprint() });
  }
  return reports;
}

function signedTarget({ path, file, role }: FoundTarget, homes: ReadonlyMap<string, string>): SignedTarget {
  const { sha256, sha512 } = file.hashes;
  const { length, custom } = file;
  if (sha256 === undefined && sha512 === undefined) {
    throw new TrustError(
      "TARGET_MISMATCH",
      `the target ${JSON.stringify(path)} is signed without a sha256 or sha512 hash`,
      {
        role,
        hint: "It cannot be verified; its publisher must sign it again",
        details: { target: path, got: Object.keys(file.hashes) },
      },
    );
  }
  const home = homes.get(role);
  const hashes = { ...(sha256 && { sha256 }), ...(sha512 && { sha512 }) };
  return { name: path, length, hashes, custom, role, ...(home && { home }) };
}

function tooManyRoles(): FormatError {
  return new FormatError("LIMIT_EXCEEDED", `the collection has more than ${MAX_LISTED_ROLES} roles to list`, {
    hint: "Ask for single names instead",
    details: { limit: MAX_LISTED_ROLES },
  });
}
