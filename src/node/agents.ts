/** Connections: one pool per server, with the trust in certificates and the way (direct, proxy) that this server has. */
import { X509Certificate } from "node:crypto";
import { lookup as dnsLookup } from "node:dns";
import { Agent, request as httpRequest, type AgentOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from "node:https";
import type { LookupFunction } from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { errorMessage, FormatError, TransportError } from "../base/errors.ts";
import { addressScope } from "../base/ip-address.ts";
import { proxyAuthorization, type FindProxy } from "./proxy.ts";

/** PEM text of certificate authorities, for every host or by host. */
export type AuthorityRule = string | readonly string[] | ((hostname: string) => readonly string[] | undefined);

export interface TrustOptions {
  /** Authorities to accept besides the system's. */
  readonly ca?: AuthorityRule | undefined;
  /** True: accept those of `ca` only, on hosts for which there are any. */
  readonly onlyCa?: boolean | undefined;
  /** PEM of the client certificate with its chain, and of its key. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Hosts, by `host[:port]`, that the client certificate is shown to; every host unless told. */
  readonly showCertificate?: ((host: string) => boolean) | undefined;
  /** Hosts, by `host[:port]`, whose certificates are not checked. */
  readonly insecure?: ((host: string) => boolean) | undefined;
}

/**
 * An idle connection is dropped after this time: sooner than servers do it (Node 5 s, others more), because
 * a request on a connection that is just being closed is lost.
 */
const KEEP_IDLE_MS = 4_000;

/** The way to one server. */
export interface Route {
  readonly agent: Agent;
  /** Set where a plain http request goes to a proxy instead of to its target. */
  readonly via: URL | undefined;
}

export class Agents {
  private readonly trust: TrustOptions;
  private readonly findProxy: FindProxy;
  private readonly lookup: LookupFunction;
  private readonly routes = new Map<string, Route>();

  constructor(trust: TrustOptions, findProxy: FindProxy, lookup: LookupFunction = dnsLookup) {
    this.trust = trust;
    this.findProxy = findProxy;
    this.lookup = lookup;
  }

  /** @throws {FormatError} CERTIFICATE_INVALID, KEY_INVALID */
  route(target: URL, publicOnly: boolean): Route {
    const key = `${target.origin} ${publicOnly}`;
    let route = this.routes.get(key);
    if (route === undefined) {
      route = this.createRoute(target, publicOnly);
      this.routes.set(key, route);
    }
    return route;
  }

  close(): void {
    for (const { agent } of this.routes.values()) agent.destroy();
    this.routes.clear();
  }

  private createRoute(target: URL, publicOnly: boolean): Route {
    const proxy = this.findProxy(target);
    const lookup = publicOnly && proxy === undefined ? publicLookup(this.lookup) : this.lookup;
    const options: AgentOptions & { lookup: LookupFunction } = { keepAlive: true, timeout: KEEP_IDLE_MS, lookup };
    if (target.protocol === "http:") {
      const toProxyByTls = proxy?.protocol === "https:";
      return { agent: toProxyByTls ? new HttpsAgent(options) : new Agent(options), via: proxy };
    }
    const tlsOptions = { ...options, ...this.tlsOptions(target) };
    const agent = proxy === undefined ? new HttpsAgent(tlsOptions) : new TunnelAgent(proxy, tlsOptions);
    return { agent, via: undefined };
  }

  private tlsOptions(target: URL): { secureContext: tls.SecureContext; rejectUnauthorized: boolean } {
    const { cert, key, showCertificate, insecure, onlyCa } = this.trust;
    const isShown = showCertificate?.(target.host) !== false;
    const ca = this.authorities(target.hostname);
    const options: tls.SecureContextOptions = {};
    if (cert !== undefined && isShown) options.cert = cert;
    if (key !== undefined && isShown) options.key = key;
    try {
      if (ca !== undefined) {
        for (const pem of ca) requireCertificates(pem);
        options.ca = onlyCa === true ? [...ca] : [...systemAuthorities(), ...ca];
      }
      return {
        secureContext: tls.createSecureContext(options),
        rejectUnauthorized: insecure?.(target.host) !== true,
      };
    } catch (cause) {
      throw new FormatError(
        "CERTIFICATE_INVALID",
        `the certificates or the key for ${target.host} cannot be used: ${errorMessage(cause)}`,
        {
          cause,
          hint: "Give PEM files: the authority's certificate, and client certificate and key that fit together",
        },
      );
    }
  }

  private authorities(hostname: string): readonly string[] | undefined {
    const { ca } = this.trust;
    const found = typeof ca === "function" ? ca(hostname) : typeof ca === "string" ? [ca] : ca;
    return found === undefined || found.length === 0 ? undefined : found;
  }
}

/** The authorities that Node accepts unless told: from 22.15 on it says so itself, with those of NODE_EXTRA_CA_CERTS. */
function systemAuthorities(): readonly string[] {
  const ask = (tls as { getCACertificates?: (type: "default") => string[] }).getCACertificates;
  return ask?.("default") ?? tls.rootCertificates;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Node silently passes over an authority that it cannot read, and then refuses the server. */
function requireCertificates(pem: string): void {
  const blocks = pem.match(PEM_CERTIFICATE) ?? [];
  if (blocks.length === 0) throw new Error("there is no PEM certificate in it");
  for (const block of blocks) void new X509Certificate(block);
}

/** Looks a name up and refuses it where any of its addresses is not public. */
function publicLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, "", 0);
      const addresses = typeof found === "string" ? [] : found;
      const first = addresses[0];
      const local = addresses.some(({ address }) => addressScope(address) !== "public");
      if (local || first === undefined) return callback(notPublic(hostname), "", 0);
      if (options.all === true) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}

/** The refusal of an address that a server chose and that is not public. */
export function notPublic(hostname: string): TransportError {
  return new TransportError("REDIRECT_REFUSED", `a public server sends us to ${hostname}, which is a local address`, {
    hint: "Nothing was sent there; a public registry has no business on this network",
    details: { reason: "NOT_PUBLIC", host: hostname },
  });
}

/** Reaches https servers through a proxy's CONNECT (RFC 9110 §9.3.6). */
class TunnelAgent extends HttpsAgent {
  private readonly proxy: URL;

  constructor(proxy: URL, options: ConstructorParameters<typeof HttpsAgent>[0]) {
    super(options);
    this.proxy = proxy;
  }

  override createConnection(
    options: RequestOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    const { proxy } = this;
    const done = callback as (error: Error | null, stream?: Duplex) => void;
    const target = `${options.host}:${options.port}`;
    const authorization = proxyAuthorization(proxy);
    const connect = (proxy.protocol === "https:" ? httpsRequest : httpRequest)({
      host: proxy.hostname.replace(/^\[|\]$/g, ""),
      port: proxy.port === "" ? (proxy.protocol === "https:" ? 443 : 80) : proxy.port,
      method: "CONNECT",
      path: target,
      agent: false,
      headers: { host: target, ...(authorization === undefined ? {} : { "proxy-authorization": authorization }) },
    });
    connect.once("connect", (response, socket) => {
      if (response.statusCode === 200) {
        done(null, super.createConnection({ ...options, socket } as RequestOptions) ?? undefined);
        return;
      }
      socket.destroy();
      done(proxyFault(proxy, `it answered ${response.statusCode} to CONNECT ${target}`));
    });
    connect.once("response", (response) => {
      response.destroy();
      done(proxyFault(proxy, `it answered ${response.statusCode} to CONNECT ${target}`));
    });
    connect.once("error", (error) => done(proxyFault(proxy, errorMessage(error), error)));
    connect.end();
    return undefined;
  }
}

function proxyFault(proxy: URL, problem: string, cause?: unknown): TransportError {
  return new TransportError("NETWORK", `the proxy ${proxy.host} gave no connection: ${problem}`, {
    cause,
    hint: "Check HTTPS_PROXY, or name the host in NO_PROXY",
    details: { host: proxy.host, reason: "PROXY" },
  });
}
