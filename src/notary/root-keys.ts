/** Root keys: Notary lists them inside certificates that carry the collection's name. */
import { utf8Encode } from "../base/bytes.ts";
import { TrustError, UsageError } from "../base/errors.ts";
import type { Clock } from "../base/runtime.ts";
import { createSelfSignedCertificate, parseCertificates } from "../keys/certificate.ts";
import { canonicalKeyId } from "../keys/notary-key-id.ts";
import { formatPem } from "../keys/pem.ts";
import type { Signer } from "../keys/signer.ts";
import type { Change, NewKey } from "./changes.ts";
import type { NotaryKey, NotaryRoot } from "./metadata.ts";
import { keyIdOf } from "./public-keys.ts";
import { EXPIRY_DAYS } from "./sign-documents.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { VerifiedDelegator } from "./state.ts";

const DAY_MS = 86_400_000;

/**
 * Wraps a root key for a collection.
 *
 * @param certificate PEM, leaf first: the owner's own; one is made unless given
 * @throws {UsageError} USAGE where the key is of a kind that Notary has no certificates for
 * @throws {TrustError} KEY_MISSING where the certificate is for another key
 */
export async function certifyRootKey(
  gun: string,
  signer: Signer,
  options: { now: Clock; certificate?: string | undefined },
): Promise<NewKey> {
  const { type } = signer.publicKey;
  if (type === "ed25519") {
    throw new UsageError("USAGE", "a root key of Notary is ECDSA or RSA, this one is Ed25519", {
      hint: "Let a new root key be made, or import an ECDSA or RSA key",
    });
  }
  const canonicalId = await canonicalKeyId(signer.publicKey);
  const now = options.now();
  const pem =
    (options.certificate && rewrite(options.certificate)) ??
    (await createSelfSignedCertificate({
      commonName: gun,
      signer,
      notBefore: now,
      notAfter: new Date(now.getTime() + EXPIRY_DAYS.root * DAY_MS),
    }));
  const certified = await certifiedKeyId(pem);
  if (certified !== canonicalId) {
    throw new TrustError("KEY_MISSING", `the certificate is for the key ${certified}, not for ${canonicalId}`, {
      role: "root",
      hint: "Give the certificate of the root key, leaf first",
    });
  }
  const key: NotaryKey = { keytype: `${type}-x509`, public: utf8Encode(pem) };
  return { key, keyId: await keyIdOf(key), canonicalId };
}

/** Notary's clients sign root again when it has less than this left. */
export const ROOT_RENEWAL_MS = 183 * DAY_MS;

/** Until when a root is good: its own expiry, or the end of the certificates that its threshold needs. */
export function rootGoodUntil({ metadata, keys, expires }: VerifiedDelegator<NotaryRoot>): Date {
  const { keyIds, threshold } = metadata.roles.get("root")!;
  const ends = keyIds.flatMap((id) => keys.get(id)?.certificates[0]?.notAfter.getTime() ?? []);
  ends.sort((a, b) => b - a);
  return new Date(Math.min(expires.getTime(), ends[threshold - 1] ?? 0));
}

/**
 * The changes that keep root good for its next period: signed again, and its certificates made anew where they would
 * run out before it. Notary's client renews only the former, so its collections end with their first certificate.
 *
 * A certificate that somebody else issued is left as it is: only they can renew it.
 */
export async function renewRootChanges(
  root: VerifiedDelegator<NotaryRoot>,
  gun: string,
  keys: SigningKeys,
  now: Clock,
): Promise<Change[]> {
  const listed = root.metadata.roles.get("root")!.keyIds.flatMap((id) => root.keys.get(id) ?? []);
  const renewed: NewKey[] = [];
  for (const { keyId, canonicalId, certificates } of listed) {
    const [leaf] = certificates;
    const key = root.metadata.keys.get(keyId)!;
    const ends = leaf !== undefined && leaf.notAfter.getTime() - now().getTime() <= ROOT_RENEWAL_MS;
    if (!ends || canonicalId === undefined || certificates.length > 1 || !(await leaf.isSignedBy(leaf.publicKey))) {
      renewed.push({ key, keyId, canonicalId: canonicalId ?? keyId });
      continue;
    }
    renewed.push(await certifyRootKey(gun, await openKey(keys, canonicalId, "root"), { now }));
  }
  return [
    { action: "replace-keys", role: "root", keys: renewed },
    { action: "renew", role: "root" },
  ];
}

/** Opens a key that has to be there. @throws {TrustError} KEY_MISSING, KEY_PASSPHRASE */
export async function openKey(keys: SigningKeys, id: string, role: string): Promise<Signer> {
  const signer = await keys.store.open(id, keys.passphrases);
  if (signer !== undefined) return signer;
  throw new TrustError("KEY_MISSING", `the ${role} key ${id} is not in ${keys.location}`, {
    role,
    hint: "Bring it with `wasm-to-oci key import`",
    details: { missing: [id], location: keys.location },
  });
}

/** The id of the key that a PEM bundle's first certificate is for. @throws {FormatError} CERTIFICATE_INVALID */
export async function certifiedKeyId(pem: string): Promise<string> {
  const [leaf] = parseCertificates(pem, "the root certificate");
  return canonicalKeyId(leaf!.publicKey);
}

/** The same certificates without whatever stands around them. */
function rewrite(pem: string): string {
  return parseCertificates(pem, "the root certificate")
    .map(({ bytes }) => formatPem({ label: "CERTIFICATE", headers: new Map(), bytes }))
    .join("");
}
