/** What is written must be what was asked for last: a download that was begun too early leaves nothing behind. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { concatBytes } from "../src/base/bytes.ts";
import { digestBytes } from "../src/base/digest.ts";
import { RegistryError } from "../src/base/errors.ts";
import type { CacheEntry, ContentCache } from "../src/content-cache.ts";
import { Download, MemoryOutput } from "../src/download.ts";
import { failureOf } from "./support/error-code.ts";
import { moduleBytes, UseCase } from "./support/use-case.ts";

let world: UseCase;
beforeEach(async () => {
  world = await UseCase.start();
});
afterEach(() => world.stop());

describe("Download", () => {
  it("drops all bytes of the blob it began with, where another one is wanted", async () => {
    const hostile = await world.push("hostile", { sign: undefined });
    const wanted = await world.push("wanted", { sign: undefined });
    const repository = world.client.repository({ registry: world.registry.host, repository: "team/app" });
    const output = new MemoryOutput();
    const download = new Download(world.runtime, output);
    download.begin(repository, hostile.module);
    await download.complete(repository, hostile.module); // all of it has arrived
    await download.complete(repository, wanted.module);
    await output.commit();
    expect(output.bytes).toEqual(moduleBytes("wanted"));
  });

  it("does not take a blob of the wanted digest and another length for the wanted one", async () => {
    const { module } = await world.push("wanted", { sign: undefined });
    const repository = world.client.repository({ registry: world.registry.host, repository: "team/app" });
    const output = new MemoryOutput();
    const download = new Download(world.runtime, output);
    download.begin(repository, { digest: module.digest, size: module.size - 1 });
    await download.complete(repository, module);
    await output.commit();
    expect(output.bytes).toEqual(moduleBytes("wanted"));
  });

  it("asks for the module before the cache has made room for it", async () => {
    const bytes = moduleBytes("wanted");
    const blob = { digest: await digestBytes(bytes), size: bytes.length };
    const asked = signal();
    const content = {
      blobs: {
        async *get() {
          asked.resolve();
          yield bytes;
        },
      },
    };
    const cache = new SlowCache(asked.promise);
    const output = new MemoryOutput();
    const download = new Download(world.runtime, output, undefined, cache);
    await download.complete(content, blob);
    await output.commit();
    expect(output.bytes).toEqual(bytes);
    await download.keep();
    expect(concatBytes(cache.kept)).toEqual(bytes);
  });

  it("fails as the source does that failed before the cache had made room", async () => {
    const failed = signal();
    const content = {
      blobs: {
        // oxlint-disable-next-line require-yield -- fails before there is anything
        async *get(): AsyncGenerator<Uint8Array> {
          failed.resolve();
          throw new RegistryError("REGISTRY_NOT_FOUND", "no such blob");
        },
      },
    };
    const cache = new SlowCache(failed.promise.then(() => new Promise((resolve) => void setTimeout(resolve, 5))));
    const download = new Download(world.runtime, new MemoryOutput(), undefined, cache);
    const blob = { digest: await digestBytes(moduleBytes("wanted")), size: 8 };
    expect(await failureOf(download.complete(content, blob))).toMatchObject({ code: "REGISTRY_NOT_FOUND" });
    await download.stop();
    expect(cache.kept).toEqual([]);
    expect(cache.aborted).toBe(true);
  });
});

/** A promise, and what fulfils it. */
function signal(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** A cache with nothing in it, which takes its time to prepare for more. */
class SlowCache implements ContentCache {
  readonly location = "memory";
  readonly problem = undefined;
  aborted = false;
  kept: Uint8Array[] = [];
  private readonly ready: Promise<void>;

  constructor(ready: Promise<void>) {
    this.ready = ready;
  }

  async open(): Promise<undefined> {}

  async read(): Promise<undefined> {}

  async put(): Promise<void> {}

  async begin(): Promise<CacheEntry> {
    await this.ready;
    const chunks: Uint8Array[] = [];
    return {
      write: async (chunk) => void chunks.push(chunk.slice()),
      commit: async () => void (this.kept = chunks),
      abort: async () => void (this.aborted = true),
    };
  }
}
