/**
 * One publish: read the newest state, apply the changes, sign, upload, and read back as a consumer would. Another
 * publisher who was faster costs another round, never an update: the changes are computed again from what is there.
 */
import { equalBytes } from "../base/bytes.ts";
import { errorCode, errorMessage, TrustError } from "../base/errors.ts";
import type { RetryPolicy } from "../base/retry.ts";
import type { Clock } from "../base/runtime.ts";
import { backoffDelay, MAX_CONFLICTS, MAX_UNANSWERED } from "./backoff.ts";
import type { Change } from "./changes.ts";
import { documentsOf } from "./documents.ts";
import { Draft } from "./draft.ts";
import { applyChanges } from "./editor.ts";
import { renewRootChanges, ROOT_RENEWAL_MS, rootGoodUntil } from "./root-keys.ts";
import { validateRoot } from "./root-validation.ts";
import { signDraft, type SignedFile } from "./sign-documents.ts";
import { roleKeys, type SigningKeys } from "./signing-keys.ts";
import type { NotaryState } from "./state.ts";
import { decodeDocument } from "./wire.ts";

/** A collection as one publisher reaches it. */
export interface CollectionAccess {
  readonly gun: string;
  /** Reads and verifies the newest state, and remembers it. */
  read(): Promise<NotaryState>;
  /** Reads as a consumer who has never seen the collection and expects the root keys of `state`. */
  readFresh(): Promise<NotaryState>;
  /** Uploads all files or none. */
  upload(files: readonly SignedFile[]): Promise<void>;
  /** The newest version that the server has of a role, also one that no snapshot names any more; 0 for none. */
  newestVersion(role: string): Promise<number>;
}

export interface PublishEnvironment {
  readonly keys: SigningKeys;
  readonly now: Clock;
  readonly retry: Pick<RetryPolicy, "sleep" | "random">;
  readonly signal?: AbortSignal | undefined;
}

/** Computes changes from the newest documents. Called again in each round, so it must be a pure function of them. */
export type ComputeChanges = (
  draft: Draft,
  /** Undefined where the collection is about to be made. */
  state: NotaryState | undefined,
) => Promise<readonly Change[]> | readonly Change[];

export interface Published {
  /** What the server serves now. */
  readonly state: NotaryState;
  /** What was uploaded; empty where everything was so already. */
  readonly files: readonly SignedFile[];
  readonly warnings: readonly string[];
}

/**
 * Publishes changes to a collection that exists.
 *
 * @throws {TrustError} TRUST_CONFLICT where others kept being faster, TRUST_REJECTED where the server refuses,
 *   KEY_MISSING, KEY_PASSPHRASE, DELEGATION_REFUSED before anything was sent, PUBLISH_UNREADABLE
 */
export async function publishChanges(
  access: CollectionAccess,
  compute: ComputeChanges,
  environment: PublishEnvironment,
): Promise<Published> {
  const { signal, retry, now, keys } = environment;
  const versions = new Map<string, number>();
  let unanswered = 0;
  for (let attempt = 1; ; attempt++) {
    const state = await access.read();
    const draft = new Draft(documentsOf(state, versions));
    await applyChanges(draft, await compute(draft, state));
    if (!draft.isChanged) return { state, files: [], warnings: [] };
    const warnings = await renewRoot(access.gun, draft, state, keys, now);
    const files = await signDraft(draft, keys, { now, snapshot: await holdsSnapshotKey(draft, keys) });
    await checkSignedRoot(access.gun, files, state, now);
    try {
      await access.upload(files);
      return { state: await readBack(access, files), files, warnings };
    } catch (error) {
      const verdict = verdictOf(error);
      if (verdict === "final") throw error;
      if (verdict === "unanswered" && ++unanswered >= MAX_UNANSWERED) throw error;
      if (attempt >= MAX_CONFLICTS) throw conflict(access.gun, attempt, error);
      if (verdict === "rejected" && !(await hasMoved(access, state))) throw error;
      if (verdict === "conflict") await findVersions(access, draft, versions);
    }
    await retry.sleep(backoffDelay(attempt, retry.random), signal);
  }
}

/**
 * Reads a collection back after an upload, as a consumer who has nothing, then as ourselves.
 *
 * @throws {TrustError} PUBLISH_UNREADABLE
 */
export async function readBack(access: CollectionAccess, files: readonly SignedFile[]): Promise<NotaryState> {
  try {
    const own = await access.read();
    const fresh = await access.readFresh(); // after the other, so never older
    for (const file of files) checkServed(fresh, file);
    const { metadata, document } = own.root;
    checkServed(fresh, { role: "root", version: metadata.version, bytes: document.bytes });
    return own;
  } catch (error) {
    if (errorCode(error) === "INTERRUPTED") throw error;
    throw new TrustError(
      "PUBLISH_UNREADABLE",
      `the server took the new trust data of ${access.gun}, and it could not be read back: ${errorMessage(error)}`,
      {
        cause: error,
        hint: "Consumers may not be able to verify it either: check the server, then run `wasm-to-oci trust status` and `trust repair`",
        details: { published: true, roles: files.map(({ role }) => role) },
      },
    );
  }
}

/** What the server serves must be what was uploaded, or newer: somebody may have published upon it since. */
function checkServed(state: NotaryState, file: Omit<SignedFile, "bytes"> & { readonly bytes: Uint8Array }): void {
  const served = servedRole(state, file.role);
  if (served === undefined) {
    throw new TrustError("METADATA_TAMPERED", `${file.role} is not served`, { role: file.role });
  }
  const { version } = served.metadata;
  if (version > file.version) return;
  if (version === file.version && equalBytes(served.document.bytes, file.bytes)) return;
  throw new TrustError("METADATA_TAMPERED", `${file.role} is served as version ${version} with other content`, {
    role: file.role,
    details: { expected: file.version, got: version },
  });
}

function servedRole(state: NotaryState, role: string) {
  switch (role) {
    case "root":
      return state.root;
    case "snapshot":
      return state.snapshot;
    case "targets":
      return state.targets;
    default:
      return state.delegations.get(role)?.verified;
  }
}

type Verdict = "conflict" | "rejected" | "unanswered" | "final";

/** Failures after which nobody knows whether an upload arrived. */
const UNANSWERED: ReadonlySet<unknown> = new Set(["NETWORK", "TIMEOUT", "RESPONSE_INVALID", "TRUST_UNAVAILABLE"]);

function verdictOf(error: unknown): Verdict {
  const code = errorCode(error);
  if (code === "TRUST_CONFLICT") return "conflict";
  if (code === "TRUST_REJECTED") return "rejected"; // perhaps only because of what changed meanwhile: a key, a delegation
  return isUnanswered(error) ? "unanswered" : "final";
}

const REFUSED: ReadonlySet<unknown> = new Set(["TRUST_CONFLICT", "TRUST_REJECTED", "TRUST_DENIED", "KEY_MISSING"]);

/** Tells whether the server itself refused an upload that failed so. */
export function isRefused(error: unknown): boolean {
  return REFUSED.has(errorCode(error));
}

/** Tells whether an upload that failed so may have arrived all the same. */
export function isUnanswered(error: unknown): boolean {
  return UNANSWERED.has(errorCode(error));
}

/**
 * Checks a new root as every client will, before anything is sent: a root that clients refuse ends a collection.
 *
 * @throws {TrustError} COLLECTION_MISMATCH, ROOT_UNTRUSTED, SIGNATURE_THRESHOLD
 */
export async function checkSignedRoot(
  gun: string,
  files: readonly SignedFile[],
  previous: NotaryState | undefined,
  now: Clock,
): Promise<void> {
  const root = files.find(({ role }) => role === "root");
  if (root === undefined) return;
  const rules = { gun, now: now(), previous: previous?.root, certificatesMustBeValid: true };
  await validateRoot(decodeDocument(root.bytes, "root"), rules);
}

async function hasMoved(access: CollectionAccess, before: NotaryState): Promise<boolean> {
  const { timestamp, root } = await access.read();
  return (
    timestamp.metadata.version !== before.timestamp.metadata.version ||
    root.metadata.version !== before.root.metadata.version
  );
}

/** A role that was deleted and made anew must go on from its old versions, which only the server knows. */
async function findVersions(access: CollectionAccess, draft: Draft, versions: Map<string, number>): Promise<void> {
  for (const role of draft.dirty) {
    const known = draft.targets.get(role);
    if (known === undefined || draft.base.targets.has(role)) continue;
    versions.set(role, await access.newestVersion(role));
  }
}

function conflict(gun: string, attempts: number, cause: unknown): TrustError {
  return new TrustError("TRUST_CONFLICT", `others kept publishing to ${gun}; gave up after ${attempts} attempts`, {
    cause,
    hint: "Nothing was published; try again when it is quieter",
    details: { attempts },
  });
}

/** True where the client signs snapshots; otherwise the server does. */
async function holdsSnapshotKey(draft: Draft, keys: SigningKeys): Promise<boolean> {
  const role = draft.root.roles.get("snapshot")!;
  return (await keys.heldOf(await roleKeys("snapshot", role, draft.root.keys, "the metadata of root"))) > 0;
}

/** Signs root again in good time where its key is at hand; a publish does not fail for want of it. */
async function renewRoot(
  gun: string,
  draft: Draft,
  state: NotaryState,
  keys: SigningKeys,
  now: Clock,
): Promise<string[]> {
  const end = rootGoodUntil(state.root);
  if (draft.dirty.has("root") || end.getTime() - now().getTime() > ROOT_RENEWAL_MS) return [];
  const { roles, keys: listed } = draft.root;
  const signers = await roleKeys("root", roles.get("root")!, listed, "the metadata of root");
  if (await keys.canOpen(signers)) {
    await applyChanges(draft, await renewRootChanges(state.root, gun, keys, now));
    return [];
  }
  const day = end.toISOString().slice(0, 10);
  return [
    `root expires on ${day} and could not be signed again: its key is not at hand; its holder must run \`wasm-to-oci trust repair\``,
  ];
}
