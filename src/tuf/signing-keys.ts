/** Private keys for signing TUF documents: found by their public halves, opened only when they sign. */
import { hexEncode, type Bytes } from "../base/bytes.ts";
import { FormatError, TrustError } from "../base/errors.ts";
import type { KeyStore } from "../keys/key-store.ts";
import { canonicalKeyId } from "../keys/notary-key-id.ts";
import type { PublicKey } from "../keys/public-key.ts";
import type { PassphraseProvider, Signer } from "../keys/signer.ts";
import { signMessage, verifyThreshold, type TufKey } from "./keys.ts";
import type { RoleKeys, Signature } from "./schema.ts";

/**
 * Gives the private key of a public one, from wherever it is kept.
 *
 * Obligations: `holds` opens nothing and asks nobody; `open` is undefined only where the key is not there, and fails
 * where it is there and cannot be used.
 */
export interface SigningKeys {
  /** Where the keys are, for people. */
  readonly location: string;
  holds(key: PublicKey): Promise<boolean>;
  open(key: PublicKey): Promise<Signer | undefined>;
}

/** The keys of a key store. */
export function storedSigningKeys(store: KeyStore, passphrases: PassphraseProvider, location: string): SigningKeys {
  const opened = new Map<string, Signer | undefined>(); // opening one is slow on purpose, and a publish signs several documents
  return {
    location,
    holds: async (key) => {
      const id = await canonicalKeyId(key);
      return (await store.list()).some((stored) => stored.id === id);
    },
    open: async (key) => {
      const id = await canonicalKeyId(key);
      const signer = opened.get(id) ?? (await store.open(id, passphrases));
      opened.set(id, signer);
      return signer;
    },
  };
}

/** Keys that are open already: an agent's, a test's. */
export function openSigningKeys(signers: readonly Signer[], location = "memory"): SigningKeys {
  const byKey = new Map(signers.map((signer) => [hexEncode(signer.publicKey.spki), signer]));
  return {
    location,
    holds: async (key) => byKey.has(hexEncode(key.spki)),
    open: async (key) => byKey.get(hexEncode(key.spki)),
  };
}

/** A role and the keys that its delegator lists for it. */
export interface KeyedRole {
  readonly role: string;
  readonly roleKeys: RoleKeys;
  readonly keys: ReadonlyMap<string, TufKey>;
}

/** The keys of a role that are there at all, in the order of the role. */
export function listedKeys({ roleKeys, keys }: KeyedRole): TufKey[] {
  return roleKeys.keyIds.flatMap((id) => keys.get(id) ?? []);
}

/** Which of some keys are at hand. */
async function heldKeys(list: Iterable<TufKey>, signing: SigningKeys): Promise<TufKey[]> {
  const held: TufKey[] = [];
  for (const key of list) {
    if (key.publicKey !== undefined && (await signing.holds(key.publicKey))) held.push(key);
  }
  return held;
}

/** Tells whether enough keys of a role are at hand. */
export async function canSign(role: KeyedRole, signing: SigningKeys): Promise<boolean> {
  return (await heldKeys(listedKeys(role), signing)).length >= role.roleKeys.threshold;
}

/** Tells whether any key of a role is at hand: enough to begin a document that others sign, too. */
export async function canHelpSign(role: KeyedRole, signing: SigningKeys): Promise<boolean> {
  return (await heldKeys(listedKeys(role), signing)).length > 0;
}

/**
 * Signs a message with each of some keys that is at hand, once per key.
 *
 * A key that is there and does not open is passed over: another one of the role may do. Each signature is verified as
 * a client will, before it is used.
 */
export async function signWith(
  list: Iterable<TufKey>,
  message: Bytes,
  signing: SigningKeys,
): Promise<{ signatures: Signature[]; failure: unknown }> {
  const signatures = new Map<string, Signature>();
  let failure: unknown;
  for (const key of list) {
    if (signatures.has(key.id) || key.publicKey === undefined) continue;
    try {
      if (!(await signing.holds(key.publicKey))) continue;
      const signer = await signing.open(key.publicKey);
      if (signer !== undefined) signatures.set(key.id, await provenSignature(key, signer, message));
    } catch (error) {
      failure ??= error;
    }
  }
  return { signatures: [...signatures.values()], failure };
}

/** A signature that the listed key verifies. @throws {FormatError} KEY_INVALID where the signer is another key's */
async function provenSignature(key: TufKey, signer: Signer, message: Bytes): Promise<Signature> {
  const signature = await signMessage(key, signer, message);
  if (await isSignedBy(key, message, [signature])) return signature;
  throw new FormatError("KEY_INVALID", `the private key that was found for ${key.id} does not sign for it`, {
    hint: `Its scheme ${key.scheme} may be one that this program only verifies; nothing was published`,
    details: { keyId: key.id, scheme: key.scheme },
  });
}

/** Tells whether one key has signed. */
export async function isSignedBy(key: TufKey, message: Bytes, signatures: readonly Signature[]): Promise<boolean> {
  const own = signatures.filter(({ keyId }) => keyId === key.id);
  if (own.length === 0) return false;
  const alone: RoleKeys = { keyIds: [key.id], threshold: 1, extra: {} };
  try {
    await verifyThreshold(key.id, { message, signatures: own }, alone, new Map([[key.id, key]]));
    return true;
  } catch (error) {
    /* v8 ignore else -- @preserve: only a defect of this program gets there, and is passed on */
    if (error instanceof TrustError) return false;
    throw error;
  }
}

/** The error of a role that too few keys at hand can sign. */
export async function keysMissing(role: KeyedRole, signing: SigningKeys): Promise<TrustError> {
  const listed = listedKeys(role);
  const held = new Set((await heldKeys(listed, signing)).map(({ id }) => id));
  const absent = listed.filter(({ id }) => !held.has(id)).map(({ id }) => id);
  const { threshold } = role.roleKeys;
  return new TrustError(
    "KEY_MISSING",
    `signing as ${role.role} needs ${threshold} of its ${listed.length} key(s), and ${held.size} are in ` +
      `${signing.location}; missing: ${absent.join(", ")}`,
    {
      role: role.role,
      hint: "Bring the key with `wasm-to-oci key import`, or leave it to whoever holds it to sign, too: names with `wasm-to-oci sign REFERENCE --stage`, other changes with their --stage",
      details: { missing: absent, threshold, location: signing.location },
    },
  );
}
