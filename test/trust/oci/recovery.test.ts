/** Keys that were stolen, thresholds, lifetimes and pins of a collection in a registry. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { startHostileRegistry, type HostileRegistry } from "../../support/hostile-registry.ts";
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
import { DAY, memoryStaging, person, type Person } from "../../support/tuf-publishing.ts";

const TUF = "acme/app:tuf";

describe("a collection in a registry", () => {
  const transport = testTransport(30_000);
  let registry: HostileRegistry;
  let owner: Machine;
  beforeEach(async () => {
    registry = await startHostileRegistry();
    owner = open();
    await owner.source.publish(COLLECTION, adding("v0"), REFUSE);
  });
  afterEach(() => registry.stop());
  afterAll(() => transport.close());

  const open = (options: MachineOptions = {}): Machine => machine(registry.host, transport, options);
  const versionOf = async ({ source }: Machine, role: string): Promise<number> =>
    (await source.open(COLLECTION, ACCEPT)).roles.find((one) => one.role === role)!.version;
  const store = ({ keyStore }: Machine, { signer }: Person): Promise<string> =>
    keyStore.add(signer, { role: "key" }, always("a long passphrase"));
  /** Gives a role one more key, which shows that it is held. */
  async function give(key: Person, ...roles: readonly string[]): Promise<void> {
    await store(owner, key);
    const changes = roles.map((role) => ({ action: "keys", role, add: [key.key] }) as const);
    await owner.publisher.change(COLLECTION, changes);
  }

  test("recovers from stolen online keys that pushed versions up, and the thief's state is refused afterwards", async () => {
    const stolen = await person();
    await give(stolen, "timestamp", "snapshot");
    const thief = open();
    await store(thief, stolen);
    const renewal = ["snapshot", "timestamp"].map((role) => ({ action: "renew", role }) as const);
    for (let times = 0; times < 6; times++) {
      let isFirst = true; // each round of a publish computes anew
      await thief.publisher.change(COLLECTION, () => (isFirst ? ((isFirst = false), renewal) : []), ACCEPT);
    }
    const reader = open();
    const high = await versionOf(reader, "timestamp");
    const thiefs = registry.manifests.get(TUF)!;
    const replacement = await person();
    await store(owner, replacement);
    const fingerprint = await stolen.signer.publicKey.fingerprint();
    await owner.publisher.revoke(COLLECTION, { fingerprint, replacement: replacement.key, resetVersions: true });
    const online = (await owner.publisher.status(COLLECTION)).roles.filter(({ role }) =>
      /^(?:snapshot|timestamp)$/.test(role),
    );
    expect(online.map(({ keys }) => keys.length)).toEqual([1, 1]); // what another key had signed would be remembered

    expect(await versionOf(reader, "timestamp")).toBeLessThan(high); // who has seen the thief's versions follows
    expect(await versionOf(reader, "snapshot")).toBeLessThan(high);
    await owner.source.publish(COLLECTION, adding("v1"), REFUSE);
    expect((await reader.source.open(COLLECTION, REFUSE)).list().map(({ name }) => name)).toEqual(["v0", "v1"]);

    const honest = registry.manifests.get(TUF)!;
    registry.manifests.set(TUF, thiefs);
    expect(await codeOf(() => reader.source.open(COLLECTION, REFUSE))).toBe("SIGNATURE_THRESHOLD");
    registry.manifests.set(TUF, honest);
    expect(await codeOf(() => thief.publisher.change(COLLECTION, renewal, REFUSE))).toBe("KEY_MISSING");
    expect(await versionOf(reader, "root")).toBe(3);
    expect((await open().source.open(COLLECTION, ACCEPT)).list()).toHaveLength(2);
  });

  test("keeps the recovery where a publisher overwrites it with what was there before", async () => {
    const stolen = await person();
    await give(stolen, "timestamp", "snapshot");
    const former = registry.manifests.get(TUF)!;
    const replacement = await person();
    await store(owner, replacement);
    const fingerprint = await stolen.signer.publicKey.fingerprint();
    await owner.publisher.revoke(COLLECTION, { fingerprint, replacement: replacement.key, resetVersions: true });
    const reader = open();
    expect(await versionOf(reader, "root")).toBe(3);
    registry.manifests.set(TUF, former); // by somebody who had looked at the tag before
    await open({ keyStore: owner.keyStore }).publisher.tend(COLLECTION, [], ACCEPT);
    expect(await versionOf(reader, "root")).toBe(3);
    const { roles } = await owner.publisher.status(COLLECTION);
    for (const { role, keys } of roles) {
      if (role !== "targets") expect(keys.map((key) => key.fingerprint)).not.toContain(fingerprint);
    }
  });

  test("needs both keys of a role with a threshold of two, and both pinned ones where a pin says so", async () => {
    const [ada, bob] = await Promise.all([person(), person()]);
    const staging = memoryStaging();
    owner = open({ keyStore: owner.keyStore, staging });
    await owner.source.open(COLLECTION, ACCEPT);
    const bobs = open({ staging });
    await store(bobs, bob);
    await store(owner, ada);
    await owner.publisher.stage(COLLECTION, [{ action: "keys", role: "root", add: [ada.key, bob.key], threshold: 2 }]);
    await bobs.publisher.sign(COLLECTION, (await bobs.publisher.review(COLLECTION, ACCEPT))!, ACCEPT);
    await owner.publisher.publishStaged(COLLECTION);
    const fingerprints = await Promise.all([ada, bob].map(({ signer }) => signer.publicKey.fingerprint()));
    const pinned = await open().source.open(COLLECTION, { ...REFUSE, pin: { fingerprints, threshold: 2 } });
    expect(pinned.roles[0]).toMatchObject({ role: "root", version: 2, threshold: 2 });
    const other = [fingerprints[0]!, "ab".repeat(32)];
    const open2 = (threshold: number) =>
      open().source.open(COLLECTION, { ...REFUSE, pin: { fingerprints: other, threshold } });
    expect(await codeOf(() => open2(2))).toBe("PIN_MISMATCH");
    expect((await open2(1)).list()).toHaveLength(1);
    const both = { fingerprints: [fingerprints[0]!], also: { fingerprints: ["ab".repeat(32)] } };
    expect(await codeOf(() => open().source.open(COLLECTION, { ...REFUSE, pin: both }))).toBe("PIN_MISMATCH");
    // bob alone changes nothing
    expect(await codeOf(() => bobs.publisher.change(COLLECTION, [{ action: "renew", role: "root" }], ACCEPT))).toBe(
      "KEY_MISSING",
    );
    expect(await versionOf(open(), "root")).toBe(2);
  });

  test("keeps the lifetimes that it was given, and is renewed by them", async () => {
    let now = new Date();
    owner = open({ keyStore: owner.keyStore, now: () => now });
    await owner.source.open(COLLECTION, ACCEPT);
    const periods = { expiry: 7, signing: 2 };
    await owner.publisher.change(COLLECTION, [{ action: "periods", role: "timestamp", periods }]);
    const expiry = async (): Promise<number> =>
      (await open({ now: () => now }).source.open(COLLECTION, ACCEPT)).roles
        .find(({ role }) => role === "timestamp")!
        .expires.getTime();
    now = new Date(now.getTime() + 5.5 * DAY);
    await owner.publisher.tend(COLLECTION, []);
    expect(Math.abs((await expiry()) - now.getTime() - 7 * DAY)).toBeLessThan(2000);
    now = new Date(now.getTime() + 8 * DAY);
    expect(await codeOf(() => open({ now: () => now }).source.open(COLLECTION, ACCEPT))).toBe("METADATA_EXPIRED");
    await owner.publisher.tend(COLLECTION, []);
    expect(await expiry()).toBeGreaterThan(now.getTime());
  });
});
