/**
 * A registry that does what a test tells it: honest by default (in memory, distribution-spec 1.1 as far as a
 * client needs it), with any answer replaced by a fault.
 */
import { createHash } from "node:crypto";
import {
  startFaultyServer,
  type FaultRule,
  type FaultyServer,
  type HonestAnswer,
  type SeenRequest,
  type TlsIdentity,
} from "./faulty-server.ts";

export type { Fault, FaultRule, SeenRequest } from "./faulty-server.ts";

export interface StoredManifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
}

export interface HostileRegistry extends FaultyServer {
  /** By `repository@digest`. */
  readonly blobs: Map<string, Buffer>;
  /** By `repository:tag` and `repository@digest`. */
  readonly manifests: Map<string, StoredManifest>;
  /** Puts a blob there; gives its digest. */
  addBlob(repository: string, bytes: Uint8Array): string;
  /** Puts a manifest there under its digest and, where given, a tag; gives its digest. */
  addManifest(repository: string, document: unknown, mediaType: string, tag?: string): string;
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export async function startHostileRegistry(
  options: { fault?: FaultRule; tls?: TlsIdentity } = {},
): Promise<HostileRegistry> {
  const state = new RegistryState();
  const server = await startFaultyServer((request) => state.answer(request), options);
  return Object.assign(server, {
    blobs: state.blobs,
    manifests: state.manifests,
    addBlob: (repository: string, bytes: Uint8Array) => state.addBlob(repository, Buffer.from(bytes)),
    addManifest: state.addManifest.bind(state),
  });
}

class RegistryState {
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, StoredManifest>();
  private uploads = 0;

  addBlob(repository: string, bytes: Buffer): string {
    const digest = sha256(bytes);
    this.blobs.set(`${repository}@${digest}`, bytes);
    return digest;
  }

  addManifest(repository: string, document: unknown, mediaType: string, tag?: string): string {
    const bytes = Buffer.from(typeof document === "string" ? document : JSON.stringify(document));
    const digest = sha256(bytes);
    this.manifests.set(`${repository}@${digest}`, { bytes, mediaType });
    if (tag !== undefined) this.manifests.set(`${repository}:${tag}`, { bytes, mediaType });
    return digest;
  }

  answer(request: SeenRequest): HonestAnswer {
    const { path, method } = request;
    if (path === "/v2/") return json(200, {});
    const match = /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests|tags|referrers)\/([^/]*)$/.exec(path);
    if (match === null) return refuse(404, "NAME_UNKNOWN");
    const [, repository = "", kind, name = ""] = match;
    if (kind === "blobs/uploads") return this.upload(request, repository);
    if (kind === "blobs") return this.blob(request, this.blobs.get(`${repository}@${name}`));
    if (kind === "manifests" && method === "DELETE") return this.remove(repository, name);
    if (kind === "manifests")
      return method === "PUT" ? this.putManifest(request, repository, name) : this.manifest(repository, name);
    if (kind === "tags") return this.tags(request, repository);
    return refuse(404, "NOT_FOUND");
  }

  private upload(request: SeenRequest, repository: string): HonestAnswer {
    if (request.method === "POST") {
      const location = `/v2/${repository}/blobs/uploads/${++this.uploads}?_state=abc`;
      return { status: 202, headers: { location }, body: Buffer.alloc(0) };
    }
    const digest = request.query.get("digest") ?? "";
    if (sha256(request.body) !== digest) return refuse(400, "DIGEST_INVALID");
    this.blobs.set(`${repository}@${digest}`, request.body);
    return { status: 201, headers: { "docker-content-digest": digest }, body: Buffer.alloc(0) };
  }

  private blob(request: SeenRequest, bytes: Buffer | undefined): HonestAnswer {
    if (bytes === undefined) return refuse(404, "BLOB_UNKNOWN");
    const headers = { "content-type": "application/octet-stream", "docker-content-digest": sha256(bytes) };
    const range = /^bytes=(\d+)-$/.exec(request.headers["range"] ?? "");
    if (range === null) return { status: 200, headers, body: bytes };
    const start = Number(range[1]);
    const contentRange = `bytes ${start}-${bytes.length - 1}/${bytes.length}`;
    return { status: 206, headers: { ...headers, "content-range": contentRange }, body: bytes.subarray(start) };
  }

  private putManifest(request: SeenRequest, repository: string, name: string): HonestAnswer {
    const stored = { bytes: request.body, mediaType: request.headers["content-type"] ?? "" };
    const digest = sha256(request.body);
    if (name.startsWith("sha256:") && name !== digest) return refuse(400, "DIGEST_INVALID");
    this.manifests.set(`${repository}@${digest}`, stored);
    if (!name.startsWith("sha256:")) this.manifests.set(`${repository}:${name}`, stored);
    return { status: 201, headers: { "docker-content-digest": digest }, body: Buffer.alloc(0) };
  }

  private manifest(repository: string, name: string): HonestAnswer {
    const stored = this.manifests.get(`${repository}${name.includes(":") ? "@" : ":"}${name}`);
    if (stored === undefined) return refuse(404, "MANIFEST_UNKNOWN");
    const headers = { "content-type": stored.mediaType, "docker-content-digest": sha256(stored.bytes) };
    return { status: 200, headers, body: stored.bytes };
  }

  private remove(repository: string, digest: string): HonestAnswer {
    const stored = this.manifests.get(`${repository}@${digest}`);
    if (stored === undefined) return refuse(404, "MANIFEST_UNKNOWN");
    for (const [key, { bytes }] of this.manifests) {
      if (key.startsWith(`${repository}:`) && bytes.equals(stored.bytes)) this.manifests.delete(key);
    }
    this.manifests.delete(`${repository}@${digest}`);
    return { status: 202, headers: {}, body: Buffer.alloc(0) };
  }

  private tags(request: SeenRequest, repository: string): HonestAnswer {
    const prefix = `${repository}:`;
    const all = [...this.manifests.keys()]
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(prefix.length));
    if (all.length === 0) return refuse(404, "NAME_UNKNOWN");
    const last = request.query.get("last") ?? "";
    const limit = Number(request.query.get("n") ?? "1000");
    const rest = all.toSorted().filter((tag) => tag > last);
    const page = rest.slice(0, limit);
    const answer = json(200, { name: repository, tags: page });
    if (rest.length > page.length) {
      answer.headers["link"] = `</v2/${repository}/tags/list?n=${limit}&last=${page.at(-1)}>; rel="next"`;
    }
    return answer;
  }
}

function json(status: number, value: unknown): HonestAnswer {
  return { status, headers: { "content-type": "application/json" }, body: Buffer.from(JSON.stringify(value)) };
}

function refuse(status: number, code: string): HonestAnswer {
  return json(status, { errors: [{ code, message: code.toLowerCase().replaceAll("_", " ") }] });
}
