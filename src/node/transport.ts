/**
 * The transport of Node, over node:http and node:https. The global fetch would keep a whole upload in memory
 * (undici#4058), cannot be given authorities, and costs 200 ms at the first request of Node 20.
 */
import { setMaxListeners } from "node:events";
import { request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import { errorMessage, InterruptedError, StorageError, TransportError, UsageError } from "../base/errors.ts";
import type { StreamBody, Transport, TransportRequest, TransportResponse } from "../base/http.ts";
import { addressScope } from "../base/ip-address.ts";
import { Agents, notPublic, type TrustOptions } from "./agents.ts";
import { proxyAuthorization, proxyFromEnvironment, type Environment, type FindProxy } from "./proxy.ts";
import { toTransportError } from "./transport-errors.ts";

/** A registry that checks a large upload may be silent for long; a minute is what proxies in front of them allow. */
const DEFAULT_IDLE_TIMEOUT_MS = 60_000;
/** The rest of an unwanted body up to this size is read, to keep the connection; more is not worth the wait. */
const DRAIN_BYTES = 64 * 1024;

export interface NodeTransportOptions extends TrustOptions {
  /** Longest silence, in milliseconds, of a connection that we wait for. Not a limit for the whole exchange. */
  readonly idleTimeoutMs?: number | undefined;
  readonly userAgent?: string | undefined;
  /** Looks names up; `dns.lookup` unless told. */
  readonly lookup?: LookupFunction | undefined;
  /** Where HTTPS_PROXY and its like are read; `process.env` unless told. */
  readonly env?: Environment | undefined;
}

/** A transport that holds connections. */
export type NodeTransport = Transport & {
  /** Closes every connection; requests under way fail. */
  close(): void;
};

/**
 * Makes a transport.
 *
 * @throws {FormatError} CONFIG_INVALID for a proxy in the environment that is no address
 * @example
 * ```ts
 * const transport = createNodeTransport({ ca: await readFile("ca.pem", "utf8"), idleTimeoutMs: 10_000 });
 * const response = await transport({ method: "GET", url: "https://localhost:4443/v2/" });
 * await response.cancel();
 * transport.close();
 * ```
 */
export function createNodeTransport(options: NodeTransportOptions = {}): NodeTransport {
  const findProxy = proxyFromEnvironment(options.env ?? process.env);
  const agents = new Agents(options, findProxy, options.lookup);
  const settings = {
    idleMs: options.idleTimeoutMs ?? DEFAULT_IDLE_TIMEOUT_MS,
    userAgent: options.userAgent ?? "wasm-to-oci",
    agents,
    findProxy,
  };
  const transport: Transport = (request) => exchange(request, settings);
  return Object.assign(transport, { close: () => agents.close() });
}

interface Settings {
  readonly idleMs: number;
  readonly userAgent: string;
  readonly agents: Agents;
  readonly findProxy: FindProxy;
}

async function exchange(request: TransportRequest, settings: Settings): Promise<TransportResponse> {
  const url = parseUrl(request.url);
  const doing = `${request.method} ${url.origin}${url.pathname}`; // a query may hold a signature
  if (request.signal?.aborted === true) throw new InterruptedError();
  if (request.publicOnly === true && settings.findProxy(url) === undefined) requirePublic(url);
  const outgoing = open(request, url, settings);
  const context: Context = { outgoing, url, doing, idle: new IdleTimer(settings.idleMs), failure: undefined };
  const end = (error: Error): void => {
    context.failure ??= error; // once the headers are in, Node reports only "aborted" for what we destroy
    // Without the error: where the answer has arrived and its reader is busy, Node would emit it on a socket that
    // nobody listens to any more, which ends the process.
    outgoing.destroy();
  };
  const onAbort = (): void => end(new InterruptedError());
  context.idle.onIdle = () => end(timeout(url, doing, settings.idleMs));
  // many exchanges share a signal, and each takes its listener away again: no leak that Node should warn of
  if (request.signal !== undefined) setMaxListeners(0, request.signal);
  request.signal?.addEventListener("abort", onAbort, { once: true });
  outgoing.once("close", () => {
    context.idle.stop();
    request.signal?.removeEventListener("abort", onAbort);
  });
  try {
    const message = await send(outgoing, request.body, context.idle);
    context.idle.stop();
    const peerAddress = settings.findProxy(url) === undefined ? message.socket.remoteAddress : undefined;
    return toResponse(message, context, peerAddress);
  } catch (error) {
    outgoing.destroy();
    throw toTransportError(context.failure ?? error, url, doing);
  }
}

/** One exchange under way. */
interface Context {
  readonly outgoing: ClientRequest;
  readonly url: URL;
  /** For messages, e.g. `GET http://localhost:5000/v2/`. */
  readonly doing: string;
  readonly idle: IdleTimer;
  /** Why we ended it ourselves. */
  failure: Error | undefined;
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const http = url?.protocol === "https:" || url?.protocol === "http:";
  if (url !== undefined && http && url.username === "" && url.password === "") return url;
  throw new UsageError("USAGE", "an address is not one of http or https without user name");
}

/** A literal address is never looked up, so the check at lookup would not see it. */
function requirePublic(url: URL): void {
  const scope = addressScope(url.hostname);
  if (scope !== undefined && scope !== "public") throw notPublic(url.hostname);
}

function open(request: TransportRequest, url: URL, settings: Settings): ClientRequest {
  const { agent, via } = settings.agents.route(url, request.publicOnly === true);
  const proxyHeader = via === undefined ? undefined : proxyAuthorization(via);
  const target = via ?? url;
  try {
    return (target.protocol === "https:" ? httpsRequest : httpRequest)({
      method: request.method,
      host: target.hostname.replace(/^\[|\]$/g, ""),
      port: target.port === "" ? undefined : Number(target.port),
      path: via === undefined ? `${url.pathname}${url.search}` : url.href,
      headers: {
        "user-agent": settings.userAgent,
        ...(via === undefined ? {} : { host: url.host }),
        ...(proxyHeader === undefined ? {} : { "proxy-authorization": proxyHeader }),
        ...request.headers,
        ...contentLength(request),
      },
      agent,
    });
  } catch (cause) {
    // Node refuses control characters in headers and paths.
    throw new UsageError("USAGE", `the request to ${url.host} cannot be sent: ${errorMessage(cause)}`);
  }
}

function contentLength(request: TransportRequest): Record<string, string> {
  const { body, method } = request;
  if (body !== undefined) return { "content-length": String(body instanceof Uint8Array ? body.length : body.size) };
  return method === "GET" || method === "HEAD" ? {} : { "content-length": "0" };
}

/** Sends the body and waits for the response's headers, which may come before the body is through. */
async function send(
  outgoing: ClientRequest,
  body: Uint8Array | StreamBody | undefined,
  idle: IdleTimer,
): Promise<IncomingMessage> {
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("response", resolve);
    outgoing.once("error", reject);
    outgoing.once("close", () => reject(Object.assign(new Error("closed"), { code: "ECONNRESET" })));
  });
  outgoing.on("error", () => undefined); // a second error, after the response, shows in the response's body
  idle.start();
  if (body === undefined || body instanceof Uint8Array) {
    outgoing.end(body);
    return response;
  }
  let answered = false;
  const settled = response.then(
    () => (answered = true),
    () => (answered = true),
  );
  await pump(outgoing, body, idle, settled, () => answered);
  return response;
}

/** Writes a streamed body as fast as it is taken; ends early where the answer is already there. */
async function pump(
  outgoing: ClientRequest,
  body: StreamBody,
  idle: IdleTimer,
  settled: Promise<unknown>,
  isSettled: () => boolean,
): Promise<void> {
  let sent = 0;
  for await (const chunk of body.open()) {
    if (isSettled()) return;
    sent += chunk.length;
    if (sent > body.size) break;
    idle.start();
    if (!outgoing.write(chunk)) await Promise.race([drained(outgoing), settled]);
    idle.stop(); // while the source is slow it is not the server's fault
  }
  if (sent !== body.size) throw changed(sent, body.size);
  idle.start();
  outgoing.end();
}

function drained(outgoing: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    outgoing.once("drain", resolve);
  });
}

function changed(sent: number, size: number): StorageError {
  const got = sent > size ? `more than ${size}` : String(sent);
  return new StorageError("FILE_CHANGED", `what is being sent has ${got} bytes, and had ${size} when it was read`, {
    hint: "Do not change the file during the transfer; run the command again",
    details: { expected: size },
  });
}

function toResponse(message: IncomingMessage, context: Context, peerAddress: string | undefined): TransportResponse {
  message.on("error", () => undefined); // kept by the stream; whoever reads the body meets it
  return {
    status: message.statusCode ?? 0,
    headers: { get: (name) => headerValue(message, name) },
    peerAddress,
    body: readMessage(message, context),
    cancel: () => cancel(message, context),
  };
}

function headerValue(message: IncomingMessage, name: string): string | null {
  const value = message.headers[name.toLowerCase()];
  return value === undefined ? null : Array.isArray(value) ? value.join(", ") : value;
}

async function* readMessage(message: IncomingMessage, context: Context): AsyncGenerator<Uint8Array> {
  const { idle, outgoing, url, doing } = context;
  const chunks = message[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  try {
    for (;;) {
      idle.start();
      const next = await chunks.next();
      idle.stop(); // while the consumer is slow it is not the server's fault
      if (context.failure !== undefined) throw context.failure;
      if (next.done === true) break;
      yield next.value;
    }
    if (!message.complete) throw Object.assign(new Error("cut"), { code: "ECONNRESET" });
  } catch (error) {
    throw toTransportError(context.failure ?? error, url, doing);
  } finally {
    idle.stop();
    if (!message.complete || !outgoing.writableFinished) outgoing.destroy();
  }
}

/** Frees the connection for another request where little is left to read, and closes it otherwise. */
function cancel(message: IncomingMessage, { outgoing, idle }: Context): Promise<void> {
  const rest = Number(message.headers["content-length"] ?? Number.POSITIVE_INFINITY);
  if (outgoing.writableFinished && (message.complete || rest <= DRAIN_BYTES)) {
    if (!message.complete) idle.start();
    message.resume();
  } else outgoing.destroy();
  return Promise.resolve();
}

function timeout(url: URL, doing: string, idleMs: number): TransportError {
  return new TransportError("TIMEOUT", `${doing}: ${url.host} was silent for ${idleMs / 1000} seconds`, {
    hint: "Try again, or allow more silence with --timeout",
    details: { host: url.host, seconds: idleMs / 1000 },
  });
}

/** Runs only while something is waited for. */
class IdleTimer {
  onIdle: () => void = () => undefined;
  private readonly milliseconds: number;
  private timer: NodeJS.Timeout | undefined;

  constructor(milliseconds: number) {
    this.milliseconds = milliseconds;
  }

  start(): void {
    this.stop();
    this.timer = setTimeout(() => this.onIdle(), this.milliseconds);
    this.timer.unref(); // the connection keeps the process alive, not the watch over it
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
