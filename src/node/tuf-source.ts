/** A TUF trust source whose anchors and verified metadata live in a trust directory. */
import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { equalBytes, ownBytes, type Bytes } from "../base/bytes.ts";
import { errorCode, StorageError, UsageError } from "../base/errors.ts";
import type { Runtime } from "../base/runtime.ts";
import {
  createTufSource,
  type TufCollectionKey,
  type TufSource,
  type TufSourceOptions,
  type TufTrustStore,
} from "../trust/tuf/source.ts";
import { httpRepository } from "../tuf/http-repository.ts";
import { storageError, withLock, writeFileAtomic } from "./files.ts";
import { nodeRuntime } from "./runtime.ts";
import { directoryRepository } from "./tuf-directory.ts";
import { openTufStore, tufStoreDir } from "./tuf-store.ts";

/** As for any root document. */
const MAX_ANCHOR_BYTES = 512_000;

type Tuning = Pick<TufSourceOptions, "anchor" | "freshness" | "limits" | "publish" | "targetsRole">;

export interface OpenTufSourceOptions extends Tuning {
  /** URL of the metadata's folder, or the path of a directory that holds `metadata/` and `targets/`. */
  readonly location: string;
  /** URL of the folder that holds the targets; `targets` beside the metadata's folder unless told. */
  readonly targetsUrl?: string | undefined;
  /** Sent to the repository's own origins, and nowhere that they redirect to: `authorization`. Names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Trust directory; `~/.wasm-to-oci` unless told. */
  readonly dir?: string | undefined;
  readonly runtime?: Runtime | undefined;
}

/**
 * Opens a plain TUF repository as a trust source. Nothing is contacted and nothing is written yet.
 *
 * @throws {UsageError} USAGE where the location is no address of http or https, and no path; for a URL of targets, or
 *   headers, beside a path
 * @example
 * ```ts
 * const source = openTufSource({ location: "https://tuf.example.com/metadata/" });
 * const collection = await source.open("acme/app", { firstUse: "refuse", pin });
 * ```
 */
export function openTufSource(options: OpenTufSourceOptions): TufSource {
  const { location, dir = join(homedir(), ".wasm-to-oci"), runtime = nodeRuntime() } = options;
  const { targetsUrl, headers } = options;
  const isUrl = /^[a-z][a-z0-9+.-]+:\/\//i.test(location);
  if (!isUrl && (targetsUrl !== undefined || headers !== undefined)) {
    throw new UsageError("USAGE", `${location} is a directory: it has no URL of targets, and takes no headers`, {
      hint: "Give the address of the metadata's folder, or leave the two out",
    });
  }
  const repository = isUrl
    ? httpRepository({ metadataUrl: location, targetsUrl, headers, runtime })
    : directoryRepository(resolve(location));
  return createTufSource({ ...options, repository, runtime, trust: openTufTrustDir(dir) });
}

/** Opens the anchors and stores of a trust directory. */
export function openTufTrustDir(dir: string): TufTrustStore {
  const state = join(dir, "state", "tuf");
  return {
    readAnchor: (key) => readAnchor(anchorPath(state, key)),
    writeAnchor: (key, anchor) => {
      const path = anchorPath(state, key);
      return withLock(join(state, ".lock"), async () => {
        const known = await readAnchor(path);
        if (known !== undefined) return known;
        mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
        await writeFileAtomic(path, anchor, { mode: 0o600 });
        return anchor;
      });
    },
    openStore: (_key, anchor) => openTufStore(tufStoreDir(state, anchor)),
    remove: (key) => {
      const path = anchorPath(state, key);
      return withLock(join(state, ".lock"), async () => {
        const anchor = await readAnchor(path);
        if (anchor === undefined) return;
        const shared = await isShared(state, path, anchor);
        await removing(path); // first: without it, what is left is never looked at
        if (!shared) await removing(tufStoreDir(state, anchor));
      });
    },
  };
}

/** One collection may be known from several places; what was verified from its anchor is then shared. */
async function isShared(state: string, path: string, anchor: Bytes): Promise<boolean> {
  const folder = dirname(path);
  for (const name of await readdir(folder)) {
    const other = join(folder, name);
    if (other === path || !name.endsWith(".root.json")) continue;
    const found = await readAnchor(other);
    if (found !== undefined && equalBytes(found, anchor)) return true;
  }
  return false;
}

async function removing(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    throw storageError(error, "write", path);
  }
}

function anchorPath(state: string, { location, collection }: TufCollectionKey): string {
  const name = createHash("sha256")
    .update(JSON.stringify([location, collection]))
    .digest("hex");
  return join(state, "anchors", `${name}.root.json`);
}

/** Absent, or readable: anything else must not pass for "never seen". */
async function readAnchor(path: string): Promise<Bytes | undefined> {
  try {
    const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe must not block
    try {
      const status = fstatSync(file);
      if (!status.isFile() || status.size > MAX_ANCHOR_BYTES) throw damaged(path);
      const { buffer, byteOffset, length } = readFileSync(file);
      return ownBytes(new Uint8Array(buffer, byteOffset, length));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw storageError(error, "read", path);
  }
}

function damaged(path: string): StorageError {
  return new StorageError(
    "STATE_INVALID",
    `the trust anchor in ${path} is no regular file of at most ${MAX_ANCHOR_BYTES} bytes`,
    {
      hint: "Remove it, and trust the repository anew with its publisher's root file",
      details: { path },
    },
  );
}
