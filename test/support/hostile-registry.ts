/**
 * A registry that does what a test tells it: honest by default (in memory, distribution-spec 1.1 as far as a
 * client needs it), with any answer replaced by a fault, which is a function of the request and of how often it
 * came. It records every request, so that a test can show what was never sent.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";

export interface SeenRequest {
  readonly method: string;
  /** Without query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** 1 for the first request of this method to this path, and so on. */
  readonly nth: number;
  /** Filled when the request is through; the first MiB only. */
  body: Buffer;
}

/** What to answer instead of the truth. Members combine, e.g. a status with a body that is cut. */
export interface Fault {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  /** Sends the honest answer's status, headers and body with these changed. */
  readonly alter?: (honest: HonestAnswer) => HonestAnswer;
  /** Cuts the connection after so many bytes of the answer's body. */
  readonly cutAfter?: number;
  /** Cuts the connection after so many bytes of the request's body. */
  readonly cutRequestAfter?: number;
  /** Never answers. */
  readonly hang?: true;
  /** Sends headers and so many bytes of the body, and then nothing more. */
  readonly stallAfter?: number;
  /** Sends this piece for ever. */
  readonly endless?: Uint8Array;
}

export interface HonestAnswer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

export type FaultRule = (request: SeenRequest) => Fault | undefined;

export interface StoredManifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
}

export interface HostileRegistry {
  /** `127.0.0.1:<port>`, as in references. */
  readonly host: string;
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  /** By `repository@digest`. */
  readonly blobs: Map<string, Buffer>;
  /** By `repository:tag` and `repository@digest`. */
  readonly manifests: Map<string, StoredManifest>;
  /** Replaces the rule; undefined makes the registry honest. */
  setFault(rule: FaultRule | undefined): void;
  /** Puts a blob there; gives its digest. */
  addBlob(repository: string, bytes: Uint8Array): string;
  /** Puts a manifest there under its digest and, where given, a tag; gives its digest. */
  addManifest(repository: string, document: unknown, mediaType: string, tag?: string): string;
  /** Method and path of every request. */
  log(): string[];
  stop(): Promise<void>;
}

const KEPT_BODY = 1024 * 1024;

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export async function startHostileRegistry(
  options: { fault?: FaultRule; tls?: { cert: string; key: string } } = {},
): Promise<HostileRegistry> {
  const state = new RegistryState(options.fault);
  const listener = (request: IncomingMessage, response: ServerResponse): void => void state.serve(request, response);
  const server = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener);
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    url: `${options.tls === undefined ? "http" : "https"}://${host}`,
    requests: state.requests,
    blobs: state.blobs,
    manifests: state.manifests,
    setFault: (rule) => void (state.fault = rule),
    addBlob: (repository, bytes) => state.addBlob(repository, Buffer.from(bytes)),
    addManifest: (repository, document, mediaType, tag) => state.addManifest(repository, document, mediaType, tag),
    log: () => state.requests.map(({ method, path }) => `${method} ${path}`),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

class RegistryState {
  readonly requests: SeenRequest[] = [];
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, StoredManifest>();
  fault: FaultRule | undefined;
  private readonly counts = new Map<string, number>();
  private uploads = 0;

  constructor(fault: FaultRule | undefined) {
    this.fault = fault;
  }

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

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://registry");
    const key = `${request.method} ${url.pathname}`;
    const nth = (this.counts.get(key) ?? 0) + 1;
    this.counts.set(key, nth);
    const seen: SeenRequest = {
      method: request.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers as Record<string, string | undefined>,
      nth,
      body: Buffer.alloc(0),
    };
    this.requests.push(seen);
    const fault = this.fault?.(seen);
    if (fault?.hang === true) return;
    try {
      if (!(await receive(request, seen, fault?.cutRequestAfter))) return;
      if (fault === undefined || fault.alter !== undefined) {
        const honest = this.answer(seen);
        send(response, seen, fault?.alter?.(honest) ?? honest, fault);
      } else {
        const body = typeof fault.body === "string" ? Buffer.from(fault.body) : Buffer.from(fault.body ?? "");
        send(response, seen, { status: fault.status ?? this.answer(seen).status, headers: {}, body }, fault);
      }
    } catch (error) {
      response.destroy(error as Error);
    }
  }

  private answer(request: SeenRequest): HonestAnswer {
    const { path, method } = request;
    if (path === "/v2/") return json(200, {});
    const match = /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests|tags|referrers)\/([^/]*)$/.exec(path);
    if (match === null) return refuse(404, "NAME_UNKNOWN");
    const [, repository = "", kind, name = ""] = match;
    if (kind === "blobs/uploads") return this.upload(request, repository);
    if (kind === "blobs") return this.blob(request, this.blobs.get(`${repository}@${name}`));
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

/** Takes the request's body; false where the fault has cut the connection meanwhile. */
async function receive(request: IncomingMessage, seen: SeenRequest, cutAfter: number | undefined): Promise<boolean> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= KEPT_BODY) chunks.push(chunk);
    if (cutAfter === undefined || size < cutAfter) continue;
    request.socket.destroy();
    return false;
  }
  seen.body = Buffer.concat(chunks);
  return true;
}

function send(response: ServerResponse, request: SeenRequest, answer: HonestAnswer, fault: Fault | undefined): void {
  for (const [name, value] of Object.entries({ ...answer.headers, ...fault?.headers })) response.setHeader(name, value);
  response.statusCode = answer.status;
  const { body } = answer;
  const isPiecemeal = fault?.endless !== undefined;
  if (!response.hasHeader("content-length") && !isPiecemeal && answer.status !== 204) {
    response.setHeader("content-length", body.length);
  }
  if (request.method === "HEAD") return void response.end();
  if (fault?.endless !== undefined) return pour(response, fault.endless);
  const part = fault?.cutAfter ?? fault?.stallAfter;
  if (part === undefined) return void response.end(body);
  response.write(body.subarray(0, part), () => {
    if (fault?.cutAfter !== undefined) response.socket?.destroy();
  });
  if (part === 0) {
    response.flushHeaders();
    if (fault?.cutAfter !== undefined) setImmediate(() => response.socket?.destroy());
  }
}

function pour(response: ServerResponse, piece: Uint8Array): void {
  const more = (): void => {
    while (!response.destroyed && response.write(piece)) {
      // until the buffer is full
    }
  };
  response.on("drain", more);
  more();
}

function json(status: number, value: unknown): HonestAnswer {
  return { status, headers: { "content-type": "application/json" }, body: Buffer.from(JSON.stringify(value)) };
}

function refuse(status: number, code: string): HonestAnswer {
  return json(status, { errors: [{ code, message: code.toLowerCase().replaceAll("_", " ") }] });
}
