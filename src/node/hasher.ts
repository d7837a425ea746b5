/** The hasher of Node: OpenSSL, with the processor's SHA instructions. */
import { createHash } from "node:crypto";
import type { CreateHasher } from "../base/digest.ts";

export const nodeHasher: CreateHasher = (algorithm) => {
  const hash = createHash(algorithm);
  return {
    update: (chunk) => void hash.update(chunk),
    digest: () => new Uint8Array(hash.digest()),
  };
};
