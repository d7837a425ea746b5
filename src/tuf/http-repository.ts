/** A TUF repository on a web server or CDN. The server is trusted with nothing, so plain http is allowed too. */
import type { Bytes } from "../base/bytes.ts";
import { TransportError, TrustError, UsageError } from "../base/errors.ts";
import { readBody, type TransportResponse } from "../base/http.ts";
import { addressScope } from "../base/ip-address.ts";
import { DEFAULT_RETRY, exchangeWithRetry, isPassing, retryDelay, type RetryPolicy } from "../base/retry.ts";
import type { Clock, Runtime } from "../base/runtime.ts";
import type { TufRepository } from "./repository.ts";

/** CDNs redirect once or twice. */
const MAX_REDIRECTS = 5;

/**
 * A server that sends a byte now and then is never idle. Metadata is small: after a minute of patience, what comes
 * slower than the slowest of links is given up.
 */
const PATIENCE_MS = 60_000;
const SLOWEST_BYTES_PER_MS = 1;

const REDIRECT_STATUS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** The repository says that it has no such file; storage services answer 403 for what is not there. */
const ABSENT_STATUS: ReadonlySet<number> = new Set([403, 404, 410]);

export interface HttpRepositoryOptions {
  /** URL of the folder that holds `timestamp.json`. */
  readonly metadataUrl: string;
  /** URL of the folder that holds the targets; `targets` beside the metadata's folder unless told. */
  readonly targetsUrl?: string | undefined;
  readonly runtime: Runtime;
  /** Sent with every request to the repository's own origins, e.g. `authorization`. Names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly retry?: RetryPolicy | undefined;
}

/**
 * Opens a repository over HTTP. Nothing is contacted yet.
 *
 * @throws {UsageError} USAGE where an address is none
 * @example
 * ```ts
 * const repository = httpRepository({ metadataUrl: "https://tuf.example.com/metadata/", runtime });
 * ```
 */
export function httpRepository(options: HttpRepositoryOptions): TufRepository {
  const metadataBase = baseUrl(options.metadataUrl);
  const targetsBase = baseUrl(options.targetsUrl ?? new URL("../targets/", metadataBase).href);
  const web = new WebFiles(options, new Set([metadataBase.origin, targetsBase.origin]));
  return {
    location: metadataBase.href,
    metadata: ({ file, limit, signal }) => web.read(new URL(file, metadataBase), limit, signal),
    target: async ({ file, signal }) => (await web.open(new URL(file, targetsBase), signal))?.body,
  };
}

function baseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const http = url?.protocol === "https:" || url?.protocol === "http:";
  const more = url === undefined || url.username + url.password + url.search + url.hash !== "";
  if (!http || more) {
    throw new UsageError("USAGE", "the address of a TUF repository is a URL of http or https, and nothing more", {
      hint: "It looks like https://tuf.example.com/metadata/ and needs no user name or password, ? or #",
    });
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

class WebFiles {
  private readonly options: HttpRepositoryOptions;
  private readonly retry: RetryPolicy;
  private readonly origins: ReadonlySet<string>;

  constructor(options: HttpRepositoryOptions, origins: ReadonlySet<string>) {
    this.options = options;
    this.retry = options.retry ?? DEFAULT_RETRY;
    this.origins = origins;
  }

  /** Reads a file whole; again where the connection breaks on the way. */
  async read(url: URL, limit: number, signal: AbortSignal | undefined): Promise<Bytes | undefined> {
    for (let attempt = 1; ; attempt++) {
      const response = await this.open(url, signal);
      if (response === undefined) return undefined;
      try {
        const body = notTooSlow(response.body, this.options.runtime.now, url);
        const { status, headers } = response;
        return await readBody({ status, headers, body, cancel: () => response.cancel() }, limit, url.pathname);
      } catch (error) {
        if (!isPassing(error, attempt) || attempt >= this.retry.attempts) throw error;
      }
      await this.retry.sleep(retryDelay(attempt, this.retry), signal);
    }
  }

  async open(url: URL, signal: AbortSignal | undefined): Promise<TransportResponse | undefined> {
    const response = await this.follow(url, signal);
    const { status } = response;
    const encoding = response.headers.get("content-encoding");
    if (status === 200 && (encoding === null || encoding === "identity")) return response;
    await response.cancel();
    if (ABSENT_STATUS.has(status)) return undefined;
    if (status === 200) {
      throw new TransportError("RESPONSE_INVALID", `${url.host} sent ${url.pathname} compressed, unasked`, {
        hint: "Signed lengths and hashes are of the plain file; turn compression off for it",
        details: { host: url.host },
      });
    }
    const code = status === 401 ? "TRUST_DENIED" : "TRUST_UNAVAILABLE";
    throw new TrustError(code, `${url.host} answered ${status} for ${url.pathname}`, {
      hint: status === 401 ? "Give credentials for this server" : "Try again later",
      details: { host: url.host, status },
    });
  }

  private async follow(start: URL, signal: AbortSignal | undefined): Promise<TransportResponse> {
    const { transport, now } = this.options.runtime;
    let url = start;
    let publicOnly = false;
    for (let redirects = 0; ; redirects++) {
      const own = this.origins.has(url.origin) && !publicOnly;
      const headers = { "accept-encoding": "identity", ...(own ? this.options.headers : {}) };
      const request = { method: "GET", url: url.href, headers, signal, publicOnly };
      const response = await exchangeWithRetry(transport, request, this.retry, now);
      if (!REDIRECT_STATUS.has(response.status)) return response;
      await response.cancel();
      const next = redirectTarget(response.headers.get("location"), url);
      if (redirects === MAX_REDIRECTS) throw refused(url, `it redirects more than ${MAX_REDIRECTS} times`);
      // a server on the internet must not send us to places that only this machine can reach
      if (next.origin !== url.origin) {
        publicOnly ||= response.peerAddress === undefined || addressScope(response.peerAddress) === "public";
      }
      url = next;
    }
  }
}

async function* notTooSlow(body: AsyncIterable<Uint8Array>, now: Clock, url: URL): AsyncGenerator<Uint8Array> {
  const start = now().getTime();
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    const milliseconds = now().getTime() - start;
    if (milliseconds > PATIENCE_MS + size / SLOWEST_BYTES_PER_MS) {
      throw new TransportError(
        "TIMEOUT",
        `${url.host} sent ${size} bytes of ${url.pathname} in ${milliseconds / 1000} s`,
        {
          hint: "The server or the connection is too slow; try again later, or use a mirror",
          details: { host: url.host, seconds: milliseconds / 1000 },
        },
      );
    }
    yield chunk;
  }
}

function redirectTarget(location: string | null, from: URL): URL {
  if (location === null || !URL.canParse(location, from)) throw refused(from, "it redirects to nowhere");
  const to = new URL(location, from);
  if (to.protocol !== "https:" && to.protocol !== "http:") throw refused(from, "it redirects to no web address");
  if (from.protocol === "https:" && to.protocol === "http:") throw refused(from, "it redirects from https to http");
  if (to.username !== "" || to.password !== "") throw refused(from, "it redirects to an address with a user name");
  return to;
}

function refused(from: URL, reason: string): TransportError {
  return new TransportError("REDIRECT_REFUSED", `a redirect of ${from.host} is not followed: ${reason}`, {
    hint: "Use the repository's final address",
    details: { from: from.origin },
  });
}
