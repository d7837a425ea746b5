/** The part of a Notary v1 server's API that changes something: publishes, server-held keys, deletion. */
import { FormatError, TrustError } from "../base/errors.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import { canonicalKeyId } from "../keys/notary-key-id.ts";
import type { NotaryApi } from "./api.ts";
import type { NewKey } from "./changes.ts";
import type { NotaryKey } from "./metadata.ts";
import { writeMultipart } from "./multipart.ts";
import { keyIdOf, resolveKeys } from "./public-keys.ts";
import type { SignedFile } from "./sign-documents.ts";
import { newestVersion } from "./version-search.ts";
import { decodeDocument } from "./wire.ts";

/** Answers to writes are empty. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Notary's own limit for a key. */
const MAX_KEY_BYTES = 256 * 1024;
/** Notary's own limit for a document. */
const MAX_DOCUMENT_BYTES = 100 * 1024 * 1024;
/** What server-held keys may be: anything that reads as a plain key. Certificates are for root only. */
const SERVER_KEY_TYPES: ReadonlySet<string> = new Set(["ecdsa", "ed25519", "rsa"]);

export type ServerRole = "snapshot" | "timestamp";

export class NotaryWriteApi {
  private readonly api: NotaryApi;

  constructor(api: NotaryApi) {
    this.api = api;
  }

  /**
   * Publishes all files or none.
   *
   * @throws {TrustError} TRUST_CONFLICT where a version exists already, TRUST_REJECTED, TRUST_DENIED, TRUST_UNAVAILABLE
   */
  async upload(gun: string, files: readonly SignedFile[], signal: AbortSignal | undefined): Promise<void> {
    const { contentType, bytes } = writeMultipart(files);
    await this.api.request({
      method: "POST",
      gun,
      path: "tuf/",
      action: "push,pull",
      headers: { "content-type": contentType },
      body: bytes,
      limit: MAX_ANSWER_BYTES,
      signal,
    });
  }

  /** The key that the server signs a role with; one that it makes for a collection that does not exist yet. */
  serverKey(gun: string, role: ServerRole, signal: AbortSignal | undefined): Promise<NewKey> {
    return this.keyRequest("GET", gun, role, signal);
  }

  /** Makes the server create another key. It signs nothing before a root that names it is published. */
  newServerKey(gun: string, role: ServerRole, signal: AbortSignal | undefined): Promise<NewKey> {
    return this.keyRequest("POST", gun, role, signal);
  }

  /** Deletes a collection from the server, for everybody. Servers answer the same where there was none. */
  async deleteCollection(gun: string, signal: AbortSignal | undefined): Promise<void> {
    await this.api.request({ method: "DELETE", gun, path: "tuf/", action: "*", limit: MAX_ANSWER_BYTES, signal });
  }

  /** The newest version that the server has stored of a role, in the snapshot or not; 0 for none. */
  async newestVersion(gun: string, role: string, signal: AbortSignal | undefined): Promise<number> {
    const newest = await this.api.getDocument(gun, `${role}.json`, { limit: MAX_DOCUMENT_BYTES, signal });
    if (newest !== undefined) return versionOf(newest, role);
    const version = await newestVersion((number) => this.hasVersion(gun, role, number, signal));
    return version;
  }

  private async hasVersion(
    gun: string,
    role: string,
    version: number,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const file = `${version}.${role}.json`;
    return (await this.api.getDocument(gun, file, { limit: MAX_DOCUMENT_BYTES, signal })) !== undefined;
  }

  private async keyRequest(
    method: "GET" | "POST",
    gun: string,
    role: ServerRole,
    signal: AbortSignal | undefined,
  ): Promise<NewKey> {
    const action = method === "GET" ? "push,pull" : "*";
    const bytes = await this.api.request({
      method,
      gun,
      path: `tuf/${role}.key`,
      action,
      limit: MAX_KEY_BYTES,
      signal,
    });
    const what = `the server's ${role} key`;
    const at = new JsonCursor(parseJson(bytes, { what }), formatFault("KEY_INVALID", what)).object([
      "keytype",
      "keyval",
    ]);
    const value = at.field("keyval").object(["public", "private"]);
    if (!value.field("private").empty) value.field("private").fail("a private key, which no server gives away");
    const key: NotaryKey = { keytype: at.field("keytype").string(), public: value.field("public").base64() };
    if (!SERVER_KEY_TYPES.has(key.keytype)) at.field("keytype").fail(`not one of ${[...SERVER_KEY_TYPES].join(", ")}`);
    const keyId = await keyIdOf(key);
    const resolved = (await resolveKeys(new Map([[keyId, key]]), what)).get(keyId);
    if (resolved?.publicKey === undefined)
      throw new FormatError("KEY_INVALID", `${what} is not one that we can verify with`);
    return { key, keyId, canonicalId: await canonicalKeyId(resolved.publicKey) };
  }
}

function versionOf(bytes: Uint8Array, role: string): number {
  const { version } = decodeDocument(bytes, role).signed;
  if (typeof version === "number" && Number.isSafeInteger(version) && version >= 1) return version;
  throw new TrustError("METADATA_TAMPERED", `the server's ${role} has no version`, { role });
}
