import { connect } from "node:net";
import { request } from "node:http";
import { request as secureRequest } from "node:https";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { openLocalCa } from "../../src/node/local-ca.ts";
import { listen, type ListenOptions, type RunningServer, type ServedApp } from "../../src/server/listen.ts";

const hello: ServedApp = { fetch: () => new Response("hello") };

const running: RunningServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

async function start(app: ServedApp = hello, options: Partial<ListenOptions> = {}): Promise<RunningServer> {
  const server = await listen(app, { host: "127.0.0.1", port: 0, closeGraceMs: 300, ...options });
  running.push(server);
  return server;
}

/** Sends text as it is; gives everything that comes until the connection ends, or until `enough` matches. */
function raw(server: RunningServer, text: string, enough?: RegExp): Promise<string> {
  return new Promise((resolve) => {
    let got = "";
    const socket = connect(server.port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (chunk) => {
      got += chunk.toString();
      if (enough?.test(got)) socket.destroy();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(got));
  });
}

async function status(server: RunningServer, headers: Record<string, string>, method = "GET"): Promise<number> {
  const lines = Object.entries({ connection: "close", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const answer = await raw(server, `${method} / HTTP/1.1\r\n${lines.join("")}\r\n`);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
}

test("serves an app on a port that the system chose", async () => {
  const server = await start();
  expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
  expect(await (await fetch(server.url)).text()).toBe("hello");
});

test("leaves the globals of other code alone", async () => {
  const { Request: before } = globalThis;
  await start();
  expect(globalThis.Request).toBe(before);
});

test("serves https with a certificate of the local authority, TLS 1.2 and later", async () => {
  const dir = mkdtempSync(join(tmpdir(), "listen-ca-"));
  const ca = await openLocalCa(dir);
  const server = await start(hello, { tls: await ca.serverCertificate(["localhost", "127.0.0.1"]) });
  const ask = (options: object) =>
    new Promise<string>((resolve, reject) => {
      const exchange = secureRequest(server.url, { ca: ca.caPem, agent: false, ...options }, (response) => {
        response.setEncoding("utf8").on("data", resolve);
      });
      exchange.on("error", reject).end();
    });
  expect(server.url).toBe(`https://127.0.0.1:${server.port}`);
  expect(await ask({})).toBe("hello");
  await expect(ask({ minVersion: "TLSv1.1", maxVersion: "TLSv1.1" })).rejects.toThrow(/protocol|version|EPROTO|alert/i);
  rmSync(dir, { recursive: true });
});

describe("without access control", () => {
  test.each(["0.0.0.0", "::", "192.168.1.5", "registry.example", "127.0.0.1.example"])(
    "refuses to listen on %s",
    async (host) => {
      await expect(start(hello, { host })).rejects.toMatchObject({ code: "LISTEN_REFUSED", kind: "usage" });
    },
  );

  test("listens there where the app has access control", async () => {
    const server = await start(hello, { host: "0.0.0.0", accessControl: true });
    expect(await status(server, { host: "registry.example" })).toBe(200);
  });

  test.each([
    ["localhost:5000", 200],
    ["LOCALHOST", 200],
    ["127.0.0.1", 200],
    ["127.9.9.9:80", 200],
    ["[::1]:5000", 200],
    ["allowed.example:1", 200],
    ["evil.example", 421],
    ["127.0.0.1.evil.example", 421],
    ["localhost.evil.example:5000", 421],
    ["", 421],
  ])("answers to the name %s with %i: a page that rebinds its own name gets nothing", async (host, expected) => {
    const server = await start(hello, { allowedHosts: ["allowed.example"] });
    expect(await status(server, { host })).toBe(expected);
  });

  test.each([
    ["two Host headers", "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n"],
    ["a name in the request line", "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n"],
  ])("refuses %s, of which a proxy before it might take the other", async (_, head) => {
    const server = await start();
    expect(await raw(server, `${head}Connection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await status(server, { host: "localhost" })).toBe(200);
  });

  test.each([
    [{ origin: "https://evil.example" }, 403],
    [{ origin: "http://localhost:3000" }, 403],
    [{ origin: "null" }, 403],
    [{ origin: "http://localhost:5000" }, 200],
    [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }, 403],
    [{ "sec-fetch-site": "same-origin" }, 200],
    [{ "sec-fetch-site": "none" }, 200],
    [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }, 200],
  ])("answers a browser that says %j with %i: no other site's page may write", async (headers, expected) => {
    const server = await start();
    expect(await status(server, { host: "localhost:5000", ...headers })).toBe(expected);
  });

  test("refuses a posted form of another site, also as a navigation", async () => {
    const server = await start();
    const headers = { host: "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
    expect(await status(server, { ...headers, "content-length": "0" }, "POST")).toBe(403);
  });
});

describe("a port", () => {
  test("that is taken is an error that says which", async () => {
    const { port } = await start();
    await expect(start(hello, { port })).rejects.toMatchObject({
      code: "ADDRESS_IN_USE",
      message: expect.stringContaining(`127.0.0.1:${port}`),
      details: { host: "127.0.0.1", port },
    });
  });

  test("of an address that is not of this machine is an error", async () => {
    await expect(start(hello, { host: "203.0.113.1", accessControl: true })).rejects.toMatchObject({
      code: "LISTEN_FAILED",
    });
  });
});

describe("hostile connections", () => {
  test("with endless headers are refused", async () => {
    const server = await start();
    const answer = await raw(server, `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"a".repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(await (await fetch(server.url)).text()).toBe("hello");
  });

  test("that announce two lengths, or speak no HTTP, are refused", async () => {
    const server = await start();
    const two =
      "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    expect(await raw(server, two)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw(server, "\x16\x03\x01\x02\x00")).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("that send their body in drips are ended; honest slow ones are not", async () => {
    const reader: ServedApp = {
      fetch: async (received) => new Response(String((await received.arrayBuffer()).byteLength)),
    };
    const server = await start(reader, { stallMs: 400 });
    const begun = performance.now();
    const drip = new Promise<string>((resolve) => {
      let got = "";
      const socket = connect(server.port, "127.0.0.1", () => {
        socket.write("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n");
      });
      const timer = setInterval(() => socket.write("x"), 20);
      socket.on("data", (chunk) => {
        got += chunk.toString();
      });
      socket.on("error", () => {});
      socket.on("close", () => {
        clearInterval(timer);
        resolve(got);
      });
    });
    const honest = new Promise<string>((resolve, reject) => {
      const exchange = request(server.url, { method: "POST" }, (response) =>
        response.setEncoding("utf8").on("data", resolve),
      );
      exchange.on("error", reject);
      let left = 12;
      const timer = setInterval(() => {
        exchange.write(Buffer.alloc(4096));
        if (--left === 0) {
          clearInterval(timer);
          exchange.end();
        }
      }, 100);
    });
    expect(await honest).toBe(String(12 * 4096));
    expect(await drip).toBe("");
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  test("do not end a request that the server itself works on for long", async () => {
    const slow: ServedApp = {
      fetch: () => new Promise((resolve) => setTimeout(() => resolve(new Response("done")), 700)),
    };
    const server = await start(slow, { stallMs: 200 });
    expect(await (await fetch(server.url)).text()).toBe("done");
  });

  test("get an answer where the app fails", async () => {
    const server = await start({ fetch: () => Promise.reject(new Error("defect")) });
    expect(await status(server, { host: "localhost" })).toBe(500);
  });
});

describe("closing", () => {
  test("lets a running request finish, ends idle connections, takes no more, and can be repeated", async () => {
    let finish: (response: Response) => void = () => {};
    const begun = new Promise<void>((resolve) => {
      running.length = 0;
      void start(
        {
          fetch: () =>
            new Promise((answer) => {
              finish = answer;
              resolve();
            }),
        },
        { closeGraceMs: 10_000 },
      );
    });
    await expect.poll(() => running.length).toBe(1);
    const server = running[0]!;
    const idle = raw(server, "");
    const answer = fetch(server.url);
    await begun;
    const began = performance.now();
    const closed = server.close();
    finish(new Response("in time"));
    expect(await (await answer).text()).toBe("in time");
    await Promise.all([closed, server.close()]);
    expect(await idle).toBe("");
    expect(performance.now() - began).toBeLessThan(9_000);
    await expect(fetch(server.url)).rejects.toThrow("fetch failed");
  });

  test("ends within its bound what does not finish", async () => {
    const server = await start({ fetch: () => new Promise(() => {}) });
    const hanging = raw(server, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    const halfHeader = raw(server, "GET / HTT");
    const began = performance.now();
    await server.close();
    expect(performance.now() - began).toBeLessThan(5_000);
    expect([await hanging, await halfHeader]).toEqual(["", ""]);
  });
});
