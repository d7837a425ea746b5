/**
 * An HTTP(S) server of a test: honest as its answers are, with any of them replaced by a fault, which is a function
 * of the request and of how often it came. It records every request, so that a test can show what was never sent.
 */
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

export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
  /** PEM of the authority that clients' certificates must be from. */
  readonly ca?: string;
  /** Ask clients for a certificate, and refuse those without. */
  readonly requestCert?: boolean;
  readonly rejectUnauthorized?: boolean;
}

export interface FaultyServer {
  /** `127.0.0.1:<port>`, as in references. */
  readonly host: string;
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  /** Replaces the rule; undefined makes the server honest. */
  setFault(rule: FaultRule | undefined): void;
  /** Method and path of every request. */
  log(): string[];
  /** Stops listening and cuts every connection, as a crash does; gives the way back, on the same port. */
  goDown(): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

type Answer = (request: SeenRequest) => HonestAnswer | Promise<HonestAnswer>;

const KEPT_BODY = 1024 * 1024;

/** Starts a server on a free port of this machine; https where it has an identity. */
export async function startFaultyServer(
  answer: Answer,
  options: { fault?: FaultRule | undefined; tls?: TlsIdentity | undefined } = {},
): Promise<FaultyServer> {
  const requests: SeenRequest[] = [];
  const counts = new Map<string, number>();
  let fault = options.fault;
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const seen = seenRequest(request, counts);
    requests.push(seen);
    void serve(request, response, seen, fault?.(seen), answer);
  };
  const server = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener);
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const host = `127.0.0.1:${port}`;
  return {
    host,
    url: `${options.tls === undefined ? "http" : "https"}://${host}`,
    requests,
    setFault: (rule) => void (fault = rule),
    log: () => requests.map(({ method, path }) => `${method} ${path}`),
    async goDown() {
      await stop();
      return () => listen(port);
    },
    stop,
  };
}

function seenRequest(request: IncomingMessage, counts: Map<string, number>): SeenRequest {
  const url = new URL(request.url ?? "/", "http://server");
  const key = `${request.method} ${url.pathname}`;
  const nth = (counts.get(key) ?? 0) + 1;
  counts.set(key, nth);
  return {
    method: request.method ?? "",
    path: url.pathname,
    query: url.searchParams,
    headers: request.headers as Record<string, string | undefined>,
    nth,
    body: Buffer.alloc(0),
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  seen: SeenRequest,
  fault: Fault | undefined,
  answer: Answer,
): Promise<void> {
  if (fault?.hang === true) return;
  try {
    if (!(await receive(request, seen, fault?.cutRequestAfter))) return;
    if (fault === undefined || fault.alter !== undefined) {
      const honest = await answer(seen);
      send(response, seen, fault?.alter?.(honest) ?? honest, fault);
    } else {
      const body = typeof fault.body === "string" ? Buffer.from(fault.body) : Buffer.from(fault.body ?? "");
      const status = fault.status ?? (await answer(seen)).status;
      send(response, seen, { status, headers: {}, body }, fault);
    }
  } catch (error) {
    response.destroy(error as Error);
  }
}

/** Takes the request's body; false where the fault has cut the connection meanwhile. */
async function receive(request: IncomingMessage, seen: SeenRequest, cutAfter: number | undefined): Promise<boolean> {
  if (cutAfter === 0) {
    request.socket.destroy();
    return false;
  }
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
  if (request.method === "HEAD")
    return void (fault?.cutAfter === undefined ? response.end() : response.socket?.destroy());
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
