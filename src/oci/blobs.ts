/**
 * A repository's blobs, streamed both ways: none is ever held in memory.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-blobs
 */
import { concatBytes, type Bytes } from "../base/bytes.ts";
import { isDigest, verifiedStream, type Digest, type ExpectedContent } from "../base/digest.ts";
import { FormatError, RegistryError, TransportError } from "../base/errors.ts";
import type { StreamBody } from "../base/http.ts";
import type { OnProgress } from "../base/progress.ts";
import { isPassing, retryDelay } from "../base/retry.ts";
import { repositoryScope } from "./auth.ts";
import { uploadLocation } from "./location.ts";
import type { RequestOptions } from "./manifests.ts";
import { refuseEncoding, type RegistryConnection, type RegistryResponse } from "./request.ts";
import type { Descriptor } from "./types.ts";

/** A download that got this much further has not failed, however often its connection breaks. */
const RESUME_PROGRESS_BYTES = 1024 * 1024;

export interface UploadOptions extends RequestOptions {
  readonly onProgress?: OnProgress | undefined;
  /** A repository of the same registry that may have the blob already, for a mount instead of an upload. */
  readonly mountFrom?: string | undefined;
}

export interface UploadResult {
  /** True where the registry had the blob, so that nothing was sent. */
  readonly existed: boolean;
}

export class Blobs {
  private readonly connection: RegistryConnection;
  private readonly name: string;
  private readonly repository: string;

  constructor(connection: RegistryConnection, repository: { name: string; path: string }) {
    this.connection = connection;
    this.name = repository.name;
    this.repository = repository.path;
  }

  /** Tells whether the repository has a blob. @throws {RegistryError} as for any read, but for 404 */
  async has(digest: Digest, options: RequestOptions = {}): Promise<boolean> {
    return this.head(digest, repositoryScope(this.repository, "pull"), options);
  }

  /**
   * Reads a blob. A connection that breaks is resumed where it broke. The iteration throws instead of ending
   * where the content is not what its descriptor says: nothing may be used before it has ended.
   *
   * @throws {RegistryError} REGISTRY_NOT_FOUND, DIGEST_MISMATCH
   * @example
   * ```ts
   * for await (const chunk of repository.blobs.get(layer)) await output.write(chunk);
   * await output.commit();
   * ```
   */
  get(blob: ExpectedContent, options: RequestOptions = {}): AsyncIterable<Uint8Array> {
    return verifiedStream(
      this.download(blob, options),
      blob,
      this.connection.runtime.createHasher,
      this.describe(blob.digest),
    );
  }

  /**
   * Reads a small blob whole; one that is embedded in its descriptor costs no request.
   *
   * @param limit the most bytes to accept
   * @throws {FormatError} LIMIT_EXCEEDED
   */
  async read(
    blob: ExpectedContent & Pick<Descriptor, "data">,
    limit: number,
    options: RequestOptions = {},
  ): Promise<Bytes> {
    if (blob.size > limit) {
      throw new FormatError(
        "LIMIT_EXCEEDED",
        `${this.describe(blob.digest)} has ${blob.size} bytes, more than the ${limit} allowed`,
        { details: { size: blob.size, limit } },
      );
    }
    const chunks: Uint8Array[] = [];
    if (blob.data !== undefined) chunks.push(blob.data);
    else for await (const chunk of this.get(blob, options)) chunks.push(chunk);
    return concatBytes(chunks);
  }

  /**
   * Uploads a blob unless the repository has it. A broken upload starts again from the first byte.
   *
   * @throws {RegistryError} REGISTRY_REFUSED with `details.reason` DIGEST_INVALID where the registry received
   *   other bytes than the digest says; REGISTRY_DENIED, REGISTRY_UNAVAILABLE
   * @throws {StorageError} what the body's source throws
   */
  async put(blob: ExpectedContent, body: StreamBody | Uint8Array, options: UploadOptions = {}): Promise<UploadResult> {
    const { retry } = this.connection;
    for (let attempt = 1; ; attempt++) {
      const scope = repositoryScope(this.repository, "pull,push");
      if (await this.head(blob.digest, scope, options, blob.size)) return { existed: true };
      const location = await this.startUpload(blob.digest, options);
      if (location === undefined) return { existed: true };
      try {
        await this.sendUpload(location, blob, body, options);
        return { existed: false };
      } catch (error) {
        if (!mayPass(error, attempt) || attempt >= retry.attempts) throw error;
      }
      await retry.sleep(retryDelay(attempt, retry), options.signal);
    }
  }

  private async head(digest: Digest, scope: string, options: RequestOptions, size?: number): Promise<boolean> {
    const response = await this.connection.send({
      method: "HEAD",
      to: this.path(digest),
      scope,
      signal: options.signal,
    });
    if (response.status !== 200 && response.status !== 404) {
      throw await this.connection.refusal(response, `looking up ${this.describe(digest)}`);
    }
    await response.cancel();
    const length = response.headers.get("content-length");
    // One that is there with another length is damaged; an upload may mend it.
    return response.status === 200 && (size === undefined || length === null || Number(length) === size);
  }

  /** Opens an upload session; undefined where a mount made it needless. */
  private async startUpload(digest: Digest, options: UploadOptions): Promise<URL | undefined> {
    const { mountFrom } = options;
    const query =
      mountFrom === undefined ? "" : `?${new URLSearchParams({ mount: digest, from: mountFrom }).toString()}`;
    const own = repositoryScope(this.repository, "pull,push");
    const response = await this.connection.send({
      method: "POST",
      to: `/v2/${this.repository}/blobs/uploads/${query}`,
      scope: mountFrom === undefined ? own : `${own} ${repositoryScope(mountFrom, "pull")}`,
      signal: options.signal, // a session more or less does no harm: registries forget unused ones
    });
    if (response.status < 200 || response.status > 299) {
      throw await this.connection.refusal(response, `starting the upload of ${this.describe(digest)}`);
    }
    await response.cancel();
    if (mountFrom !== undefined && response.status === 201) return undefined;
    return uploadLocation(response.headers.get("location"), response.url);
  }

  private async sendUpload(
    location: URL,
    blob: ExpectedContent,
    body: StreamBody | Uint8Array,
    options: UploadOptions,
  ): Promise<void> {
    const to = new URL(location);
    // Added by hand: what the registry wrote stays as it is, byte for byte, since it may be signed.
    to.search = `${to.search === "" ? "?" : `${to.search}&`}digest=${encodeURIComponent(blob.digest)}`;
    const response = await this.connection.send({
      method: "PUT",
      to,
      scope: repositoryScope(this.repository, "pull,push"),
      headers: { "content-type": "application/octet-stream" },
      body: body instanceof Uint8Array ? body : reporting(body, blob.digest, options.onProgress),
      signal: options.signal,
      repeatable: false, // the session may be used up; `put` starts another
    });
    if (response.status < 200 || response.status > 299) {
      throw await this.connection.refusal(response, `uploading ${this.describe(blob.digest)}`);
    }
    await response.cancel();
    const stored = response.headers.get("docker-content-digest");
    if (stored !== null && stored !== blob.digest && isDigest(stored) && sameAlgorithm(stored, blob.digest)) {
      throw new RegistryError(
        "DIGEST_MISMATCH",
        `the registry stored something else than ${this.describe(blob.digest)}: it says ${stored}`,
        { hint: "The registry or a proxy before it is faulty", details: { expected: blob.digest, got: stored } },
      );
    }
  }

  private async *download(blob: ExpectedContent, options: RequestOptions): AsyncGenerator<Uint8Array> {
    const { retry } = this.connection;
    let offset = 0;
    let lastFailure = 0;
    for (let attempt = 1; ; attempt++) {
      const { body, skip } = await this.open(blob, offset, options);
      let toSkip = skip;
      try {
        for await (const chunk of body) {
          const fresh = toSkip === 0 ? chunk : chunk.subarray(Math.min(toSkip, chunk.length));
          toSkip -= chunk.length - fresh.length;
          if (fresh.length === 0) continue;
          offset += fresh.length;
          yield fresh;
        }
        return;
      } catch (error) {
        if (offset === blob.size) return; // all is here; whether it is right, the digest says
        if (offset - lastFailure >= RESUME_PROGRESS_BYTES) attempt = 1;
        lastFailure = offset;
        if (!isPassing(error, attempt) || attempt >= retry.attempts) throw error;
      }
      await retry.sleep(retryDelay(attempt, retry), options.signal);
    }
  }

  /** Opens a blob from an offset on; `skip` bytes of the body come before it where the server ignores ranges. */
  private async open(
    blob: ExpectedContent,
    offset: number,
    options: RequestOptions,
  ): Promise<{ body: AsyncIterable<Uint8Array>; skip: number }> {
    const what = this.describe(blob.digest);
    const response = await this.connection.send({
      method: "GET",
      to: this.path(blob.digest),
      scope: repositoryScope(this.repository, "pull"),
      headers: offset === 0 ? {} : { range: `bytes=${offset}-` },
      signal: options.signal,
    });
    if (response.status !== 200 && (response.status !== 206 || offset === 0)) {
      throw await this.connection.refusal(response, `reading ${what}`);
    }
    await refuseEncoding(response, what);
    const partial = response.status === 206;
    if (partial) await checkRange(response, offset, blob.size, what);
    const length = response.headers.get("content-length");
    const expected = partial ? blob.size - offset : blob.size;
    if (length !== null && Number(length) !== expected) {
      await response.cancel();
      throw new RegistryError("DIGEST_MISMATCH", `${what}: expected ${expected} bytes, the registry has ${length}`, {
        hint: "The content was changed or damaged in the registry; nothing was kept",
        details: { expected, got: length },
      });
    }
    return { body: response.body, skip: partial ? 0 : offset };
  }

  private path(digest: Digest): string {
    return `/v2/${this.repository}/blobs/${digest}`;
  }

  private describe(digest: Digest): string {
    return `blob ${digest} of ${this.name}`;
  }
}

async function checkRange(response: RegistryResponse, offset: number, size: number, what: string): Promise<void> {
  const range = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(response.headers.get("content-range") ?? "");
  const fits =
    range !== null &&
    Number(range[1]) === offset &&
    Number(range[2]) === size - 1 &&
    (range[3] === "*" || Number(range[3]) === size);
  if (fits) return;
  await response.cancel();
  throw new TransportError("RESPONSE_INVALID", `${what}: the registry sent another range than was asked for`, {
    hint: "Run the command again; if it stays so, the registry is faulty",
  });
}

/** What a new session may mend: a cut connection, a busy registry, a session that it has forgotten. */
function mayPass(error: unknown, attempt: number): boolean {
  if (isPassing(error, attempt)) return true;
  if (!(error instanceof RegistryError)) return false;
  return error.code === "REGISTRY_UNAVAILABLE" || error.details["reason"] === "BLOB_UPLOAD_UNKNOWN";
}

function sameAlgorithm(a: string, b: string): boolean {
  return a.split(":", 1)[0] === b.split(":", 1)[0];
}

function reporting(body: StreamBody, subject: string, onProgress: OnProgress | undefined): StreamBody {
  if (onProgress === undefined) return body;
  return {
    size: body.size,
    async *open(offset = 0) {
      let done = offset;
      for await (const chunk of body.open(offset)) {
        yield chunk;
        done += chunk.length;
        onProgress({ phase: "uploading", subject, done, total: body.size });
      }
    },
  };
}
