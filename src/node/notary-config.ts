/**
 * The `trust_pinning` of a `config.json` that the `notary` command uses beside the same trust directory: whoever
 * pinned a collection there expects it to be pinned here.
 */
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parseTrustPinning, pinningRule } from "../notary/pinning.ts";
import type { Coverage } from "../trust/coverage.ts";
import { readRegularFile } from "./regular-file.ts";
import { storageError } from "./storage-error.ts";

/** Thousands of pins; people write it by hand. */
const MAX_CONFIG_BYTES = 1024 * 1024;

/**
 * Applies Notary's pins to a coverage for which no keys are named; pins of our own go first.
 *
 * @param dir trust directory, e.g. `~/.notary`
 * @throws {FormatError} CONFIG_INVALID, JSON_INVALID: a file of pins that cannot be read is never no pins
 * @throws {StorageError} where the file, or an authority that it names, cannot be read
 */
export async function withNotaryPins(coverage: Coverage, dir: string): Promise<Coverage> {
  const isOpen = coverage.reason === "flags" || coverage.reason === "policy";
  if (coverage.source.kind !== "notary" || !isOpen || coverage.pin !== undefined) return coverage;
  const path = join(dir, "config.json");
  const config = await readRegularFile(path, MAX_CONFIG_BYTES);
  if (config === undefined) return coverage;
  const rule = pinningRule(parseTrustPinning(config), coverage.collection);
  if (rule.kind === "first-use") return coverage;
  if (rule.kind === "refuse") return { ...coverage, firstUse: "refuse" };
  if (rule.kind === "certificates") {
    return { ...coverage, pin: { certificateIds: rule.certificateIds }, firstUse: "refuse" };
  }
  const pem = resolve(dirname(path), rule.path);
  const certificateAuthorities = await readFile(pem, "utf8").catch((error: unknown) => {
    throw storageError(error, "read", pem);
  });
  return { ...coverage, pin: { certificateAuthorities }, firstUse: "refuse" };
}
