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
  /** Another pin that must hold too: what a policy or a flag demands besides the stored one. */
  readonly also?: Pin | undefined;
}

/** One pin of several, all of which must hold; undefined where none is given. */
export function combinePins(...pins: readonly (Pin | undefined)[]): Pin | undefined {
  let combined: Pin | undefined;
  for (const pin of pins.toReversed()) {
    if (pin !== undefined) combined = withLast(pin, combined);
  }
  return combined;
}

function withLast(pin: Pin, last: Pin | undefined): Pin {
  return { ...pin, also: pin.also === undefined ? last : withLast(pin.also, last) };
}

/** The pins of a combination, each for itself. */
export function pinParts(pin: Pin | undefined): Pin[] {
  const parts: Pin[] = [];
  for (let next = pin; next !== undefined; next = next.also) parts.push({ ...next, also: undefined });
  return parts;
}
