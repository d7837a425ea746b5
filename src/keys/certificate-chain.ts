/** Following a certificate to an authority (RFC 5280 §6.1, what of it applies without names and policies). */
import type { Certificate } from "./certificate.ts";
import { OID } from "./oid.ts";

/** Authorities between a leaf and the anchor; public ones use one or two. */
const MAX_INTERMEDIATES = 8;
/** Signatures checked for one leaf: an enemy's bundle of many alike authorities must not cost minutes. */
const MAX_CHECKS = 200;
/** How far a clock may be behind that of the certificate's maker, as Notary allows. */
const NOT_BEFORE_LEEWAY_MS = 24 * 60 * 60 * 1000;

/**
 * Uses that a leaf may name, if it names any, to sign a collection's root. Notary's programs want serverAuth, which
 * says nothing about signing content; codeSigning is what Notary itself writes.
 */
const SIGNING_USES: ReadonlySet<string> = new Set([OID.codeSigning, OID.serverAuth, OID.anyExtendedKeyUsage]);

/** Tells whether a certificate is valid at a moment, with one day of leeway at its beginning. */
export function isValidAt({ notBefore, notAfter }: Certificate, now: Date): boolean {
  return notBefore.getTime() - NOT_BEFORE_LEEWAY_MS <= now.getTime() && now.getTime() <= notAfter.getTime();
}

/**
 * Tells whether a leaf was issued by one of the anchors, directly or through intermediates.
 *
 * Every certificate on the way must be valid now, signed with SHA-2, free of critical extensions that are not
 * known, and every issuer an authority whose path length is long enough. The leaf must be allowed to sign, and for
 * code or for servers if it names uses. The anchors are trusted as they are, their dates excepted.
 */
export async function chainsTo(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  anchors: readonly Certificate[],
  now: Date,
): Promise<boolean> {
  const uses = leaf.extensions.extendedKeyUsages;
  if (leaf.isCa || !leaf.extensions.maySign || (uses !== undefined && !uses.some((use) => SIGNING_USES.has(use)))) {
    return false;
  }
  const usable = (certificate: Certificate): boolean =>
    isValidAt(certificate, now) && certificate.extensions.unknownCritical.length === 0;
  let checks = 0;
  const issued = async (certificate: Certificate, issuer: Certificate, below: number): Promise<boolean> => {
    const { pathLength } = issuer.extensions;
    if (!certificate.namesIssuer(issuer) || !usable(issuer) || (pathLength !== undefined && pathLength < below))
      return false;
    return ++checks <= MAX_CHECKS && certificate.isIssuedBy(issuer);
  };
  const reaches = async (certificate: Certificate, path: readonly Certificate[]): Promise<boolean> => {
    for (const anchor of anchors) if (await issued(certificate, anchor, path.length)) return true;
    if (path.length === MAX_INTERMEDIATES) return false;
    for (const issuer of intermediates) {
      if (path.includes(issuer) || !(await issued(certificate, issuer, path.length))) continue;
      if (await reaches(issuer, [...path, issuer])) return true;
    }
    return false;
  };
  return usable(leaf) && reaches(leaf, []);
}
