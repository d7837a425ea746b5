/** The obligations of Transport (src/base/http.ts), for every implementation. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StorageError } from "../../src/base/errors.ts";
import { createFetchTransport } from "../../src/base/fetch-transport.ts";
import { readBody, type StreamBody, type Transport } from "../../src/base/http.ts";
import { createNodeTransport } from "../../src/node/transport.ts";
import { failureOf } from "../support/error-code.ts";
import { collect } from "../support/registry-rig.ts";

const IDLE_MS = 400;

interface Implementation {
  readonly name: string;
  open: () => { transport: Transport; close: () => void };
}

const IMPLEMENTATIONS: readonly Implementation[] = [
  {
    name: "node",
    open: () => {
      const transport = createNodeTransport({ env: {}, idleTimeoutMs: IDLE_MS });
      return { transport, close: () => transport.close() };
    },
  },
  {
    name: "fetch",
    open: () => ({ transport: createFetchTransport({ idleTimeoutMs: IDLE_MS }), close: () => undefined }),
  },
];

function streamed(chunks: readonly Uint8Array[], size?: number): StreamBody {
  return {
    size: size ?? chunks.reduce((sum, chunk) => sum + chunk.length, 0),
    async *open() {
      for (const chunk of chunks) yield await Promise.resolve(chunk);
    },
  };
}

describe.each(IMPLEMENTATIONS)("the transport of $name", ({ open }) => {
  let server: Server;
  let url: string;
  let respond: (request: IncomingMessage, response: ServerResponse) => void;
  let opened: ReturnType<Implementation["open"]>;
  let transport: Transport;
  let requests: { method: string; url: string; headers: IncomingMessage["headers"] }[];
  let connections: number;
  /** The connection of the last request. */
  let served: Socket | undefined;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    requests = [];
    connections = 0;
    respond = (_request, response) => void response.end("ok");
    server = createServer((request, response) => {
      requests.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers });
      served = request.socket;
      respond(request, response);
    });
    server.on("connection", (socket) => {
      connections++;
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    opened = open();
    transport = opened.transport;
  });
  afterEach(async () => {
    opened.close();
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  });

  it.each([200, 201, 204, 206, 301, 307, 401, 404, 429, 500, 503])(
    "gives the status %d, whatever it means",
    async (status) => {
      respond = (_request, response) => {
        response.writeHead(status, { location: "/elsewhere", "x-thing": "a" });
        response.end();
      };
      const response = await transport({ method: "GET", url });
      expect(response.status).toBe(status);
      expect([response.headers.get("X-Thing"), response.headers.get("x-absent")]).toEqual(["a", null]);
      await response.cancel();
      expect(requests).toHaveLength(1);
    },
  );

  it("sends method, path, query and headers as they are", async () => {
    const headers = { "x-thing": "a", accept: "b/c" };
    await (await transport({ method: "DELETE", url: `${url}a%2Fb?c=d%20e`, headers })).cancel();
    expect(requests[0]).toMatchObject({ method: "DELETE", url: "/a%2Fb?c=d%20e", headers });
    expect(requests[0]!.headers["authorization"]).toBeUndefined();
    expect(requests[0]!.headers["cookie"]).toBeUndefined();
  });

  it("streams a body in", async () => {
    respond = (_request, response) => {
      response.write("one");
      setImmediate(() => response.end("two"));
    };
    const response = await transport({ method: "GET", url });
    expect((await collect(response.body)).toString()).toBe("onetwo");
  });

  it("gives no body for HEAD, and keeps the announced length visible", async () => {
    respond = (_request, response) => {
      response.writeHead(200, { "content-length": "1234567" });
      response.end();
    };
    const response = await transport({ method: "HEAD", url });
    expect(response.headers.get("content-length")).toBe("1234567");
    expect(await collect(response.body)).toHaveLength(0);
  });

  it.each<[string, Uint8Array | StreamBody]>([
    ["bytes", Buffer.from("hello world")],
    ["a stream", streamed([Buffer.from("hello "), Buffer.alloc(0), Buffer.from("world")])],
  ])("sends %s with their length", async (_what, body) => {
    respond = (request, response) => void request.pipe(response);
    const response = await transport({ method: "PUT", url, body });
    expect(Buffer.from(await readBody(response, 100, "echo")).toString()).toBe("hello world");
    expect(requests[0]!.headers["content-length"]).toBe("11");
    expect(requests[0]!.headers["transfer-encoding"]).toBeUndefined();
  });

  it("sends an empty stream, and a POST without body, with length 0", async () => {
    await (await transport({ method: "PUT", url, body: streamed([]) })).cancel();
    await (await transport({ method: "POST", url })).cancel();
    expect(requests.map(({ headers }) => headers["content-length"])).toEqual(["0", "0"]);
  });

  it.each([
    ["short", 12],
    ["long", 10],
  ])("stops where a stream is too %s for its size", async (_what, size) => {
    const error = await failureOf(
      transport({ method: "PUT", url, body: streamed([Buffer.from("hello world")], size) }),
    );
    expect(error).toBeInstanceOf(StorageError);
    expect(error.code).toBe("FILE_CHANGED");
  });

  it("passes on what a stream throws", async () => {
    const problem = new StorageError("FILE_UNREADABLE", "gone");
    const body: StreamBody = {
      size: 10,
      async *open() {
        yield await Promise.resolve(Buffer.from("x"));
        throw problem;
      },
    };
    expect(await failureOf(transport({ method: "PUT", url, body }))).toBe(problem);
  });

  it("gives an answer that comes while the body is still being sent", async () => {
    respond = (_request, response) => {
      response.writeHead(413, { connection: "close" });
      response.end("too much");
    };
    const response = await transport({ method: "PUT", url, body: streamed([Buffer.alloc(1000)]) });
    expect(response.status).toBe(413);
    await response.cancel();
  });

  it("shows a Content-Encoding, so that the caller can refuse it", async () => {
    respond = (_request, response) => {
      response.writeHead(200, { "content-encoding": "gzip" });
      response.end(gzipSync("x"));
    };
    const response = await transport({ method: "GET", url });
    expect(response.headers.get("content-encoding")).toBe("gzip");
    await response.cancel();
  });

  it("ends with NETWORK where nobody listens", async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => {
      closed.listen(0, "127.0.0.1", resolve);
    });
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const error = await failureOf(transport({ method: "GET", url: `http://127.0.0.1:${port}/?secret=canary` }));
    expect(error).toMatchObject({ code: "NETWORK", details: { host: `127.0.0.1:${port}` } });
    expect(error.message + error.hint).not.toContain("canary");
  });

  it("ends with NETWORK where the connection is cut before the headers", async () => {
    respond = (request) => void request.socket.destroy();
    expect((await failureOf(transport({ method: "GET", url }))).code).toBe("NETWORK");
  });

  it("ends with NETWORK where the body is cut before its length", async () => {
    respond = (request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("some", () => request.socket.destroy());
    };
    const response = await transport({ method: "GET", url });
    expect((await failureOf(collect(response.body))).code).toBe("NETWORK");
  });

  it("ends with NETWORK where a chunked body is cut", async () => {
    respond = (request, response) => void response.write("some", () => request.socket.destroy());
    const response = await transport({ method: "GET", url });
    expect((await failureOf(collect(response.body))).code).toBe("NETWORK");
  });

  it("ends with TIMEOUT where no headers come", async () => {
    respond = () => undefined;
    expect(await failureOf(transport({ method: "GET", url }))).toMatchObject({
      code: "TIMEOUT",
      details: { seconds: IDLE_MS / 1000 },
    });
  });

  it("ends with TIMEOUT where the body falls silent", async () => {
    respond = (_request, response) => void response.write("some");
    const response = await transport({ method: "GET", url });
    expect((await failureOf(collect(response.body))).code).toBe("TIMEOUT");
  });

  it("limits silence, not the whole transfer", async () => {
    respond = (_request, response) => {
      let left = 8;
      const timer = setInterval(() => {
        if (left-- > 0) response.write("x");
        else {
          clearInterval(timer);
          response.end();
        }
      }, IDLE_MS / 4);
    };
    const response = await transport({ method: "GET", url });
    expect(await collect(response.body)).toHaveLength(8);
  });

  it("does not take a slow consumer for a silent server", async () => {
    respond = (_request, response) => {
      response.write(Buffer.alloc(100_000));
      response.end(Buffer.alloc(100_000));
    };
    const response = await transport({ method: "GET", url });
    let size = 0;
    let paused = false;
    for await (const chunk of response.body) {
      size += chunk.length;
      if (paused) continue;
      paused = true;
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS * 2));
    }
    expect(size).toBe(200_000);
  });

  it("ends with INTERRUPTED at any moment", async () => {
    const early = new AbortController();
    early.abort();
    expect((await failureOf(transport({ method: "GET", url, signal: early.signal }))).code).toBe("INTERRUPTED");
    expect(requests).toEqual([]);

    const waiting = new AbortController();
    respond = () => waiting.abort();
    expect((await failureOf(transport({ method: "GET", url, signal: waiting.signal }))).code).toBe("INTERRUPTED");

    const reading = new AbortController();
    respond = (_request, response) => void response.write("some");
    const response = await transport({ method: "GET", url, signal: reading.signal });
    const work = (async () => {
      for await (const chunk of response.body) if (chunk.length > 0) reading.abort();
    })();
    expect((await failureOf(work)).code).toBe("INTERRUPTED");
  });

  it("frees the connection of a body that is not wanted", async () => {
    respond = (_request, response) => void response.write(Buffer.alloc(100_000));
    const response = await transport({ method: "GET", url });
    await response.cancel();
    await expect.poll(() => served?.destroyed).toBe(true);
  });

  it("frees the connection of a body that is only half read", async () => {
    respond = (_request, response) => void response.write(Buffer.alloc(100_000));
    const response = await transport({ method: "GET", url });
    const chunks = response.body[Symbol.asyncIterator]();
    await chunks.next();
    await chunks.return?.();
    await expect.poll(() => served?.destroyed).toBe(true);
  });

  it("keeps a connection for the next request", async () => {
    for (let index = 0; index < 3; index++) await readBody(await transport({ method: "GET", url }), 10, "answer");
    expect(connections).toBeLessThan(3); // undici opens a second one ahead of time
  });

  it.each(["ftp://127.0.0.1/", "http://user:canary@127.0.0.1/", "nonsense", "file:///etc/passwd"])(
    "sends nothing to %s",
    async (address) => {
      const error = await failureOf(transport({ method: "GET", url: address }));
      expect(error.code).toBe("USAGE");
      expect(error.message).not.toContain("canary");
    },
  );

  it("meets an answer that is no HTTP with one of our errors", async () => {
    server.on("connection", (socket) => void socket.end("SSH-2.0-OpenSSH_9.2p1\r\n"));
    expect((await failureOf(transport({ method: "GET", url }))).code).toMatch(/^(?:RESPONSE_INVALID|NETWORK)$/);
  });
});
