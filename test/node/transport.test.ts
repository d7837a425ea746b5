import { createServer, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect, type AddressInfo, type Socket } from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { readBody } from "../../src/base/http.ts";
import { createNodeTransport, type NodeTransport, type NodeTransportOptions } from "../../src/node/transport.ts";
import { failureOf } from "../support/error-code.ts";
import { findProgram } from "../support/peer-process.ts";
import { makeCertificates, type TestCertificates } from "../support/test-certificates.ts";

const servers: Server[] = [];
const transports: NodeTransport[] = [];

afterEach(async () => {
  for (const transport of transports.splice(0)) transport.close();
  for (const server of servers.splice(0)) {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return (server.address() as AddressInfo).port;
}

function open(options: NodeTransportOptions = {}): NodeTransport {
  const transport = createNodeTransport({ env: {}, idleTimeoutMs: 5_000, ...options });
  transports.push(transport);
  return transport;
}

async function get(transport: NodeTransport, url: string): Promise<string> {
  const response = await transport({ method: "GET", url });
  return `${response.status} ${Buffer.from(await readBody(response, 1000, "answer")).toString()}`;
}

describe("an exchange that is given up", () => {
  it("ends in our error, not the process, where the whole answer is in and its reader is still busy", async () => {
    const port = await listen(createServer((_request, response) => response.end("whole")));
    const abort = new AbortController();
    const { signal } = abort;
    const response = await open()({ method: "GET", url: `http://127.0.0.1:${port}/`, signal });
    const body = response.body[Symbol.asyncIterator]();
    expect(Buffer.from((await body.next()).value as Uint8Array).toString()).toBe("whole");
    abort.abort();
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate); // an unheard event would end the run here
    expect(await failureOf(body.next())).toMatchObject({ code: "INTERRUPTED" });
  });
});

describe("many exchanges at once", () => {
  it("may share a signal that ends them all, and Node warns nobody of a leak", async () => {
    const waiting: ServerResponse[] = [];
    const port = await listen(createServer((_request, response) => void waiting.push(response)));
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    const abort = new AbortController();
    const transport = open();
    const request = { method: "GET", url: `http://127.0.0.1:${port}/`, signal: abort.signal } as const;
    const failures = Array.from({ length: 16 }, () => failureOf(transport(request)));
    await expect.poll(() => waiting.length).toBe(16);
    abort.abort();
    expect((await Promise.all(failures)).map(({ code }) => code)).toEqual(failures.map(() => "INTERRUPTED"));
    process.off("warning", onWarning);
    expect(warnings).toEqual([]);
  });
});

describe.skipIf(findProgram("openssl") === undefined)("TLS", () => {
  let certificates: TestCertificates;
  let other: TestCertificates;
  const file = (name: string): string => readFileSync(join(certificates.dir, name), "utf8");

  beforeAll(async () => {
    certificates = await makeCertificates(["server", "client"]);
    other = await makeCertificates(["server"]);
  });
  afterAll(() => {
    certificates.remove();
    other.remove();
  });

  function startTls(more: object = {}): Promise<number> {
    const options = { cert: file("server.crt"), key: file("server.key"), ...more };
    return listen(createTlsServer(options, (_request, response) => void response.end("tls")));
  }

  it("refuses an unknown authority, and says what to do", async () => {
    const port = await startTls();
    const error = await failureOf(get(open(), `https://localhost:${port}/`));
    expect(error.code).toBe("TLS");
    expect(error.hint).toContain("--tlscacert");
    expect((await failureOf(get(open({ ca: other.caPem }), `https://localhost:${port}/`))).code).toBe("TLS");
  });

  it.each<[string, () => NodeTransportOptions]>([
    ["for every host", () => ({ ca: certificates.caPem })],
    ["among others", () => ({ ca: [other.caPem, certificates.caPem] })],
    ["in place of the system's", () => ({ ca: certificates.caPem, onlyCa: true })],
    ["for one host", () => ({ ca: (host) => (host === "localhost" ? [certificates.caPem] : undefined) })],
  ])("accepts an authority given %s", async (_what, options) => {
    const port = await startTls();
    expect(await get(open(options()), `https://localhost:${port}/`)).toBe("200 tls");
  });

  it("accepts an authority for no other host than the one it was given for", async () => {
    const port = await startTls();
    const transport = open({ ca: (host) => (host === "127.0.0.1" ? [certificates.caPem] : undefined) });
    expect(await get(transport, `https://127.0.0.1:${port}/`)).toBe("200 tls");
    expect((await failureOf(get(transport, `https://localhost:${port}/`))).code).toBe("TLS");
  });

  it("skips the check for no other host and port than the one named", async () => {
    const [port, second] = [await startTls(), await startTls()];
    const transport = open({ insecure: (host) => host === `localhost:${port}` });
    expect(await get(transport, `https://localhost:${port}/`)).toBe("200 tls");
    expect((await failureOf(get(transport, `https://localhost:${second}/`))).code).toBe("TLS");
    expect((await failureOf(get(transport, `https://127.0.0.1:${port}/`))).code).toBe("TLS");
  });

  it("refuses a certificate for another name", async () => {
    const port = await startTls();
    const transport = open({ ca: certificates.caPem });
    const request = { method: "GET", url: `https://localhost.localdomain:${port}/` };
    const error = await failureOf(transport(request));
    expect(error.code).toMatch(/^(?:TLS|NETWORK)$/); // NETWORK where that name has no address
  });

  it("shows a client certificate where it is asked for", async () => {
    const port = await startTls({ ca: certificates.caPem, requestCert: true, rejectUnauthorized: true });
    const ca = certificates.caPem;
    const error = await failureOf(get(open({ ca }), `https://localhost:${port}/`));
    expect(error.code).toMatch(/^(?:TLS|NETWORK)$/);
    const transport = open({ ca, cert: file("client.crt"), key: file("client.key") });
    expect(await get(transport, `https://localhost:${port}/`)).toBe("200 tls");
  });

  it.each<[string, () => NodeTransportOptions]>([
    [
      "an authority that is no PEM",
      () => ({ ca: "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n" }),
    ],
    ["a key that belongs to another certificate", () => ({ cert: file("client.crt"), key: file("server.key") })],
  ])("refuses %s", async (_what, options) => {
    const port = await startTls();
    const error = await failureOf(get(open(options()), `https://localhost:${port}/`));
    expect(error.code).toBe("CERTIFICATE_INVALID");
  });

  it("says that a server speaks plain http", async () => {
    const port = await listen(createServer((_request, response) => void response.end("plain")));
    const error = await failureOf(get(open(), `https://localhost:${port}/`));
    expect(error.code).toBe("TLS");
    expect(error.hint).toContain("--use-http");
  });

  it("reaches a TLS server through a proxy, which sees neither path nor headers", async () => {
    const port = await startTls();
    const seen: string[] = [];
    const proxy = createServer();
    proxy.on("connect", (request, socket: Socket, head) => {
      seen.push(`${request.url} ${request.headers["proxy-authorization"]}`);
      const upstream = connect(port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        upstream.write(head);
        upstream.pipe(socket);
        socket.pipe(upstream);
      });
      upstream.on("error", () => socket.destroy());
      socket.on("error", () => upstream.destroy());
    });
    const proxyPort = await listen(proxy);
    const env = { HTTPS_PROXY: `http://user:p%40ss@127.0.0.1:${proxyPort}` };
    // Names of loopback never go through a proxy, so the certificate is not checked for this one.
    const transport = open({ env, insecure: () => true });
    expect(await get(transport, "https://registry.example.com/secret")).toBe("200 tls");
    expect(await get(transport, "https://registry.example.com/again")).toBe("200 tls");
    expect(seen).toEqual([`registry.example.com:443 Basic ${btoa("user:p@ss")}`]);
    expect(await get(open({ env, ca: certificates.caPem }), `https://localhost:${port}/`)).toBe("200 tls");
    expect(seen).toHaveLength(1);
  });

  it("says that a proxy refuses", async () => {
    const proxy = createServer();
    proxy.on("connect", (_request, socket: Socket) => void socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"));
    const env = { HTTPS_PROXY: `http://user:canary@127.0.0.1:${await listen(proxy)}` };
    const error = await failureOf(get(open({ env }), "https://registry.example.com/"));
    expect(error).toMatchObject({ code: "NETWORK", details: { reason: "PROXY" } });
    expect(error.message + error.hint).not.toContain("canary");
  });
});

describe("plain http", () => {
  it("asks a proxy for the whole address", async () => {
    const seen: unknown[] = [];
    const proxy = createServer((request, response) => {
      seen.push([request.url, request.headers.host]);
      response.end("proxied");
    });
    const transport = open({ env: { http_proxy: `127.0.0.1:${await listen(proxy)}`, no_proxy: "direct.example" } });
    expect(await get(transport, "http://registry.example.com:5000/v2/?a=b")).toBe("200 proxied");
    expect(seen).toEqual([["http://registry.example.com:5000/v2/?a=b", "registry.example.com:5000"]]);
  });

  it("refuses a local address where only public ones may be reached", async () => {
    let reached = 0;
    const port = await listen(createServer((_request, response) => void response.end(String(++reached))));
    const transport = open();
    await get(transport, `http://127.0.0.1:${port}/`); // a kept connection must not help
    for (const host of ["127.0.0.1", "localhost", "[::1]", "127.1", "0"]) {
      const request = { method: "GET", url: `http://${host}:${port}/`, publicOnly: true };
      expect(await failureOf(transport(request))).toMatchObject({
        code: "REDIRECT_REFUSED",
        details: { reason: "NOT_PUBLIC" },
      });
    }
    expect(reached).toBe(1);
  });

  it("looks at the address that a name has when it connects, not at the name", async () => {
    let reached = 0;
    const port = await listen(createServer((_request, response) => void response.end(String(++reached))));
    const addresses = [{ address: "127.0.0.1", family: 4 }];
    const transport = open({
      lookup: (_hostname, options, callback) => {
        if (options.all === true) callback(null, addresses);
        else callback(null, addresses[0]!.address, addresses[0]!.family);
      },
    });
    const url = `http://auth.example.com:${port}/`;
    expect(await get(transport, url)).toBe("200 1"); // leaves a connection that the next request must not take
    const refusal = { code: "REDIRECT_REFUSED", details: { reason: "NOT_PUBLIC", host: "auth.example.com" } };
    expect(await failureOf(transport({ method: "GET", url, publicOnly: true }))).toMatchObject(refusal);
    addresses.unshift({ address: "93.184.216.34", family: 4 });
    expect(await failureOf(transport({ method: "GET", url, publicOnly: true }))).toMatchObject(refusal);
    addresses.length = 0;
    expect(await failureOf(transport({ method: "GET", url, publicOnly: true }))).toMatchObject(refusal);
    expect(reached).toBe(1);
  });

  it("tells the address that answered", async () => {
    const port = await listen(createServer((_request, response) => void response.end("x")));
    const response = await open()({ method: "GET", url: `http://localhost:${port}/` });
    expect(response.peerAddress).toBe("127.0.0.1");
    await response.cancel();
  });

  it("says that there is no such host", async () => {
    const error = await failureOf(get(open(), "http://no-such-host.invalid/"));
    expect(error.code).toBe("NETWORK");
    expect(error.message).toContain("no-such-host.invalid");
    expect(error.hint).toBeTruthy();
  });

  it("refuses headers that would break the request", async () => {
    const request = { method: "GET", url: "http://127.0.0.1:1/", headers: { authorization: "Bearer a\r\nx: y" } };
    expect((await failureOf(open()(request))).code).toBe("USAGE");
  });

  it.each(["close", "keep-alive"])(
    "gives an answer that comes before a large body is through (%s)",
    async (connection) => {
      const port = await listen(
        createServer((_request, response) => {
          response.writeHead(403, { connection });
          response.end("no");
        }),
      );
      let sent = 0;
      const body = {
        size: 1024 * 1024 * 1024,
        async *open() {
          for (; sent < this.size; sent += 65_536) yield await Promise.resolve(Buffer.alloc(65_536));
        },
      };
      const response = await open()({ method: "PUT", url: `http://127.0.0.1:${port}/`, body });
      expect(response.status).toBe(403);
      await response.cancel();
      expect(sent).toBeLessThan(64 * 1024 * 1024);
    },
  );

  it("names itself", async () => {
    const port = await listen(createServer((request, response) => void response.end(request.headers["user-agent"])));
    expect(await get(open({ userAgent: "wasm-to-oci/1.2.3" }), `http://127.0.0.1:${port}/`)).toBe(
      "200 wasm-to-oci/1.2.3",
    );
  });
});
