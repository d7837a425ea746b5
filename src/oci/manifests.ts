/**
 * A repository's manifests. What is read is checked against the digest that was asked for or announced.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
 */
import { digestAlgorithm, digestBytes, isDigest, type Digest } from "../base/digest.ts";
import { RegistryError, TransportError, UsageError } from "../base/errors.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";
import { repositoryScope } from "./auth.ts";
import { ACCEPTED_MANIFESTS, MAX_MANIFEST_BYTES, mediaTypeEssence, parseManifest } from "./manifest.ts";
import { isTag } from "./reference.ts";
import type { RegistryConnection } from "./request.ts";
import type { ReceivedManifest } from "./types.ts";

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface TagOptions extends RequestOptions {
  /**
   * Move the tag only where it names this manifest. For registries that are known to look: most answer success and move
   * it all the same.
   */
  readonly ifMatch?: Digest | undefined;
}

/** What a registry says about a manifest without sending it: a claim, not checked. */
export interface ManifestHead {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Length in bytes; undefined where the registry does not tell. */
  readonly size: number | undefined;
}

export class Manifests {
  private readonly connection: RegistryConnection;
  private readonly name: string;
  private readonly repository: string;

  constructor(connection: RegistryConnection, repository: { name: string; path: string }) {
    this.connection = connection;
    this.name = repository.name;
    this.repository = repository.path;
  }

  /**
   * Reads a manifest or index.
   *
   * @param reference a tag or a digest
   * @returns undefined where the registry has none under that name (404)
   * @throws {RegistryError} DIGEST_MISMATCH, REGISTRY_DENIED, REGISTRY_UNAVAILABLE, REGISTRY_REFUSED
   * @throws {FormatError} MANIFEST_INVALID, JSON_INVALID
   */
  async get(reference: string, options: RequestOptions = {}): Promise<ReceivedManifest | undefined> {
    const what = this.describe(reference);
    const response = await this.connection.read(
      {
        method: "GET",
        to: this.path(reference),
        scope: repositoryScope(this.repository, "pull"),
        headers: { accept: ACCEPTED_MANIFESTS },
        signal: options.signal,
      },
      MAX_MANIFEST_BYTES,
      what,
    );
    if (response.status === 404) return undefined;
    const { bytes, headers } = response;
    const asked = isDigest(reference) ? reference : undefined;
    const announced = announcedDigest(headers.get("docker-content-digest"), what);
    for (const expected of [asked, announced]) {
      if (expected === undefined) continue;
      const got = await digestBytes(bytes, digestAlgorithm(expected));
      if (got !== expected) throw mismatch(what, expected, got);
    }
    return parseManifest(
      bytes,
      headers.get("content-type") ?? undefined,
      asked === undefined ? "sha256" : digestAlgorithm(asked),
    );
  }

  /**
   * Asks what a tag or digest names, without reading it.
   *
   * @returns undefined where the registry has none under that name (404)
   * @throws {RegistryError} REGISTRY_DENIED, REGISTRY_UNAVAILABLE, REGISTRY_REFUSED
   */
  async head(reference: string, options: RequestOptions = {}): Promise<ManifestHead | undefined> {
    const what = this.describe(reference);
    const response = await this.connection.send({
      method: "HEAD",
      to: this.path(reference),
      scope: repositoryScope(this.repository, "pull"),
      headers: { accept: ACCEPTED_MANIFESTS },
      signal: options.signal,
    });
    if (response.status !== 200 && response.status !== 404) {
      throw await this.connection.refusal(response, `looking up ${what}`);
    }
    await response.cancel();
    if (response.status === 404) return undefined;
    const announced = announcedDigest(response.headers.get("docker-content-digest"), what);
    const digest = announced ?? (isDigest(reference) ? reference : undefined);
    if (digest === undefined) return this.headByReading(reference, options); // the header is optional
    const length = response.headers.get("content-length");
    return {
      mediaType: mediaTypeEssence(response.headers.get("content-type") ?? ""),
      digest,
      size: length !== null && /^\d{1,15}$/.test(length) ? Number(length) : undefined,
    };
  }

  /**
   * Uploads a manifest under its digest only; no tag changes.
   *
   * @throws {RegistryError} DIGEST_MISMATCH, REGISTRY_DENIED, REGISTRY_UNAVAILABLE, REGISTRY_REFUSED
   */
  async putByDigest(bytes: Uint8Array, mediaType: string, digest: Digest, options: RequestOptions = {}): Promise<void> {
    const got = await digestBytes(bytes, digestAlgorithm(digest));
    if (got !== digest) throw mismatch(`the manifest for ${this.name}`, digest, got);
    await this.put(bytes, mediaType, digest, options);
  }

  /**
   * Uploads a manifest and makes a tag name it.
   *
   * @throws {RegistryError} REGISTRY_DENIED, REGISTRY_REFUSED where the tag may not be moved; REGISTRY_UNAVAILABLE
   */
  async tag(bytes: Uint8Array, mediaType: string, tag: string, options: TagOptions = {}): Promise<void> {
    if (!isTag(tag)) throw notAReference(tag);
    await this.put(bytes, mediaType, tag, options);
  }

  /**
   * Removes a manifest, and with it every tag that names it.
   *
   * @returns false where the registry does not allow that, or has it no more
   * @throws {RegistryError} REGISTRY_UNAVAILABLE
   */
  async remove(digest: Digest, options: RequestOptions = {}): Promise<boolean> {
    const response = await this.connection.send({
      method: "DELETE",
      to: this.path(digest),
      scope: repositoryScope(this.repository, "delete"),
      signal: options.signal,
    });
    if (response.status >= 500) throw await this.connection.refusal(response, `removing ${this.describe(digest)}`);
    await response.cancel();
    return response.status >= 200 && response.status <= 299;
  }

  private async put(bytes: Uint8Array, mediaType: string, reference: string, options: TagOptions): Promise<void> {
    const what = this.describe(reference);
    const response = await this.connection.send({
      method: "PUT",
      to: this.path(reference),
      scope: repositoryScope(this.repository, "pull,push"),
      headers: { "content-type": mediaType, ...(options.ifMatch && { "if-match": `"${options.ifMatch}"` }) },
      body: bytes,
      signal: options.signal,
    });
    if (response.status < 200 || response.status > 299) {
      throw await this.connection.refusal(response, `writing ${what}`);
    }
    await response.cancel();
    const stored = announcedDigest(response.headers.get("docker-content-digest"), what);
    if (stored === undefined) return;
    const sent = await digestBytes(bytes, digestAlgorithm(stored));
    if (stored !== sent) throw mismatch(`what the registry stored as ${what}`, sent, stored);
  }

  private async headByReading(reference: string, options: RequestOptions): Promise<ManifestHead | undefined> {
    const manifest = await this.get(reference, options);
    return manifest && { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length };
  }

  private path(reference: string): string {
    if (!isTag(reference) && !isDigest(reference)) throw notAReference(reference);
    return `/v2/${this.repository}/manifests/${reference}`;
  }

  private describe(reference: string): string {
    return `manifest ${this.name}${isDigest(reference) ? "@" : ":"}${reference}`;
  }
}

function announcedDigest(header: string | null, what: string): Digest | undefined {
  if (header === null) return undefined;
  if (isDigest(header)) return header;
  throw new TransportError("RESPONSE_INVALID", `${what} came with a Docker-Content-Digest that is none`, {
    details: { got: escapeUntrusted(header, 128) },
  });
}

function mismatch(what: string, expected: string, got: string): RegistryError {
  return new RegistryError("DIGEST_MISMATCH", `${what} is not what it should be: expected ${expected}, got ${got}`, {
    hint: "The content was changed or damaged on the way or in the registry; nothing was kept",
    details: { expected, got },
  });
}

function notAReference(text: string): UsageError {
  return new UsageError("REFERENCE_INVALID", `"${escapeUntrusted(text, 128)}" is neither a tag nor a digest`, {
    hint: "A tag has 1 to 128 letters, digits, `_`, `.` and `-`; a digest looks like sha256:<64 hexadecimal digits>",
  });
}
