/**
 * Kills the registry in the middle of pushes, again and again over one folder, and holds it to its word: what
 * was acknowledged is there, and what is there is whole.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { digestBytes, type Digest } from "../../../src/base/digest.ts";
import { EMPTY_CONFIG, imageManifest, OCI_MANIFEST } from "./registry-fixture.ts";
import { buildRegistryProgram, type RegistryProgram } from "./registry-process.ts";

const KILLS = 30;
const WRITERS = 4;

let program: RegistryProgram;
let dir: string;
beforeAll(async () => {
  program = await buildRegistryProgram();
  dir = mkdtempSync(join(tmpdir(), "registry-crash-"));
});
afterAll(() => {
  program.remove();
  rmSync(dir, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

/** What the registry said yes to. */
interface Acknowledged {
  /** Newest acknowledged digest of a tag, and those whose push was sent and not answered since. */
  readonly tags: Map<string, { digest: string | undefined; pending: Set<string | undefined> }>;
  readonly blobs: Set<Digest>;
  /** Upload → number of bytes. */
  readonly uploads: Map<string, number>;
}

function send(
  agent: Agent,
  url: string,
  method: string,
  body?: Uint8Array,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { "content-length": String(body.length) };
    const exchange = request(url, { method, agent, headers: { ...headers, ...length } }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    exchange.on("error", reject);
    exchange.end(body);
  });
}

/** Pushes blobs, images and tags, and leaves uploads open, until the registry goes away. */
async function write(
  agent: Agent,
  url: string,
  writer: number,
  round: number,
  acknowledged: Acknowledged,
): Promise<void> {
  const repository = `${url}/v2/team/app-${writer % 2}`;
  const put = (reference: string, bytes: Uint8Array) =>
    send(agent, `${repository}/manifests/${reference}`, "PUT", bytes, { "content-type": OCI_MANIFEST });
  for (let n = 0; ; n++) {
    const layer = Buffer.alloc(50_000, `${writer}/${round}/${n}`);
    const digest = await digestBytes(layer);
    const { headers } = await send(agent, `${repository}/blobs/uploads/`, "POST", new Uint8Array());
    const upload = url + String(headers["location"]);
    const half = await send(agent, upload, "PATCH", layer.subarray(0, 20_000), { "content-range": "0-19999" });
    if (half.status === 202) acknowledged.uploads.set(upload.slice(url.length), 20_000);
    if (n % 5 === 4) continue; // stays open, for the next life of the registry
    acknowledged.uploads.delete(upload.slice(url.length));
    const done = await send(agent, `${upload}?digest=${digest}`, "PUT", layer.subarray(20_000));
    if (done.status === 201) acknowledged.blobs.add(digest);
    const config = await digestBytes(EMPTY_CONFIG);
    const empty = await send(agent, `${repository}/blobs/uploads/?digest=${config}`, "POST", EMPTY_CONFIG);
    expect(empty.status).toBe(201);
    const bytes = imageManifest(config, { layers: [{ mediaType: "a/b", digest, size: layer.length }] });
    const manifest = await digestBytes(bytes);
    const tag = `v${n % 3}-${writer}`;
    const state = acknowledged.tags.get(`${writer % 2} ${tag}`) ?? { digest: undefined, pending: new Set() };
    acknowledged.tags.set(`${writer % 2} ${tag}`, state);
    state.pending.add(manifest);
    const tagged = await put(tag, bytes);
    expect(tagged.status).toBe(201);
    state.digest = manifest;
    state.pending.clear();
    if (n % 4 !== 3) continue;
    state.pending.add(undefined);
    const deleted = await send(agent, `${repository}/manifests/${manifest}`, "DELETE");
    expect(deleted.status).toBe(202);
    state.digest = undefined;
    state.pending.clear();
  }
}

/** Reads everything back: every acknowledged thing is there, every listed thing is whole. */
async function check(agent: Agent, url: string, acknowledged: Acknowledged): Promise<void> {
  for (const which of [0, 1]) {
    const repository = `${url}/v2/team/app-${which}`;
    const list = await send(agent, `${repository}/tags/list`, "GET");
    const listed = list.status === 404 ? [] : (JSON.parse(list.body.toString()) as { tags: string[] }).tags;
    for (const tag of listed) {
      const { status, body, headers } = await send(agent, `${repository}/manifests/${tag}`, "GET");
      expect([tag, status]).toEqual([tag, 200]);
      expect(await digestBytes(body)).toBe(headers["docker-content-digest"]);
      const { layers } = JSON.parse(body.toString()) as { layers: { digest: Digest; size: number }[] };
      for (const layer of layers) {
        const blob = await send(agent, `${repository}/blobs/${layer.digest}`, "GET");
        expect([blob.status, await digestBytes(blob.body)]).toEqual([200, layer.digest]);
      }
    }
    for (const [key, { digest, pending }] of acknowledged.tags) {
      if (!key.startsWith(`${which} `)) continue;
      const answer = await send(agent, `${repository}/manifests/${key.slice(2)}`, "HEAD");
      const found = answer.headers["docker-content-digest"] as string | undefined;
      expect([digest, ...pending]).toContain(found);
      expect(listed.includes(key.slice(2))).toBe(found !== undefined);
    }
  }
  for (const digest of acknowledged.blobs) {
    const heads = [0, 1].map((which) => send(agent, `${url}/v2/team/app-${which}/blobs/${digest}`, "HEAD"));
    expect((await Promise.all(heads)).map((answer) => answer.status)).toContain(200);
  }
  for (const [upload, size] of acknowledged.uploads) {
    const { status, headers } = await send(agent, url + upload, "GET");
    expect([status, headers["range"]]).toEqual([204, `0-${size - 1}`]);
  }
}

test(
  `${KILLS} kills in the middle of pushes lose nothing acknowledged and show nothing half-done`,
  { timeout: 600_000 },
  async () => {
    const acknowledged: Acknowledged = { tags: new Map(), blobs: new Set(), uploads: new Map() };
    const agent = new Agent({ keepAlive: true });
    for (let round = 0; round < KILLS; round++) {
      const registry = await program.start(dir);
      await check(agent, registry.url, acknowledged);
      const writers = Array.from({ length: WRITERS }, (_, writer) =>
        write(agent, registry.url, writer, round, acknowledged),
      );
      const ends = Promise.allSettled(writers);
      const killed = new Promise((resolve) => setTimeout(resolve, 60 + ((round * 37) % 200))); // any moment will do
      await Promise.race([killed, ends]);
      await registry.kill();
      for (const end of await ends) {
        expect(end.status === "rejected" && (end.reason as Error).message).toMatch(
          /ECONNRE|socket hang up|EPIPE|aborted/,
        );
      }
      for (const state of acknowledged.tags.values()) if (state.pending.size > 0) state.pending.add(state.digest);
    }
    const registry = await program.start(dir);
    await check(agent, registry.url, acknowledged);
    expect(acknowledged.blobs.size).toBeGreaterThan(KILLS);
    agent.destroy();
    expect(await registry.stop()).toBe(0);
    expect(readdirSync(join(dir, "intents"))).toEqual([]);
  },
);
