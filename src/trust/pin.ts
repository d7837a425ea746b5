/** What a consumer demands of a collection's root before trusting anything that it signs. */

/**
 * Root keys that are accepted. At least one form must be given; all that are given must hold.
 */
export interface Pin {
  /** Lower-case hex sha256 of SubjectPublicKeyInfo DER; `threshold` of them must be among the root's signers. */
  readonly fingerprints?: readonly string[];
  /** How many of `fingerprints` must have signed; 1 unless told. */
  readonly threshold?: number;
  /** Notary: ids of root certificate keys, as in the `certs` of Notary's `trust_pinning`. */
  readonly certificateIds?: readonly string[];
  /** Notary: PEM certificates of authorities that must have issued the root certificate. */
  readonly certificateAuthorities?: string;
}
