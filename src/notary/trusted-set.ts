/**
 * The client's state machine: root, timestamp, snapshot, targets, delegations, in that order. Takes bytes from
 * anywhere, does no I/O, and holds nothing that did not pass every check; a document that fails leaves it as it was.
 */
import { FormatError, InternalError, TrustError } from "../base/errors.ts";
import { checkBytes, checkNotExpired, checkNotOlder, checkVersion } from "../tuf/checks.ts";
import { parseGoTime } from "./go-time.ts";
import { readSnapshot, readTargets, readTimestamp, type Delegation, type FileMeta, type KeyRole } from "./metadata.ts";
import type { NotaryRoot, NotarySnapshot, NotaryTargets, NotaryTimestamp } from "./metadata.ts";
import type { NotaryPin } from "./pinning.ts";
import { resolveKeys, type ResolvedKey } from "./public-keys.ts";
import { parentRole } from "./roles.ts";
import { validateRoot, type ValidatedRoot } from "./root-validation.ts";
import { verifyDocument } from "./signatures.ts";
import type { DelegatedRole, DocumentOrigin, NotaryState, VerifiedDelegator, VerifiedRole } from "./state.ts";
import { decodeDocument, type NotaryDocument } from "./wire.ts";

/** Delegations of one collection, on all levels: each is a document to fetch. */
const MAX_DELEGATIONS = 256;

export interface TrustedSetOptions {
  readonly gun: string;
  /** The one moment for which everything is checked. */
  readonly now: Date;
  /** The highest version seen of each role: lower ones are refused, whatever keys sign them. */
  readonly versions: ReadonlyMap<string, number>;
  /** Take documents past their expiry too, and list them: for inspection and repair only. */
  readonly acceptExpired: boolean;
}

/** A delegation whose document is wanted. */
export interface WantedDelegation {
  readonly delegation: Delegation;
  readonly paths: readonly string[];
  /** What its document must be; undefined where nothing was published yet. */
  readonly expected: FileMeta | undefined;
}

export class NotaryTrustedSet {
  private readonly options: TrustedSetOptions;
  private readonly expired: string[] = [];
  private current: ValidatedRoot | undefined;
  private rootFrom: DocumentOrigin = "cache";
  private root: VerifiedDelegator<NotaryRoot> | undefined;
  private timestamp: VerifiedRole<NotaryTimestamp> | undefined;
  private snapshot: VerifiedRole<NotarySnapshot> | undefined;
  private targets: VerifiedDelegator<NotaryTargets> | undefined;
  private readonly delegations = new Map<string, DelegatedRole>();

  constructor(options: TrustedSetOptions) {
    this.options = options;
  }

  /** The newest root so far; its expiry is not checked before `settleRoot`. */
  get newestRoot(): ValidatedRoot {
    return this.current ?? wrongOrder();
  }

  /** Starts from a root that was trusted before. */
  async startFromTrusted(bytes: Uint8Array): Promise<void> {
    this.current = await this.validate(bytes, undefined, undefined);
  }

  /**
   * Starts from a root that nobody trusted before, which a pin vouches for; without a pin it is trusted as it is.
   *
   * @param isNewest false for an old root from which the walk to the newest starts
   */
  async startFromNew(bytes: Uint8Array, pin: NotaryPin | undefined, isNewest: boolean): Promise<void> {
    this.current = await this.validate(bytes, undefined, pin, isNewest && !this.options.acceptExpired);
    this.rootFrom = "network";
  }

  /** Takes the next version of root, which the one before and its own keys must have signed. */
  async advanceRoot(bytes: Uint8Array): Promise<void> {
    const previous = this.newestRoot;
    const next = await this.validate(bytes, previous, undefined);
    const { version } = next.metadata;
    if (version === previous.metadata.version) {
      throw new TrustError("METADATA_TAMPERED", `there are two different roots of version ${version}`, {
        role: "root",
        hint: "The server does not serve the root that was verified before under this version; nothing was used",
        details: { version },
      });
    }
    checkVersion("root", version, previous.metadata.version + 1);
    this.current = next;
    this.rootFrom = "network";
  }

  /** Ends the walk along roots: the newest must be good today, and so must certificates that signed it. */
  async settleRoot(): Promise<void> {
    const { gun, now, acceptExpired } = this.options;
    const { document, metadata, keys, signedBy } = this.newestRoot;
    const root = this.verified(document, metadata, metadata.roles.get("root")!, signedBy, this.rootFrom);
    if (!acceptExpired) await validateRoot(document, { gun, now, certificatesMustBeValid: true });
    this.root = { ...root, keys };
  }

  async updateTimestamp(bytes: Uint8Array, from: DocumentOrigin): Promise<void> {
    const document = decodeDocument(bytes, "timestamp");
    this.timestamp = await this.verifyBase(document, readTimestamp(document.signed), from);
  }

  /** What the snapshot must be. */
  get expectedSnapshot(): FileMeta {
    return (this.timestamp ?? wrongOrder()).metadata.meta.get("snapshot")!;
  }

  /** Takes the snapshot and checks that it speaks of the trusted root. */
  async updateSnapshot(bytes: Uint8Array, from: DocumentOrigin): Promise<void> {
    await checkBytes("snapshot", bytes, this.expectedSnapshot);
    const document = decodeDocument(bytes, "snapshot");
    const snapshot = await this.verifyBase(document, readSnapshot(document.signed), from);
    await checkBytes("root", this.newestRoot.document.bytes, snapshot.metadata.meta.get("root")!);
    this.snapshot = snapshot;
  }

  /** What a targets role's document must be; undefined where the snapshot has none. */
  expectedTargets(role: string): FileMeta | undefined {
    return (this.snapshot ?? wrongOrder()).metadata.meta.get(role);
  }

  async updateTargets(bytes: Uint8Array, from: DocumentOrigin): Promise<void> {
    await checkBytes("targets", bytes, this.expectedTargets("targets")!);
    const document = decodeDocument(bytes, "targets");
    const metadata = readTargets(document.signed, "targets");
    const targets = await this.verifyBase(document, metadata, from);
    this.targets = { ...targets, keys: await resolveKeys(metadata.delegations.keys, "the metadata of targets") };
  }

  /** The delegations of a role whose own document is in, in its order. */
  delegationsOf(role: string): WantedDelegation[] {
    const { delegator, paths } = this.delegator(role);
    return delegator.metadata.delegations.roles.map((delegation) => ({
      delegation,
      paths: delegation.paths.filter((path) => paths.some((allowed) => path.startsWith(allowed))),
      expected: this.expectedTargets(delegation.name),
    }));
  }

  /**
   * Takes a delegation's document. One that matches the snapshot but is expired, not signed by enough of its keys,
   * rolled back or malformed condemns that delegation only, and is remembered as its fault.
   *
   * @param bytes undefined where nothing was published
   */
  async addDelegation(wanted: WantedDelegation, bytes: Uint8Array | undefined, from: DocumentOrigin): Promise<void> {
    const { delegation, paths } = wanted;
    if (this.delegations.size >= MAX_DELEGATIONS) {
      throw new FormatError("LIMIT_EXCEEDED", `the collection has more than ${MAX_DELEGATIONS} delegations`, {
        details: { limit: MAX_DELEGATIONS },
      });
    }
    if (bytes !== undefined) await checkBytes(delegation.name, bytes, wanted.expected ?? wrongOrder());
    try {
      const verified =
        bytes === undefined ? this.checkUnpublished(delegation) : await this.verifyDelegation(delegation, bytes, from);
      this.delegations.set(delegation.name, { delegation, paths, verified, fault: undefined });
    } catch (error) {
      if (!(error instanceof TrustError || error instanceof FormatError)) throw error;
      this.delegations.set(delegation.name, { delegation, paths, verified: undefined, fault: error });
    }
  }

  /** Tells whether a delegation's own document is in and good, so that its delegations may be asked for. */
  hasDelegation(name: string): boolean {
    return this.delegations.get(name)?.verified !== undefined;
  }

  /** Everything, once root, timestamp, snapshot and targets are in. */
  state(server: string, firstUse: boolean): NotaryState {
    return {
      server,
      gun: this.options.gun,
      root: this.root ?? wrongOrder(),
      timestamp: this.timestamp ?? wrongOrder(),
      snapshot: this.snapshot ?? wrongOrder(),
      targets: this.targets ?? wrongOrder(),
      delegations: this.delegations,
      firstUse,
      expired: this.expired,
      checkedAt: this.options.now,
    };
  }

  private async validate(
    bytes: Uint8Array,
    previous: ValidatedRoot | undefined,
    pin: NotaryPin | undefined,
    certificatesMustBeValid = false,
  ): Promise<ValidatedRoot> {
    const { gun, now } = this.options;
    const document = decodeDocument(bytes, "root");
    return validateRoot(document, { gun, now, previous, pin, certificatesMustBeValid });
  }

  /** Checks a document of a base role other than root. */
  private async verifyBase<Metadata extends { expires: string; version: number }>(
    document: NotaryDocument,
    metadata: Metadata,
    from: DocumentOrigin,
  ): Promise<VerifiedRole<Metadata>> {
    const { metadata: root, keys } = this.root ?? wrongOrder();
    const role = root.roles.get(document.role)!;
    const signedBy = await verifyDocument(document, role, keys);
    return this.verified(document, metadata, role, signedBy, from);
  }

  private async verifyDelegation(
    delegation: Delegation,
    bytes: Uint8Array,
    from: DocumentOrigin,
  ): Promise<VerifiedDelegator<NotaryTargets>> {
    const document = decodeDocument(bytes, delegation.name);
    const metadata = readTargets(document.signed, delegation.name);
    const { keys } = this.delegator(parentRole(delegation.name)).delegator;
    const signedBy = await verifyDocument(document, delegation, keys);
    const ownKeys = await resolveKeys(metadata.delegations.keys, `the metadata of ${delegation.name}`);
    return { ...this.verified(document, metadata, delegation, signedBy, from), keys: ownKeys };
  }

  /** A delegation that was published before cannot be unpublished while its delegator still names it. */
  private checkUnpublished({ name }: Delegation): undefined {
    checkNotOlder(name, 0, this.options.versions.get(name) ?? 0);
  }

  /** The last checks of any document: version and expiry. */
  private verified<Metadata extends { expires: string; version: number }>(
    document: NotaryDocument,
    metadata: Metadata,
    role: KeyRole,
    signedBy: readonly ResolvedKey[],
    from: DocumentOrigin,
  ): VerifiedRole<Metadata> {
    checkNotOlder(document.role, metadata.version, this.options.versions.get(document.role) ?? 0);
    const expires = parseGoTime(metadata.expires)!;
    this.checkExpiry(document.role, expires);
    return { role: document.role, metadata, document, expires, threshold: role.threshold, signedBy, from };
  }

  private checkExpiry(role: string, expires: Date): void {
    try {
      checkNotExpired(role, expires, this.options.now);
    } catch (error) {
      if (!this.options.acceptExpired) throw error;
      this.expired.push(role);
    }
  }

  private delegator(role: string): { delegator: VerifiedDelegator<NotaryTargets>; paths: readonly string[] } {
    if (role === "targets") return { delegator: this.targets ?? wrongOrder(), paths: [""] };
    const delegated = this.delegations.get(role);
    return { delegator: delegated?.verified ?? wrongOrder(), paths: delegated!.paths };
  }
}

function wrongOrder(): never {
  throw new InternalError("trust metadata was used before it was there");
}
