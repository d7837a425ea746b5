/** A policy in a file, with the root files that it names. */
import { lstat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { errorCode, FormatError, StorageError, UsageError } from "../base/errors.ts";
import type { FetchedPolicy } from "../fetch-policy.ts";
import type { AppliedPolicy } from "../trust/policy/cover-policy.ts";
import type { Pin } from "../trust/pin.ts";
import { PolicyIndex } from "../trust/policy/match.ts";
import { MAX_POLICY_BYTES, parsePolicy, parsePolicyPointer, type PolicyEntry } from "../trust/policy/policy.ts";
import { MAX_ROOT_FILE_BYTES, rootFilePin } from "../trust/policy/roots.ts";
import { readRegularFile } from "./regular-file.ts";

/** The file in a trust directory that is a policy without being named. */
export const POLICY_FILE = "policy.json";

export interface LoadedPolicy {
  /** The file, as messages show it. */
  readonly path: string;
  readonly index: PolicyIndex;
  /** The entry that decides for a repository, its root file read; undefined where none does. @throws POLICY_AMBIGUOUS */
  apply(repository: string): Promise<AppliedPolicy | undefined>;
  /** Reads every root file that entries name. @throws {StorageError} FILE_NOT_FOUND; {FormatError} METADATA_INVALID */
  readRootFiles(): Promise<void>;
}

/** Fetches the policy that a pointer leads to, and verifies it. */
export type FetchPolicy = (reference: string, applied: AppliedPolicy) => Promise<FetchedPolicy>;

/**
 * Reads a policy, wherever the file says that it is.
 *
 * @param path as messages show it
 * @param fetch for files that say where the policy is; refused without it
 * @throws {FormatError} POLICY_INVALID, POLICY_AMBIGUOUS, JSON_INVALID; {StorageError} FILE_NOT_FOUND, STATE_INVALID, …
 */
export async function openPolicyFile(path: string, fetch?: FetchPolicy): Promise<LoadedPolicy> {
  const policy = await openPolicyIfThere(path, fetch);
  if (policy !== undefined) return policy;
  throw new StorageError("FILE_NOT_FOUND", `there is no policy ${path}`, {
    hint: "Check the path; a policy that is named must be there",
    details: { path },
  });
}

/** The same, and undefined where there is no such file: only what is not there at all is no policy. */
export async function openPolicyIfThere(path: string, fetch?: FetchPolicy): Promise<LoadedPolicy | undefined> {
  const bytes = await readRegularFile(path, MAX_POLICY_BYTES);
  if (bytes === undefined) {
    await refuseBrokenLink(path);
    return undefined;
  }
  const folder = dirname(resolve(path));
  const toAbsolute = (relative: string): string => resolve(folder, relative);
  const options = { origin: path, toAbsolute };
  const pointer = parsePolicyPointer(bytes, options);
  if (pointer === undefined) return loaded(path, new PolicyIndex(parsePolicy(bytes, options)), toAbsolute);
  const { reference, entry } = pointer;
  if (fetch === undefined) {
    throw new UsageError("USAGE", `${path} says where the policy is, and nothing here may fetch it`, {
      hint: "Use the command line, or say how to fetch it",
    });
  }
  const roots = await readRoots(entry, toAbsolute);
  const fetched = await fetch(reference, { entry, rest: undefined, passedOver: [], roots });
  const origin = `${reference}@${fetched.digest}`;
  return loaded(origin, new PolicyIndex(parsePolicy(fetched.bytes, { origin, toAbsolute: noFiles })), noFiles);
}

/** What was fetched lies nowhere, so nothing can lie beside it. */
function noFiles(path: string): never {
  throw new FormatError("POLICY_INVALID", `a policy that is fetched names the file ${JSON.stringify(path)}`, {
    hint: "Name fingerprints instead of root files, and places that everybody can reach",
  });
}

function loaded(path: string, index: PolicyIndex, toAbsolute: (path: string) => string): LoadedPolicy {
  return {
    path,
    index,
    async apply(repository) {
      const match = index.match(repository);
      return match && { ...match, roots: await readRoots(match.entry, toAbsolute) };
    },
    async readRootFiles() {
      for (const entry of index.policy.entries) await readRoots(entry, toAbsolute);
    },
  };
}

/** Somebody put a link there, and meant a policy by it. */
async function refuseBrokenLink(path: string): Promise<void> {
  try {
    await lstat(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  throw new StorageError("STATE_INVALID", `the policy ${path} is a link to nothing`, {
    hint: "Restore what it leads to; without it references would be pulled by no policy",
    details: { path },
  });
}

async function readRoots({ roots }: PolicyEntry, toAbsolute: (path: string) => string): Promise<Pin | undefined> {
  if (roots === undefined || "fingerprints" in roots) return roots;
  const path = toAbsolute(roots.file);
  const bytes = await readRegularFile(path, MAX_ROOT_FILE_BYTES);
  if (bytes !== undefined) return rootFilePin(bytes, path);
  throw new StorageError("FILE_NOT_FOUND", `the policy names the root file ${path}, which is not there`, {
    hint: "Restore it, or pin fingerprints instead",
    details: { path },
  });
}
