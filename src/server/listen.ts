/**
 * Puts an app on a port: limits for hostile connections, an end that comes within a bound, and two refusals
 * that keep a server without access control private: it listens on loopback only, and answers no browser page
 * that came from elsewhere.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { Server as TlsServer, type SecureContextOptions } from "node:tls";
import { getRequestListener } from "@hono/node-server";
import { errorCode, errorMessage, TransportError, UsageError } from "../base/errors.ts";
import { isLoopbackHost } from "../base/http.ts";

/** Tokens and cookies fit in it; Node keeps each connection's headers in memory. */
const MAX_HEADER_BYTES = 16 * 1024;
/** A header block takes one round trip; longer is a slow-loris. */
const HEADERS_TIMEOUT_MS = 20_000;
/** TLS takes three round trips. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** How long an unused connection is kept: above the pause between two requests of one push. */
const KEEP_ALIVE_MS = 30_000;
/** A request whose body moves less than this in {@link STALL_MS} is ended, however it drips. */
const MIN_PROGRESS_BYTES = 1024;
const STALL_MS = 60_000;
/** Far more than one machine's clients need, far below the usual limit of open files with two per request. */
const MAX_CONNECTIONS = 2_000;
/** What running requests get to finish when the server is closed. */
const CLOSE_GRACE_MS = 5_000;

/** PEM of a server's certificate with its chain, and of its key. */
export interface TlsCertificate {
  readonly cert: string;
  readonly key: string;
}

/** The part of a Hono app that is needed to serve it. */
export interface ServedApp {
  fetch(request: Request, env: unknown): Response | Promise<Response>;
}

export interface ListenOptions {
  /** Address or name to bind, e.g. `127.0.0.1`. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** PEM; https where given, else http. */
  readonly tls?: TlsCertificate;
  /**
   * True where the app itself decides who may do what: then it may listen beyond loopback, and hosts and
   * origins are its own business. False unless told.
   */
  readonly accessControl?: boolean;
  /** Further host names (without port) that requests may name while there is no access control. */
  readonly allowedHosts?: readonly string[];
  /** Milliseconds that running requests get when closing. */
  readonly closeGraceMs?: number;
  /** Milliseconds without progress after which a request is ended. */
  readonly stallMs?: number;
}

export interface RunningServer {
  /** E.g. `http://127.0.0.1:5000`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Shows another certificate from the next connection on; those that are open stay. Only where TLS is served. */
  setCertificate(tls: TlsCertificate): void;
  /** Takes no more connections, lets running requests finish within the bound, ends the rest. Repeatable. */
  close(): Promise<void>;
}

/** Refuses to be reachable from elsewhere. @throws {UsageError} LISTEN_REFUSED */
export function requireLoopback(host: string): void {
  if (isLoopbackHost(host)) return;
  throw new UsageError("LISTEN_REFUSED", `refusing to listen on ${host} without access control`, {
    hint: "Everybody who reaches this address could replace what is stored: listen on 127.0.0.1",
    details: { host },
  });
}

/**
 * Serves an app.
 *
 * @throws {UsageError} LISTEN_REFUSED where an app without access control would be reachable from elsewhere
 * @throws {TransportError} ADDRESS_IN_USE, LISTEN_FAILED
 * @example
 * ```ts
 * const server = await listen(createRegistryApp({ store, log }), { host: "127.0.0.1", port: 5000 });
 * console.log(server.url);
 * await server.close();
 * ```
 */
export async function listen(app: ServedApp, options: ListenOptions): Promise<RunningServer> {
  if (options.accessControl !== true) requireLoopback(options.host);
  const respond = getRequestListener((request, env) => app.fetch(request, env), { overrideGlobalObjects: false });
  const answer: RequestListener = (request, response) => {
    respond(request, response).catch(() => response.destroy());
  };
  const listener = options.accessControl === true ? answer : localOnly(answer, options.allowedHosts ?? []);
  const server = createHttpServer(listener, options);
  const sockets = watchSockets(server, options.stallMs ?? STALL_MS);
  try {
    await bind(server, options);
  } catch (error) {
    sockets.stop();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(":") && !options.host.startsWith("[") ? `[${options.host}]` : options.host;
  let closing: Promise<void> | undefined;
  return {
    url: `${options.tls === undefined ? "http" : "https"}://${host}:${port}`,
    port,
    setCertificate(tls) {
      if (server instanceof TlsServer) server.setSecureContext(tlsContext(tls));
    },
    close: () => (closing ??= close(server, sockets, options.closeGraceMs ?? CLOSE_GRACE_MS)),
  };
}

function createHttpServer(listener: RequestListener, options: ListenOptions): Server {
  const limits = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    // No limit for a whole request: a large module over a thin line is honest. watchSockets ends what stalls.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 5_000,
    noDelay: true,
  };
  const server =
    options.tls === undefined
      ? createServer(limits, listener)
      : createTlsServer({ ...limits, ...tlsContext(options.tls), handshakeTimeout: HANDSHAKE_TIMEOUT_MS }, listener);
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

function tlsContext({ cert, key }: TlsCertificate): SecureContextOptions {
  return { cert, key, minVersion: "TLSv1.2" };
}

function bind(server: Server, options: ListenOptions): Promise<void> {
  const where = `${options.host}:${options.port}`;
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      if (errorCode(cause) === "EADDRINUSE") {
        reject(
          new TransportError("ADDRESS_IN_USE", `cannot listen on ${where}: another program does already`, {
            hint: "End that program, or choose another port",
            details: { host: options.host, port: options.port },
            cause,
          }),
        );
        return;
      }
      const hint = errorCode(cause) === "EACCES" ? "Ports below 1024 need privileges; choose a higher one" : undefined;
      reject(
        new TransportError("LISTEN_FAILED", `cannot listen on ${where}: ${errorMessage(cause)}`, {
          ...(hint === undefined ? {} : { hint }),
          details: { host: options.host, port: options.port },
          cause,
        }),
      );
    });
    server.listen({ host: options.host.replace(/^\[|\]$/g, ""), port: options.port }, () => resolve());
  });
}

/**
 * Refuses what a web page in the user's own browser could do to a server without access control: reach it by
 * a name that the page's owner controls (DNS rebinding), or send it requests from another origin.
 */
function localOnly(answer: RequestListener, allowedHosts: readonly string[]): RequestListener {
  return (request, response) => {
    const [named, ...others] = request.headersDistinct["host"] ?? [];
    // Two names, or one in the request line as for proxies: others may take another one than we do.
    if (others.length > 0 || !request.url?.startsWith("/")) {
      refuse(request, response, 400, "a request names this server once, in its Host header");
      return;
    }
    const host = hostName(named);
    if (host === undefined || (!isLoopbackHost(host) && !allowedHosts.includes(host))) {
      refuse(request, response, 421, `this server has no access control and does not answer to the name ${host ?? ""}`);
    } else if (isForeignPage(request)) {
      refuse(request, response, 403, "this server has no access control and does not answer pages of other sites");
    } else answer(request, response);
  };
}

function hostName(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /^(\[[0-9a-fA-F:.]+\]|[^:]+)(?::\d+)?$/.exec(header)?.[1]?.toLowerCase();
}

function isForeignPage(request: IncomingMessage): boolean {
  const { origin, host } = request.headers;
  if (origin !== undefined) return !/^https?:\/\//.test(origin) || origin.replace(/^https?:\/\//, "") !== host;
  const site = request.headers["sec-fetch-site"];
  // A link that somebody follows shows our page to that person and to nobody else.
  if (request.method === "GET" && request.headers["sec-fetch-mode"] === "navigate") return false;
  return site === "cross-site" || site === "same-site";
}

function refuse(request: IncomingMessage, response: ServerResponse, status: number, message: string): void {
  const body = JSON.stringify({ errors: [{ code: "DENIED", message }] });
  // The rest of the request is not read, so the connection cannot be used again.
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(body);
  request.resume();
}

interface SocketWatch {
  /** Ends connections that nothing came over yet; Node does not count them as idle. */
  destroyUnused(): void;
  /** Ends every connection now. */
  destroyAll(): void;
  stop(): void;
}

/** Keeps the open connections and ends those whose request makes no progress. */
function watchSockets(server: Server, stallMs: number): SocketWatch {
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  const running = new Map<ServerResponse, { request: IncomingMessage; bytes: number; since: number }>();
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    running.set(response, { request, bytes: 0, since: performance.now() });
    response.once("close", () => {
      running.delete(response);
      if (!server.listening) setImmediate(() => server.closeIdleConnections());
    });
    if (!server.listening) response.setHeader("connection", "close");
  });
  const timer = setInterval(() => {
    const now = performance.now();
    for (const [response, last] of running) {
      const { socket, complete } = last.request;
      const bytes = socket.bytesRead + socket.bytesWritten;
      // Between the end of a request and its answer it is us who work, e.g. hash a large upload again.
      const working = complete && !response.headersSent;
      if (working || bytes - last.bytes >= MIN_PROGRESS_BYTES) {
        last.bytes = bytes;
        last.since = now;
      } else if (now - last.since >= stallMs) socket.destroy();
    }
  }, stallMs / 4);
  timer.unref();
  return {
    destroyUnused: () => {
      for (const socket of open) if (socket.bytesRead === 0) socket.destroy();
    },
    destroyAll: () => {
      for (const socket of open) socket.destroy();
    },
    stop: () => clearInterval(timer),
  };
}

async function close(server: Server, sockets: SocketWatch, graceMs: number): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  sockets.destroyUnused();
  const timer = setTimeout(() => sockets.destroyAll(), graceMs);
  try {
    await ended;
  } finally {
    clearTimeout(timer);
    sockets.stop();
  }
}
