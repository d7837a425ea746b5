/**
 * The transport of browsers, workers, Deno and Bun, over the global fetch. What fetch does not let us do:
 *
 * - In a browser a redirect that is not followed is opaque, so it is an error here: registries that redirect
 *   blobs to a storage service cannot be read from a page (they also need CORS headers to be read at all).
 * - Uploads are put together in memory, since browsers send no streams over HTTP/1.1.
 * - Content-Encoding is decoded by fetch itself; its header stays visible, and the clients above refuse it.
 * - Addresses are not visible: `publicOnly` has no effect, `peerAddress` is undefined.
 *
 * In Node use `node/transport.ts`.
 */
import { concatBytes, ownBytes, type Bytes } from "./bytes.ts";
import { errorMessage, InterruptedError, StorageError, TransportError, UsageError, WasmToOciError } from "./errors.ts";
import type { StreamBody, Transport, TransportRequest, TransportResponse } from "./http.ts";

/** A registry that checks a large upload may be silent for long; a minute is what proxies in front of them allow. */
const DEFAULT_IDLE_TIMEOUT_MS = 60_000;

export interface FetchTransportOptions {
  /** Longest silence in milliseconds; while a body is sent fetch shows no progress, so that it counts as a whole. */
  readonly idleTimeoutMs?: number | undefined;
  /** The fetch to use; the global one unless told. */
  readonly fetch?: typeof fetch | undefined;
}

/**
 * @example
 * ```ts
 * const runtime = { transport: createFetchTransport(), createHasher: nobleHasher, now: () => new Date() };
 * ```
 */
export function createFetchTransport(options: FetchTransportOptions = {}): Transport {
  const send = options.fetch ?? ((...request: Parameters<typeof fetch>) => fetch(...request));
  const idleMs = options.idleTimeoutMs ?? DEFAULT_IDLE_TIMEOUT_MS;
  return (request) => exchange(request, send, idleMs);
}

async function exchange(request: TransportRequest, send: typeof fetch, idleMs: number): Promise<TransportResponse> {
  const url = parseUrl(request.url);
  if (request.signal?.aborted === true) throw new InterruptedError();
  const body = await collect(request.body);
  const watch = new Watch(url, `${request.method} ${url.origin}${url.pathname}`, idleMs, request.signal);
  try {
    const response = await watch.wait(
      send(url, {
        method: request.method,
        headers: { ...request.headers },
        ...(body === undefined ? {} : { body }),
        redirect: "manual",
        credentials: "omit", // a page's cookies are none of a registry's business
        cache: "no-store",
        signal: watch.signal,
      }),
    );
    if (response.type === "opaqueredirect") {
      watch.end();
      throw new TransportError("REDIRECT_REFUSED", `${url.host} redirects, which a browser does not let us follow`, {
        hint: "Use a registry that serves its blobs itself, or a proxy before it that does",
        details: { host: url.host },
      });
    }
    return toResponse(response, watch);
  } catch (error) {
    watch.end();
    throw watch.explain(error);
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const http = url?.protocol === "https:" || url?.protocol === "http:";
  if (url !== undefined && http && url.username === "" && url.password === "") return url;
  throw new UsageError("USAGE", "an address is not one of http or https without user name");
}

async function collect(body: Uint8Array | StreamBody | undefined): Promise<Bytes | undefined> {
  if (body === undefined) return undefined;
  if (body instanceof Uint8Array) return ownBytes(body);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body.open()) {
    size += chunk.length;
    if (size > body.size) break;
    chunks.push(chunk.slice());
  }
  if (size === body.size) return concatBytes(chunks);
  const got = size > body.size ? `more than ${body.size}` : String(size);
  throw new StorageError("FILE_CHANGED", `what is being sent has ${got} bytes, and had ${body.size} when it was read`, {
    hint: "Do not change the file during the transfer; start again",
    details: { expected: body.size },
  });
}

function toResponse(response: Response, watch: Watch): TransportResponse {
  return {
    status: response.status,
    headers: response.headers,
    body: readBody(response, watch),
    cancel: () => {
      watch.drop();
      return Promise.resolve();
    },
  };
}

async function* readBody(response: Response, watch: Watch): AsyncGenerator<Uint8Array> {
  if (response.body === null) return watch.end();
  const reader = response.body.getReader();
  try {
    for (;;) {
      const next = await watch.wait(reader.read());
      if (next.done) return watch.end();
      yield next.value;
    }
  } catch (error) {
    throw watch.explain(error);
  } finally {
    watch.drop();
  }
}

/** Ends an exchange after too long a silence or on request, and remembers which of the two it was. */
class Watch {
  private readonly url: URL;
  private readonly doing: string;
  private readonly idleMs: number;
  private readonly caller: AbortSignal | undefined;
  private readonly controller = new AbortController();
  private readonly onAbort = (): void => this.stop(new InterruptedError());
  private failure: WasmToOciError | undefined;
  private over = false;

  constructor(url: URL, doing: string, idleMs: number, caller: AbortSignal | undefined) {
    this.url = url;
    this.doing = doing;
    this.idleMs = idleMs;
    this.caller = caller;
    caller?.addEventListener("abort", this.onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  async wait<T>(work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.stop(this.timeout()), this.idleMs);
    try {
      return await work;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Nothing more will come. */
  end(): void {
    this.over = true;
    this.caller?.removeEventListener("abort", this.onAbort);
  }

  /** Nothing more is wanted: cancelling the body alone would leave the connection open. */
  drop(): void {
    if (this.over) return;
    this.end();
    this.controller.abort();
  }

  /** What went wrong; fetch itself says no more than "failed". */
  explain(error: unknown): WasmToOciError {
    if (this.failure !== undefined) return this.failure;
    if (error instanceof WasmToOciError) return error;
    return new TransportError("NETWORK", `${this.doing} failed: ${errorMessage(error)}`, {
      cause: error,
      hint: "Check the address, the network connection, and that the server allows this page (CORS)",
      details: { host: this.url.host },
    });
  }

  private stop(failure: WasmToOciError): void {
    this.failure ??= failure;
    this.controller.abort();
  }

  private timeout(): TransportError {
    return new TransportError(
      "TIMEOUT",
      `${this.doing}: ${this.url.host} was silent for ${this.idleMs / 1000} seconds`,
      {
        hint: "Try again, or allow more silence",
        details: { host: this.url.host, seconds: this.idleMs / 1000 },
      },
    );
  }
}
