/** A token server as Docker's registry and Notary expect one: Basic in, a signed JWT for the asked scopes out. */
import { createPrivateKey, randomUUID, sign, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";

export interface TokenRequest {
  readonly method: string;
  /** The user that the credentials proved, or undefined for an anonymous request. */
  readonly user: string | undefined;
  readonly scopes: readonly string[];
  readonly authorization: string | undefined;
}

export interface TokenServer {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** Every request so far. */
  readonly requests: readonly TokenRequest[];
  stop(): Promise<void>;
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

const BODY_LIMIT = 64 * 1024;

/**
 * Starts one. Known users get every action that they ask for, others only `pull` (or nothing where
 * `anonymousPull` is false); wrong credentials get a 401.
 */
export async function startTokenServer(options: {
  users: Readonly<Record<string, string>>;
  certificateFile: string;
  keyFile: string;
  anonymousPull?: boolean;
  /** Speak https, with the certificate that signs the tokens. */
  tls?: boolean;
}): Promise<TokenServer> {
  const key = createPrivateKey(readFileSync(options.keyFile));
  const certificate = new X509Certificate(readFileSync(options.certificateFile));
  const requests: TokenRequest[] = [];
  const service = "interop-service";
  const issuer = "interop-issuer";

  function token(user: string | undefined, scopes: readonly string[]): string {
    const now = Math.floor(Date.now() / 1000);
    const access = scopes.map((scope) => {
      const [type, rest] = [scope.slice(0, scope.indexOf(":")), scope.slice(scope.indexOf(":") + 1)];
      const name = rest.slice(0, rest.lastIndexOf(":"));
      const asked = rest.slice(rest.lastIndexOf(":") + 1).split(",");
      const anonymous = options.anonymousPull === false ? [] : asked.filter((action) => action === "pull");
      return { type, name, actions: user === undefined ? anonymous : asked };
    });
    const head = encode({ typ: "JWT", alg: "ES256", x5c: [certificate.raw.toString("base64")] });
    const times = { exp: now + 300, nbf: now - 10, iat: now };
    const body = encode({ iss: issuer, sub: user ?? "", aud: service, ...times, jti: randomUUID(), access });
    const signature = sign("sha256", Buffer.from(`${head}.${body}`), { key, dsaEncoding: "ieee-p1363" });
    return `${head}.${body}.${signature.toString("base64url")}`;
  }

  const answer: RequestListener = (request, response) => {
    void (async () => {
      const query = new URL(request.url ?? "/", "http://localhost").searchParams;
      const form = request.method === "POST" ? new URLSearchParams(await readText(request)) : undefined;
      const authorization = request.headers.authorization;
      const basic = authorization?.startsWith("Basic ")
        ? Buffer.from(authorization.slice(6), "base64").toString()
        : undefined;
      const name = form?.get("username") ?? basic?.slice(0, basic.indexOf(":"));
      const password = form?.get("password") ?? basic?.slice(basic.indexOf(":") + 1);
      const known = name !== undefined && password !== undefined && options.users[name] === password;
      const scopes = (form ?? query).getAll("scope").flatMap((scope) => scope.split(" "));
      requests.push({ method: request.method ?? "", user: known ? name : undefined, scopes, authorization });
      if (name !== undefined && !known) {
        response
          .writeHead(401, { "content-type": "application/json" })
          .end('{"details":"incorrect username or password"}');
        return;
      }
      const issued = token(known ? name : undefined, scopes);
      const body = { token: issued, access_token: issued, expires_in: 300, issued_at: new Date().toISOString() };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    })().catch((error: unknown) => response.destroy(error as Error));
  };
  const identity = { cert: readFileSync(options.certificateFile), key: readFileSync(options.keyFile) };
  const server = options.tls === true ? createTlsServer(identity, answer) : createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the token server has no port");
  return {
    realm: `${options.tls === true ? "https" : "http"}://localhost:${address.port}/token`,
    service,
    issuer,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > BODY_LIMIT) throw new Error("the token request is too long");
  }
  return text;
}
