/**
 * Addresses that a registry hands out: redirects, upload sessions, further pages. Each is a way to send a
 * client, and perhaps its credentials, where they do not belong.
 */
import { TransportError } from "../base/errors.ts";
import { addressScope } from "../base/ip-address.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";

const MAX_LOCATION_LENGTH = 16 * 1024; // signed storage addresses reach some 4 kB

/**
 * Where a redirect of a read leads: to any host that a public registry may name, never from https to http.
 * The caller drops credentials when the origin changes.
 *
 * @param from the address that redirected
 * @param registryAddress the IP address of the registry, where known
 * @throws {TransportError} REDIRECT_REFUSED, RESPONSE_INVALID
 */
export function redirectTarget(location: string | null, from: URL, registryAddress: string | undefined): URL {
  const target = parseLocation(location, from, "redirect");
  if (from.protocol === "https:" && target.protocol === "http:") {
    throw refused(from, target, "a redirect", "from https to http");
  }
  const scope = addressScope(target.hostname);
  if (scope === undefined || scope === "public" || target.hostname === from.hostname) return target;
  const own = addressScope(registryAddress ?? from.hostname);
  // A private registry may have its storage on the same network; loopback is ours alone.
  if (own === "loopback" || (own === "private" && scope === "private")) return target;
  throw refused(from, target, "a redirect", "to a local address");
}

/**
 * Where an upload goes on: on the registry itself, because the request carries its credentials.
 *
 * @throws {TransportError} REDIRECT_REFUSED, RESPONSE_INVALID
 */
export function uploadLocation(location: string | null, from: URL): URL {
  const target = parseLocation(location, from, "upload");
  if (target.origin !== from.origin) throw refused(from, target, "an upload", "to another server");
  return target;
}

const LINK = /<([^<>]*)>((?:\s*;\s*[\w*]+\s*=\s*(?:"[^"]*"|[^\s",;]+))*)/g;

/**
 * The next page of a list, from its Link header (RFC 8288); undefined at the end.
 *
 * @throws {TransportError} REDIRECT_REFUSED where it is on another server
 */
export function nextPage(link: string | null, from: URL): URL | undefined {
  if (link === null || link.length > MAX_LOCATION_LENGTH) return undefined;
  for (const [, address, parameters] of link.matchAll(LINK)) {
    if (!/;\s*rel\s*=\s*"?next"?\s*(?:;|$)/i.test(parameters ?? "")) continue;
    const target = parseLocation(address ?? null, from, "next page");
    if (target.origin !== from.origin) throw refused(from, target, "the next page", "to another server");
    return target;
  }
  return undefined;
}

function parseLocation(location: string | null, from: URL, what: string): URL {
  if (location === null || location === "" || location.length > MAX_LOCATION_LENGTH || !URL.canParse(location, from)) {
    throw new TransportError("RESPONSE_INVALID", `${from.host} gave no usable address for the ${what}`, {
      hint: "The registry is faulty; its operator must look into it",
    });
  }
  const target = new URL(location, from);
  target.hash = "";
  if (target.protocol !== "https:" && target.protocol !== "http:") {
    throw refused(from, target, `the ${what}`, "to something that is neither https nor http");
  }
  if (target.username !== "" || target.password !== "") {
    throw refused(from, target, `the ${what}`, "to an address with a user name in it");
  }
  return target;
}

function refused(from: URL, target: URL, what: string, direction: string): TransportError {
  const to = escapeUntrusted(target.origin === "null" ? target.protocol : target.origin, 128);
  return new TransportError("REDIRECT_REFUSED", `${from.host} sends ${what} to ${to}; ${direction} is refused`, {
    hint: "Nothing was sent there; behind a proxy the registry must know its outside address (X-Forwarded-Proto, Host)",
    details: { from: from.origin, to },
  });
}
