import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { EditTargets, TrustedCollection } from "../../../src/trust/source.ts";
import { CHANGE_TAG_PREFIX } from "../../../src/trust/oci/tags.ts";
import { prefixPatterns } from "../../../src/tuf/editor.ts";
import { startHostileRegistry, type HostileRegistry, type StoredManifest } from "../../support/hostile-registry.ts";
import { always, codeOf } from "../../support/key-fixtures.ts";
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
import { memoryStaging, person } from "../../support/tuf-publishing.ts";

const TUF = "acme/app:tuf";

describe("a collection of several people in a registry", () => {
  const transport = testTransport(30_000);
  let registry: HostileRegistry;
  let owner: Machine;
  const staging = memoryStaging();
  beforeEach(async () => {
    registry = await startHostileRegistry();
    owner = open({ staging });
    await owner.source.publish(COLLECTION, adding("v0"), REFUSE);
  });
  afterEach(() => registry.stop());
  afterAll(() => transport.close());

  function open(options: MachineOptions = {}): Machine {
    return machine(registry.host, transport, options);
  }
  const opened = (): Promise<TrustedCollection> => open().source.open(COLLECTION, ACCEPT);
  const names = async (): Promise<string[]> => (await opened()).list().map(({ name }) => name);
  const tag = (): StoredManifest => registry.manifests.get(TUF)!;
  const turnBack = (to: StoredManifest): void => void registry.manifests.set(TUF, to);

  /** Somebody who may sign below a prefix, and publish alone. */
  async function invited(name: string): Promise<Machine> {
    const own = open({ staging });
    const held = await Promise.all([person(), person()]);
    for (const { signer } of held) await own.keyStore.add(signer, { role: "delegation" }, always("a long passphrase"));
    const [role, online] = held.map(({ key }) => key);
    await owner.publisher.stage(COLLECTION, [
      { action: "delegate", delegator: "targets", role: name, keys: [role!], paths: prefixPatterns(`${name}/`) },
      { action: "keys", role: "snapshot", add: [online!] },
      { action: "keys", role: "timestamp", add: [online!] },
    ]);
    await own.publisher.sign(COLLECTION, (await own.publisher.review(COLLECTION, ACCEPT))!, ACCEPT);
    await owner.publisher.publishStaged(COLLECTION);
    return own;
  }

  test("lets an invited team publish its names alone, and no others", async () => {
    const ada = await invited("ada");
    const { collection } = await ada.source.publish(COLLECTION, adding("ada/app/v1"), ACCEPT);
    expect(collection.find("ada/app/v1")?.role).toBe("ada");
    expect(await codeOf(() => ada.source.publish(COLLECTION, adding("v1"), ACCEPT))).toBe("KEY_MISSING");
    expect(await names()).toEqual(["ada/app/v1", "v0"]);
  });

  test("brings back what a team has signed and others cannot", async () => {
    const ada = await invited("ada");
    const bob = await invited("bob");
    const former = tag();
    await ada.source.publish(COLLECTION, adding("ada/app/v1"), ACCEPT);
    turnBack(former);
    await bob.source.publish(COLLECTION, adding("bob/app/v1"), ACCEPT);
    expect(await names()).toEqual(["ada/app/v1", "bob/app/v1", "v0"]);
    turnBack(former);
    await owner.publisher.tend(COLLECTION, []);
    expect(await names()).toEqual(["ada/app/v1", "bob/app/v1", "v0"]);
  });

  test("brings back a change of keys that a publisher has overwritten, root included", async () => {
    const former = tag();
    const { key, signer } = await person();
    await owner.keyStore.add(signer, { role: "timestamp", gun: COLLECTION }, always("a long passphrase"));
    await owner.publisher.change(COLLECTION, [{ action: "keys", role: "timestamp", add: [key] }]);
    expect((await opened()).roles[0]).toMatchObject({ role: "root", version: 2 });
    turnBack(former);
    await open({ keyStore: owner.keyStore }).source.publish(COLLECTION, adding("v1"), ACCEPT);
    expect((await opened()).roles[0]).toMatchObject({ role: "root", version: 2 });
    expect(await names()).toEqual(["v0", "v1"]);
  });

  test("takes no documents of others that are not signed as they must be", async () => {
    const ada = await invited("ada");
    const former = tag();
    await ada.source.publish(COLLECTION, adding("ada/app/v1"), ACCEPT);
    turnBack(former);
    for (const [key, { bytes, mediaType }] of registry.manifests) {
      if (!key.startsWith(`acme/app:${CHANGE_TAG_PREFIX}`)) continue;
      const manifest = JSON.parse(bytes.toString());
      for (const layer of manifest.layers.slice(1)) {
        const forged = Buffer.from(layer.data, "base64")
          .toString()
          .replace(/"sig":"..../, '"sig":"0000');
        const digest = registry.addBlob("acme/app", Buffer.from(forged));
        Object.assign(layer, { digest, data: Buffer.from(forged).toString("base64") });
      }
      registry.manifests.set(key, { bytes: Buffer.from(JSON.stringify(manifest)), mediaType });
    }
    await owner.publisher.tend(COLLECTION, []);
    expect(await names()).toEqual(["v0"]);
    await owner.source.publish(COLLECTION, adding("v1"), REFUSE); // and keeps nobody from publishing
    expect(await names()).toEqual(["v0", "v1"]);
  });

  test("gives a name that two change at once to one, and the other computes anew from it", async () => {
    const appending =
      (letter: string): EditTargets =>
      (current) => {
        const before = current?.find("log")?.hashes.sha256?.replace(/0+$/, "") ?? "";
        if (before.includes(letter)) return [];
        return [{ action: "add", name: "log", length: 1, hashes: { sha256: `${before}${letter}`.padEnd(64, "0") } }];
      };
    await Promise.all(
      ["a", "b", "c", "d"].map((letter) =>
        open({ keyStore: owner.keyStore }).source.publish(COLLECTION, appending(letter), ACCEPT),
      ),
    );
    const final = (await opened()).find("log")!.hashes.sha256!.replace(/0+$/, "");
    expect(Array.from(final).toSorted().join("")).toBe("abcd");
  });

  test("publishes in a registry that takes images only", async () => {
    const refusing = open({
      keyStore: owner.keyStore,
      repository: { registry: registry.host, repository: "only/images" },
    });
    registry.setFault(({ method, path, nth }) =>
      method === "PUT" && path.startsWith("/v2/only/images/manifests/") && nth % 2 === 1 ? { status: 415 } : undefined,
    );
    await refusing.source.publish(COLLECTION, adding("v1"), REFUSE);
    registry.setFault(undefined);
    const manifest = JSON.parse(registry.manifests.get("only/images:tuf")!.bytes.toString());
    expect(manifest.config.mediaType).toBe("application/vnd.oci.image.config.v1+json");
    expect(manifest.artifactType).toBeUndefined();
    await refusing.source.publish(COLLECTION, adding("v2"), REFUSE);
    expect((await refusing.source.open(COLLECTION, REFUSE)).list()).toHaveLength(2);
  });

  test("is not kept from publishing by a flood of requests, and says nothing false", async () => {
    for (let index = 0; index < 1_500; index++) {
      const name = `acme/app:${CHANGE_TAG_PREFIX}${Date.now() - index}-${"f".repeat(16)}`;
      registry.manifests.set(name, {
        bytes: Buffer.from("{}"),
        mediaType: "application/vnd.oci.image.manifest.v1+json",
      });
    }
    const before = registry.requests.length;
    await open({ keyStore: owner.keyStore }).source.publish(COLLECTION, adding("v1"), ACCEPT);
    expect(await names()).toEqual(["v0", "v1"]);
    expect(registry.requests.length - before).toBeLessThan(1_200);
  });
});
