/**
 * Where a server may send us for a token. A realm that is followed anywhere makes the client a tool: it hands
 * credentials to whom they were not given (CVE-2026-48978) and talks to hosts that the server cannot reach.
 */
import { TransportError } from "./errors.ts";
import { addressScope } from "./ip-address.ts";
import { escapeUntrusted } from "./untrusted-text.ts";

export interface RealmContext {
  /** Where the challenge came from. */
  readonly server: URL;
  /** Whether credentials would be sent along. */
  readonly withCredentials: boolean;
  /** Pairings of server and token server that a person allowed. */
  readonly allow?: ((server: string, realm: string) => boolean) | undefined;
}

const MAX_REALM_LENGTH = 2048;

/** Names under which one party hosts many: a shared ending says nothing about who somebody is. */
const SHARED_SUFFIXES: readonly string[] = [
  "amazonaws.com",
  "appspot.com",
  "azurecr.io",
  "azurewebsites.net",
  "cloudapp.azure.com",
  "cloudfront.net",
  "fly.dev",
  "github.io",
  "gitlab.io",
  "googleusercontent.com",
  "herokuapp.com",
  "jfrog.io",
  "netlify.app",
  "ngrok.io",
  "onrender.com",
  "pages.dev",
  "pkg.dev",
  "run.app",
  "vercel.app",
  "workers.dev",
];

/**
 * Decides whether a token may be asked for at a realm.
 *
 * @returns the realm's URL
 * @throws {TransportError} REDIRECT_REFUSED
 */
export function checkRealm(realm: string, context: RealmContext): URL {
  const { server } = context;
  const fail = (reason: string): never => {
    throw new TransportError(
      "REDIRECT_REFUSED",
      `${server.host} wants a token from ${describe(realm)}, which is refused: ${reason}`,
      {
        hint: "Nothing was sent there; if the token server is meant to be that one, its operator must fix the address",
        details: { reason: "REALM_REFUSED", server: server.host },
      },
    );
  };
  if (realm.length > MAX_REALM_LENGTH || !URL.canParse(realm)) return fail("it is not an address");
  const url = new URL(realm);
  if (url.protocol !== "https:" && url.protocol !== "http:") return fail("it is neither https nor http");
  if (url.username !== "" || url.password !== "") return fail("it has a user name in it");
  url.hash = "";
  if (url.origin === server.origin) return url;
  if (url.protocol === "http:" && server.protocol === "https:") return fail("it is not encrypted");
  if (url.hostname === server.hostname) return url;
  if (addressScope(url.hostname) === "loopback" && addressScope(server.hostname) === "loopback") return url;
  if (addressScope(url.hostname) !== undefined) return fail("it is a bare or local address of another host");
  if (url.hostname.endsWith(".")) return fail("its host ends in a dot");
  if (!url.hostname.includes(".")) return fail("its host has no domain");
  if (url.hostname.split(".").some((label) => label.startsWith("xn--"))) return fail("its host is internationalised");
  if (isInternalName(url.hostname) && !isInternalName(server.hostname)) return fail("its host is an internal name");
  if (!context.withCredentials || sharesDomain(server.hostname, url.hostname)) return url;
  if (context.allow?.(server.host, url.host) === true) return url;
  return fail("it belongs to another domain, which must not see the credentials");
}

/** Names that only resolve inside somebody's network, e.g. `metadata.google.internal`. */
function isInternalName(hostname: string): boolean {
  return /\.(?:internal|local|localdomain|lan|intranet|corp|home\.arpa)$/.test(hostname);
}

/**
 * Tells whether two names belong to one registrable domain. Without the public suffix list this is an
 * estimate on the strict side: two common labels, three below `co.uk` and its like and hosting suffixes.
 */
function sharesDomain(a: string, b: string): boolean {
  const left = a.split(".").toReversed();
  const right = b.split(".").toReversed();
  let common = 0;
  while (common < left.length && common < right.length && left[common] === right[common]) common++;
  const suffix = left.slice(0, common).toReversed().join(".");
  if (SHARED_SUFFIXES.some((shared) => `.${suffix}`.endsWith(`.${shared}`))) return false;
  const countryCode = (left[0]?.length ?? 0) === 2 && (left[1]?.length ?? 0) <= 3;
  return common >= (countryCode ? 3 : 2);
}

/** The realm without its query, which is the server's own business. */
function describe(realm: string): string {
  return escapeUntrusted(realm.replace(/[?#][\s\S]*$/, "").replace(/\/\/[^/@]*@/, "//…@"), 200);
}
