/**
 * Whether an upload may become the collection's next state, and what the server adds to it: Notary's rules
 * (`handlers/validation.go`), in its order and words, and ours on top:
 *
 * - snapshots and timestamps name the bytes that were uploaded, and bytes that a Go server would print differently
 *   are refused: notary-server hashes what it prints, which makes such a collection unreadable for good;
 * - a snapshot must name the right hashes for every file, not only for those at hand;
 * - a root that takes the right to sign targets away from whoever signed the stored ones needs new targets with it.
 */
import { equalBytes } from "../../base/bytes.ts";
import { digestBytes } from "../../base/digest.ts";
import { errorMessage, FormatError, TrustError } from "../../base/errors.ts";
import { parseGoTime } from "../../notary/go-time.ts";
import { readSnapshot, readTargets, type FileMeta, type KeyRole, type NotaryTargets } from "../../notary/metadata.ts";
import { resolveKeys, type ResolvedKey } from "../../notary/public-keys.ts";
import { isDelegationRole, parentRole } from "../../notary/roles.ts";
import { validateRoot, type ValidatedRoot } from "../../notary/root-validation.ts";
import { verifyDocument } from "../../notary/signatures.ts";
import { decodeDocument, decodeGoDocument, type NotaryDocument } from "../../notary/wire.ts";
import { checkNotExpired, matchesBytes } from "../../tuf/checks.ts";
import { ApiError, missingRole, updateFault, type UpdateFaultName } from "./errors.ts";
import { fileMeta, signOnlineRole } from "./online-roles.ts";
import type { TrustService } from "./service.ts";
import type { DocumentFacts, OnlineRole, TrustDocument, TrustUpdate } from "./store.ts";
import type { Upload } from "./upload.ts";

/** Decides about an upload and signs what belongs to it. Writes nothing. @throws {ApiError} INVALID_UPDATE */
export async function validateUpdate(
  service: TrustService,
  gun: string,
  uploads: ReadonlyMap<string, Upload>,
): Promise<TrustUpdate> {
  const stored = await service.store.listCurrent(gun);
  return new UpdateValidation(service, gun, uploads, stored).run();
}

class UpdateValidation {
  private readonly service: TrustService;
  private readonly gun: string;
  private readonly now: Date;
  private readonly uploads: ReadonlyMap<string, Upload>;
  private readonly stored: ReadonlyMap<string, DocumentFacts>;
  /** Targets roles that were checked against the new state: the uploaded ones and their ancestors. */
  private readonly targets = new Map<string, NotaryTargets>();

  constructor(
    service: TrustService,
    gun: string,
    uploads: ReadonlyMap<string, Upload>,
    stored: ReadonlyMap<string, DocumentFacts>,
  ) {
    this.service = service;
    this.gun = gun;
    this.now = service.now();
    this.uploads = uploads;
    this.stored = stored;
  }

  async run(): Promise<TrustUpdate> {
    const root = await this.root();
    await this.allTargets(root);
    const documents: TrustDocument[] = [];
    for (const { role, bytes, version } of this.uploads.values()) {
      documents.push({ role, bytes, version, digest: await digestBytes(bytes) });
    }
    const snapshot = this.uploads.get("snapshot");
    if (snapshot !== undefined) await this.snapshot(snapshot, root);
    else documents.push(await this.newSnapshot(root));
    const { bytes } = documents.find(({ role }) => role === "snapshot")!;
    documents.push(await this.newTimestamp(root, bytes));
    return { gun: this.gun, documents, publishedKeyIds: this.onlineKeyIds(root), now: this.now };
  }

  private async root(): Promise<ValidatedRoot> {
    const stored = await this.service.store.current(this.gun, "root");
    const upload = this.uploads.get("root");
    const rules = { gun: this.gun, now: this.now };
    const previous =
      stored === undefined
        ? undefined
        : await validateRoot(decodeDocument(stored.bytes, "root"), { ...rules, certificatesMustBeValid: false });
    if (upload === undefined) {
      if (previous !== undefined) return previous;
      throw updateFault("ErrValidation", "no pre-existing root and no root provided in update.");
    }
    const current = stored?.version ?? 1;
    if (upload.version !== current && upload.version !== current + 1) {
      const versions = `Current ${current}, new ${upload.version}`;
      throw updateFault("ErrBadRoot", `Root modifications must increment the version. ${versions}`);
    }
    const document = this.decode(upload);
    let root: ValidatedRoot;
    try {
      root = await validateRoot(document, { ...rules, previous, certificatesMustBeValid: true });
    } catch (error) {
      throw rootFault(error);
    }
    try {
      this.checkFresh("root", root.metadata.expires);
    } catch (error) {
      throw fault("ErrBadRoot", "root", error);
    }
    return root;
  }

  /** Checks uploaded targets and delegations, parents before children. */
  private async allTargets(root: ValidatedRoot): Promise<void> {
    const roles = [...this.uploads.keys()].filter((role) => role === "targets" || isDelegationRole(role));
    roles.sort((a, b) => a.split("/").length - b.split("/").length);
    for (const role of roles) {
      const upload = this.uploads.get(role)!;
      const document = this.decode(upload);
      this.targets.set(role, await this.targetsRole(document, root, { mustBeFresh: true }));
    }
    if (!this.uploads.has("targets") && this.uploads.has("root")) await this.loaded("targets", root);
  }

  /** The document of an ancestor as it will be: checked already, or stored and checked now. */
  private async loaded(role: string, root: ValidatedRoot): Promise<NotaryTargets> {
    const checked = this.targets.get(role);
    if (checked !== undefined) return checked;
    const stored = await this.service.store.current(this.gun, role);
    if (stored === undefined) throw missingRole(role, `${role} is neither in the update nor on the server`);
    const document = decodeDocument(stored.bytes, role);
    const targets = await this.targetsRole(document, root, { mustBeFresh: false });
    this.targets.set(role, targets);
    return targets;
  }

  private async targetsRole(
    document: NotaryDocument,
    root: ValidatedRoot,
    { mustBeFresh }: { mustBeFresh: boolean },
  ): Promise<NotaryTargets> {
    const { role } = document;
    try {
      const { signers, keys } = await this.delegationOf(role, root);
      const targets = readTargets(document.signed, role);
      await verifyDocument(document, signers, keys);
      if (mustBeFresh) this.checkFresh(role, targets.expires);
      return targets;
    } catch (error) {
      throw fault("ErrBadTargets", role, error);
    }
  }

  private async delegationOf(
    role: string,
    root: ValidatedRoot,
  ): Promise<{ signers: KeyRole; keys: ReadonlyMap<string, ResolvedKey> }> {
    if (role === "targets") return { signers: root.metadata.roles.get(role)!, keys: root.keys };
    const parent = parentRole(role);
    const { delegations } = await this.loaded(parent, root);
    const signers = delegations.roles.find(({ name }) => name === role);
    if (signers === undefined) throw updateFault("ErrBadTargets", `${role} is not a delegation of ${parent}`);
    return { signers, keys: await resolveKeys(delegations.keys, `the metadata of ${parent}`) };
  }

  private async snapshot(upload: Upload, root: ValidatedRoot): Promise<void> {
    const document = this.decode(upload);
    try {
      const { meta, expires } = readSnapshot(document.signed);
      await verifyDocument(document, root.metadata.roles.get("snapshot")!, root.keys);
      this.checkFresh("snapshot", expires);
      const before = await this.storedMeta();
      for (const [role, entry] of meta) await this.checkEntry(role, entry, before);
      for (const role of this.uploads.keys()) {
        if (role !== "snapshot" && !meta.has(role))
          throw updateFault("ErrBadSnapshot", `snapshot does not name ${role}`);
      }
    } catch (error) {
      throw fault("ErrBadSnapshot", "snapshot", error);
    }
  }

  private async checkEntry(role: string, entry: FileMeta, before: ReadonlyMap<string, FileMeta>): Promise<void> {
    const upload = this.uploads.get(role);
    const unchanged = before.get(role);
    // The stored snapshot was checked when it came, and every version since had to come with a snapshot.
    if (upload === undefined && unchanged !== undefined && equalMeta(entry, unchanged)) return;
    const isFile = role === "root" || role === "targets" || isDelegationRole(role);
    const bytes = upload?.bytes ?? (isFile ? (await this.service.store.current(this.gun, role))?.bytes : undefined);
    if (bytes === undefined)
      throw updateFault("ErrBadSnapshot", `snapshot names ${role}, which the server does not have`);
    if (!(await matchesBytes(bytes, entry))) {
      throw updateFault("ErrBadSnapshot", `snapshot hash or length of ${role} does not match its newest version`);
    }
  }

  private async newSnapshot(root: ValidatedRoot): Promise<TrustDocument> {
    // Entries of deleted delegations stay, as on notary-server: whoever makes the delegation again finds its last
    // version there and goes on from it. Starting at 1 would be a rollback, to us and to clients that saw more.
    const meta = new Map(await this.storedMeta());
    for (const role of ["root", "targets"]) {
      if (this.uploads.has(role) || meta.has(role)) continue;
      throw missingRole(role, `${role} is neither in the update nor on the server`);
    }
    for (const [role, { bytes }] of this.uploads) meta.set(role, await fileMeta(bytes));
    const signed = await this.sign("snapshot", root, meta);
    if (signed !== undefined) return signed;
    const reason = "no snapshot was included in update and server does not hold current snapshot key for repository";
    throw missingRole("snapshot", reason);
  }

  private async newTimestamp(root: ValidatedRoot, snapshot: Uint8Array): Promise<TrustDocument> {
    const signed = await this.sign("timestamp", root, new Map([["snapshot", await fileMeta(snapshot)]]));
    if (signed === undefined) throw updateFault("ErrBadRoot", "no timestamp keys exist on the server");
    return signed;
  }

  private async sign(
    role: OnlineRole,
    root: ValidatedRoot,
    meta: ReadonlyMap<string, FileMeta>,
  ): Promise<TrustDocument | undefined> {
    const version = (this.stored.get(role)?.version ?? 0) + 1;
    const content = { gun: this.gun, root: root.metadata, version, meta, now: this.now };
    try {
      return await signOnlineRole(this.service.onlineKeys, role, content);
    } catch (error) {
      throw fault("ErrBadSnapshot", role, error);
    }
  }

  private async storedMeta(): Promise<ReadonlyMap<string, FileMeta>> {
    const stored = await this.service.store.current(this.gun, "snapshot");
    if (stored === undefined) return new Map();
    return readSnapshot(decodeDocument(stored.bytes, "snapshot").signed).meta;
  }

  private onlineKeyIds(root: ValidatedRoot): readonly string[] | undefined {
    if (!this.uploads.has("root")) return undefined;
    const { roles } = root.metadata;
    return [...roles.get("timestamp")!.keyIds, ...roles.get("snapshot")!.keyIds];
  }

  /** Reads an upload. The first fault that notary-server would name comes first. */
  private decode({ role, bytes, hasSignatures }: Upload): NotaryDocument {
    const name = faultName(role);
    if (!hasSignatures) throw updateFault(name, "tuf: data has no signatures");
    try {
      return decodeGoDocument(bytes, role);
    } catch (error) {
      throw fault(name, role, error);
    }
  }

  private checkFresh(role: string, expires: string): void {
    checkNotExpired(role, parseGoTime(expires)!, this.now);
  }
}

function faultName(role: string): UpdateFaultName {
  if (role === "root") return "ErrBadRoot";
  return role === "snapshot" ? "ErrBadSnapshot" : "ErrBadTargets";
}

function equalMeta(a: FileMeta, b: FileMeta): boolean {
  if (a.length !== b.length || a.hashes.size !== b.hashes.size) return false;
  return [...a.hashes].every(([algorithm, hash]) => equalBytes(hash, b.hashes.get(algorithm) ?? new Uint8Array()));
}

/** Makes an answer of what a check found; defects and faults of the storage pass. */
function fault(name: UpdateFaultName, role: string, error: unknown): unknown {
  if (error instanceof ApiError || !(error instanceof TrustError || error instanceof FormatError)) return error;
  if (error.code === "SIGNATURE_THRESHOLD") {
    return updateFault(name, `valid signatures did not meet threshold for ${role}`, error);
  }
  return updateFault(name, error.hint === undefined ? error.message : `${errorMessage(error)}. ${error.hint}`, error);
}

/** Notary's words for what makes a root untrusted (`trustpinning`). */
const NO_LEAF = "could not validate the path to a trusted root: unable to retrieve valid leaf certificates";
const ROOT_FAULTS: Partial<Record<TrustError["code"], string>> = {
  COLLECTION_MISMATCH: NO_LEAF,
  METADATA_EXPIRED: NO_LEAF, // of its certificate: the document's own expiry is looked at later
  ROOT_UNTRUSTED:
    "could not rotate trust to a new trusted root: failed to validate data with current trusted certificates",
  SIGNATURE_THRESHOLD: "failed to validate integrity of roots",
};

function rootFault(error: unknown): unknown {
  const words = error instanceof TrustError ? ROOT_FAULTS[error.code] : undefined;
  return words === undefined ? fault("ErrBadRoot", "root", error) : updateFault("ErrBadRoot", words, error);
}
