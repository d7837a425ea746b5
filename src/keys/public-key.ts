/** A public key that can be checked against, whatever format it came in. */
import type { Bytes } from "../base/bytes.ts";

export interface PublicKey {
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Bytes;
}
