/**
 * The client's state machine (specification §5.3 to §5.6): roots one by one, then timestamp, snapshot, and targets
 * roles for the delegator on the way to them. Takes bytes from anywhere, does no I/O, and holds nothing that did not
 * pass every check; a document that fails leaves it as it was.
 */
import type { Bytes } from "../base/bytes.ts";
import { hexDecode } from "../base/bytes.ts";
import { InternalError, TrustError } from "../base/errors.ts";
import { checkBytes, checkNotExpired, checkNotOlder, checkVersion, type ExpectedBytes } from "./checks.ts";
import { delegationNamed } from "./delegations.ts";
import { verifyThreshold, type TufKey } from "./keys.ts";
import { decodeMetadata } from "./metadata.ts";
import type {
  MetadataType,
  MetaFile,
  RoleKeys,
  Root,
  Signed,
  SignedMetadata,
  SignedTypes,
  Snapshot,
  Targets,
  Timestamp,
} from "./schema.ts";
import { VerificationMemo } from "./verification-memo.ts";

/** Where a document came from in this run. */
export type Origin = "network" | "cache";

/** A document that passed every check. */
export interface VerifiedRole<T extends Signed = Signed> {
  readonly role: string;
  /** Who delegates to it; undefined for what root or the caller names. */
  readonly delegator: string | undefined;
  readonly document: SignedMetadata<T>;
  readonly threshold: number;
  /** The keys whose signatures counted. */
  readonly signedBy: readonly TufKey[];
  readonly from: Origin;
}

/** A role that the caller trusts in place of root's `targets` (TAP 13). */
export interface TargetsRole {
  readonly name: string;
  readonly role: RoleKeys;
  readonly keys: ReadonlyMap<string, TufKey>;
}

/** Roles that the snapshot does not list. */
const TOP_LEVEL: ReadonlySet<string> = new Set(["root", "timestamp", "snapshot"]);

export interface TrustedSetOptions {
  /** The one moment for which everything is checked. */
  readonly now: Date;
  /** What was verified before with the very same bytes and keys need not be verified again. */
  readonly memo?: VerificationMemo | undefined;
  readonly targetsRole?: TargetsRole | undefined;
  /** The lowest version to accept of a role, besides what earlier runs have seen. */
  readonly floors?: ReadonlyMap<string, number> | undefined;
}

export class TrustedSet {
  private readonly now: Date;
  private readonly floors: ReadonlyMap<string, number>;
  private readonly memo: VerificationMemo;
  private readonly targetsRole: TargetsRole | undefined;
  private rootRole: VerifiedRole<Root> | undefined;
  private settled = false;
  private timestampRole: VerifiedRole<Timestamp> | undefined;
  /** The snapshot of the run before, as a floor for versions. */
  private snapshotFloor: Snapshot | undefined;
  private snapshotRole: VerifiedRole<Snapshot> | undefined;
  /** By role, then by delegator. */
  private readonly targetsRoles = new Map<string, Map<string | undefined, VerifiedRole<Targets>>>();

  constructor(options: TrustedSetOptions) {
    this.now = options.now;
    this.memo = options.memo ?? new VerificationMemo();
    this.targetsRole = options.targetsRole;
    this.floors = options.floors ?? new Map();
  }

  /** The newest root so far; its expiry is not checked before {@link settleRoot}. */
  get root(): VerifiedRole<Root> {
    return this.rootRole ?? wrongOrder();
  }

  /** True once a timestamp is there, the one of an earlier run included. */
  get hasTimestamp(): boolean {
    return this.timestampRole !== undefined;
  }

  get timestamp(): VerifiedRole<Timestamp> {
    return this.timestampRole ?? wrongOrder();
  }

  get snapshot(): VerifiedRole<Snapshot> {
    return this.snapshotRole ?? wrongOrder();
  }

  /** Where a search for targets starts. */
  get topRole(): string {
    return this.targetsRole?.name ?? "targets";
  }

  /** Who must sign the role where a search starts. */
  get topSigners(): Pick<TargetsRole, "role" | "keys"> {
    return this.delegationOf(this.topRole, undefined);
  }

  /** Starts from the trust anchor, which must be signed as it itself demands; it may have expired (§5.2). */
  async startFrom(anchor: Bytes): Promise<void> {
    if (this.rootRole !== undefined) wrongOrder();
    const document = this.decode(anchor, "root", "root", "the anchor");
    this.rootRole = await this.rootSignedBy(document, document.signed, "cache");
  }

  /** Takes the next version of root, which the one before and its own keys must have signed (§5.3.4, §5.3.5). */
  async advanceRoot(bytes: Bytes, from: Origin): Promise<void> {
    if (this.settled) wrongOrder();
    const previous = this.root.document.signed;
    const document = this.decode(bytes, "root", "root", String(previous.version + 1));
    await this.rootSignedBy(document, previous, from);
    checkVersion("root", document.signed.version, previous.version + 1);
    this.rootRole = await this.rootSignedBy(document, document.signed, from);
  }

  /** Ends the walk along roots: the newest must not have expired (§5.3.10). */
  settleRoot(): void {
    const { version, expires } = this.root.document.signed;
    this.checkFloor("root", version);
    checkNotExpired("root", expires, this.now);
    this.settled = true;
  }

  /**
   * Takes the timestamp of an earlier run as what newer ones must not go below. Its expiry does not matter yet.
   * Throws where the newest root's keys did not sign it: after a rotation it is forgotten (§5.3.11).
   */
  async rememberTimestamp(bytes: Bytes): Promise<void> {
    this.timestampRole = await this.timestampOf(bytes, "cache");
  }

  /** Takes the snapshot of an earlier run, as a floor for versions only. Throws as {@link rememberTimestamp}. */
  async rememberSnapshot(bytes: Bytes): Promise<void> {
    const document = this.decode(bytes, "snapshot", "snapshot");
    await this.verifyTopLevel("snapshot", document, "cache");
    this.snapshotFloor = document.signed;
  }

  /**
   * Takes the repository's timestamp (§5.4).
   *
   * @returns `kept` where it has the version of the one that is there, which then stays
   */
  async updateTimestamp(bytes: Bytes, from: Origin): Promise<"new" | "kept"> {
    if (this.snapshotRole !== undefined) wrongOrder();
    const fresh = await this.timestampOf(bytes, from);
    const { signed } = fresh.document;
    this.checkTimestampFloors(signed);
    const current = this.timestampRole?.document.signed;
    if (current !== undefined) {
      checkNotOlder("timestamp", signed.version, current.version);
      if (signed.version === current.version) return "kept";
      checkNotOlder("snapshot", signed.snapshot.version, current.snapshot.version);
    }
    checkNotExpired("timestamp", signed.expires, this.now);
    this.timestampRole = fresh;
    return "new";
  }

  /** The timestamp that counts from here on, whichever it is, must be good today (§5.4.4). */
  settleTimestamp(): void {
    const { signed } = this.timestamp.document;
    this.checkTimestampFloors(signed);
    checkNotExpired("timestamp", signed.expires, this.now);
  }

  /** What the snapshot must be. */
  get expectedSnapshot(): MetaFile {
    return this.timestamp.document.signed.snapshot;
  }

  /** Takes the snapshot and checks that nothing in it went back or away (§5.5). */
  async updateSnapshot(bytes: Bytes, from: Origin): Promise<void> {
    await this.checkFile("snapshot", "snapshot", bytes, this.expectedSnapshot);
    const document = this.decode(bytes, "snapshot", "snapshot");
    const fresh = await this.verifyTopLevel("snapshot", document, from);
    checkVersion("snapshot", document.signed.version, this.expectedSnapshot.version);
    if (this.snapshotFloor !== undefined) checkSnapshotFloor(document.signed, this.snapshotFloor);
    for (const role of this.floors.keys()) {
      if (!TOP_LEVEL.has(role)) this.checkFloor(role, document.signed.meta.get(role)?.version ?? 0);
    }
    checkNotExpired("snapshot", document.signed.expires, this.now);
    this.snapshotRole = fresh;
  }

  /**
   * What a targets role's document must be.
   *
   * @throws {TrustError} TRUST_WITHHELD where the snapshot does not list the role
   */
  expectedTargets(role: string): MetaFile {
    const meta = this.snapshot.document.signed.meta.get(role);
    if (meta !== undefined) return meta;
    throw new TrustError(
      "TRUST_WITHHELD",
      `the role ${JSON.stringify(role)} is delegated to, but not in the snapshot`,
      {
        role,
        hint: "Its metadata was never published, or the snapshot is of another moment; tell the publisher",
      },
    );
  }

  /** A targets role as it was verified for a delegator; undefined where it was not yet. */
  targets(role: string, delegator: string | undefined): VerifiedRole<Targets> | undefined {
    return this.targetsRoles.get(role)?.get(delegator);
  }

  /** The received document of a role, whoever it was verified for. */
  targetsDocument(role: string): VerifiedRole<Targets> | undefined {
    return this.targetsRoles.get(role)?.values().next().value;
  }

  /**
   * Takes a targets role's document, top-level or delegated: the same checks for both, for this delegator (§5.6).
   *
   * @param delegator undefined for the role where searches start
   */
  async updateTargets(
    role: string,
    delegator: string | undefined,
    bytes: Bytes,
    from: Origin,
  ): Promise<VerifiedRole<Targets>> {
    const expected = this.expectedTargets(role);
    await this.checkFile("targets", role, bytes, expected);
    const document = this.decode(bytes, "targets", role);
    const { role: roleKeys, keys } = this.delegationOf(role, delegator);
    const signedBy = await this.verify(role, document, roleKeys, keys);
    checkVersion(role, document.signed.version, expected.version);
    checkNotExpired(role, document.signed.expires, this.now);
    const verified = { role, delegator, document, threshold: roleKeys.threshold, signedBy, from };
    const byDelegator = this.targetsRoles.get(role) ?? new Map<string | undefined, VerifiedRole<Targets>>();
    this.targetsRoles.set(role, byDelegator.set(delegator, verified));
    return verified;
  }

  /** Everything that was verified: root, timestamp, snapshot, then targets roles in the order they came in. */
  verifiedRoles(): VerifiedRole[] {
    const roles: VerifiedRole[] = [this.root, this.timestamp, this.snapshot];
    for (const byDelegator of this.targetsRoles.values()) roles.push(...byDelegator.values());
    return roles;
  }

  private delegationOf(role: string, delegator: string | undefined): Pick<TargetsRole, "role" | "keys"> {
    if (delegator === undefined) {
      if (role !== this.topRole) wrongOrder();
      const { roles, keys } = this.root.document.signed;
      return this.targetsRole ?? { role: roles.get("targets")!, keys };
    }
    const { delegations } = this.targetsDocument(delegator)?.document.signed ?? wrongOrder();
    const delegation = delegationNamed(delegations, role);
    return { role: delegation ?? wrongOrder(), keys: delegations!.keys };
  }

  private checkFloor(role: string, version: number): void {
    checkNotOlder(role, version, this.floors.get(role) ?? 0);
  }

  private checkTimestampFloors({ version, snapshot }: Timestamp): void {
    this.checkFloor("timestamp", version);
    this.checkFloor("snapshot", snapshot.version);
  }

  private async timestampOf(bytes: Bytes, from: Origin): Promise<VerifiedRole<Timestamp>> {
    const document = this.decode(bytes, "timestamp", "timestamp");
    return this.verifyTopLevel("timestamp", document, from);
  }

  private async rootSignedBy(document: SignedMetadata<Root>, signer: Root, from: Origin): Promise<VerifiedRole<Root>> {
    const role = signer.roles.get("root")!;
    const signedBy = await this.verify("root", document, role, signer.keys);
    return { role: "root", delegator: undefined, document, threshold: role.threshold, signedBy, from };
  }

  private async verifyTopLevel<T extends Signed>(
    name: string,
    document: SignedMetadata<T>,
    from: Origin,
  ): Promise<VerifiedRole<T>> {
    if (!this.settled) wrongOrder();
    const { roles, keys } = this.root.document.signed;
    const role = roles.get(name)!;
    const signedBy = await this.verify(name, document, role, keys);
    return { role: name, delegator: undefined, document, threshold: role.threshold, signedBy, from };
  }

  /** @param which tells documents of one role apart that are all there at once, as roots are */
  private decode<Type extends MetadataType>(
    bytes: Bytes,
    type: Type,
    role: string,
    which = role,
  ): SignedMetadata<SignedTypes[Type]> {
    return this.memo.decoded(nameOf(type, which), bytes, () => decodeMetadata(bytes, type, role));
  }

  private verify(
    role: string,
    document: SignedMetadata,
    roleKeys: RoleKeys,
    keys: ReadonlyMap<string, TufKey>,
  ): Promise<readonly TufKey[]> {
    return this.memo.verified(document, roleKeys, () => verifyThreshold(role, document, roleKeys, keys));
  }

  /** Length and hashes, as far as they were signed. */
  private async checkFile(type: MetadataType, role: string, bytes: Bytes, { length, hashes }: MetaFile): Promise<void> {
    if (length !== undefined && bytes.length !== length) {
      await checkBytes(role, bytes, { length, hashes: new Map() });
    }
    if (hashes === undefined) return;
    await checkBytes(role, bytes, expectedBytes(length ?? bytes.length, hashes), (algorithm, received) =>
      this.memo.hash(nameOf(type, role), algorithm, received),
    );
  }
}

/** Names documents, so that one name never stands for two types. */
function nameOf(type: MetadataType, which: string): string {
  return `${type}:${which}`;
}

/** From the form of metadata to that of the checks. */
function expectedBytes(length: number, hashes: Readonly<Record<string, string>>): ExpectedBytes {
  const known = Object.entries(hashes).flatMap(([algorithm, hex]) => {
    const hash = hexDecode(hex);
    return hash === undefined ? [] : [[algorithm, hash] as const];
  });
  return { length, hashes: new Map(known) };
}

/** Nothing that was listed before may vanish or go back, delegated roles included (§5.5.5). */
function checkSnapshotFloor(snapshot: Snapshot, floor: Snapshot): void {
  if (snapshot === floor) return;
  checkNotOlder("snapshot", snapshot.version, floor.version);
  for (const [role, { version }] of floor.meta) checkNotOlder(role, snapshot.meta.get(role)?.version ?? 0, version);
}

function wrongOrder(): never {
  throw new InternalError("trust metadata was used before it was there");
}
