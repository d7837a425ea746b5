/**
 * Whether a root document may be trusted: Notary's rules (trustpinning.ValidateRoot), in its order. Root keys are
 * certificates whose common name is the collection's name, so one collection's root cannot stand in for another's.
 */
import { TrustError, WasmToOciError } from "../base/errors.ts";
import { isValidAt } from "../keys/certificate-chain.ts";
import type { Certificate } from "../keys/certificate.ts";
import { readRoot, type KeyRole, type NotaryRoot } from "./metadata.ts";
import { checkFingerprints, filterByPin, isPin, type NotaryPin } from "./pinning.ts";
import { resolveKeys, type ResolvedKey } from "./public-keys.ts";
import { verifyDocument } from "./signatures.ts";
import type { NotaryDocument } from "./wire.ts";

/** A root whose signatures hold. Says nothing about its expiry. */
export interface ValidatedRoot {
  readonly document: NotaryDocument;
  readonly metadata: NotaryRoot;
  /** Every key of the document, by id. */
  readonly keys: ReadonlyMap<string, ResolvedKey>;
  readonly signedBy: readonly ResolvedKey[];
}

export interface RootRules {
  readonly gun: string;
  readonly now: Date;
  /** The root before this one, which must have signed it too. */
  readonly previous?: ValidatedRoot | undefined;
  readonly pin?: NotaryPin | undefined;
  /** False for roots that were good in their time: those on the way to the newest, and the one trusted already. */
  readonly certificatesMustBeValid: boolean;
}

/**
 * Validates a root document.
 *
 * @throws {FormatError} METADATA_INVALID
 * @throws {TrustError} COLLECTION_MISMATCH, ROOT_UNTRUSTED, METADATA_EXPIRED, PIN_MISMATCH, SIGNATURE_THRESHOLD
 */
export async function validateRoot(document: NotaryDocument, rules: RootRules): Promise<ValidatedRoot> {
  const metadata = readRoot(document.signed);
  const keys = await resolveKeys(metadata.keys, "the metadata of root");
  const role = metadata.roles.get("root")!;
  const leaves = rootLeaves(role, keys, rules.gun, rules.certificatesMustBeValid ? rules.now : undefined);
  if (rules.previous !== undefined) await checkSignedByPrevious(document, rules.previous, rules.gun);
  const allowed = isPin(rules.pin) ? await filterByPin(leaves, rules.pin, rules.now) : leaves;
  const signedBy = await verifyDocument(document, { ...role, keyIds: allowed.map(({ keyId }) => keyId) }, keys);
  if (rules.pin !== undefined) await checkFingerprints(signedBy, rules.pin);
  return { document, metadata, keys, signedBy };
}

/** The root role's certificates that may speak for a collection; `validAt` undefined looks at no dates. */
function rootLeaves(
  role: KeyRole,
  keys: ReadonlyMap<string, ResolvedKey>,
  gun: string,
  validAt: Date | undefined,
): ResolvedKey[] {
  const certified = role.keyIds.map((id) => keys.get(id)!).filter(({ certificates }) => isLeafFirst(certificates));
  const named = certified.filter(({ certificates: [leaf] }) => speaksFor(leaf!.commonName, gun));
  if (named.length === 0) {
    const names = certified.map(({ certificates: [leaf] }) => leaf!.commonName);
    throw new TrustError(
      "COLLECTION_MISMATCH",
      `the root is not one of ${gun}: no certificate of its root role has that name`,
      {
        role: "root",
        hint: "The server answered with another collection's trust data, or its root key is no certificate; nothing was used",
        details: { expected: gun, got: names },
      },
    );
  }
  const valid = validAt === undefined ? named : named.filter(({ certificates: [leaf] }) => isValidAt(leaf!, validAt));
  if (valid.length > 0) return valid;
  const expired = named.every(({ certificates: [leaf] }) => leaf!.notAfter.getTime() < validAt!.getTime());
  throw new TrustError(
    expired ? "METADATA_EXPIRED" : "ROOT_UNTRUSTED",
    `no root certificate of ${gun} is valid today`,
    {
      role: "root",
      hint: "Its publisher must renew it (wasm-to-oci trust repair) or rotate the root key; check this machine's clock too",
      details: { expires: named.map(({ certificates: [leaf] }) => leaf!.notAfter.toISOString()) },
    },
  );
}

/** A bundle has exactly one certificate that is no authority, at its front, and not signed with SHA-1. */
function isLeafFirst([leaf, ...others]: readonly Certificate[]): boolean {
  return leaf !== undefined && !leaf.isCa && others.every((other) => other.isCa) && !leaf.usesSha1;
}

/** Tells whether a certificate's common name is a collection's, or a prefix of it that ends in `*`. */
function speaksFor(commonName: string, gun: string): boolean {
  return commonName === gun || (commonName.endsWith("*") && gun.startsWith(commonName.slice(0, -1)));
}

async function checkSignedByPrevious(document: NotaryDocument, previous: ValidatedRoot, gun: string): Promise<void> {
  const role = previous.metadata.roles.get("root")!;
  try {
    const leaves = rootLeaves(role, previous.keys, gun, undefined);
    await verifyDocument(document, { ...role, keyIds: leaves.map(({ keyId }) => keyId) }, previous.keys);
  } catch (cause) {
    if (!(cause instanceof WasmToOciError)) throw cause;
    const { version } = previous.metadata;
    throw new TrustError(
      "ROOT_UNTRUSTED",
      `the root of ${gun} is not signed by the root trusted so far (version ${version})`,
      {
        role: "root",
        hint: "Somebody else answers for this name, or its owner started anew without the old key; ask the owner, then pin the new root",
        details: { expected: previous.signedBy.map(({ canonicalId, keyId }) => canonicalId ?? keyId), version },
        cause,
      },
    );
  }
}
