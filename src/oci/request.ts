/**
 * One repository's (or registry's) line to its registry: adds credentials, follows the redirects that may be
 * followed, tries again what may be tried again. Everything that goes to a registry goes through here.
 */
import { InterruptedError, TransportError } from "../base/errors.ts";
import { readBody, type StreamBody, type TransportRequest, type TransportResponse } from "../base/http.ts";
import { addressScope } from "../base/ip-address.ts";
import { exchangeWithRetry, isPassing, retryDelay, type RetryPolicy } from "../base/retry.ts";
import type { Runtime } from "../base/runtime.ts";
import type { Authenticator } from "../base/token-auth.ts";
import { redirectTarget } from "./location.ts";
import { refusalOf } from "./registry-errors.ts";
import type { RegistryError } from "../base/errors.ts";

/** Registries redirect once, to their storage; some CDNs once more. */
const MAX_REDIRECTS = 5;

const REDIRECT_STATUS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** The headers that another server than the registry may see. */
const FOREIGN_HEADERS: ReadonlySet<string> = new Set(["accept", "accept-encoding", "range"]);

export interface RegistryRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  /** A path below the registry's origin, or an address on it that the registry gave. */
  readonly to: string | URL;
  readonly scope: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | StreamBody | undefined;
  readonly signal?: AbortSignal | undefined;
  /** False where the same request may not arrive twice. */
  readonly repeatable?: boolean;
}

export interface RegistryResponse extends TransportResponse {
  /** The address that answered, after redirects. */
  readonly url: URL;
}

/** A response with its whole body. */
export interface ReadResponse {
  readonly status: number;
  readonly headers: TransportResponse["headers"];
  readonly url: URL;
  readonly bytes: Uint8Array;
}

export class RegistryConnection {
  readonly runtime: Runtime;
  readonly retry: RetryPolicy;
  /** Where the API is. */
  readonly server: URL;
  private readonly auth: Authenticator;

  constructor(options: { runtime: Runtime; retry: RetryPolicy; server: URL; auth: Authenticator }) {
    this.runtime = options.runtime;
    this.retry = options.retry;
    this.server = options.server;
    this.auth = options.auth;
  }

  /**
   * Sends a request, with credentials where the registry asks for them.
   *
   * @returns the last answer, whatever its status but redirects
   * @throws {TransportError} NETWORK, TLS, TIMEOUT, REDIRECT_REFUSED
   * @throws {RegistryError} REGISTRY_DENIED, REGISTRY_UNAVAILABLE from a token server
   */
  async send(request: RegistryRequest): Promise<RegistryResponse> {
    const known = this.auth.authorization(request.scope);
    const first = await this.follow(request, known);
    if (first.status !== 401 || first.url.origin !== this.server.origin) return first;
    const better = await interruptible(this.auth.answer(first, request.scope, known), request.signal);
    if (better === undefined) return first;
    await first.cancel();
    return this.follow(request, better);
  }

  /** Sends a request and reads its whole answer; tries again where the connection breaks on the way. */
  async read(request: RegistryRequest, limit: number, what: string): Promise<ReadResponse> {
    for (let attempt = 1; ; attempt++) {
      const response = await this.send(request);
      const { status, headers, url } = response;
      if (status < 200 || status > 299) {
        if (status === 404) {
          await response.cancel();
          return { status, headers, url, bytes: new Uint8Array(0) };
        }
        throw await this.refusal(response, `reading ${what}`);
      }
      await refuseEncoding(response, what);
      try {
        return { status, headers, url, bytes: await readBody(response, limit, what) };
      } catch (error) {
        if (!isPassing(error, attempt) || attempt >= this.retry.attempts) throw error;
      }
      await this.retry.sleep(retryDelay(attempt, this.retry), request.signal);
    }
  }

  /** Says what an answer that refuses something means. */
  refusal(response: RegistryResponse, doing: string): Promise<RegistryError> {
    return refusalOf(response, { doing, host: response.url.host, redact: (text) => this.auth.redact(text) });
  }

  private async follow(request: RegistryRequest, authorization: string | undefined): Promise<RegistryResponse> {
    let url = new URL(request.to, this.server);
    let headers: Record<string, string> = { "accept-encoding": "identity", ...request.headers };
    if (authorization !== undefined) headers["authorization"] = authorization;
    let registryAddress: string | undefined;
    let publicOnly = false;
    for (let redirects = 0; ; redirects++) {
      const response = await this.exchange({ ...request, url, headers, publicOnly });
      if (!REDIRECT_STATUS.has(response.status)) return withUrl(response, url);
      await response.cancel();
      if (url.origin === this.server.origin) registryAddress = response.peerAddress;
      const from = url;
      this.checkRedirect(request, from, redirects);
      url = redirectTarget(response.headers.get("location"), from, registryAddress);
      if (url.origin === from.origin) continue;
      // Once away from the registry, credentials never come back, not even for a way back to it.
      headers = Object.fromEntries(Object.entries(headers).filter(([name]) => FOREIGN_HEADERS.has(name)));
      publicOnly = registryAddress !== undefined && addressScope(registryAddress) === "public";
    }
  }

  private checkRedirect(request: RegistryRequest, from: URL, redirects: number): void {
    if (request.method !== "GET" && request.method !== "HEAD") {
      throw new TransportError("REDIRECT_REFUSED", `${from.host} redirects a ${request.method}, which is refused`, {
        hint: "Only reads may be redirected; use the registry's final address",
        details: { from: from.origin },
      });
    }
    if (redirects < MAX_REDIRECTS) return;
    throw new TransportError("REDIRECT_REFUSED", `${this.server.host} redirects more than ${MAX_REDIRECTS} times`, {
      hint: "The registry sends in circles; its operator must look into it",
      details: { from: from.origin, limit: MAX_REDIRECTS },
    });
  }

  private exchange(
    request: RegistryRequest & { url: URL; headers: Record<string, string>; publicOnly: boolean },
  ): Promise<TransportResponse> {
    const { method, url, headers, body, signal, publicOnly } = request;
    const message: TransportRequest = { method, url: url.href, headers, signal, publicOnly, ...(body && { body }) };
    const { transport, now } = this.runtime;
    if (request.repeatable === false) return transport(message);
    return exchangeWithRetry(transport, message, this.retry, now);
  }
}

/**
 * Refuses encoded content: digests are of the bytes themselves, and a small encoded body may be a huge one.
 *
 * @throws {TransportError} RESPONSE_INVALID
 */
export async function refuseEncoding(response: TransportResponse, what: string): Promise<void> {
  const encoding = response.headers.get("content-encoding");
  if (encoding === null || encoding.trim() === "" || encoding.trim().toLowerCase() === "identity") return;
  await response.cancel();
  throw new TransportError("RESPONSE_INVALID", `${what} came with a Content-Encoding, which was not asked for`, {
    hint: "A proxy or the registry compresses what it must pass on as it is; its operator must turn that off",
  });
}

/** Not a spread: a response may be a class whose members live on its prototype. */
function withUrl(response: TransportResponse, url: URL): RegistryResponse {
  return {
    status: response.status,
    headers: response.headers,
    peerAddress: response.peerAddress,
    body: response.body,
    cancel: () => response.cancel(),
    url,
  };
}

/** Stops waiting for shared work, which goes on for others. */
function interruptible<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new InterruptedError());
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
