import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EditTargets } from "../../../src/trust/source.ts";
import { startHostileRegistry, type HostileRegistry } from "../../support/hostile-registry.ts";
import { ACCEPT, COLLECTION, machine, REFUSE } from "../../support/oci-trust.ts";
import { testTransport } from "../../support/registry-rig.ts";

const KIB = 1024;

/** Targets as `push` signs them, some 400 bytes each. */
const adding =
  (from: number, to: number): EditTargets =>
  () =>
    Array.from({ length: to - from }, (_, index) => ({
      action: "add",
      name: `v${from + index}`,
      length: 1_000_000 + index,
      hashes: { sha256: (from + index).toString(16).padStart(64, "0") },
      custom: {
        "wasm-to-oci": {
          manifests: [`sha256:${(from + index).toString(16).padStart(64, "a")}`],
          replaces: `sha256:${(from + index).toString(16).padStart(64, "b")}`,
        },
      },
    }));

describe("a collection that grows in a registry", () => {
  const transport = testTransport(30_000);
  let registry: HostileRegistry;
  beforeAll(async () => {
    registry = await startHostileRegistry();
  });
  afterAll(async () => {
    transport.close();
    await registry.stop();
  });

  const uploadedSince = (before: number): number =>
    registry.requests
      .slice(before)
      .filter(({ method }) => method === "PUT")
      .reduce((sum, { body }) => sum + body.length, 0);

  test("moves to hash bins by itself, so that a publish among 10,000 tags uploads at most 256 KiB", async () => {
    const ada = machine(registry.host, transport);
    await ada.source.publish(COLLECTION, adding(0, 200), REFUSE);
    expect((await ada.publisher.status(COLLECTION)).roles.map(({ role }) => role)).not.toContain("targets-bin-00");
    for (let from = 200; from < 10_000; from += 2_450) {
      await ada.source.publish(COLLECTION, adding(from, from + 2_450), REFUSE);
    }
    const before = registry.requests.length;
    await ada.source.publish(COLLECTION, adding(10_000, 10_001), REFUSE);
    const uploaded = uploadedSince(before);
    expect(uploaded).toBeLessThan(256 * KIB);
    const bob = machine(registry.host, transport);
    const opened = await bob.source.open(COLLECTION, { ...ACCEPT, names: ["v7777"] });
    expect(opened.find("v7777")).toMatchObject({ length: 1_000_000 + 7777 - 200 - 3 * 2_450 });
    expect(opened.find("v7777")).toMatchObject({ role: expect.stringMatching(/^targets-bin-/), home: "targets" });
    const cold = machine(registry.host, transport);
    const from = registry.requests.length;
    await cold.source.open(COLLECTION, { ...ACCEPT, names: ["v1"] });
    const [first, ...blobs] = registry.requests.slice(from);
    expect(first?.path).toBe("/v2/acme/app/manifests/tuf");
    expect(blobs.length).toBeLessThanOrEqual(3); // snapshot, targets and one pack, side by side
    expect((await machine(registry.host, transport).source.open(COLLECTION, ACCEPT)).list()).toHaveLength(10_001);
  }, 240_000);
});
