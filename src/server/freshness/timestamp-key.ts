/** The key that the server signs one collection's timestamps with: a file that nobody else can read, and its public half. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { utf8Encode } from "../../base/bytes.ts";
import { errorCode, StorageError } from "../../base/errors.ts";
import { formatPem } from "../../keys/pem.ts";
import { PrivateKey } from "../../keys/private-key.ts";
import { storageError, writeFileAtomic } from "../../node/files.ts";

const KEY_FILE = "timestamp.key";
/** Whose key it is stands in the name: that is what people see in the collection's status. */
const PUBLIC_FILE = "server.pub.pem";

export interface TimestampKey {
  readonly key: PrivateKey;
  /** The public half as PEM, to be given to a root key's holder. */
  readonly publicFile: string;
}

/**
 * Reads the key of a collection; makes one where none was ever used. Each collection has its own: a timestamp does not
 * say whose it is, and with a key for two, one's newest could be shown as the other's.
 *
 * @param isInUse tells whether a root that lists this key was trusted here
 * @throws {StorageError} STATE_INVALID where the file is lost or damaged, STORAGE_DENIED, STORAGE_FULL
 */
export async function openTimestampKey(dir: string, isInUse: () => Promise<boolean>): Promise<TimestampKey> {
  const path = join(dir, KEY_FILE);
  const key = (await readKey(path)) ?? (await makeKey(dir, path, isInUse));
  const publicFile = join(dir, PUBLIC_FILE);
  const { spki } = key.publicKey;
  const pem = formatPem({ label: "PUBLIC KEY", headers: new Map(), bytes: spki });
  await writeFileAtomic(publicFile, utf8Encode(pem));
  return { key, publicFile };
}

async function readKey(path: string): Promise<PrivateKey | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw storageError(error, "read", path);
  }
  try {
    return await PrivateKey.fromPkcs8(bytes);
  } catch (cause) {
    throw unusable(path, "it is damaged", cause);
  }
}

async function makeKey(dir: string, path: string, isInUse: () => Promise<boolean>): Promise<PrivateKey> {
  if (await isInUse()) throw unusable(path, "it is missing, and a collection lists it");
  const key = await PrivateKey.generate("ed25519");
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw storageError(error, "make the directory", dir);
  }
  await writeFileAtomic(path, key.toPkcs8(), { mode: 0o600 });
  return key;
}

function unusable(path: string, reason: string, cause?: unknown): StorageError {
  return new StorageError("STATE_INVALID", `the server's timestamp key ${path} cannot be used: ${reason}`, {
    hint: "Restore it from a backup; or remove its directory, and have the collection's owner list the new key",
    details: { path },
    cause,
  });
}
