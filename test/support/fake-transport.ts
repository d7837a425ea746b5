/** A transport without a network: a handler answers, and every request is kept for inspection. */
import { concatBytes, utf8Encode } from "../../src/base/bytes.ts";
import type { Transport, TransportRequest, TransportResponse } from "../../src/base/http.ts";

export interface FakeAnswer {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** Ends the body with this error after its bytes. */
  cut?: Error;
  peerAddress?: string;
}

export interface SentRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly publicOnly: boolean;
  /** 1 for the first request of this method to this address (without query), and so on. */
  readonly nth: number;
}

export interface FakeTransport {
  readonly transport: Transport;
  readonly requests: SentRequest[];
  /** Method and address of every request, for short assertions. */
  readonly log: () => string[];
}

export function fakeTransport(handler: (request: SentRequest) => FakeAnswer | Promise<FakeAnswer>): FakeTransport {
  const requests: SentRequest[] = [];
  const transport: Transport = async (request) => {
    const url = new URL(request.url);
    const same = requests.filter(
      (other) => other.method === request.method && other.url.origin + other.url.pathname === url.origin + url.pathname,
    );
    const sent: SentRequest = {
      method: request.method,
      url,
      headers: request.headers ?? {},
      body: await collect(request),
      publicOnly: request.publicOnly === true,
      nth: same.length + 1,
    };
    requests.push(sent);
    return toResponse(await handler(sent));
  };
  return { transport, requests, log: () => requests.map(({ method, url }) => `${method} ${url.href}`) };
}

async function collect(request: TransportRequest): Promise<Uint8Array> {
  const { body } = request;
  if (body === undefined) return new Uint8Array(0);
  if (body instanceof Uint8Array) return body;
  const chunks: Uint8Array[] = [];
  for await (const chunk of body.open()) chunks.push(chunk);
  return concatBytes(chunks);
}

function toResponse(answer: FakeAnswer): TransportResponse {
  const headers = new Map(Object.entries(answer.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
  const body = typeof answer.body === "string" ? utf8Encode(answer.body) : (answer.body ?? new Uint8Array(0));
  return {
    status: answer.status ?? 200,
    headers: { get: (name) => headers.get(name.toLowerCase()) ?? null },
    peerAddress: answer.peerAddress,
    body: (async function* () {
      if (body.length > 0) yield body;
      if (answer.cut !== undefined) throw answer.cut;
      await Promise.resolve();
    })(),
    cancel: () => Promise.resolve(),
  };
}
