import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Transport } from "../../../src/base/http.ts";
import { MemoryOutput } from "../../../src/download.ts";
import { nodeHasher } from "../../../src/node/hasher.ts";
import { pull } from "../../../src/pull.ts";
import { push } from "../../../src/push.ts";
import { moduleFromBytes } from "../../../src/read-module.ts";
import type { Coverage } from "../../../src/trust/coverage.ts";
import { startHostileRegistry, type HostileRegistry } from "../../support/hostile-registry.ts";
import { adding, COLLECTION, machine, REFUSE, type Machine } from "../../support/oci-trust.ts";
import { testTransport } from "../../support/registry-rig.ts";

/** Whoever has something to ask for asks within this time. */
const QUIET_MS = 400;
/** The smallest module. */
const WASM = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);

describe("a pull that verifies with trust data in the registry", () => {
  const inner = testTransport(30_000);
  let registry: HostileRegistry;
  let rounds = 0;
  let waiting: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  /** Lets all requests that do not wait for each other go at once: each time is one round trip. */
  const counted: Transport = async (request) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      rounds++;
      for (const go of waiting.splice(0)) go();
    }, QUIET_MS);
    await new Promise<void>((resolve) => waiting.push(resolve));
    return inner(request);
  };
  const runtime = { transport: counted, createHasher: nodeHasher, now: () => new Date() };
  const reference = (): string => `${registry.host}/acme/app:v1`;

  beforeAll(async () => {
    registry = await startHostileRegistry();
    const ada = machine(registry.host, inner);
    const sign = { source: ada.source, collection: COLLECTION, ...REFUSE };
    const module = moduleFromBytes("app.wasm", WASM);
    await push({
      runtime: { ...runtime, transport: inner },
      registry: ada.registry,
      reference: reference(),
      module,
      sign,
    });
    // many names, so that the targets are no part of the manifest any more
    await ada.source.publish(COLLECTION, adding(...Array.from({ length: 300 }, (_, index) => `v${index + 2}`)), REFUSE);
  });
  afterAll(async () => {
    inner.close();
    await registry.stop();
  });

  const consumer = (): Machine => machine(registry.host, counted);

  async function roundTrips({ registry: client, source }: Machine, verified: boolean): Promise<number> {
    rounds = 0;
    waiting = [];
    const output = new MemoryOutput();
    const trust: Coverage = { source, collection: COLLECTION, prefix: "", reason: "flags", firstUse: "accept" };
    const report = await pull({
      runtime,
      registry: client,
      reference: reference(),
      output,
      ...(verified ? { trust } : {}),
    });
    expect(report.verified).toBe(verified ? "artifact" : "none");
    return rounds;
  }

  test("needs no more sequential round trips than one that does not: two, cold and warm", async () => {
    const unverified = await roundTrips(consumer(), false);
    expect(unverified).toBe(2);
    const one = consumer();
    const first = registry.requests.length;
    expect(await roundTrips(one, true)).toBe(unverified);
    expect(registry.requests.length - first).toBe(4); // the targets are a blob of their own
    const before = registry.requests.length;
    expect(await roundTrips(one, true)).toBe(unverified);
    const trust = registry
      .log()
      .slice(before)
      .filter((line) => line.endsWith("/manifests/tuf"));
    expect(trust).toHaveLength(1); // of which trust data is one
    expect(registry.requests.length - before).toBe(3);
  });
});
