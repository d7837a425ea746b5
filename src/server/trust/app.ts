/**
 * The trust server's HTTP interface: the Notary v1 API as notary-server answers it, status by status and header
 * by header, since clients of nine years depend on it.
 */
import { Hono, type Context } from "hono";
import { base64Encode, hexEncode, utf8Encode } from "../../base/bytes.ts";
import { UsageError, WasmToOciError } from "../../base/errors.ts";
import type { Clock } from "../../base/runtime.ts";
import type { PublicKey } from "../../keys/public-key.ts";
import { parseGun } from "../../notary/gun.ts";
import { readSnapshot } from "../../notary/metadata.ts";
import { toNotaryKey } from "../../notary/public-keys.ts";
import { isDelegationRole } from "../../notary/roles.ts";
import { decodeDocument } from "../../notary/wire.ts";
import { errorFields, requestLog, type Log } from "../log.ts";
import { bodyOf } from "../registry/exchange.ts";
import { KeyedLock } from "../registry/keyed-lock.ts";
import { changefeed } from "./changefeed.ts";
import { ApiError, notFound } from "./errors.ts";
import { readMultipart } from "./multipart.ts";
import type { OnlineKeys } from "./online-keys.ts";
import { renewIfDue, storedRoot } from "./online-roles.ts";
import { publish } from "./publish.ts";
import { matchRoute, type Route } from "./routes.ts";
import type { TrustService } from "./service.ts";
import type { OnlineRole, StoredDocument, TrustStore } from "./store.ts";
import { UploadMemory, ValidationBudget } from "./upload-cost.ts";
import { readUploads, UPLOAD_LIMITS } from "./upload.ts";

export interface TrustAppOptions {
  readonly store: TrustStore;
  readonly onlineKeys: OnlineKeys;
  readonly now: Clock;
  readonly log: Log;
}

/** notary-server's defaults: five minutes for names whose content changes, a month for those whose does not. */
const CACHE = {
  current: "public, max-age=300, s-maxage=300, must-revalidate",
  consistent: "public, max-age=2592000, s-maxage=2592000",
} as const;

const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json; charset=utf-8";

/**
 * Makes the trust server.
 *
 * @example
 * ```ts
 * const store = memoryTrustStore();
 * const onlineKeys = await openOnlineKeys({ store, masterKey: crypto.getRandomValues(new Uint8Array(32)) });
 * const app = createTrustApp({ store, onlineKeys, now: () => new Date(), log });
 * const server = await listen(app, { host: "127.0.0.1", port: 4443, tls });
 * ```
 */
export function createTrustApp(options: TrustAppOptions): Hono {
  return trustApp(trustService(options));
}

/** Puts together what the app and the renewal of old timestamps share. */
export function trustService(options: TrustAppOptions): TrustService {
  const validations = new ValidationBudget();
  return { ...options, turns: new KeyedLock(), uploads: new UploadMemory(), validations };
}

/** Makes the app of a service. */
export function trustApp(service: TrustService): Hono {
  const app = new Hono();
  app.use(requestLog(service.log, "trust"));
  app.all("*", async (c) => {
    const route = routeOf(c);
    try {
      return await answer(service, route, c);
    } catch (error) {
      return errorAnswer(service.log, route, error);
    }
  });
  return app;
}

function routeOf(c: Context): Route {
  try {
    return matchRoute(c.req.raw.method, decodeURIComponent(new URL(c.req.url).pathname));
  } catch {
    return { name: "not-found" }; // percent signs that encode nothing
  }
}

async function answer(service: TrustService, route: Route, c: Context): Promise<Response> {
  switch (route.name) {
    case "ping":
      return c.body("{}", 200, { "Content-Type": TEXT });
    case "health":
      return health(service, c);
    case "publish":
      return publishAnswer(service, route.gun, c);
    case "delete":
      await service.turns.run(route.gun, () => service.store.delete(route.gun, service.now()));
      return c.body(null, 200);
    case "current":
    case "by-hash":
    case "by-version":
      return document(c, route, await findDocument(service, route));
    case "key":
    case "new-key":
      return c.body(keyJson(await onlineKey(service, route)), 200, { "Content-Type": TEXT });
    case "changefeed": {
      const feed = await changefeed(service.store, route.gun, new URL(c.req.url).searchParams);
      return c.body(feed, 200, { "Content-Type": TEXT });
    }
    case "redirect":
      return c.body(null, 301, { Location: encodeURI(route.path) + new URL(c.req.url).search });
    case "method-not-allowed":
      return c.body(null, 405);
    case "not-found":
      break;
  }
  throw new ApiError("METADATA_NOT_FOUND");
}

async function health({ store, log }: TrustService, c: Context): Promise<Response> {
  try {
    await store.check();
    return c.body("{}", 200, { "Content-Type": JSON_TYPE });
  } catch (error) {
    log.error(errorFields(error), "the store does not answer");
    return c.body(JSON.stringify({ store: "the store does not answer" }), 503, { "Content-Type": JSON_TYPE });
  }
}

async function publishAnswer(service: TrustService, gun: string, c: Context): Promise<Response> {
  try {
    parseGun(gun);
  } catch (error) {
    if (error instanceof UsageError) throw new ApiError("INVALID_GUN", undefined, { cause: error });
    throw error;
  }
  await service.uploads.run(async (count) => {
    const files = await readMultipart(c.req.header("content-type"), count(bodyOf(c.req.raw)), UPLOAD_LIMITS);
    await publish(service, gun, readUploads(files));
  });
  return c.body(null, 200);
}

type DocumentRoute = Extract<Route, { name: "current" | "by-hash" | "by-version" }>;

async function findDocument(service: TrustService, route: DocumentRoute): Promise<StoredDocument> {
  const found = await lookUp(service, route);
  if (found === undefined) throw notFound();
  return found;
}

async function lookUp(service: TrustService, route: DocumentRoute): Promise<StoredDocument | undefined> {
  const { store } = service;
  const { gun, role } = route;
  if (route.name === "by-version") return store.byVersion(gun, role, route.version);
  // Notary finds lower-case sha256 only, though its addresses allow more.
  if (route.name === "by-hash") {
    return /^[0-9a-f]{64}$/.test(route.hash) ? store.byDigest(gun, role, `sha256:${route.hash}`) : undefined;
  }
  if (role === "timestamp" || role === "snapshot") await renewIfDue(service, gun);
  if (!isDelegationRole(role)) return store.current(gun, role);
  // One that a client deleted from its snapshot is still stored; it is served by hash and version only.
  const snapshot = await store.current(gun, "snapshot");
  if (snapshot === undefined) return undefined;
  const { meta } = readSnapshot(decodeDocument(snapshot.bytes, "snapshot").signed);
  const sha256 = meta.get(role)?.hashes.get("sha256");
  return sha256 === undefined ? undefined : store.byDigest(gun, role, `sha256:${hexEncode(sha256)}`);
}

function document(c: Context, route: DocumentRoute, { bytes, storedAt }: StoredDocument): Response {
  return c.body(bytes, 200, {
    "Cache-Control": route.name === "current" ? CACHE.current : CACHE.consistent,
    "Content-Type": TEXT,
    "Last-Modified": storedAt.toUTCString().replace(/GMT$/, "UTC"),
    "X-Content-Type-Options": "nosniff", // whoever may publish decides what these bytes look like
  });
}

/** The key that the published root names, where the server holds it; else one for a root that is being made. */
async function onlineKey(
  { store, onlineKeys }: TrustService,
  { name, gun, role }: { name: "key" | "new-key"; gun: string; role: OnlineRole },
): Promise<PublicKey> {
  try {
    parseGun(gun);
  } catch (cause) {
    throw new ApiError("METADATA_NOT_FOUND", undefined, { cause });
  }
  if (name === "new-key") return onlineKeys.create(gun, role);
  const root = await store.current(gun, "root");
  if (root !== undefined) {
    const [held] = await onlineKeys.signers(gun, role, storedRoot(root.bytes).roles.get(role)!.keyIds);
    if (held !== undefined) return held.signer.publicKey;
  }
  return onlineKeys.pending(gun, role);
}

/** In the order of Go's struct, which is not the canonical one. */
function keyJson(key: PublicKey): string {
  const { keytype, public: bytes } = toNotaryKey(key);
  return JSON.stringify({ keytype, keyval: { public: base64Encode(bytes), private: null } });
}

function errorAnswer(log: Log, route: Route, error: unknown): Response {
  const isStorage = error instanceof WasmToOciError && error.kind === "storage";
  const known =
    error instanceof ApiError ? error : new ApiError(isPublish(route) && isStorage ? "UPDATING" : "UNKNOWN");
  if (known !== error) log.error({ route: route.name, ...errorFields(error) }, "request failed");
  else if (known.code !== "METADATA_NOT_FOUND") {
    log.warn({ route: route.name, refused: known.code, ...errorFields(known) }, "request refused");
  }
  const body = utf8Encode(known.body());
  // Said outright, because an answer to HEAD has no body to count.
  const headers = { "Content-Type": JSON_TYPE, "Content-Length": String(body.length) };
  return new Response(body, { status: known.status, headers });
}

function isPublish(route: Route): boolean {
  return route.name === "publish" || route.name === "delete";
}
