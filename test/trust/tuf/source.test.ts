import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Bytes } from "../../../src/base/bytes.ts";
import { nobleHasher } from "../../../src/base/hasher.ts";
import { openTufSource, openTufTrustDir } from "../../../src/node/tuf-source.ts";
import { combinePins, type Pin } from "../../../src/trust/pin.ts";
import {
  createTufSource,
  COLLECTION_FIELD,
  type TufSource,
  type TufSourceOptions,
} from "../../../src/trust/tuf/source.ts";
import { fakeTransport } from "../../support/fake-transport.ts";
import { newPair, NOW, TufSimulator, type Pair } from "../../support/tuf-repository.ts";

const runtime = {
  transport: () => Promise.reject(new Error("no network here")),
  createHasher: nobleHasher,
  now: () => NOW,
};

async function honest(): Promise<TufSimulator> {
  const repository = await TufSimulator.create();
  await repository.addTarget("targets", "v1", "one");
  await repository.delegate("targets", "team", { paths: ["team/*"] });
  await repository.addTarget("team", "team/v2", "two");
  await repository.addTarget("team", "elsewhere", "not covered");
  await repository.publish("team", "targets");
  return repository;
}

const newDir = (): string => mkdtempSync(join(tmpdir(), "tuf-source-"));

function source(repository: TufSimulator, options: Partial<TufSourceOptions> = {}): TufSource {
  return createTufSource({ repository: repository.repository, runtime, trust: openTufTrustDir(newDir()), ...options });
}

async function fingerprint(repository: TufSimulator): Promise<string> {
  return repository.signers.get("root")![0]!.signer.publicKey.fingerprint();
}

const refuse = { firstUse: "refuse" } as const;

describe("a TUF repository as trust source", () => {
  it("gives what is signed, with an account of who signed it", async () => {
    const repository = await honest();
    const opened = await source(repository, { anchor: repository.anchor }).open("acme/app", refuse);
    expect(opened.find("v1")).toMatchObject({ name: "v1", length: 3, role: "targets" });
    expect(opened.find("team/v2")).toMatchObject({ role: "team" });
    expect(opened.find("elsewhere")).toBeUndefined();
    expect(opened.list().map(({ name }) => name)).toEqual(["team/v2", "v1"]);
    expect(opened.roles.map(({ role, version, from }) => [role, version, from])).toEqual([
      ["root", 1, "cache"],
      ["timestamp", 2, "network"],
      ["snapshot", 2, "network"],
      ["targets", 2, "network"],
      ["team", 2, "network"],
    ]);
    expect(opened.rootKeys[0]!.fingerprint).toBe(await fingerprint(repository));
    expect(opened.firstUse).toBe(false);
  });

  it("loads only what the names that are asked for need", async () => {
    const repository = await honest();
    const opened = await source(repository, { anchor: repository.anchor }).open("acme/app", {
      ...refuse,
      names: ["v1"],
    });
    expect(opened.find("v1")).toBeDefined();
    expect(repository.requests.some((file) => file.includes("team"))).toBe(false);
    expect(() => opened.find("team/v2")).toThrow(expect.objectContaining({ code: "INTERNAL" }));
    expect(() => opened.list()).toThrow(expect.objectContaining({ code: "INTERNAL" }));
  });

  it("answers from what it was opened with, whatever later ones find or refuse", async () => {
    const repository = await honest();
    const shared = source(repository, { anchor: repository.anchor });
    const opened = await shared.open("acme/app", { ...refuse, names: ["team/v2"] });
    await shared.open("acme/app", { ...refuse, names: ["v1"] });
    expect(opened.find("team/v2")).toMatchObject({ role: "team", length: 3 });
    const before = opened.roles;
    repository.root.extra = { [COLLECTION_FIELD]: "acme/other" };
    await repository.publishRoot();
    await repository.addTarget("team", "team/v2", "another");
    await repository.publish("team");
    await expect(shared.open("acme/app", refuse)).rejects.toMatchObject({ code: "COLLECTION_MISMATCH" });
    expect(opened.find("team/v2")).toMatchObject({ role: "team", length: 3 });
    expect((await opened.authorities("team/v2")).map(({ role }) => role)).toEqual(["targets", "team"]);
    expect(opened.roles).toBe(before);
  });

  it("asks anew where the place has not kept what a young check had listed", async () => {
    const repository = await honest();
    const options = { ...refuse, names: ["team/v2"], freshness: { mode: "max-age", seconds: 60 } } as const;
    const trust = openTufTrustDir(newDir());
    const open = () => source(repository, { anchor: repository.anchor, trust }).open("acme/app", options);
    await source(repository, { anchor: repository.anchor, trust }).open("acme/app", { ...options, names: ["v1"] });
    await repository.addTarget("team", "team/v3", "three");
    await repository.publish("team");
    expect(repository.files.has("2.team.json")).toBe(true);
    repository.files.delete("2.team.json");
    repository.requests.length = 0;
    const opened = await open();
    expect(opened.find("team/v2")).toMatchObject({ role: "team" });
    expect(opened.roles.map(({ role, version }) => [role, version])).toContainEqual(["team", 3]);
    expect(repository.requests).toContain("timestamp.json");
    repository.files.delete("3.team.json");
    await expect(source(repository, { anchor: repository.anchor }).open("acme/app", options)).rejects.toMatchObject({
      code: "TRUST_WITHHELD",
    });
  });

  it("lists hash bins, each name once", async () => {
    const repository = await TufSimulator.create();
    await repository.delegateToBins("targets", 3, "bin");
    const bins = [...repository.roles.keys()].filter((role) => role.startsWith("bin-"));
    for (const bin of bins) await repository.addTarget(bin, `only/${bin}`, bin);
    for (const bin of bins) await repository.addTarget(bin, "everywhere", bin);
    await repository.publish(...bins, "targets");
    const opened = await source(repository, { anchor: repository.anchor }).open("acme/app", refuse);
    const names = opened.list().map(({ name }) => name);
    expect(names.filter((name) => name === "everywhere")).toHaveLength(1);
    for (const { name, role } of opened.list()) expect(name === "everywhere" || name === `only/${role}`).toBe(true);
  });

  it("tells whose hash bins those are that a role has signed by its own keys, and no others", async () => {
    const homeIn = async (by: (repository: TufSimulator) => Promise<Pair[]>, parent = "team") => {
      const repository = await honest();
      await repository.delegateToBins(parent, 1, "bin", await by(repository));
      for (const bin of ["bin-0", "bin-1"]) await repository.addTarget(bin, "team/x", bin);
      await repository.publish("bin-0", "bin-1", "team", "targets");
      const all = await source(repository, { anchor: repository.anchor }).open("acme/app", refuse);
      const one = await source(repository, { anchor: repository.anchor }).open("acme/app", {
        ...refuse,
        names: ["team/x"],
      });
      const found = one.find("team/x");
      expect(found?.role).toMatch(/^bin-[01]$/);
      expect(all.find("team/x")).toEqual(found);
      return found?.home;
    };
    expect(await homeIn(async ({ signers }) => signers.get("team")!)).toBe("team");
    expect(await homeIn(async ({ signers }) => signers.get("targets")!, "targets")).toBe("targets");
    expect(await homeIn(async ({ signers }) => [...signers.get("team")!, await newPair()])).toBe("team");
    expect(await homeIn(async () => [await newPair()])).toBeUndefined();
    expect(await homeIn(async ({ signers }) => signers.get("targets")!)).toBeUndefined();
    const wantsTwo = async (repository: TufSimulator): Promise<Pair[]> => {
      const [first] = repository.signers.get("team")!;
      const pairs = [first!, await newPair()];
      repository.signers.set("team", pairs);
      const role = repository.roles.get("targets")!.delegations!.roles[0]!;
      const roles = [{ ...role, keyIds: pairs.map(({ key }) => key.id), threshold: 2 }];
      const keys = new Map(pairs.map(({ key }) => [key.id, key]));
      repository.changeDelegations("targets", (former) => ({ ...former, keys, roles }));
      return [first!];
    };
    expect(await homeIn(wantsTwo)).toBeUndefined();
    const opened = await source(await honest(), { anchor: undefined }).open("acme/app", { firstUse: "accept" });
    expect(opened.find("team/v2")).not.toHaveProperty("home");
  });

  it("answers for other names where one delegated role cannot be had, and fails for those behind it", async () => {
    const repository = await honest();
    repository.files.delete("2.team.json");
    const opened = await source(repository, { anchor: repository.anchor }).open("acme/app", refuse);
    expect(opened.find("v1")).toBeDefined();
    expect(() => opened.find("team/v2")).toThrow(expect.objectContaining({ code: "TRUST_WITHHELD" }));
    expect(opened.list().map(({ name }) => name)).toEqual(["v1"]);
    expect(opened.warnings.join()).toContain('the role "team" cannot be used');
  });

  it("says that it cannot be published to", async () => {
    const repository = await honest();
    const refused = source(repository, { anchor: repository.anchor }).publish("acme/app", () => [], refuse);
    await expect(refused).rejects.toMatchObject({ code: "USAGE" });
  });
});

describe("the root that trust begins with", () => {
  it("is refused where nothing says which one it is, and nothing is kept", async () => {
    const repository = await honest();
    const dir = newDir();
    const opened = source(repository, { trust: openTufTrustDir(dir) });
    await expect(opened.open("acme/app", refuse)).rejects.toMatchObject({ code: "FIRST_USE_REFUSED" });
    expect(readdirSync(dir)).toEqual([]);
    expect(repository.requests).toEqual(["1.root.json"]); // only to know whether there is anything at all
    repository.files.clear();
    await expect(opened.open("acme/app", refuse)).rejects.toMatchObject({ code: "TRUST_NOT_FOUND" });
    expect(readdirSync(dir)).toEqual([]);
  });

  it("is the first one where that is allowed, and the only one after that", async () => {
    const repository = await honest();
    const trust = openTufTrustDir(newDir());
    expect(await source(repository, { trust }).isKnown("acme/app")).toBe(false);
    const opened = await source(repository, { trust }).open("acme/app", { firstUse: "accept" });
    expect(opened.firstUse).toBe(true);
    expect(await source(repository, { trust }).isKnown("acme/app")).toBe(true);
    const again = await source(repository, { trust }).open("acme/app", refuse);
    expect(again.firstUse).toBe(false);
    const other = await honest();
    const swapped = source(other, { trust }).open("acme/app", { firstUse: "accept" });
    await expect(swapped).rejects.toMatchObject({ code: "SIGNATURE_THRESHOLD" });
    await expect(source(repository, { trust }).open("acme/app", refuse)).resolves.toBeDefined();
  });

  it("is the one that is signed by pinned keys, also behind rotations", async () => {
    const repository = await honest();
    const first = await fingerprint(repository);
    await repository.rotate("root");
    await repository.publishRoot();
    const second = await fingerprint(repository);
    for (const pinned of [first, second]) {
      const opened = await source(repository).open("acme/app", { ...refuse, pin: { fingerprints: [pinned] } });
      expect(opened.rootKeys.map((key) => key.fingerprint)).toEqual([second]);
      expect(opened.firstUse).toBe(false);
    }
    const stranger = source(repository).open("acme/app", { ...refuse, pin: { fingerprints: ["00".repeat(32)] } });
    await expect(stranger).rejects.toMatchObject({ code: "PIN_MISMATCH", kind: "untrusted" });
  });

  it("is not taken on a pin of certificates, which nothing here could check", async () => {
    const repository = await honest();
    const trust = openTufTrustDir(newDir());
    await source(repository, { trust }).open("acme/app", { firstUse: "accept" });
    const fingerprints = [await fingerprint(repository)];
    for (const demand of [{ certificateIds: ["00".repeat(32)] }, { certificateAuthorities: "PEM" }]) {
      const pin = { fingerprints, ...demand };
      await expect(source(repository, { trust }).open("acme/app", { ...refuse, pin })).rejects.toMatchObject({
        code: "USAGE",
      });
    }
    await expect(
      source(repository, { trust }).open("acme/app", { ...refuse, pin: { fingerprints } }),
    ).resolves.toBeDefined();
  });

  it("must fit a pin also where it is known already", async () => {
    const repository = await honest();
    const trust = openTufTrustDir(newDir());
    await source(repository, { trust }).open("acme/app", { firstUse: "accept" });
    const pin = { fingerprints: ["00".repeat(32)] };
    await expect(source(repository, { trust }).open("acme/app", { ...refuse, pin })).rejects.toMatchObject({
      code: "PIN_MISMATCH",
    });
    const good = { fingerprints: [await fingerprint(repository)] };
    await expect(source(repository, { trust }).open("acme/app", { ...refuse, pin: good })).resolves.toBeDefined();
  });

  it("must fit every pin of several, each by the root that trust began with or by today's", async () => {
    const repository = await honest();
    const trust = openTufTrustDir(newDir());
    const old = { fingerprints: [await fingerprint(repository)] };
    const stranger = { fingerprints: ["00".repeat(32)] };
    const open = (pin: Pin, store = trust) => source(repository, { trust: store }).open("acme/app", { ...refuse, pin });
    for (const pin of [combinePins(old, stranger), combinePins(stranger, old)]) {
      await expect(open(pin!)).rejects.toMatchObject({ code: "PIN_MISMATCH" });
      expect(
        await trust.readAnchor({ location: repository.repository.location, collection: "acme/app" }),
      ).toBeUndefined();
    }
    await expect(open(combinePins(old, old)!)).resolves.toBeDefined();
    await repository.rotate("root");
    await repository.publishRoot();
    const young = { fingerprints: [await fingerprint(repository)] };
    for (const pin of [combinePins(old, young), combinePins(young, old)]) {
      await expect(open(pin!)).resolves.toBeDefined();
      await expect(open(combinePins(pin, stranger)!)).rejects.toMatchObject({ code: "PIN_MISMATCH" });
    }
  });

  it("is none where two pins are of the time before and after a rotation, and nothing is known here that leads on", async () => {
    const repository = await honest();
    const old = { fingerprints: [await fingerprint(repository)] };
    await repository.rotate("root");
    await repository.publishRoot();
    const young = { fingerprints: [await fingerprint(repository)] };
    const either = { fingerprints: [...old.fingerprints, ...young.fingerprints] };
    const open = (pin: Pin, trust = openTufTrustDir(newDir())) =>
      source(repository, { trust }).open("acme/app", { ...refuse, pin });
    const trust = openTufTrustDir(newDir());
    await expect(open(combinePins(old, young)!, trust)).rejects.toMatchObject({ code: "PIN_MISMATCH" });
    const key = { location: repository.repository.location, collection: "acme/app" };
    expect(await trust.readAnchor(key)).toBeUndefined();
    for (const pin of [old, young, either, combinePins(either, young)!]) await expect(open(pin)).resolves.toBeDefined();
    await open(old, trust); // by one of them alone, or by one list of both, it is known and both hold
    await expect(open(combinePins(old, young)!, trust)).resolves.toBeDefined();
  });

  it("answers for the collection that it names, and for no other", async () => {
    const repository = await honest();
    repository.root.extra = { [COLLECTION_FIELD]: "acme/app" };
    const anchor: Bytes = await repository.serve("root", repository.root, 1);
    const opened = await source(repository, { anchor }).open("acme/app", refuse);
    expect(opened.warnings).toEqual([]);
    const refused = source(repository, { anchor }).open("acme/other", refuse);
    await expect(refused).rejects.toMatchObject({ code: "COLLECTION_MISMATCH" });
  });

  it("is withheld, not missing, where it is pinned", async () => {
    const repository = await honest();
    repository.files.clear();
    const pin = { fingerprints: ["00".repeat(32)] };
    await expect(source(repository).open("a", { ...refuse, pin })).rejects.toMatchObject({ code: "TRUST_WITHHELD" });
    await expect(source(repository).open("a", { firstUse: "accept" })).rejects.toMatchObject({
      code: "TRUST_NOT_FOUND",
    });
  });
});

describe("a TUF repository in a directory", () => {
  it("is read like one on a web server", async () => {
    const repository = await honest();
    const dir = newDir();
    for (const [file, bytes] of repository.files) write(join(dir, "metadata", file), bytes);
    const options = { location: dir, dir: newDir(), runtime, anchor: repository.anchor };
    const opened = await openTufSource(options).open("acme/app", refuse);
    expect(opened.find("team/v2")?.hashes.sha256).toHaveLength(64);
  });

  it("has no URL of targets and takes no headers: it refuses them instead of passing over them", () => {
    for (const option of [{ targetsUrl: "https://tuf.example/targets/" }, { headers: { authorization: "Bearer x" } }]) {
      const open = (): TufSource => openTufSource({ location: "/srv/tuf", runtime, ...option });
      expect(open).toThrow(expect.objectContaining({ code: "USAGE" }));
    }
  });

  it("is not at an address of an unknown kind", () => {
    expect(() => openTufSource({ location: "ftp://x/", runtime })).toThrow(expect.objectContaining({ code: "USAGE" }));
  });
});

describe("a TUF repository on a web server", () => {
  it("is read with the headers that were given, which no other server gets to see", async () => {
    const repository = await honest();
    const { transport, requests } = fakeTransport(({ url }) => {
      const { host, pathname } = url;
      const file = pathname.slice("/metadata/".length);
      if (host === "tuf.example" && file === "timestamp.json") {
        return { status: 302, headers: { location: `https://cdn.example${pathname}` } };
      }
      const bytes = repository.files.get(file);
      return bytes === undefined ? { status: 404 } : { body: bytes };
    });
    const opened = openTufSource({
      location: "https://tuf.example/metadata/",
      targetsUrl: "https://files.example/",
      headers: { authorization: "Bearer secret" },
      dir: newDir(),
      runtime: { ...runtime, transport },
      anchor: repository.anchor,
    });
    expect((await opened.open("acme/app", refuse)).find("v1")).toBeDefined();
    const told = requests.map(({ url, headers }) => [url.host, headers["authorization"]]);
    expect(told).toContainEqual(["tuf.example", "Bearer secret"]);
    expect(told).toContainEqual(["cdn.example", undefined]);
    expect(told.filter(([host, secret]) => host === "cdn.example" && secret !== undefined)).toEqual([]);
  });

  it("has its targets where it is told, which must be an address too", () => {
    const open = (targetsUrl: string): TufSource =>
      openTufSource({ location: "https://tuf.example/metadata/", targetsUrl, runtime });
    expect(() => open("ftp://files.example/")).toThrow(expect.objectContaining({ code: "USAGE" }));
    expect(open("https://files.example/").location).toBe("https://tuf.example/metadata/");
  });
});

function write(path: string, bytes: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}
