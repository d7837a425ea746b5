/**
 * The registry: every endpoint of the OCI distribution specification 1.1 over a store. One table says which
 * path and method does what and what it needs, so that no path can go around name checks, access control or
 * the read-only switch.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 */
import { Hono, type Context } from "hono";
import { storageError } from "../../node/files.ts";
import { requestLog, type Log } from "../log.ts";
import { deleteBlob, getBlob } from "./blobs.ts";
import { RegistryFault } from "./errors.ts";
import type { Exchange, Handler, RegistryAction } from "./exchange.ts";
import { isStoredRepository } from "./file-names.ts";
import { listRepositories, listTags } from "./lists.ts";
import { deleteManifest, getManifest, putManifest } from "./manifests.ts";
import { listReferrers } from "./referrers.ts";
import type { RegistryStore } from "./store.ts";
import { cancelUpload, continueUpload, finishUpload, startUpload, uploadStatus } from "./uploads.ts";

/** Decides whether the client that sent a request may do something to a repository. */
type RegistryAccess = (request: Request, repository: string, action: RegistryAction) => boolean | Promise<boolean>;

export interface RegistryAppOptions {
  readonly store: RegistryStore;
  readonly log: Log;
  /** Refuses everything that changes the store. */
  readonly readOnly?: boolean;
  /** Everybody may do everything unless told. */
  readonly access?: RegistryAccess;
  /** Told of each tag that was moved. Must not throw. */
  readonly tagMoved?: ((repository: string, tag: string) => void) | undefined;
}

type Method = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
type Endpoint = Partial<Record<Method, readonly [RegistryAction, Handler]>>;

/** `:name` is greedy, so that repositories may be called `a/manifests/b`. HEAD is answered like GET. */
const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  "/v2/:name{.+}/tags/list": { GET: ["pull", listTags] },
  "/v2/:name{.+}/referrers/:item": { GET: ["pull", listReferrers] },
  "/v2/:name{.+}/manifests/:item": {
    GET: ["pull", getManifest],
    PUT: ["push", putManifest],
    DELETE: ["delete", deleteManifest],
  },
  "/v2/:name{.+}/blobs/uploads/": { POST: ["push", startUpload] },
  "/v2/:name{.+}/blobs/uploads/:item": {
    GET: ["push", uploadStatus],
    PATCH: ["push", continueUpload],
    PUT: ["push", finishUpload],
    DELETE: ["push", cancelUpload],
  },
  "/v2/:name{.+}/blobs/:item": { GET: ["pull", getBlob], DELETE: ["delete", deleteBlob] },
};

/**
 * Makes the registry as an app that takes web-standard requests.
 *
 * @example
 * ```ts
 * const store = await openRegistryStore("/var/lib/wasm-to-oci/registry");
 * const app = createRegistryApp({ store, log: createLog({ level: "info" }) });
 * const answer = await app.request("/v2/acme/app/tags/list");
 * ```
 */
export function createRegistryApp(options: RegistryAppOptions): Hono {
  const app = new Hono();
  app.use(requestLog(options.log, "registry"));
  app.use(async (c, next) => {
    await next();
    c.header("docker-distribution-api-version", "registry/2.0");
    // Manifests and blobs are other people's bytes: no browser may take them for a page.
    c.header("x-content-type-options", "nosniff");
  });
  const ping = (): Response => Response.json({});
  app.get("/v2", ping).get("/v2/", ping);
  app.get("/v2/_catalog", (c) => listRepositories(exchangeOf(c, options, "")));
  for (const [path, endpoint] of Object.entries(ENDPOINTS)) {
    for (const [method, [action, handle]] of Object.entries(endpoint)) {
      app.on(method, path, (c) => answer(c, options, action, handle));
    }
    const allow = Object.keys(endpoint).flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
    app.all(path, () => {
      throw new RegistryFault("UNSUPPORTED", undefined, { headers: { allow: allow.join(", ") } });
    });
  }
  app.notFound(() => new RegistryFault("UNSUPPORTED", "no such endpoint", { status: 404 }).toResponse());
  app.onError(failure);
  return app;
}

async function answer(
  c: Context,
  options: RegistryAppOptions,
  action: RegistryAction,
  handle: Handler,
): Promise<Response> {
  const repository = c.req.param("name") ?? "";
  if (!isStoredRepository(repository)) throw new RegistryFault("NAME_INVALID");
  const exchange = exchangeOf(c, options, repository);
  if (options.readOnly === true && action !== "pull")
    throw new RegistryFault("UNSUPPORTED", "the registry is read-only");
  if (options.access !== undefined && !(await options.access(c.req.raw, repository, action))) {
    throw new RegistryFault("DENIED");
  }
  return handle(exchange);
}

function exchangeOf(c: Context, { store, access, tagMoved }: RegistryAppOptions, repository: string): Exchange {
  const request = c.req.raw;
  return {
    store,
    request,
    repository,
    query: new URL(c.req.url).searchParams,
    headOnly: c.req.method === "HEAD",
    item: c.req.param("item") ?? "",
    tagMoved,
    mayPull: async (name) =>
      isStoredRepository(name) && (access === undefined || (await access(request, name, "pull"))),
  };
}

function failure(error: Error): Response {
  if (error instanceof RegistryFault) return error.toResponse();
  // What exactly failed is for the log: the text of such errors names files of this machine.
  return storageError(error, "serve", "the registry").code === "STORAGE_FULL"
    ? new RegistryFault("UNKNOWN", "its disk is full", { status: 507 }).toResponse()
    : new RegistryFault("UNKNOWN").toResponse();
}
