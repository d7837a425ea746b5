/**
 * A Notary v1 server over HTTP: addresses, authentication, limits, and what its answers mean.
 * A failed read is never "no such collection": only the server's own METADATA_NOT_FOUND says that.
 */
import type { Bytes } from "../base/bytes.ts";
import type { CredentialSource } from "../base/credentials.ts";
import { errorCode, TransportError, TrustError, UsageError, type ErrorOptions } from "../base/errors.ts";
import { isLoopbackHost, readBody, type TransportRequest, type TransportResponse } from "../base/http.ts";
import { isJsonObject, parseJson, type JsonValue } from "../base/json.ts";
import { DEFAULT_RETRY, exchangeWithRetry, type RetryPolicy } from "../base/retry.ts";
import type { Runtime } from "../base/runtime.ts";
import { Authenticator, type AuthFaults } from "../base/token-auth.ts";
import { escapeUntrusted, quoteAddress } from "../base/untrusted-text.ts";
import { parseGun } from "./gun.ts";

/** Notary servers keep their error bodies below 1 KiB; a proxy's page may be longer. */
const MAX_ERROR_BYTES = 64 * 1024;
/** A whole answer: 100 MiB at 175 kB/s. A server that drips bytes forever never reaches the limit on idle time. */
const MAX_ANSWER_MS = 600_000;
/** Of a server's own words, this much is shown. */
const SHOWN_LENGTH = 300;

/** What a request needs to be allowed to do (Notary's token scopes). */
export type ApiAction = "pull" | "push,pull" | "*";

export interface NotaryApiOptions {
  /** Base URL, https, or http on this machine. */
  readonly server: string;
  readonly runtime: Runtime;
  readonly credentials?: CredentialSource | undefined;
  /** How reads are tried again. */
  readonly retry?: RetryPolicy | undefined;
  /** Milliseconds for one whole answer; 10 minutes unless told. */
  readonly answerTimeoutMs?: number | undefined;
}

export interface ApiRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly gun: string;
  /** Below `<server>/v2/<GUN>/_trust/`, e.g. `tuf/root.json`. */
  readonly path: string;
  readonly action: ApiAction;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** The most bytes of an answer that are accepted. */
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
}

export interface DocumentRequest {
  readonly limit: number;
  /** Ask caches on the way to check with the server. */
  readonly revalidate?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Reads a trust server's address. @throws {UsageError} USAGE */
export function parseTrustServer(text: string): string {
  const fail = (reason: string): never => {
    throw new UsageError("USAGE", `${quoteAddress(text)} is not the address of a trust server: ${reason}`, {
      hint: "It looks like https://notary.example.com:4443",
    });
  };
  if (!URL.canParse(text)) return fail("it is no URL");
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") return fail("it is neither https nor http");
  if (url.protocol === "http:" && !isLoopbackHost(url.hostname)) return fail("http is for this machine only");
  if (url.username !== "" || url.password !== "")
    return fail("it has a user name in it; `wasm-to-oci login` keeps those");
  if (url.search !== "" || url.hash !== "") return fail("it has a ? or # in it");
  return url.href.replace(/\/+$/, "");
}

export class NotaryApi {
  /** Base URL without a slash at its end: together with the GUN it names a collection. */
  readonly server: string;
  private readonly options: NotaryApiOptions;
  private readonly authenticators = new Map<string, Authenticator>();

  /** @throws {UsageError} USAGE where the server is no address */
  constructor(options: NotaryApiOptions) {
    this.server = parseTrustServer(options.server);
    this.options = options;
  }

  /**
   * Fetches a document.
   *
   * @param file e.g. `root.json`, `3.root.json`, `targets/releases.<sha256>.json`
   * @returns undefined where the server says that it has none
   * @throws {TrustError} TRUST_DENIED, TRUST_UNAVAILABLE, TRUST_REJECTED
   * @throws {TransportError} NETWORK, TLS, TIMEOUT, RESPONSE_TOO_LARGE, REDIRECT_REFUSED
   */
  async getDocument(
    gun: string,
    file: string,
    { limit, revalidate, signal }: DocumentRequest,
  ): Promise<Bytes | undefined> {
    const headers = revalidate === true ? { "cache-control": "no-cache" } : {};
    try {
      return await this.request({ method: "GET", gun, path: `tuf/${file}`, action: "pull", headers, limit, signal });
    } catch (error) {
      if (errorCode(error) === "TRUST_NOT_FOUND") return undefined;
      throw error;
    }
  }

  /**
   * Makes one request, with authentication where the server asks for it.
   *
   * @returns the body of a 200
   * @throws {TrustError} TRUST_NOT_FOUND where the server says so itself, TRUST_DENIED, TRUST_UNAVAILABLE,
   *   TRUST_CONFLICT for VERSION, TRUST_REJECTED for other refusals
   */
  async request(request: ApiRequest): Promise<Bytes> {
    const what = `${request.path} of ${request.gun}`;
    const url = `${this.server}/v2/${parseGun(request.gun)}/_trust/${request.path}`;
    return this.withDeadline(request.signal, what, async (signal) => {
      const { method, body, headers } = request;
      const response = await this.authorized(
        { method, url, signal, ...(headers && { headers }), ...(body && { body }) },
        request,
      );
      if (response.status === 200) return readBody(response, request.limit, what);
      throw await this.refusal(response, what, request);
    });
  }

  /** Sends a request; answers one 401 and sends it again. */
  private async authorized(bare: TransportRequest, { gun, action }: ApiRequest): Promise<TransportResponse> {
    const authenticator = this.authenticatorFor(gun);
    const scope = `repository:${gun}:${action}`;
    const send = (authorization: string | undefined) => {
      const headers = { ...bare.headers, ...(authorization === undefined ? {} : { authorization }) };
      return this.send({ ...bare, headers });
    };
    const known = authenticator.authorization(scope);
    const response = await send(known);
    if (response.status !== 401) return response;
    const authorization = await authenticator.answer(response, scope, known);
    if (authorization === undefined) return response;
    await response.cancel();
    return send(authorization);
  }

  private send(request: TransportRequest): Promise<TransportResponse> {
    const { runtime, retry = DEFAULT_RETRY } = this.options;
    if (request.method !== "GET") return runtime.transport(request);
    return exchangeWithRetry(runtime.transport, request, retry, runtime.now);
  }

  private authenticatorFor(gun: string): Authenticator {
    let authenticator = this.authenticators.get(gun);
    if (authenticator === undefined) {
      const { runtime, credentials, retry = DEFAULT_RETRY } = this.options;
      const server = new URL(this.server);
      authenticator = new Authenticator({
        transport: runtime.transport,
        now: runtime.now,
        retry,
        server,
        credentials: async () => credentials?.get(server.host, gun),
        faults: AUTH_FAULTS,
      });
      this.authenticators.set(gun, authenticator);
    }
    return authenticator;
  }

  /** Ends an answer that takes forever, however lively it is. */
  private async withDeadline<T>(
    outer: AbortSignal | undefined,
    what: string,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const limit = this.options.answerTimeoutMs ?? MAX_ANSWER_MS;
    const deadline = AbortSignal.timeout(limit);
    try {
      return await run(outer === undefined ? deadline : AbortSignal.any([outer, deadline]));
    } catch (cause) {
      if (!deadline.aborted || outer?.aborted === true) throw cause;
      throw new TransportError("TIMEOUT", `${what} did not arrive whole within ${limit / 1000} seconds`, {
        hint: "The trust server or the network is too slow; try again later",
        cause,
      });
    }
  }

  /** Turns an answer that is no 200 into its error. */
  private async refusal(response: TransportResponse, what: string, { gun }: ApiRequest): Promise<Error> {
    const { status } = response;
    const host = new URL(this.server).host;
    if (status >= 300 && status < 400) {
      await response.cancel();
      return new TransportError("REDIRECT_REFUSED", `the trust server ${host} redirects ${what}, which is refused`, {
        hint: "Give the server's final address",
        details: { status },
      });
    }
    const answer = await readErrors(response, what);
    const redact = (text: string) => escapeUntrusted(this.authenticatorFor(gun).redact(text), SHOWN_LENGTH);
    const said = answer.message === "" ? "" : `: ${redact(answer.message)}`;
    const details = { status, ...(answer.code === "" ? {} : { serverCode: redact(answer.code) }) };
    if (status === 401 || status === 403) {
      return denied(`the trust server ${host} does not allow access to ${what} (${status})${said}`, {
        hint: "Store credentials with `wasm-to-oci login`, or ask the server's operator for access to this collection",
        details,
      });
    }
    if (status === 404 && answer.code === "METADATA_NOT_FOUND") {
      return new TrustError("TRUST_NOT_FOUND", `the trust server ${host} has no ${what}`, { details });
    }
    if (status === 404) {
      return unavailable(`${host} answers ${what} like no Notary server (404)`, {
        hint: "Check the address: the collection may exist on another server",
        details,
      });
    }
    if (status >= 500 || status === 429 || status === 408) {
      return unavailable(`the trust server ${host} could not answer ${what} (${status})${said}`, {
        hint: "Nothing was verified; try again later, or use stored trust data deliberately (offline, max-age)",
        details,
      });
    }
    const code = answer.code === "VERSION" ? "TRUST_CONFLICT" : "TRUST_REJECTED";
    return new TrustError(code, `the trust server ${host} refused ${what} (${status})${said}`, { details });
  }
}

const denied: AuthFaults["denied"] = (message, options) => new TrustError("TRUST_DENIED", message, withStatus(options));
const unavailable: AuthFaults["unavailable"] = (message, options) =>
  new TrustError("TRUST_UNAVAILABLE", message, withStatus(options));
const AUTH_FAULTS: AuthFaults = { denied, unavailable };

function withStatus({ status, ...options }: ErrorOptions & { status?: number }): ErrorOptions {
  return status === undefined ? options : { ...options, details: { status, ...options.details } };
}

interface ServerErrors {
  /** Notary's code of the first error, or nothing. */
  readonly code: string;
  /** Its message, with the text of its detail. */
  readonly message: string;
}

/** Reads `{"errors":[{code, message, detail}]}`; what is not that says nothing, and is no reason to fail differently. */
async function readErrors(response: TransportResponse, what: string): Promise<ServerErrors> {
  try {
    const body = parseJson(await readBody(response, MAX_ERROR_BYTES, what), { what });
    const errors = member(body, "errors");
    const first = Array.isArray(errors) ? errors[0] : undefined;
    const detail = member(member(first, "detail"), "Error");
    const texts = [textOf(member(first, "message")), textOf(member(detail, "Msg") ?? detail)];
    return { code: textOf(member(first, "code")), message: texts.filter((text) => text !== "").join(" ") };
  } catch (error) {
    if (errorCode(error) === "INTERRUPTED") throw error;
    return { code: "", message: "" };
  }
}

function member(value: JsonValue | undefined, key: string): JsonValue | undefined {
  return isJsonObject(value) ? value[key] : undefined;
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}
