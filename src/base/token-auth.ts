/**
 * Answers 401: Basic, and Docker's token protocol, which registries and Notary servers share.
 * https://distribution.github.io/distribution/spec/auth/token/ and …/auth/oauth/
 *
 * One Authenticator serves one server and one set of credentials. Secrets go to the server itself or to a
 * token server that `realm.ts` accepts, and into no message.
 */
import { base64Encode, utf8Encode } from "./bytes.ts";
import { parseChallenges, type Challenge } from "./challenge.ts";
import type { Credentials } from "./credentials.ts";
import { TransportError, type ErrorOptions, type WasmToOciError } from "./errors.ts";
import { readBody, type Transport, type TransportRequest, type TransportResponse } from "./http.ts";
import { addressScope } from "./ip-address.ts";
import { formatFault, JsonCursor } from "./json-cursor.ts";
import { parseJson } from "./json.ts";
import { checkRealm } from "./realm.ts";
import { exchangeWithRetry, type RetryPolicy } from "./retry.ts";
import type { Clock } from "./runtime.ts";
import { escapeUntrusted } from "./untrusted-text.ts";

/** Tokens with certificate chains reach some 10 kB. */
const MAX_TOKEN_RESPONSE_BYTES = 256 * 1024;
/** The specification's lifetime where the answer names none. */
const DEFAULT_LIFETIME_S = 60;
/** A token this close to its end is not used for a request that takes a while to arrive. */
const EXPIRY_MARGIN_MS = 5_000;
/** Scopes of a challenge that are taken over; more are not meant for us. */
const MAX_SCOPES = 16;
/** Taking a shorter one out of a text would show what it is by what is missing. */
const MIN_REDACTED_LENGTH = 4;
const CLIENT_ID = "wasm-to-oci";
/** Servers without the OAuth2 POST answer so: GCR 404, GHCR 405, Artifactory 401, ACR 400. */
const NO_POST_STATUS: ReadonlySet<number> = new Set([400, 401, 404, 405]);

/** Makes the caller's own errors, so that a registry's refusal and a trust server's keep their codes. */
export interface AuthFaults {
  denied(message: string, options: ErrorOptions & { status?: number }): WasmToOciError;
  unavailable(message: string, options: ErrorOptions & { status?: number }): WasmToOciError;
}

export interface AuthenticatorOptions {
  readonly transport: Transport;
  readonly now: Clock;
  readonly retry: RetryPolicy;
  /** The server that is protected; its scheme and port count. */
  readonly server: URL;
  /** Finds the credentials; asked at most once, and only when they are needed. */
  readonly credentials: () => Promise<Credentials | undefined>;
  readonly faults: AuthFaults;
  /** See {@link checkRealm}. */
  readonly allowRealm?: ((server: string, realm: string) => boolean) | undefined;
}

interface Token {
  readonly header: string;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

export class Authenticator {
  private readonly options: AuthenticatorOptions;
  private readonly tokens = new Map<string, Token>();
  private readonly exchanges = new Map<string, Promise<string>>();
  private readonly secrets = new Set<string>();
  private credentials: Promise<Credentials | undefined> | undefined;
  /** A header that serves every scope: Basic, or a finished token. */
  private fixed: string | undefined;

  constructor(options: AuthenticatorOptions) {
    this.options = options;
  }

  /**
   * The Authorization header that is known to serve a scope, without asking anybody.
   *
   * @param scope e.g. `repository:acme/app:pull,push`; several are separated by spaces
   */
  authorization(scope: string): string | undefined {
    if (this.fixed !== undefined) return this.fixed;
    const token = this.tokens.get(scope);
    if (token === undefined || token.expires - EXPIRY_MARGIN_MS <= this.options.now().getTime()) return undefined;
    return token.header;
  }

  /**
   * Answers a 401: gives the header to try again with. Concurrent requests of one scope share one exchange.
   *
   * @param used the header that the refused request carried
   * @returns undefined where there is nothing better to try than what was used
   * @throws {TransportError} REDIRECT_REFUSED for a realm that may not be followed
   * @throws `faults.denied` or `faults.unavailable`
   */
  async answer(response: TransportResponse, scope: string, used: string | undefined): Promise<string | undefined> {
    const known = this.authorization(scope);
    if (known !== undefined && known !== used) return known; // another request was faster
    const challenges = parseChallenges(response.headers.get("www-authenticate"));
    const bearer = challenges.find((challenge) => challenge.scheme === "bearer" && challenge.parameters.has("realm"));
    const credentials = await this.findCredentials();
    if (credentials?.kind === "registry-token") return this.useFixed(`Bearer ${this.secret(credentials.token)}`, used);
    if (bearer !== undefined) return this.exchangeOnce(bearer, scope, response.peerAddress);
    const basic = challenges.some((challenge) => challenge.scheme === "basic");
    if (basic && credentials?.kind === "basic") return this.useFixed(this.basicHeader(credentials), used);
    return undefined;
  }

  /** Takes every secret of this server out of a text that came from it. */
  redact(text: string): string {
    let clean = text;
    for (const secret of this.secrets) clean = clean.replaceAll(secret, "[redacted]");
    return clean;
  }

  private findCredentials(): Promise<Credentials | undefined> {
    this.credentials ??= this.options.credentials();
    return this.credentials;
  }

  private useFixed(header: string, used: string | undefined): string | undefined {
    this.fixed = header;
    return header === used ? undefined : header;
  }

  private basicHeader(credentials: Credentials & { kind: "basic" }): string {
    const encoded = base64Encode(utf8Encode(`${credentials.username}:${credentials.password}`));
    this.secret(credentials.password);
    return `Basic ${this.secret(encoded)}`;
  }

  private secret(text: string): string {
    if (text.length >= MIN_REDACTED_LENGTH) this.secrets.add(text);
    return text;
  }

  private exchangeOnce(challenge: Challenge, scope: string, peerAddress: string | undefined): Promise<string> {
    const running = this.exchanges.get(scope);
    if (running !== undefined) return running;
    const exchange = this.exchange(challenge, scope, peerAddress).finally(() => this.exchanges.delete(scope));
    this.exchanges.set(scope, exchange);
    return exchange;
  }

  private async exchange(challenge: Challenge, scope: string, peerAddress: string | undefined): Promise<string> {
    const credentials = await this.findCredentials();
    const realm = checkRealm(challenge.parameters.get("realm") ?? "", {
      server: this.options.server,
      withCredentials: credentials !== undefined,
      allow: this.options.allowRealm,
    });
    const scopes = mergeScopes(scope, challenge.parameters.get("scope"));
    const request = new TokenRequest(realm, challenge.parameters.get("service"), scopes, this.mayBeLocal(peerAddress));
    const response = await this.requestToken(request, credentials);
    const token = await readToken(response, realm, this.options.now);
    this.secret(token.header.slice("Bearer ".length));
    this.tokens.set(scope, token);
    return token.header;
  }

  /** A server that is itself on a private network may send us to its neighbours; a public one may not. */
  private mayBeLocal(peerAddress: string | undefined): boolean {
    const scope = addressScope(peerAddress ?? this.options.server.hostname);
    return scope === undefined ? peerAddress === undefined : scope !== "public";
  }

  private async requestToken(request: TokenRequest, credentials: Credentials | undefined): Promise<TransportResponse> {
    if (credentials === undefined) return this.send(request.get(undefined, undefined));
    if (credentials.kind === "basic") {
      const header = this.basicHeader(credentials);
      const { username, password } = credentials;
      const response = await this.send(request.post({ grant_type: "password", username, password }), NO_POST_STATUS);
      if (response.status === 200) return response;
      await response.cancel();
      return this.send(request.get(username, header));
    }
    const refreshToken = this.secret(credentials.token);
    return this.send(request.post({ grant_type: "refresh_token", refresh_token: refreshToken }));
  }

  /** Sends a token request; gives a 200, or a status that the caller tolerates. */
  private async send(request: TransportRequest, tolerated?: ReadonlySet<number>): Promise<TransportResponse> {
    const { transport, retry, now, faults } = this.options;
    const response = await exchangeWithRetry(transport, request, retry, now);
    if (response.status === 200 || tolerated?.has(response.status) === true) return response;
    await response.cancel();
    const { status } = response;
    const { host } = new URL(request.url);
    if (status >= 300 && status < 400) {
      throw new TransportError("REDIRECT_REFUSED", `the token server ${host} redirects, which is refused`, {
        hint: "Credentials are never sent on; the token server's operator must give its final address as realm",
        details: { reason: "REALM_REFUSED", status },
      });
    }
    if (status >= 500 || status === 429) {
      throw faults.unavailable(`the token server ${host} answered ${status}`, { status, hint: "Try again later" });
    }
    throw faults.denied(`the token server ${host} gave no token (${status})`, {
      status,
      hint: "Check user name and password or token: `wasm-to-oci login` stores new ones",
    });
  }
}

/** The two shapes of a token request. */
class TokenRequest {
  private readonly realm: URL;
  private readonly service: string | undefined;
  private readonly scopes: readonly string[];
  private readonly publicOnly: boolean;

  constructor(realm: URL, service: string | undefined, scopes: readonly string[], mayBeLocal: boolean) {
    this.realm = realm;
    this.service = service;
    this.scopes = scopes;
    this.publicOnly = !mayBeLocal;
  }

  get(account: string | undefined, authorization: string | undefined): TransportRequest {
    const url = new URL(this.realm);
    if (this.service !== undefined) url.searchParams.set("service", this.service);
    for (const scope of this.scopes) url.searchParams.append("scope", scope);
    if (account !== undefined) url.searchParams.set("account", account);
    const headers = { accept: "application/json", ...(authorization === undefined ? {} : { authorization }) };
    return { method: "GET", url: url.href, headers, publicOnly: this.publicOnly };
  }

  post(grant: Readonly<Record<string, string>>): TransportRequest {
    const form = new URLSearchParams(grant);
    if (this.service !== undefined) form.set("service", this.service);
    if (this.scopes.length > 0) form.set("scope", this.scopes.join(" "));
    form.set("client_id", CLIENT_ID);
    return {
      method: "POST",
      url: this.realm.href,
      headers: { accept: "application/json", "content-type": "application/x-www-form-urlencoded" },
      body: utf8Encode(form.toString()),
      publicOnly: this.publicOnly,
    };
  }
}

/**
 * The scopes to ask for: ours, then those of the challenge that name something else, such as a prefix that a
 * proxying registry adds.
 */
function mergeScopes(wanted: string, challenged: string | undefined): string[] {
  const scopes = wanted.split(" ").filter((scope) => scope !== "");
  for (const scope of challenged?.split(" ").slice(0, MAX_SCOPES) ?? []) {
    if (!/^[\x21-\x7e]{1,512}$/.test(scope)) continue;
    const resource = scope.slice(0, scope.lastIndexOf(":") + 1);
    if (!scopes.some((own) => own.startsWith(resource))) scopes.push(scope);
  }
  return scopes;
}

async function readToken(response: TransportResponse, realm: URL, now: Clock): Promise<Token> {
  const what = `the token from ${realm.host}`;
  const bytes = await readBody(response, MAX_TOKEN_RESPONSE_BYTES, what);
  const root = new JsonCursor(parseJson(bytes, { what }), formatFault("JSON_INVALID", what));
  const object = root.object(["token", "access_token", "expires_in"]);
  const field = object.field("token").empty ? object.field("access_token") : object.field("token");
  const token = field.string();
  if (!/^[\x21-\x7e]+$/.test(token)) field.fail(`${escapeUntrusted(field.path)} does not fit into a header`);
  const lifetime = object.field("expires_in");
  const seconds = lifetime.empty ? DEFAULT_LIFETIME_S : lifetime.integer();
  return { header: `Bearer ${token}`, expires: now().getTime() + Math.max(seconds, DEFAULT_LIFETIME_S) * 1000 };
}
