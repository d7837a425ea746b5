/**
 * The addresses of the Notary v1 API. GUNs hold slashes, colons and anything else but `*`, are greedy and are
 * not escaped by clients, so the path is matched as a whole, in notary-server's order (`server/server.go`).
 */
import type { OnlineRole } from "./store.ts";

export type Route =
  | { readonly name: "ping" }
  | { readonly name: "health" }
  | { readonly name: "publish" | "delete"; readonly gun: string }
  | { readonly name: "current"; readonly gun: string; readonly role: string }
  | { readonly name: "by-hash"; readonly gun: string; readonly role: string; readonly hash: string }
  | { readonly name: "by-version"; readonly gun: string; readonly role: string; readonly version: number }
  | { readonly name: "key" | "new-key"; readonly gun: string; readonly role: OnlineRole }
  | { readonly name: "changefeed"; readonly gun: string | undefined }
  /** The address has empty or dotted parts; the client is sent to the clean one. */
  | { readonly name: "redirect"; readonly path: string }
  | { readonly name: "not-found" }
  | { readonly name: "method-not-allowed" };

const ROLE = String.raw`(root|targets(?:/[^/\s]+)*|snapshot|timestamp)`;
const TUF = /^\/v2\/([^*]+)\/_trust\/tuf\/(.*)$/s;
const CHANGEFEED = /^\/v2\/(?:([^*]+)\/)?_trust\/changefeed$/s;
const BY_HASH = new RegExp(`^${ROLE}\\.([a-fA-F0-9]{64}|[a-fA-F0-9]{96}|[a-fA-F0-9]{128})\\.json$`);
const BY_VERSION = new RegExp(`^([1-9]*[0-9]+)\\.${ROLE}\\.json$`);
const CURRENT = new RegExp(`^${ROLE}\\.json$`);
const KEY = /^(snapshot|timestamp)\.key$/;

/** What notary-server has any handler for; other methods get an empty 405. */
const KNOWN_METHODS = new Set(["GET", "HEAD", "POST", "PUT", "DELETE"]);

const NOT_FOUND: Route = { name: "not-found" };

/** Finds the route of a request. `path` is percent-decoded. */
export function matchRoute(method: string, path: string): Route {
  const clean = cleanPath(path);
  if (clean !== path) return { name: "redirect", path: clean };
  if (!KNOWN_METHODS.has(method)) return { name: "method-not-allowed" };
  if (method === "GET" && path === "/v2/") return { name: "ping" };
  if (method === "GET" && path === "/_notary_server/health") return { name: "health" };
  const feed = CHANGEFEED.exec(path);
  if (feed !== null) return method === "GET" ? { name: "changefeed", gun: feed[1] } : NOT_FOUND;
  const [, gun = "", file = ""] = TUF.exec(path) ?? [];
  return gun === "" ? NOT_FOUND : matchTuf(method, gun, file);
}

function matchTuf(method: string, gun: string, file: string): Route {
  if (file === "") {
    if (method === "POST") return { name: "publish", gun };
    return method === "DELETE" ? { name: "delete", gun } : NOT_FOUND;
  }
  const key = KEY.exec(file);
  if (key !== null) {
    const role = key[1] as OnlineRole;
    if (method === "POST") return { name: "new-key", gun, role };
    return method === "GET" ? { name: "key", gun, role } : NOT_FOUND;
  }
  if (method !== "GET") return NOT_FOUND;
  return matchDocument(gun, file);
}

function matchDocument(gun: string, file: string): Route {
  let [, role = "", hash = ""] = BY_HASH.exec(file) ?? [];
  if (role !== "") return { name: "by-hash", gun, role, hash };
  let version = "";
  [, version = "", role = ""] = BY_VERSION.exec(file) ?? [];
  if (role !== "") return { name: "by-version", gun, role, version: Number(version) };
  [, role = ""] = CURRENT.exec(file) ?? [];
  return role === "" ? NOT_FOUND : { name: "current", gun, role };
}

/** As Go's `path.Clean`, keeping a slash at the end. */
function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  const clean = `/${parts.join("/")}`;
  return path.endsWith("/") && clean !== "/" ? `${clean}/` : clean;
}
