/** A TUF trust source whose anchors and verified metadata live in a trust directory. */
import { createHash } from "node:crypto";
import { mkdir, open } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { ownBytes, type Bytes } from "../base/bytes.ts";
import { errorCode, StorageError } from "../base/errors.ts";
import type { Runtime } from "../base/runtime.ts";
import {
  createTufSource,
  type TufCollectionKey,
  type TufSource,
  type TufSourceOptions,
  type TufTrustStore,
} from "../trust/tuf-source.ts";
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
  /** Trust directory; `~/.wasm-to-oci` unless told. */
  readonly dir?: string | undefined;
  readonly runtime?: Runtime | undefined;
}

/**
 * Opens a plain TUF repository as a trust source. Nothing is contacted and nothing is written yet.
 *
 * @throws {UsageError} USAGE where the location is no address of http or https, and no path
 * @example
 * ```ts
 * const source = openTufSource({ location: "https://tuf.example.com/metadata/" });
 * const collection = await source.open("acme/app", { firstUse: "refuse", pin });
 * ```
 */
export function openTufSource(options: OpenTufSourceOptions): TufSource {
  const { location, dir = join(homedir(), ".wasm-to-oci"), runtime = nodeRuntime() } = options;
  const repository = /^[a-z][a-z0-9+.-]+:\/\//i.test(location)
    ? httpRepository({ metadataUrl: location, runtime })
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
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await writeFileAtomic(path, anchor, { mode: 0o600 });
        return anchor;
      });
    },
    openStore: (_key, anchor) => openTufStore(tufStoreDir(state, anchor)),
  };
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
    const handle = await open(path, "r");
    try {
      const status = await handle.stat();
      if (!status.isFile() || status.size > MAX_ANCHOR_BYTES) throw damaged(path);
      return ownBytes(await handle.readFile());
    } finally {
      await handle.close();
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
