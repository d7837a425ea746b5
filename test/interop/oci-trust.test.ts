/** Trust data in docker-registry 2.8.2 as it is: many publishers, its garbage collection, readers in between. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Transport } from "../../src/base/http.ts";
import { describeWithPeers, skopeo, startDockerRegistry, type DockerRegistry } from "../support/peers.ts";
import { findProgram } from "../support/peer-process.ts";
import { ACCEPT, adding, COLLECTION, machine, REFUSE, type MachineOptions } from "../support/oci-trust.ts";
import { testTransport } from "../support/registry-rig.ts";

describeWithPeers(["docker-registry", "skopeo"], "trust data in docker-registry", () => {
  let registry: DockerRegistry;
  const transport = testTransport(60_000);
  beforeAll(async () => {
    registry = await startDockerRegistry();
  });
  afterAll(async () => {
    transport.close();
    await registry.stop();
  });

  const open = (repository: string, options: MachineOptions = {}) =>
    machine(registry.host, transport, { repository: { registry: registry.host, repository }, ...options });

  test("is made by the first publish, changed by the next ones, and read by anybody", async () => {
    const ada = open("acme/first");
    expect((await ada.source.publish(COLLECTION, adding("v1"), REFUSE)).created).toBe(true);
    const second = await ada.source.publish(COLLECTION, adding("v2"), REFUSE);
    expect(second.collection.list().map(({ name }) => name)).toEqual(["v1", "v2"]);
    expect((await open("acme/first").source.open(COLLECTION, ACCEPT)).find("v1")?.role).toBe("targets");
  });

  test("is an image that skopeo copies, and that is as good in the other place", async () => {
    const ada = open("acme/copied");
    await ada.source.publish(COLLECTION, adding("v1"), REFUSE);
    const at = (repository: string): string => `docker://${registry.host}/${repository}:tuf`;
    const flags = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    const result = await skopeo(["copy", ...flags, at("acme/copied"), at("mirror/copied")]);
    expect(result).toMatchObject({ status: 0 });
    expect((await open("mirror/copied").source.open(COLLECTION, ACCEPT)).find("v1")).toBeDefined();
  });

  test("loses no update of twenty publishers at once, each with a registry client of its own", async () => {
    const ada = open("acme/many");
    await ada.source.publish(COLLECTION, adding("v0"), REFUSE);
    const names = Array.from({ length: 20 }, (_, index) => `m${index}`);
    await Promise.all(
      names.map((name) =>
        open("acme/many", { keyStore: ada.keyStore }).source.publish(COLLECTION, adding(name), ACCEPT),
      ),
    );
    const seen = (await open("acme/many").source.open(COLLECTION, ACCEPT)).list().map(({ name }) => name);
    expect(seen).toEqual([...names, "v0"].toSorted());
  });

  test("lets one of two first publishers win", async () => {
    const machines = ["a", "b", "c"].map((name) => ({ name, machine: open("acme/race") }));
    const results = await Promise.allSettled(
      machines.map(({ name, machine: { source } }) => source.publish(COLLECTION, adding(name), REFUSE)),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const winner = machines[results.findIndex(({ status }) => status === "fulfilled")]!.name;
    const seen = (await open("acme/race").source.open(COLLECTION, ACCEPT)).list().map(({ name }) => name);
    expect(seen).toEqual([winner]);
  });

  test("survives the registry's own garbage collection, with untagged manifests removed", async () => {
    const ada = open("acme/kept");
    for (const name of ["v1", "v2", "v3"]) await ada.source.publish(COLLECTION, adding(name), REFUSE);
    const dir = mkdtempSync(join(tmpdir(), "registry-gc-"));
    try {
      const config = join(dir, "config.yml");
      const storage = { filesystem: { rootdirectory: registry.storageDir }, delete: { enabled: true } };
      writeFileSync(config, JSON.stringify({ version: "0.1", storage }));
      const program = findProgram("docker-registry")!;
      const { status, stdout } = spawnSync(program, ["garbage-collect", "-m", config], { encoding: "utf8" });
      expect(status).toBe(0);
      expect(stdout).toContain("blob eligible for deletion"); // the manifests of the first two publishes
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
    const seen = (await open("acme/kept").source.open(COLLECTION, ACCEPT)).list().map(({ name }) => name);
    expect(seen).toEqual(["v1", "v2", "v3"]);
    await ada.source.publish(COLLECTION, adding("v4"), REFUSE);
    expect((await open("acme/kept").source.open(COLLECTION, ACCEPT)).list()).toHaveLength(4);
  });

  test("shows a reader in the middle of a publish the state before or the one after", async () => {
    const ada = open("acme/between");
    await ada.source.publish(COLLECTION, adding("v0"), REFUSE);
    const seen: string[][] = [];
    const look = async (): Promise<void> => {
      const opened = await open("acme/between").source.open(COLLECTION, ACCEPT);
      seen.push(opened.list().map(({ name }) => name));
    };
    // a reader comes by before and after every single request that writes
    const watched: Transport = async (request) => {
      if (request.method === "GET" || request.method === "HEAD") return transport(request);
      await look();
      const response = await transport(request);
      await look();
      return response;
    };
    const writer = open("acme/between", { keyStore: ada.keyStore });
    const slow = machine(registry.host, watched, {
      keyStore: writer.keyStore,
      repository: { registry: registry.host, repository: "acme/between" },
    });
    await slow.source.publish(COLLECTION, adding("v1", "v2"), ACCEPT);
    await look();
    expect(seen.length).toBeGreaterThan(6);
    expect(new Set(seen.map((names) => names.join()))).toEqual(new Set(["v0", "v0,v1,v2"]));
  });
});
