/** Copies whose connection is cut at any byte of any request or answer, in both directions. */
import fc from "fast-check";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errorCode, TransportError } from "../src/base/errors.ts";
import { MemoryOutput } from "../src/download.ts";
import { nodeHasher } from "../src/node/hasher.ts";
import { openLayoutDirectory } from "../src/node/layout-directory.ts";
import type { ContentStore } from "../src/oci/content-store.ts";
import { layoutStore } from "../src/oci/layout-store.ts";
import { pull } from "../src/pull.ts";
import { openOciTrust } from "../src/trust/oci/trust.ts";
import { CopyRig } from "./support/copy-rig.ts";
import type { HostileRegistry } from "./support/hostile-registry.ts";
import { always } from "./support/key-fixtures.ts";
import { COLLECTION, memoryTrust } from "./support/oci-trust.ts";
import { memoryStaging } from "./support/tuf-publishing.ts";
import { failure, moduleBytes } from "./support/use-case.ts";

/** Cuts of one kind in one run; over many runs every byte is cut at. */
const CUTS = 20;

let rig: CopyRig;
beforeEach(async () => {
  rig = await CopyRig.start();
});
afterEach(async () => rig.stop());

/** One way a copy's bytes go. */
interface Direction {
  readonly registry: HostileRegistry;
  readonly part: "request" | "answer";
}

/** The bytes of each exchange of a run, in order. */
async function lengthsOf({ registry, part }: Direction, run: () => Promise<unknown>): Promise<number[]> {
  const start = registry.requests.length;
  const answers: number[] = [];
  registry.setFault(() => ({
    alter: (honest) => {
      answers.push(honest.body.length);
      return honest;
    },
  }));
  await run();
  registry.setFault(undefined);
  return part === "answer" ? answers : registry.requests.slice(start).map(({ body }) => body.length);
}

/** Cuts at one byte of all that go one way: that exchange there, and every later one at its beginning. */
function cutAt({ registry, part }: Direction, lengths: readonly number[], at: number): void {
  let before = 0;
  let isCut = false;
  let nth = 0;
  registry.setFault(() => {
    const offset = isCut ? 0 : at - before;
    before += (lengths[nth++] ?? 0) + 1; // one more: a cut after the last byte is one, too
    if (!isCut && at >= before) return undefined;
    isCut = true;
    return part === "request" ? { cutRequestAfter: offset } : { alter: (honest) => honest, cutAfter: offset };
  });
}

/** All places to cut at: before each byte, and after the last one. */
const placesIn = (lengths: readonly number[]): number => lengths.reduce((sum, length) => sum + length + 1, 0);

const isOneOf = (bytes: Uint8Array, ...texts: readonly string[]): boolean =>
  texts.some((text) => Buffer.from(bytes).equals(moduleBytes(text)));

describe("a copy between registries that is cut at any byte", () => {
  it.each([
    ["what the destination is sent", (): Direction => ({ registry: rig.to, part: "request" })],
    ["what the destination answers", (): Direction => ({ registry: rig.to, part: "answer" })],
    ["what the source is asked", (): Direction => ({ registry: rig.from, part: "request" })],
    ["what the source answers", (): Direction => ({ registry: rig.from, part: "answer" })],
  ])(
    "of %s shows the old or the new, and is completed by the next run",
    async (_, choose) => {
      await rig.push("old");
      await rig.copy();
      const [manifests, blobs] = [new Map(rig.to.manifests), new Map(rig.to.blobs)];
      const restore = (): void => {
        rig.to.manifests.clear();
        rig.to.blobs.clear();
        for (const [name, manifest] of manifests) rig.to.manifests.set(name, manifest);
        for (const [name, blob] of blobs) rig.to.blobs.set(name, blob);
      };
      await rig.push("new");
      const direction = choose();
      const lengths = await lengthsOf(direction, () => rig.copy());
      let broken = 0;
      await fc.assert(
        fc.asyncProperty(fc.nat(placesIn(lengths) - 1), async (at) => {
          restore();
          cutAt(direction, lengths, at);
          await rig.copy().catch((error: unknown) => {
            broken++;
            expect(errorCode(error)).toBeDefined();
          });
          direction.registry.setFault(undefined);
          expect(isOneOf((await rig.pull()).bytes, "old", "new")).toBe(true);
          await rig.copy();
          expect(isOneOf((await rig.pull()).bytes, "new")).toBe(true);
        }),
        { numRuns: CUTS },
      );
      expect(broken).toBeGreaterThan(0);
    },
    120_000,
  );

  it("delivers nothing, rather than what nobody signed, where it was more than one publish behind", async () => {
    for (const text of ["old", "mid"]) {
      await rig.push(text);
      if (text === "old") await rig.copy();
    }
    await rig.push("new");
    const isTag = (path: string): boolean => path.endsWith("/manifests/v1");
    rig.to.setFault(({ method, path }) => (method === "PUT" && isTag(path) ? { cutRequestAfter: 1 } : undefined));
    await expect(rig.copy()).rejects.toBeInstanceOf(TransportError);
    rig.to.setFault(undefined);
    await failure(rig.pull(), "TAG_MISMATCH"); // trust data has moved, and the tag names what nobody vouches for now
    await rig.copy();
    expect(isOneOf((await rig.pull()).bytes, "new")).toBe(true);
  });
});

describe("a copy into a layout that is cut at any byte", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "copy-cut-"));
  });
  afterEach(async () => rm(dir, { recursive: true, force: true }));

  const openLayout = async (path: string): Promise<ContentStore> =>
    layoutStore(await openLayoutDirectory(path, { create: true }), { createHasher: nodeHasher });

  /** Takes the module out of the layout as somebody who has pinned the publisher's keys. */
  async function extract(store: ContentStore): Promise<Uint8Array> {
    const registry = { repository: () => store };
    const { source } = openOciTrust({
      registry,
      repository: { registry: "layout.test", repository: "acme/app" },
      trust: memoryTrust(),
      staging: memoryStaging(),
      keyStore: rig.publisher.keyStore,
      passphrases: always("none"),
      keyLocation: "nowhere",
      runtime: rig.runtime,
    });
    const output = new MemoryOutput();
    await pull({
      runtime: rig.runtime,
      registry,
      reference: "layout.test/acme/app:v1",
      output,
      trust: { source, collection: COLLECTION, prefix: "", reason: "pin", pin: rig.keys, firstUse: "refuse" },
    });
    return output.bytes;
  }

  it("shows the old or the new, and is completed by the next run", { timeout: 120_000 }, async () => {
    await rig.push("old");
    const old = rig.from;
    const [manifests, blobs] = [new Map(old.manifests), new Map(old.blobs)];
    await rig.push("new");
    const newest = [new Map(old.manifests), new Map(old.blobs)] as const;
    const show = ([tags, content]: readonly [typeof manifests, typeof blobs]): void => {
      rig.from.manifests.clear();
      rig.from.blobs.clear();
      for (const [name, manifest] of tags) rig.from.manifests.set(name, manifest);
      for (const [name, blob] of content) rig.from.blobs.set(name, blob);
    };
    const direction: Direction = { registry: rig.from, part: "answer" };
    const first = await openLayout(join(dir, "measure"));
    show([manifests, blobs]);
    await rig.copy({ destination: first });
    show(newest);
    const lengths = await lengthsOf(direction, () => rig.copy({ destination: first }));
    let broken = 0;
    let nth = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(placesIn(lengths) - 1), async (at) => {
        const destination = await openLayout(join(dir, String(nth++)));
        show([manifests, blobs]);
        await rig.copy({ destination });
        show(newest);
        cutAt(direction, lengths, at);
        await rig.copy({ destination }).catch((error: unknown) => {
          broken++;
          expect(errorCode(error)).toBeDefined();
        });
        rig.from.setFault(undefined);
        expect(isOneOf(await extract(destination), "old", "new")).toBe(true);
        await rig.copy({ destination });
        expect(isOneOf(await extract(destination), "new")).toBe(true);
      }),
      { numRuns: CUTS },
    );
    expect(broken).toBeGreaterThan(0);
  });
});
