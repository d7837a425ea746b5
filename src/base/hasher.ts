/** The hasher of every runtime without node:crypto. In Node use `node/hasher.ts`, which is ten times as fast. */
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import type { CreateHasher } from "./digest.ts";

export const nobleHasher: CreateHasher = (algorithm) => {
  const hash = algorithm === "sha256" ? sha256.create() : sha512.create();
  return {
    update: (chunk) => void hash.update(chunk),
    digest: () => new Uint8Array(hash.digest()),
  };
};
