import { mkdtempSync, rmSync } from "node:fs";
import { createHash } from "node:crypto";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildRegistryProgram, type RegistryProcess, type RegistryProgram } from "./registry-process.ts";

const MiB = 1024 * 1024;
const SIZE = 256 * MiB;
/**
 * What the registry may need above what it has before the first byte, whatever a blob's size: half of this blob.
 * The engine lets some 64 MiB of buffers that were read from sockets pile up before it collects them, more on
 * Node 24 than on 20, and more on a busy machine.
 */
const BOUND = 128 * MiB;
/** What a second blob of that size may need above the first: nothing that grows with it. */
const NEXT_BOUND = 32 * MiB;

let program: RegistryProgram;
let dir: string;
let registry: RegistryProcess;
beforeAll(async () => {
  program = await buildRegistryProgram();
  dir = mkdtempSync(join(tmpdir(), "registry-memory-"));
  registry = await program.start(dir);
});
afterAll(async () => {
  await registry.stop();
  program.remove();
  rmSync(dir, { recursive: true, force: true });
});

function* content(): Generator<Buffer> {
  for (let n = 0; n < SIZE / MiB; n++) yield Buffer.alloc(MiB, n);
}

function digest(): string {
  const hash = createHash("sha256");
  for (const chunk of content()) hash.update(chunk);
  return `sha256:${hash.digest("hex")}`;
}

async function upload(path: string, method: string, chunked: boolean): Promise<number> {
  const headers = chunked ? {} : { "content-length": String(SIZE) };
  return new Promise((resolve, reject) => {
    const exchange = request(registry.url + path, { method, headers }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    });
    exchange.on("error", reject);
    pipeline(Readable.from(content()), exchange).catch(reject);
  });
}

describe.skipIf(process.platform !== "linux")("a blob of 256 MiB", { timeout: 300_000 }, () => {
  test("is taken and given in constant memory, announced or chunked, also to a client that does not read", async () => {
    const name = digest();
    const base = registry.peakMemory();
    expect(await upload(`/v2/a/blobs/uploads/?digest=${name}`, "POST", false)).toBe(201);
    const afterFirst = registry.peakMemory();
    expect(await upload(`/v2/b/blobs/uploads/?digest=${name}`, "POST", true)).toBe(201);
    expect(registry.peakMemory() - afterFirst).toBeLessThan(NEXT_BOUND);
    const answer = await fetch(`${registry.url}/v2/a/blobs/${name}`);
    const hash = createHash("sha256");
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) hash.update(chunk);
    expect(`sha256:${hash.digest("hex")}`).toBe(name);
    const stalled = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const abort = new AbortController();
        const response = await fetch(`${registry.url}/v2/b/blobs/${name}`, { signal: abort.signal });
        await response.body!.getReader().read();
        return abort;
      }),
    );
    expect((await fetch(`${registry.url}/v2/`)).status).toBe(200);
    for (const abort of stalled) abort.abort();
    expect(registry.peakMemory() - base).toBeLessThan(BOUND);
  });

  test("that is more than blobs or manifests may have is not read into memory", async () => {
    const base = registry.peakMemory();
    const status = await upload("/v2/a/manifests/v1", "PUT", true).catch((error: NodeJS.ErrnoException) => error.code);
    expect([413, "ECONNRESET", "EPIPE"]).toContain(status);
    expect(registry.peakMemory() - base).toBeLessThan(BOUND);
  });
});
