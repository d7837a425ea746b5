/** Proxies as the environment names them: HTTP_PROXY, HTTPS_PROXY, NO_PROXY, with the meaning that curl and Go give them. */
import { BlockList, isIP } from "node:net";
import { FormatError } from "../base/errors.ts";
import { addressScope } from "../base/ip-address.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Finds the proxy for a target; undefined means a direct connection. */
export type FindProxy = (target: URL) => URL | undefined;

/**
 * Reads the environment once. Names for this very machine never go through a proxy. Under CGI, where a
 * request header can set HTTP_PROXY, only its lower-case form counts.
 *
 * @throws {FormatError} CONFIG_INVALID for a proxy that is not an http or https address
 */
export function proxyFromEnvironment(env: Environment): FindProxy {
  const inCgi = env["REQUEST_METHOD"] !== undefined;
  const all = env["all_proxy"] ?? env["ALL_PROXY"];
  const http = parseProxy(env["http_proxy"] ?? (inCgi ? undefined : env["HTTP_PROXY"]) ?? all);
  const https = parseProxy(env["https_proxy"] ?? env["HTTPS_PROXY"] ?? all);
  if (http === undefined && https === undefined) return () => undefined;
  const excluded = parseNoProxy(env["no_proxy"] ?? env["NO_PROXY"] ?? "");
  return (target) => {
    if (addressScope(target.hostname) === "loopback" || excluded(target)) return undefined;
    return target.protocol === "https:" ? https : http;
  };
}

function parseProxy(text: string | undefined): URL | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  const address = text.includes("://") ? text.trim() : `http://${text.trim()}`;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if ((url?.protocol === "http:" || url?.protocol === "https:") && isDecodable(url)) return url;
  throw new FormatError("CONFIG_INVALID", "the proxy that the environment names is not an http or https address", {
    hint: "Set HTTPS_PROXY and HTTP_PROXY to something like http://proxy.example:3128; write a percent sign in a password as %25",
  });
}

/** User name and password may hold percent signs that encode nothing. */
function isDecodable({ username, password }: URL): boolean {
  try {
    for (const part of [username, password]) decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

function parseNoProxy(list: string): FindExclusion {
  const rules = list
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .map((entry) => noProxyRule(entry.toLowerCase()));
  return (target) => rules.some((rule) => rule(target));
}

type FindExclusion = (target: URL) => boolean;

/** One entry: `*`, a domain with everything below it, an address, a CIDR block; each but the first with a port. */
function noProxyRule(entry: string): FindExclusion {
  if (entry === "*") return () => true;
  const match = /^(\[[^\]]*\]|[^:]*|[^[\]]*:[^[\]]*:[^[\]]*)(?::(\d+))?$/.exec(entry);
  const host = (match?.[1] ?? entry).replace(/^\[|\]$/g, "");
  const port = match?.[2];
  const matchesHost = hostRule(host);
  return (target) => (port === undefined || portOf(target) === port) && matchesHost(bareHost(target));
}

function hostRule(host: string): (hostname: string) => boolean {
  const [network = "", prefix] = host.split("/");
  const family = isIP(network);
  if (family !== 0) {
    const type = family === 4 ? "ipv4" : "ipv6";
    const bits = prefix === undefined ? (family === 4 ? 32 : 128) : Number(prefix);
    if (!Number.isInteger(bits) || bits < 0 || bits > (family === 4 ? 32 : 128)) return () => false;
    const block = new BlockList();
    block.addSubnet(network, bits, type);
    return (hostname) => isIP(hostname) === family && block.check(hostname, type);
  }
  const domain = host.replace(/^\*?\./, "");
  const onlyBelow = domain !== host;
  return (hostname) => hostname.endsWith(`.${domain}`) || (!onlyBelow && hostname === domain);
}

function bareHost(target: URL): string {
  return target.hostname.replace(/^\[|\]$/g, "");
}

function portOf(target: URL): string {
  return target.port === "" ? (target.protocol === "https:" ? "443" : "80") : target.port;
}

/** The Proxy-Authorization for a proxy whose address has a user name in it. */
export function proxyAuthorization(proxy: URL): string | undefined {
  if (proxy.username === "") return undefined;
  const user = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return `Basic ${Buffer.from(user, "utf8").toString("base64")}`;
}
