/**
 * HTTP as this project uses it. A Transport makes exactly one exchange: it follows no redirect, adds no
 * credentials, decodes no content encoding and retries nothing; those are decisions of the clients above it.
 */
import { concatBytes, type Bytes } from "./bytes.ts";
import { TransportError } from "./errors.ts";

/** A body that can be sent again on a retry. */
export interface StreamBody {
  /** Length in bytes, sent as Content-Length. */
  readonly size: number;
  /** Opens the bytes from `offset` (0 unless told) on; may be called again for each attempt. */
  open(offset?: number): AsyncIterable<Uint8Array>;
}

export interface TransportRequest {
  method: string;
  /** Absolute `http:` or `https:` URL. */
  url: string;
  /** Header names in lower case. */
  headers?: Readonly<Record<string, string>>;
  body?: Uint8Array | StreamBody;
  /** Ends the exchange; the transport then throws INTERRUPTED. */
  signal?: AbortSignal | undefined;
  /**
   * Refuse, with REDIRECT_REFUSED, to connect where the name resolves to an address that is not public. For
   * addresses that a server chose. A transport that cannot see addresses (browsers, proxies) ignores it.
   */
  publicOnly?: boolean | undefined;
}

export interface TransportResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  /** The IP address that answered, where the transport can tell. */
  readonly peerAddress?: string | undefined;
  /**
   * The body, read at most once. Must be iterated or cancelled. An idle connection ends it with TIMEOUT, a
   * connection that breaks before Content-Length is reached with NETWORK.
   */
  readonly body: AsyncIterable<Uint8Array>;
  /** Drops the rest of the body and frees the connection. */
  cancel(): Promise<void>;
}

/**
 * One HTTP exchange.
 *
 * Obligations: resolves once the response headers are in, whatever the status; rejects with
 * {@link TransportError} NETWORK, TLS or TIMEOUT; limits idle time, not the whole transfer; sends a
 * {@link StreamBody} without holding it in memory; never decodes Content-Encoding silently.
 */
export type Transport = (request: TransportRequest) => Promise<TransportResponse>;

/**
 * Reads a whole body of at most `limit` bytes.
 *
 * @param what names the body in messages
 * @throws {TransportError} RESPONSE_TOO_LARGE
 */
export async function readBody(response: TransportResponse, limit: number, what: string): Promise<Bytes> {
  const announced = Number(response.headers.get("content-length") ?? 0);
  if (announced > limit) {
    await response.cancel();
    throw tooLarge(what, limit);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.length;
    if (size > limit) {
      await response.cancel();
      throw tooLarge(what, limit);
    }
    chunks.push(chunk);
  }
  return concatBytes(chunks);
}

function tooLarge(what: string, limit: number): TransportError {
  return new TransportError("RESPONSE_TOO_LARGE", `${what} is larger than the ${limit} bytes allowed for it`, {
    hint: "No honest server sends this much here; check the address",
    details: { limit },
  });
}

/** Tells hosts that name this very machine: `localhost`, `127.0.0.0/8`, `[::1]`. */
export function isLoopbackHost(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}
