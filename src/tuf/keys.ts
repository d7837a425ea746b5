/**
 * Keys as TUF metadata holds them, in every spelling that is in use (specification §4.2.1, §4.4). Ids are opaque: a
 * key is what its public half says, and two ids of one key are one key.
 */
import { hexDecode, hexEncode, utf8Encode, type Bytes } from "../base/bytes.ts";
import { hashBytes } from "../base/digest.ts";
import { FormatError, WasmToOciError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import { bitString, nothing, oid, sequence } from "../keys/der-writer.ts";
import { ecdsaFromDer, ecdsaToDer } from "../keys/ecdsa-signature.ts";
import { OID } from "../keys/oid.ts";
import { formatPem, parsePem } from "../keys/pem.ts";
import { PublicKey } from "../keys/public-key.ts";
import type { SignatureScheme } from "../keys/signature-scheme.ts";
import type { Signer } from "../keys/signer.ts";
import { CURVE_OID, type Curve } from "../keys/spki.ts";
import { canonicalJson } from "./canonical-json.ts";
import { checkThreshold, type Candidate } from "./checks.ts";
import type { RoleKeys, Signature } from "./schema.ts";

/** How a `scheme` of TUF is verified: the key that it needs, and the forms of signature that it allows. */
interface TufScheme {
  readonly keytypes: readonly string[];
  readonly type: PublicKey["type"];
  readonly curve?: Curve;
  /** Tried in this order; the first one is how we sign. */
  readonly schemes: readonly SignatureScheme[];
}

const ecdsa = (curve: Curve, name: string, scheme: SignatureScheme): TufScheme => ({
  keytypes: ["ecdsa", name], // the second one is the old name, which Sigstore's first roots have
  type: "ecdsa",
  curve,
  schemes: [scheme],
});
const rsa = (...schemes: SignatureScheme[]): TufScheme => ({ keytypes: ["rsa"], type: "rsa", schemes });

/** A new scheme is one more entry. */
const SCHEMES: ReadonlyMap<string, TufScheme> = new Map([
  ["ed25519", { keytypes: ["ed25519"], type: "ed25519", schemes: ["ed25519"] }],
  ["ecdsa-sha2-nistp256", ecdsa("P-256", "ecdsa-sha2-nistp256", "ecdsa-sha256")],
  ["ecdsa-sha2-nistp384", ecdsa("P-384", "ecdsa-sha2-nistp384", "ecdsa-sha384")],
  ["ecdsa-sha2-nistp521", ecdsa("P-521", "ecdsa-sha2-nistp521", "ecdsa-sha512")],
  // the length of the salt is not said anywhere: the hash's with securesystemslib, the longest with others
  ["rsassa-pss-sha256", rsa("rsassa-pss-sha256", "rsassa-pss-sha256-max-salt")],
  ["rsassa-pss-sha384", rsa("rsassa-pss-sha384", "rsassa-pss-sha384-max-salt")],
  ["rsassa-pss-sha512", rsa("rsassa-pss-sha512", "rsassa-pss-sha512-max-salt")],
  ["rsa-pkcs1v15-sha256", rsa("rsassa-pkcs1v15-sha256")],
  ["rsa-pkcs1v15-sha384", rsa("rsassa-pkcs1v15-sha384")],
  ["rsa-pkcs1v15-sha512", rsa("rsassa-pkcs1v15-sha512")],
] satisfies [string, TufScheme][]);

/** What signatures of a key are checked with. */
interface Verifier {
  readonly publicKey: PublicKey;
  readonly scheme: TufScheme;
}

/** What a key object says of itself. */
interface KeyFields {
  readonly keytype: string;
  readonly scheme: string;
  /** `keyval.public`: PEM or hex, by type. */
  readonly text: string;
}

/** A key object of a document, under the id by which the document lists it. */
export class TufKey {
  readonly id: string;
  readonly keytype: string;
  readonly scheme: string;
  /** As in the document, unknown fields included. */
  readonly json: JsonObject;
  private readonly text: string;
  private resolved: { readonly verifier: Verifier | undefined } | undefined;

  constructor(id: string, { keytype, scheme, text }: KeyFields, json: JsonObject) {
    this.id = id;
    this.keytype = keytype;
    this.scheme = scheme;
    this.text = text;
    this.json = json;
  }

  /** The key itself; undefined where its type, scheme or numbers are none that we verify with: it then signs nothing. */
  get publicKey(): PublicKey | undefined {
    return this.verifier?.publicKey;
  }

  /** How signatures of this key are made; undefined as `publicKey` is. */
  get signingScheme(): SignatureScheme | undefined {
    return this.verifier?.scheme.schemes[0];
  }

  /** What to check a signature with; none where either is not well-formed. */
  candidates(sig: string): Candidate<TufKey>[] {
    const bytes = hexDecode(sig);
    if (this.verifier === undefined || bytes === undefined) return [];
    const { publicKey: key, scheme } = this.verifier;
    const signature = scheme.curve === undefined ? bytes : ecdsaFromDer(bytes, scheme.curve);
    if (signature === undefined) return [];
    return scheme.schemes.map((name) => ({ key, scheme: name, signature, source: this }));
  }

  private get verifier(): Verifier | undefined {
    this.resolved ??= { verifier: resolve(this.keytype, this.scheme, this.text) };
    return this.resolved.verifier;
  }
}

/** Schemes that an RSA key may be listed under; others are read, and not made. */
export type RsaScheme = "rsassa-pss-sha256" | "rsa-pkcs1v15-sha256";

/**
 * Makes the key object of a public key, as the specification writes it, with the id that it prescribes.
 *
 * @param rsaScheme for RSA keys; PSS unless told, which every client knows
 * @throws {FormatError} KEY_INVALID for a key whose type other clients have no scheme for
 */
export async function tufKeyOf(publicKey: PublicKey, rsaScheme: RsaScheme = "rsassa-pss-sha256"): Promise<TufKey> {
  const fields = { ...namesOf(publicKey, rsaScheme), text: publicText(publicKey) };
  const json = { keytype: fields.keytype, scheme: fields.scheme, keyval: { public: fields.text } };
  return new TufKey(hexEncode(await hashBytes("sha256", utf8Encode(canonicalJson(json)))), fields, json);
}

/** Signs as a key object demands: with its scheme, in hex, and DER for ECDSA. */
export async function signMessage(key: TufKey, signer: Signer, message: Uint8Array): Promise<Signature> {
  const raw = await signer.sign(message, key.signingScheme);
  const { curve } = signer.publicKey;
  return { keyId: key.id, sig: hexEncode(curve === undefined ? raw : ecdsaToDer(raw, curve)), extra: {} };
}

/** What signatures are checked on: any document, received or staged. */
export interface SignedMessage {
  readonly message: Bytes;
  readonly signatures: readonly Signature[];
}

/**
 * Checks that enough different keys of a role have signed. Signatures by others are never looked at, however many.
 *
 * @param keys those that the role's delegator lists
 * @returns the keys whose signatures are good
 * @throws {TrustError} SIGNATURE_THRESHOLD
 */
export async function verifyThreshold(
  role: string,
  { message, signatures }: SignedMessage,
  { keyIds, threshold }: RoleKeys,
  keys: ReadonlyMap<string, TufKey>,
): Promise<TufKey[]> {
  const wanted = new Set(keyIds);
  const candidates: Candidate<TufKey>[] = [];
  for (const { keyId, sig } of signatures) {
    if (wanted.has(keyId)) candidates.push(...(keys.get(keyId)?.candidates(sig) ?? []));
  }
  return checkThreshold(role, message, candidates, threshold);
}

function resolve(keytype: string, name: string, text: string): Verifier | undefined {
  const scheme = SCHEMES.get(name);
  if (scheme === undefined || !scheme.keytypes.includes(keytype)) return undefined;
  try {
    const publicKey = readPublic(scheme, text);
    return publicKey.type === scheme.type && publicKey.curve === scheme.curve ? { publicKey, scheme } : undefined;
  } catch (error) {
    if (error instanceof WasmToOciError) return undefined;
    throw error; // a defect of this program
  }
}

function readPublic({ type, curve }: TufScheme, text: string): PublicKey {
  if (type === "ed25519") return PublicKey.fromEd25519(hexDecode(text) ?? notAKey());
  const point = curve === undefined ? undefined : hexDecode(text);
  if (point !== undefined) {
    // Sigstore's first roots: the uncompressed point itself
    return PublicKey.fromSpki(sequence(sequence(oid(OID.ecPublicKey), oid(CURVE_OID[curve!])), bitString(point)));
  }
  const [block, ...others] = parsePem(text, "the key");
  if (block === undefined || others.length > 0) return notAKey();
  if (block.label === "PUBLIC KEY") return PublicKey.fromSpki(block.bytes);
  if (block.label !== "RSA PUBLIC KEY") return notAKey();
  return PublicKey.fromSpki(sequence(sequence(oid(OID.rsaEncryption), nothing()), bitString(block.bytes)));
}

function namesOf({ type, curve }: PublicKey, rsaScheme: RsaScheme): { keytype: string; scheme: string } {
  if (type === "ed25519") return { keytype: "ed25519", scheme: "ed25519" };
  if (type === "rsa") return { keytype: "rsa", scheme: rsaScheme };
  if (curve === "P-256") return { keytype: "ecdsa", scheme: "ecdsa-sha2-nistp256" };
  if (curve === "P-384") return { keytype: "ecdsa", scheme: "ecdsa-sha2-nistp384" };
  throw new FormatError("KEY_INVALID", `TUF clients differ in whether they verify with ECDSA on ${curve}`, {
    hint: "Use an Ed25519, an ECDSA P-256 or P-384, or an RSA key",
  });
}

function publicText(key: PublicKey): string {
  if (key.ed25519Bytes !== undefined) return hexEncode(key.ed25519Bytes);
  return formatPem({ label: "PUBLIC KEY", headers: new Map(), bytes: key.spki });
}

function notAKey(): never {
  throw new FormatError("KEY_INVALID", "the public key is in none of the forms that TUF uses");
}
