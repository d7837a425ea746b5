/** What a client of a repository takes at most. */

/** Bytes of documents whose length nobody signed, and the number of roots to follow. */
export interface TufLimits {
  readonly root: number;
  readonly timestamp: number;
  readonly snapshot: number;
  readonly targets: number;
  /** What even a signed length may not exceed. */
  readonly signedLength: number;
  readonly rootRotations: number;
}

/** As in python-tuf, go-tuf and tuf-js; a signed length allows more, up to what fits into memory easily. */
export const DEFAULT_TUF_LIMITS: TufLimits = {
  root: 512_000,
  timestamp: 16_384,
  snapshot: 2_000_000,
  targets: 5_000_000,
  signedLength: 128 * 1024 * 1024,
  rootRotations: 256,
};
