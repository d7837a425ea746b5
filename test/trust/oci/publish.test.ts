import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { errorCode } from "../../../src/base/errors.ts";
import type { TransportRequest, TransportResponse } from "../../../src/base/http.ts";
import { CHANGE_TAG_PREFIX } from "../../../src/trust/oci/tags.ts";
import { startHostileRegistry, type HostileRegistry } from "../../support/hostile-registry.ts";
import { codeOf } from "../../support/key-fixtures.ts";
import {
  ACCEPT,
  adding,
  COLLECTION,
  machine,
  REFUSE,
  type Machine,
  type MachineOptions,
} from "../../support/oci-trust.ts";
import { testTransport } from "../../support/registry-rig.ts";
import { DAY } from "../../support/tuf-publishing.ts";

const TUF = "acme/app:tuf";

/** Holds one side until the other has come to a point. */
function gate(): { readonly opened: Promise<void>; readonly isOpen: boolean; open(): void } {
  const state = { isOpen: false, release: (): void => undefined };
  const opened = new Promise<void>((resolve) => {
    state.release = resolve;
  });
  return {
    opened,
    get isOpen() {
      return state.isOpen;
    },
    open() {
      state.isOpen = true;
      state.release();
    },
  };
}

describe("trust data in a registry", () => {
  const transport = testTransport(30_000);
  let registry: HostileRegistry;
  beforeEach(async () => {
    registry = await startHostileRegistry();
  });
  afterEach(() => registry.stop());
  afterAll(() => transport.close());

  const open = (options: MachineOptions = {}): Machine => machine(registry.host, transport, options);
  const namesSeenBy = async ({ source }: Machine): Promise<string[]> =>
    (await source.open(COLLECTION, ACCEPT)).list().map(({ name }) => name);
  const changeTags = (): string[] =>
    [...registry.manifests.keys()].filter((key) => key.startsWith(`acme/app:${CHANGE_TAG_PREFIX}`));

  test("is made by the first publish, changed by the next, and read by anybody", async () => {
    const ada = open();
    expect((await ada.source.publish(COLLECTION, adding("v1"), REFUSE)).created).toBe(true);
    const second = await ada.source.publish(COLLECTION, adding("v2"), REFUSE);
    expect(second.created).toBe(false);
    expect(second.collection.list().map(({ name }) => name)).toEqual(["v1", "v2"]);
    expect(await namesSeenBy(open())).toEqual(["v1", "v2"]);
    expect(ada.source).toMatchObject({ kind: "oci", location: `oci://${registry.host}/acme/app` });
  });

  test("needs one request to be read, and one again later", async () => {
    await open().source.publish(COLLECTION, adding("v1"), REFUSE);
    const bob = open();
    for (let times = 0; times < 2; times++) {
      const before = registry.requests.length;
      await bob.source.open(COLLECTION, ACCEPT);
      expect(registry.log().slice(before)).toEqual(["GET /v2/acme/app/manifests/tuf"]);
    }
  });

  test("loses no update of twenty machines at once", async () => {
    const ada = open();
    await ada.source.publish(COLLECTION, adding("v0"), REFUSE);
    const names = Array.from({ length: 20 }, (_, index) => `m${index}`);
    await Promise.all(
      names.map((name) => open({ keyStore: ada.keyStore }).source.publish(COLLECTION, adding(name), ACCEPT)),
    );
    expect(await namesSeenBy(open())).toEqual([...names, "v0"].toSorted());
  });

  test("brings back what somebody slow has overwritten, under versions that nobody has seen", async () => {
    const ada = open();
    await ada.source.publish(COLLECTION, adding("v0"), REFUSE);
    const former = registry.manifests.get(TUF)!;
    const bob = open({ keyStore: ada.keyStore });
    for (const name of ["lost1", "lost2", "lost3"]) await bob.source.publish(COLLECTION, adding(name), ACCEPT);
    const reader = open();
    const seen = (await reader.source.open(COLLECTION, ACCEPT)).roles[1]!.version;
    registry.manifests.set(TUF, former); // as after the move of a tag that was worked out long ago
    await open({ keyStore: ada.keyStore }).source.publish(COLLECTION, adding("next"), ACCEPT);
    expect(await namesSeenBy(open())).toEqual(["lost1", "lost2", "lost3", "next", "v0"]);
    const { roles } = await reader.source.open(COLLECTION, REFUSE);
    expect(roles[1]!.version).toBeGreaterThan(seen);
  });

  test("completes the publish of a machine that stopped after it had asked", async () => {
    const ada = open();
    await ada.source.publish(COLLECTION, adding("v0"), REFUSE);
    registry.setFault(({ method, path }) => (method === "PUT" && path.endsWith("/tuf") ? { status: 403 } : undefined));
    expect(await codeOf(() => ada.source.publish(COLLECTION, adding("half"), REFUSE))).toBe("REGISTRY_DENIED");
    expect(await namesSeenBy(open())).toEqual(["v0"]);
    registry.setFault(undefined);
    await open({ keyStore: ada.keyStore }).source.publish(COLLECTION, adding("v1"), ACCEPT);
    expect(await namesSeenBy(open())).toEqual(["half", "v0", "v1"]);
  });

  test("does nothing twice, and nothing where everything is so already", async () => {
    const ada = open();
    await ada.source.publish(COLLECTION, adding("v0"), REFUSE);
    const before = registry.manifests.get(TUF);
    const tags = changeTags();
    await ada.source.publish(COLLECTION, adding("v0"), REFUSE);
    expect(registry.manifests.get(TUF)).toBe(before);
    expect(changeTags()).toEqual(tags);
  });

  test("ignores what others without keys ask for, and garbage, however much", async () => {
    const ada = open();
    await ada.source.publish(COLLECTION, adding("v0"), REFUSE);
    const eve = open();
    const elsewhere = { registry: registry.host, repository: "eve/app" };
    const other = machine(registry.host, transport, { repository: elsewhere, keyStore: eve.keyStore });
    await other.source.publish(COLLECTION, adding("x"), REFUSE);
    await other.source.publish(COLLECTION, adding("evil"), REFUSE);
    for (const [key, manifest] of registry.manifests) {
      if (key.startsWith(`eve/app:${CHANGE_TAG_PREFIX}`))
        registry.manifests.set(key.replace("eve/", "acme/"), manifest);
    }
    for (let index = 0; index < 100; index++) {
      const tag = `acme/app:${CHANGE_TAG_PREFIX}${String(Date.now() - index).padStart(13, "0")}-${"0".repeat(16)}`;
      registry.manifests.set(tag, { bytes: Buffer.from(`{"garbage":${index}}`), mediaType: "text/plain" });
    }
    await open({ keyStore: ada.keyStore }).source.publish(COLLECTION, adding("v1"), ACCEPT);
    expect(await namesSeenBy(open())).toEqual(["v0", "v1"]);
  });

  test("applies a request once, also where it is written again", async () => {
    const ada = open();
    await ada.source.publish(COLLECTION, adding("v0"), REFUSE);
    await ada.source.publish(COLLECTION, adding("old"), REFUSE);
    await ada.source.publish(COLLECTION, () => [{ action: "remove", name: "old" }], REFUSE);
    await ada.source.publish(COLLECTION, adding("v1"), REFUSE);
    expect(await namesSeenBy(open())).toEqual(["v0", "v1"]);
  });

  test("lets one of two first publishers win, and tells the other", async () => {
    const machines = Array.from({ length: 4 }, (_, index) => ({ name: `m${index}`, machine: open() }));
    const results = await Promise.allSettled(
      machines.map(({ name, machine: { source } }) => source.publish(COLLECTION, adding(name), REFUSE)),
    );
    const won = results.flatMap((result, index) => (result.status === "fulfilled" ? [machines[index]!] : []));
    expect(won).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(errorCode(result.reason)).toBe("TRUST_EXISTS");
    }
    expect(await namesSeenBy(open())).toEqual([won[0]!.name]);
  });

  test("lets the first in line win who finds a later one's state, and the later one give way", async () => {
    const published = gate();
    const found = gate();
    const isTrustTag = (url: string): boolean => url.endsWith("/manifests/tuf");
    const slow = async (request: TransportRequest): Promise<TransportResponse> => {
      const isRequest = request.method === "PUT" && request.url.includes(`/manifests/${CHANGE_TAG_PREFIX}`);
      if (isRequest) await published.opened;
      const response = await transport(request);
      if (published.isOpen && isTrustTag(request.url)) found.open();
      return response;
    };
    const fast = async (request: TransportRequest): Promise<TransportResponse> => {
      if (published.isOpen) await found.opened; // looks at the requests only when the other has seen its state
      const response = await transport(request);
      if (request.method === "PUT" && isTrustTag(request.url)) published.open();
      return response;
    };
    const ada = machine(registry.host, slow, { now: () => new Date(Date.now() - 60_000) });
    const bob = machine(registry.host, fast);
    const [first, later] = await Promise.allSettled([
      ada.source.publish(COLLECTION, adding("ada"), REFUSE),
      bob.source.publish(COLLECTION, adding("bob"), REFUSE),
    ]);
    expect(first).toMatchObject({ status: "fulfilled", value: { created: true } });
    expect(later).toMatchObject({ status: "rejected", reason: { code: "TRUST_EXISTS" } });
    expect(await namesSeenBy(open())).toEqual(["ada"]);
    await ada.source.publish(COLLECTION, adding("more"), REFUSE);
    expect(await namesSeenBy(open())).toEqual(["ada", "more"]);
  });

  test("takes a tag that cannot be read for anything but none", async () => {
    for (const status of [500, 503, 403]) {
      registry.setFault(({ path }) => (path.endsWith("/tuf") ? { status } : undefined));
      const code = await codeOf(() => open().source.publish(COLLECTION, adding("v1"), REFUSE));
      expect(["REGISTRY_UNAVAILABLE", "REGISTRY_DENIED"]).toContain(code);
      registry.setFault(undefined);
      expect(registry.manifests.has(TUF)).toBe(false);
    }
  }, 60_000);

  test("takes a tag that vanished for withheld where the collection is known or pinned", async () => {
    const ada = open();
    const { collection } = await ada.source.publish(COLLECTION, adding("v1"), REFUSE);
    const pin = { fingerprints: collection.rootKeys.map(({ fingerprint }) => fingerprint) };
    registry.manifests.delete(TUF);
    for (const { machine: known, options } of [
      { machine: ada, options: REFUSE },
      { machine: open(), options: { ...REFUSE, pin } },
      { machine: open(), options: { ...REFUSE, mustExist: true } }, // there is a record of a first use
    ]) {
      if (!("mustExist" in options)) {
        expect(await codeOf(() => known.source.open(COLLECTION, options))).toBe("TRUST_WITHHELD");
      }
      expect(await codeOf(() => known.source.publish(COLLECTION, adding("v2"), options))).toBe("TRUST_WITHHELD");
    }
    expect(await codeOf(() => open().source.open(COLLECTION, ACCEPT))).toBe("TRUST_NOT_FOUND");
    expect(registry.manifests.has(TUF)).toBe(false);
  });

  test("is tended: what was left undone long ago is applied, and requests that nobody needs are removed", async () => {
    let now = new Date();
    const ada = open({ now: () => now });
    await ada.source.publish(COLLECTION, adding("v0"), REFUSE);
    registry.setFault(({ method, path }) => (method === "PUT" && path.endsWith("/tuf") ? { status: 403 } : undefined));
    await codeOf(() => ada.source.publish(COLLECTION, adding("half"), REFUSE));
    registry.setFault(undefined);
    now = new Date(now.getTime() + 3 * DAY);
    const bob = open({ keyStore: ada.keyStore, now: () => now });
    await bob.source.publish(COLLECTION, adding("v1"), ACCEPT);
    expect(await namesSeenBy(open({ now: () => now }))).toEqual(["v0", "v1"]); // too long ago for somebody passing by
    const { files } = await ada.publisher.tend(COLLECTION, []);
    expect(files.map(({ role }) => role)).toEqual(["targets", "snapshot", "timestamp"]);
    expect(await namesSeenBy(open({ now: () => now }))).toEqual(["half", "v0", "v1"]);
    const left = changeTags();
    expect((await ada.publisher.tend(COLLECTION, [])).files).toEqual([]);
    now = new Date(now.getTime() + DAY);
    expect((await ada.publisher.tend(COLLECTION, [])).files).toEqual([]);
    expect(changeTags().length).toBeLessThan(left.length);
    now = new Date(now.getTime() + 20 * DAY);
    const renewed = await ada.publisher.tend(COLLECTION, []);
    expect(renewed.files.map(({ role }) => role)).toEqual(["snapshot", "timestamp"]);
    expect((await ada.publisher.tend(COLLECTION, [])).files).toEqual([]);
  });
});
