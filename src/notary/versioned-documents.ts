/**
 * Documents of a collection whose current timestamp the server will not give out, because it would have to sign
 * again what only a client can sign. Single versions are still served; this source finds the newest ones.
 */
import { hexEncode, type Bytes } from "../base/bytes.ts";
import type { NotaryApi } from "./api.ts";
import type { DocumentSource } from "./document-source.ts";
import { newestVersion } from "./version-search.ts";

/** Notary's own limit for any download. */
const MAX_DOCUMENT_BYTES = 100 * 1024 * 1024;
/** Notary's own limit; real ones have 500 bytes. */
const MAX_TIMESTAMP_BYTES = 1024 * 1024;

export function versionedDocuments(options: {
  readonly api: NotaryApi;
  readonly gun: string;
  /** The newest timestamp version that was seen before; 0 where none was. */
  readonly knownTimestamp: number;
  readonly signal: AbortSignal | undefined;
}): DocumentSource {
  const { api, gun, signal } = options;
  const get = (file: string, limit: number): Promise<Bytes | undefined> =>
    api.getDocument(gun, file, { limit, revalidate: true, signal });
  return {
    name: `the trust server ${new URL(api.server).host}`,
    root: () => get("root.json", MAX_DOCUMENT_BYTES),
    rootVersion: (version) => get(`${version}.root.json`, MAX_DOCUMENT_BYTES),
    timestamp: async () => {
      const file = (version: number) => get(`${version}.timestamp.json`, MAX_TIMESTAMP_BYTES);
      const version = await newestVersion(async (number) => (await file(number)) !== undefined, options.knownTimestamp);
      const bytes = version === 0 ? undefined : await file(version);
      return bytes && { bytes, from: "network" };
    },
    matching: async (role, expected) => {
      const hash = hexEncode(expected.hashes.get("sha256")!);
      const bytes = await get(`${role}.${hash}.json`, Math.min(expected.length, MAX_DOCUMENT_BYTES));
      return bytes && { bytes, from: "network" };
    },
    close: async () => {},
  };
}
