/** What is written must be what was asked for last: a download that was begun too early leaves nothing behind. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Download, MemoryOutput } from "../src/download.ts";
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
});
