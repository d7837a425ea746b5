import { describe, expect, it } from "vitest";
import { TufKey } from "../../src/tuf/keys.ts";
import { loadPublished } from "../../src/tuf/published.ts";
import { openSigningKeys } from "../../src/tuf/signing-keys.ts";
import { statusOf, type TufRoleStatus } from "../../src/tuf/status.ts";
import { LATER, newPair, roleKeys, TufSimulator, type Pair } from "../support/tuf-repository.ts";

const DAY = 86_400_000;

async function statusAt(repository: TufSimulator, now: Date, pairs: readonly Pair[] = []) {
  const base = await loadPublished(repository.repository, { anchor: repository.anchor });
  const roles = await statusOf(base, openSigningKeys(pairs.map(({ signer }) => signer)), now);
  return { roles, of: (name: string): TufRoleStatus => roles.find(({ role }) => role === name)! };
}

describe("the status of a collection", () => {
  it("lists every role with what it signs, how long, and by which keys", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "team", { paths: ["team/*", "b/*"] });
    await repository.addTarget("team", "team/app", "x");
    await repository.addTarget("targets", "one", "x");
    await repository.addTarget("targets", "two", "x");
    await repository.publish("team", "targets");
    const pairs = repository.signers.get("team")!;
    const { roles, of } = await statusAt(repository, new Date(LATER.getTime() - 1.5 * DAY), pairs);
    expect(roles.map(({ role, version, targets }) => [role, version, targets])).toEqual([
      ["root", 1, undefined],
      ["timestamp", 2, undefined],
      ["snapshot", 2, undefined],
      ["targets", 2, 2],
      ["team", 2, 1],
    ]);
    const [{ key, signer }] = pairs as [Pair];
    const fingerprint = await signer.publicKey.fingerprint();
    expect(of("team")).toEqual({
      role: "team",
      version: 2,
      expires: LATER,
      daysLeft: 1,
      expired: false,
      due: true,
      threshold: 1,
      keys: [{ keyId: key.id, fingerprint, owner: undefined, held: true }],
      signable: true,
      targets: 1,
      paths: ["team/*", "b/*"],
      fault: undefined,
    });
    expect(of("root")).toMatchObject({ paths: undefined, fault: undefined, signable: false });
    expect(of("root").keys).toMatchObject([{ keyId: repository.signers.get("root")![0]!.key.id, held: false }]);
  });

  it("counts whole days to the expiry, and from it", async () => {
    const repository = await TufSimulator.create();
    const left = async (milliseconds: number) => {
      const { of } = await statusAt(repository, new Date(LATER.getTime() - milliseconds));
      return [of("timestamp").daysLeft, of("timestamp").expired];
    };
    expect(await left(DAY)).toEqual([1, false]);
    expect(await left(DAY - 1)).toEqual([0, false]);
    expect(await left(1)).toEqual([0, false]);
    expect(await left(0)).toEqual([0, true]);
    expect(await left(-1)).toEqual([-1, true]);
    expect(await left(-DAY - 1)).toEqual([-2, true]);
  });

  it("says that a role is due as its period demands, which is shorter for online roles", async () => {
    const repository = await TufSimulator.create();
    const dueAt = async (days: number) => {
      const { roles } = await statusAt(repository, new Date(LATER.getTime() - days * DAY));
      return roles.filter(({ due }) => due).map(({ role }) => role);
    };
    expect(await dueAt(61)).toEqual([]);
    expect(await dueAt(60)).toEqual(["root", "targets"]);
    expect(await dueAt(10)).toEqual(["root", "timestamp", "snapshot", "targets"]);
  });

  it("says that a role can be signed here where as many keys as its threshold are at hand", async () => {
    const repository = await TufSimulator.create();
    const pairs = [await newPair(), await newPair(), await newPair()];
    repository.signers.set("team", pairs);
    await repository.delegate("targets", "team", { pairs });
    repository.changeDelegations("targets", ({ keys, roles, extra }) => ({
      keys,
      roles: roles.map((role) => ({ ...role, ...roleKeys(pairs, 2) })),
      extra,
    }));
    await repository.publish("team", "targets");
    const signable = async (count: number) => {
      const { of } = await statusAt(repository, LATER, pairs.slice(0, count));
      return [of("team").signable, of("team").keys.map(({ held }) => held)];
    };
    expect(await signable(1)).toEqual([false, [true, false, false]]);
    expect(await signable(2)).toEqual([true, [true, true, false]]);
    expect((await statusAt(repository, LATER)).of("team").threshold).toBe(2);
  });

  it("names each pattern once where several delegate, and who owns a key as far as somebody says", async () => {
    const repository = await TufSimulator.create();
    const pair = await newPair();
    const fields = { keytype: pair.key.keytype, scheme: pair.key.scheme };
    const text = (pair.key.json["keyval"] as { public: string }).public;
    const owned = new TufKey(pair.key.id, { ...fields, text }, { ...pair.key.json, "x-tuf-on-ci-keyowner": "@ada" });
    const pairs = [{ ...pair, key: owned }];
    await repository.delegate("targets", "other", { paths: ["none"] });
    await repository.delegate("targets", "team", { paths: ["a/*", "b/*"], pairs });
    await repository.delegate("other", "team", { paths: ["b/*", "c/*"], pairs });
    await repository.delegateToBins("team", 1, "bin");
    await repository.publish("bin-0", "bin-1", "other", "team", "targets");
    const { of } = await statusAt(repository, LATER, pairs);
    expect(of("team").paths).toEqual(["a/*", "b/*", "c/*"]);
    expect(of("team").keys).toMatchObject([{ owner: "@ada", held: true }]);
    expect(of("bin-0")).toMatchObject({ paths: undefined, threshold: 1 });
  });

  it("lists a key of a kind that we do not know as one that nobody holds", async () => {
    const repository = await TufSimulator.create();
    const json = { keytype: "new", scheme: "new", keyval: { public: "?" } };
    const odd = new TufKey("odd", { keytype: "new", scheme: "new", text: "?" }, json);
    const targets = repository.root.roles.get("targets")!;
    repository.root.keys = new Map([...repository.root.keys, ["odd", odd]]);
    const keyIds = [...targets.keyIds, "odd", "listed nowhere"];
    repository.root.roles = new Map([...repository.root.roles, ["targets", { ...targets, keyIds }]]);
    await repository.publishRoot();
    const { of } = await statusAt(repository, LATER, repository.signers.get("targets"));
    expect(of("targets").keys).toMatchObject([
      { held: true, fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) },
      { keyId: "odd", held: false, fingerprint: undefined },
    ]);
  });

  it("says that nobody can sign a role whose delegator cannot be used", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "team");
    await repository.delegate("targets", "other");
    await repository.delegate("team", "orphan");
    await repository.delegate("other", "team", { pairs: [await newPair()] }); // so that nobody can rely on team
    await repository.publish("orphan", "team", "other", "targets");
    const { of } = await statusAt(repository, LATER, [...repository.signers.values()].flat());
    expect(of("team").fault).toBeDefined();
    expect(of("orphan")).toMatchObject({ version: 2, signable: false, threshold: 0, keys: [], paths: undefined });
    expect(of("other")).toMatchObject({ signable: true, threshold: 1 });
  });

  it("says why a role's document cannot be used, and who may sign it", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "team", { paths: ["team/*"] });
    const honest = repository.signers.get("team")!;
    repository.signers.set("team", [await newPair()]);
    await repository.publish("team", "targets");
    const { roles, of } = await statusAt(repository, LATER, honest);
    expect(roles.at(-1)!.role).toBe("team");
    expect(of("team")).toMatchObject({
      version: undefined,
      expires: undefined,
      daysLeft: undefined,
      expired: false,
      due: false,
      signable: true,
      targets: undefined,
      paths: ["team/*"],
      fault: expect.stringContaining("not signed by enough"),
    });
  });
});
