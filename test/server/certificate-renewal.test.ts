import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openLocalCa, type LocalCa } from "../../src/node/local-ca.ts";
import { startCertificateRenewal } from "../../src/server/certificate-renewal.ts";
import { listen, type RunningServer } from "../../src/server/listen.ts";
import type { Log } from "../../src/server/log.ts";

const DAY_MS = 86_400_000;

let dir: string;
let ca: LocalCa;
let server: RunningServer;
let stop: () => Promise<void>;
/** Days after now, for the renewal's clock; the certificates' own is the real one. */
let days = 0;
let errors: string[] = [];
const log: Log = { debug() {}, info() {}, warn() {}, error: ({ error }) => void errors.push(String(error)) };

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "renewal-"));
  days = 0;
  errors = [];
  ca = await openLocalCa(dir);
  const tls = await ca.serverCertificate();
  server = await listen({ fetch: () => new Response("hello") }, { host: "127.0.0.1", port: 0, tls });
  let issued = 0;
  stop = startCertificateRenewal({
    renewAt: tls.renewAt,
    issue: async () => {
      if (issued++ === 0) throw new Error("the disk is full");
      const next = await ca.serverCertificate();
      return { ...next, renewAt: new Date(next.renewAt.getTime() + 400 * DAY_MS) };
    },
    show: (certificate) => server.setCertificate(certificate),
    now: () => new Date(Date.now() + days * DAY_MS),
    log,
    intervalMs: 5,
  });
});
afterEach(async () => {
  await stop();
  await server.close();
  rmSync(dir, { recursive: true });
});

/** The fingerprint of the certificate that a new connection is shown, verified against the authority. */
function shown(): Promise<string> {
  return new Promise((resolve, reject) => {
    const exchange = request(server.url, { ca: ca.caPem, agent: false }, (response) => {
      resolve((response.socket as TLSSocket).getPeerCertificate().fingerprint256);
      response.resume();
    });
    exchange.on("error", reject).end();
  });
}

test("a server that outlives its certificate shows the next one, though the first try to make it fails", async () => {
  const first = await shown();
  days = 366;
  expect(await shown()).toBe(first); // more than 30 days are left
  expect(errors).toEqual([]);
  days = 368;
  await vi.waitFor(async () => expect(await shown()).not.toBe(first));
  expect(errors).toEqual(["the disk is full"]);
  const second = await shown();
  days = 367 + 399;
  expect(await shown()).toBe(second);
});
