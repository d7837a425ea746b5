/** Makes a collection: its keys, its first documents, and the one upload that brings it into being. */
import { equalBytes } from "../base/bytes.ts";
import { TrustError, UsageError } from "../base/errors.ts";
import { PrivateKey } from "../keys/private-key.ts";
import type { Signer } from "../keys/signer.ts";
import { backoffDelay, MAX_UNANSWERED } from "./backoff.ts";
import { newKey, type NewKey } from "./changes.ts";
import type { NotaryCollection } from "./collection.ts";
import { Draft, type CollectionDocuments } from "./draft.ts";
import { applyChanges } from "./editor.ts";
import type { KeyRole, NotaryKey, NotaryRoot, NotaryTargets } from "./metadata.ts";
import {
  checkSignedRoot,
  isRefused,
  isUnanswered,
  readBack,
  type ComputeChanges,
  type Published,
  type PublishEnvironment,
} from "./publish.ts";
import { certifiedKeyId, certifyRootKey, openKey } from "./root-keys.ts";
import { signDraft, type SignedFile } from "./sign-documents.ts";
import type { SigningKeys } from "./signing-keys.ts";

export interface NewCollectionOptions {
  /** Who signs snapshots; the client unless told. */
  readonly snapshotKey?: "client" | "server" | undefined;
  /** Canonical id of the root key; the only one at hand, or a new one, unless told. */
  readonly rootKeyId?: string | undefined;
  /** PEM of the root key's own certificate, leaf first; one is made unless given. */
  readonly rootCertificate?: string | undefined;
}

/**
 * Creates a collection and publishes its first targets.
 *
 * Keys are stored before the upload, since a collection whose keys are lost is lost too; where it certainly did not
 * come into being, those that were made for it are removed again.
 *
 * @throws {TrustError} TRUST_CONFLICT where somebody else made it meanwhile, KEY_MISSING, TRUST_REJECTED, PUBLISH_UNREADABLE
 * @throws {UsageError} USAGE where several root keys are at hand and none was chosen
 */
export async function createCollection(
  collection: NotaryCollection,
  compute: ComputeChanges,
  options: NewCollectionOptions,
  environment: PublishEnvironment,
): Promise<Published> {
  const { keys, now } = environment;
  const trial = new Draft(emptyDocuments([], [], [], []));
  await applyChanges(trial, await compute(trial, undefined)); // bad input ends here, before any key is made
  const timestamp = await collection.serverKey("timestamp");
  const serverSnapshot = options.snapshotKey === "server" ? await collection.serverKey("snapshot") : undefined;
  const made: string[] = [];
  const upload = new FirstUpload();
  try {
    const signer = await rootSigner(keys, options, made);
    const root = await certifyRootKey(collection.gun, signer, { now, certificate: options.rootCertificate });
    const targets = await makeKey(keys, "targets", collection.gun, made);
    const snapshot = serverSnapshot ?? (await makeKey(keys, "snapshot", collection.gun, made));
    const draft = new Draft(emptyDocuments([root], [targets], [snapshot], [timestamp]));
    draft.dirty.add("root");
    draft.dirty.add("targets");
    await applyChanges(draft, await compute(draft, undefined));
    const files = await signDraft(draft, keys, { now, snapshot: serverSnapshot === undefined });
    await checkSignedRoot(collection.gun, files, undefined, now);
    await upload.run(collection, files, environment);
    const fingerprint = await signer.publicKey.fingerprint();
    const state = await readBack(collection.withPin({ fingerprints: [fingerprint] }), files);
    return { state, files, warnings: [] };
  } catch (error) {
    if (!upload.mayHaveArrived) for (const id of made) await keys.store.remove(id);
    throw error;
  }
}

/** Makes a key of a role and stores it. */
export async function makeKey(keys: SigningKeys, role: string, gun: string, made: string[]): Promise<NewKey> {
  const key = await PrivateKey.generate("ecdsa-p256");
  made.push(await keys.store.add(key, { role, gun }, keys.passphrases));
  return newKey(key.publicKey);
}

async function rootSigner(keys: SigningKeys, options: NewCollectionOptions, made: string[]): Promise<Signer> {
  const id = options.rootKeyId ?? (options.rootCertificate && (await certifiedKeyId(options.rootCertificate)));
  if (id !== undefined) return openKey(keys, id, "root");
  const held = (await keys.store.list()).filter(({ role }) => role === "root").map((key) => key.id);
  if (held.length > 1) {
    throw new UsageError("USAGE", `there are several root keys: ${held.join(", ")}`, {
      hint: "Choose one with `wasm-to-oci trust init --root-key ID`",
      details: { keyIds: held },
    });
  }
  if (held.length === 1) return openKey(keys, held[0]!, "root");
  const key = await PrivateKey.generate("ecdsa-p256");
  made.push(await keys.store.add(key, { role: "root" }, keys.passphrases));
  return key;
}

/** The state before a collection's first version. */
function emptyDocuments(
  root: readonly NewKey[],
  targets: readonly NewKey[],
  snapshot: readonly NewKey[],
  timestamp: readonly NewKey[],
): CollectionDocuments {
  const roles = new Map<string, KeyRole>();
  const keys = new Map<string, NotaryKey>();
  for (const [role, list] of Object.entries({ root, targets, snapshot, timestamp })) {
    roles.set(role, { keyIds: list.map(({ keyId }) => keyId), threshold: 1 });
    for (const { keyId, key } of list) keys.set(keyId, key);
  }
  const document: NotaryRoot = { consistentSnapshot: false, expires: "", keys, roles, version: 0 };
  const empty: NotaryTargets = {
    delegations: { keys: new Map(), roles: [] },
    expires: "",
    targets: new Map(),
    version: 0,
  };
  const bytes = new Uint8Array();
  return {
    root: { document, bytes },
    snapshot: undefined,
    targets: new Map([["targets", { document: empty, bytes }]]),
    unusable: new Map(),
    versions: new Map(),
  };
}

/** Uploads the first files; an upload whose answer got lost is sent again until the server says what it has. */
class FirstUpload {
  /** Whether the collection may exist now, with keys that must not get lost. */
  mayHaveArrived = false;

  async run(
    collection: NotaryCollection,
    files: readonly SignedFile[],
    { retry, signal }: PublishEnvironment,
  ): Promise<void> {
    const ours = files.find(({ role }) => role === "root")!.bytes;
    for (let attempt = 1; ; attempt++) {
      const before = this.mayHaveArrived;
      this.mayHaveArrived = true;
      try {
        await collection.upload(files);
        return;
      } catch (error) {
        const refused = isRefused(error);
        if (refused) this.mayHaveArrived = before;
        if (!refused && !isUnanswered(error)) throw error;
        const theirs = await collection.rootBytes();
        if (theirs !== undefined && equalBytes(theirs, ours)) return;
        if (theirs !== undefined) {
          this.mayHaveArrived = false; // and never will: another root is there
          throw madeByOthers(collection.gun, error);
        }
        if (refused || attempt >= MAX_UNANSWERED) throw error;
      }
      await retry.sleep(backoffDelay(attempt, retry.random), signal);
    }
  }
}

function madeByOthers(gun: string, cause: unknown): TrustError {
  return new TrustError("TRUST_CONFLICT", `somebody else created ${gun} at the same moment`, {
    cause,
    hint: "Nothing of yours was published. Check who did it with `wasm-to-oci trust show`, pin its root key, and ask its owner for a delegation",
    details: { collection: gun },
  });
}
