/** Several people who sign a staged change at the same moment, in a registry that has no compare-and-swap. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Transport, TransportRequest, TransportResponse } from "../../../src/base/http.ts";
import { ociStaging } from "../../../src/trust/oci/staging.ts";
import { SIGNATURES_TAG_PREFIX, STAGED_TAG } from "../../../src/trust/oci/tags.ts";
import { trustPlace } from "../../../src/trust/oci/trust.ts";
import { startHostileRegistry, type HostileRegistry } from "../../support/hostile-registry.ts";
import { always, codeOf } from "../../support/key-fixtures.ts";
import { ACCEPT, adding, COLLECTION, machine, REFUSE, type Machine } from "../../support/oci-trust.ts";
import { testTransport } from "../../support/registry-rig.ts";
import { person, type Person } from "../../support/tuf-publishing.ts";

describe("signatures of several people", () => {
  const transport = testTransport(30_000);
  let registry: HostileRegistry;
  let owner: Machine;
  let ada: Person;
  let bob: Person;
  beforeEach(async () => {
    registry = await startHostileRegistry();
    owner = open();
    await owner.source.publish(COLLECTION, adding("v0"), REFUSE);
    [ada, bob] = await Promise.all([person(), person()]);
  });
  afterEach(() => registry.stop());
  afterAll(() => transport.close());

  function open(send: Transport = transport): Machine {
    const place = machine(registry.host, send);
    const repository = { registry: registry.host, repository: "acme/app" };
    const staging = ociStaging(trustPlace({ registry: place.registry, repository }));
    return machine(registry.host, send, { staging, keyStore: place.keyStore });
  }
  async function machineOf({ signer }: Person, send?: Transport): Promise<Machine> {
    const own = open(send);
    await own.keyStore.add(signer, { role: "key" }, always("a long passphrase"));
    return own;
  }
  /** Lists both keys: each must show that somebody holds it. */
  const stage = () =>
    owner.publisher.stage(COLLECTION, [{ action: "keys", role: "timestamp", add: [ada.key, bob.key] }]);
  const review = async ({ publisher }: Machine) => (await publisher.review(COLLECTION, ACCEPT))!;
  const signatureTags = (): string[] =>
    [...registry.manifests.keys()].filter((name) => name.startsWith(`acme/app:${SIGNATURES_TAG_PREFIX}`));

  test("are all kept, though one's write is held until the other's is done", async () => {
    await stage();
    let arrived: () => void = () => undefined;
    let release: () => void = () => undefined;
    const isThere = new Promise<void>((resolve) => (arrived = resolve));
    const isReleased = new Promise<void>((resolve) => (release = resolve));
    const held = async (request: TransportRequest): Promise<TransportResponse> => {
      if (request.method === "PUT" && request.url.includes(`/manifests/${STAGED_TAG}`)) {
        arrived();
        await isReleased;
      }
      return transport(request);
    };
    const adas = await machineOf(ada, held);
    const bobs = await machineOf(bob);
    const slow = adas.publisher.sign(COLLECTION, await review(adas), ACCEPT);
    await isThere;
    await bobs.publisher.sign(COLLECTION, await review(bobs), ACCEPT);
    release();
    await slow;
    expect((await review(owner)).missing).toEqual([]);
    await owner.publisher.publishStaged(COLLECTION);
    const { roles } = await open().source.open(COLLECTION, ACCEPT);
    expect(roles[0]).toMatchObject({ role: "root", version: 2 });
    expect(await owner.publisher.review(COLLECTION)).toBeUndefined();
    expect(signatureTags()).toEqual([]); // this registry removes
  });

  test("are read beside those that stand in the staged change itself, and given once", async () => {
    const staged = await stage();
    expect(staged.missing.length).toBeGreaterThan(0);
    const adas = await machineOf(ada);
    await adas.publisher.sign(COLLECTION, staged, ACCEPT);
    expect(await codeOf(() => adas.publisher.sign(COLLECTION, staged, ACCEPT))).toBe("KEY_MISSING");
    expect(signatureTags()).toHaveLength(1);
    expect(await codeOf(() => owner.publisher.publishStaged(COLLECTION))).toBe("SIGNATURE_THRESHOLD");
    const bobs = await machineOf(bob);
    const signed = await bobs.publisher.sign(COLLECTION, await review(bobs), ACCEPT);
    expect(signed.missing).toEqual([]);
    await owner.publisher.publishStaged(COLLECTION);
  });

  test("do not count where they are forged, garbage, or of another change", async () => {
    const first = await stage();
    const adas = await machineOf(ada);
    await adas.publisher.sign(COLLECTION, first, ACCEPT);
    const [old] = signatureTags();
    const oldManifest = registry.manifests.get(old!)!;
    await owner.publisher.dropStaged();
    await owner.publisher.stage(COLLECTION, [
      { action: "keys", role: "timestamp", add: [ada.key] },
      { action: "keys", role: "snapshot", add: [ada.key] },
    ]);
    const second = await review(owner);
    const prefix = `acme/app:${SIGNATURES_TAG_PREFIX}${second.digest.slice(0, 32)}-`;
    registry.manifests.set(`${prefix}${"0".repeat(32)}`, oldManifest);
    registry.manifests.set(`${prefix}${"1".repeat(32)}`, { ...oldManifest, bytes: Buffer.from("{}") });
    const text = oldManifest.bytes.toString();
    registry.manifests.set(`${prefix}${"2".repeat(32)}`, {
      ...oldManifest,
      bytes: Buffer.from(text.replace(/"data":"[^"]*"/, '"data":"e30="')),
    });
    expect((await review(owner)).missing).toEqual(second.missing);
    expect(await codeOf(() => owner.publisher.publishStaged(COLLECTION))).toBe("SIGNATURE_THRESHOLD");
    await adas.publisher.sign(COLLECTION, second, ACCEPT);
    await owner.publisher.publishStaged(COLLECTION);
    expect((await open().source.open(COLLECTION, ACCEPT)).roles[0]).toMatchObject({ version: 2 });
  });

  test("are refused for a change that was dropped while they were given", async () => {
    const staged = await stage();
    let isFirst = true;
    const overtaken = async (request: TransportRequest): Promise<TransportResponse> => {
      if (isFirst && request.method === "PUT" && request.url.includes(`/manifests/${SIGNATURES_TAG_PREFIX}`)) {
        isFirst = false;
        await owner.publisher.dropStaged();
        await owner.publisher.stage(COLLECTION, [{ action: "keys", role: "snapshot", add: [ada.key] }]);
      }
      return transport(request);
    };
    const adas = await machineOf(ada, overtaken);
    expect(await codeOf(() => adas.publisher.sign(COLLECTION, staged, ACCEPT))).toBe("TRUST_CONFLICT");
    expect((await review(owner)).missing).toHaveLength(1);
    await adas.publisher.sign(COLLECTION, await review(adas), ACCEPT);
    await owner.publisher.publishStaged(COLLECTION);
  });
});
