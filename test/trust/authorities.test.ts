/** Who may sign a name: the order, what hides what, and roles that cannot be relied on. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nobleHasher } from "../../src/base/hasher.ts";
import { canonicalKeyId } from "../../src/keys/notary-key-id.ts";
import { memoryMetadataStore } from "../../src/notary/metadata-store.ts";
import { memoryTrustStateStore } from "../../src/notary/trust-state.ts";
import { memoryKeyStore } from "../../src/keys/key-store.ts";
import { openTufTrustDir } from "../../src/node/tuf-source.ts";
import type { Authority } from "../../src/trust/authorities.ts";
import { createNotarySource } from "../../src/trust/notary/source.ts";
import { createTufSource } from "../../src/trust/tuf/source.ts";
import type { TargetsRole } from "../../src/tuf/trusted-set.ts";
import { GUN, NOW as NOTARY_NOW, NotaryRepository, SERVER } from "../support/notary-repository.ts";
import { NOW, TufSimulator } from "../support/tuf-repository.ts";

const offline = () => Promise.reject(new Error("no network here"));

async function tufAuthorities(
  repository: TufSimulator,
  name: string,
  targetsRole?: TargetsRole,
): Promise<readonly Authority[]> {
  const source = createTufSource({
    repository: repository.repository,
    runtime: { transport: offline, createHasher: nobleHasher, now: () => NOW },
    trust: openTufTrustDir(mkdtempSync(join(tmpdir(), "authorities-"))),
    anchor: repository.anchor,
    targetsRole,
  });
  return (await source.open("acme/app", { firstUse: "refuse", names: [] })).authorities(name);
}

const short = ({ role, state, because }: Authority): string =>
  `${role}: ${state}${because === undefined ? "" : ` because of ${because}`}`;

describe("authorities of a TUF collection", () => {
  it("are the roles that cover the name, with their delegators, patterns, keys and thresholds", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "team", { paths: ["team/*", "other/*"] });
    await repository.delegate("targets", "elsewhere", { paths: ["elsewhere/*"] });
    await repository.delegate("team", "ada", { paths: ["team/v*"] });
    await repository.addTarget("ada", "team/v1", "one");
    await repository.publish("ada", "team", "elsewhere", "targets");
    const found = await tufAuthorities(repository, "team/v1");
    expect(found.map(short)).toEqual(["targets: silent", "team: silent", "ada: answers"]);
    const { key, signer } = repository.signers.get("ada")![0]!;
    expect(found[2]).toMatchObject({
      delegator: "team",
      paths: ["team/v*"],
      threshold: 1,
      keys: [
        {
          keyId: key.id,
          fingerprint: await signer.publicKey.fingerprint(),
          storedAs: await canonicalKeyId(signer.publicKey),
        },
      ],
    });
    expect(found[0]).toMatchObject({ delegator: undefined, paths: undefined });
  });

  it("begin with the role that the caller trusts instead, and its keys", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "mine");
    await repository.addTarget("mine", "v1", "one");
    await repository.publish("mine", "targets");
    const { key } = repository.signers.get("mine")![0]!;
    const role = { keyIds: [key.id], threshold: 1, extra: {} };
    const found = await tufAuthorities(repository, "v1", { name: "mine", role, keys: new Map([[key.id, key]]) });
    expect(found.map(short)).toEqual(["mine: answers"]);
    expect(found[0]!.keys.map(({ keyId }) => keyId)).toEqual([key.id]);
  });

  it("tell what is shadowed, though a search stops before it", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "first", { paths: ["*"] });
    await repository.delegate("targets", "second", { paths: ["*"] });
    await repository.addTarget("first", "v1", "one");
    const other = await repository.addTarget("second", "v1", "another");
    await repository.publish("first", "second", "targets");
    const found = await tufAuthorities(repository, "v1");
    expect(found.map(short)).toEqual(["targets: silent", "first: answers", "second: shadowed because of first"]);
    expect(found[2]!.signs).toBe(other.hashes["sha256"]);
  });

  it("tell who is never asked because a delegation before it ends the search", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "closed", { paths: ["*"], terminating: true });
    await repository.delegate("targets", "behind", { paths: ["*"] });
    await repository.addTarget("behind", "v1", "one");
    await repository.publish("closed", "behind", "targets");
    expect((await tufAuthorities(repository, "v1")).map(short)).toEqual([
      "targets: silent",
      "closed: silent",
      "behind: never-asked because of closed",
    ]);
  });

  it("tell a nested terminating delegation from what it cuts off on the level above", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "a", { paths: ["*"] });
    await repository.delegate("targets", "b", { paths: ["*"] });
    await repository.delegate("a", "a1", { paths: ["*"], terminating: true });
    await repository.publish("a1", "a", "b", "targets");
    expect((await tufAuthorities(repository, "v1")).map(short)).toEqual([
      "targets: silent",
      "a: silent",
      "a1: silent",
      "b: never-asked because of a1",
    ]);
  });

  it("name a role that cannot be had, behind which nobody is asked", async () => {
    const repository = await TufSimulator.create();
    await repository.delegate("targets", "first", { paths: ["*"] });
    await repository.delegate("targets", "second", { paths: ["*"] });
    await repository.addTarget("targets", "v1", "one");
    await repository.publish("first", "second", "targets");
    repository.files.delete("2.first.json");
    const found = await tufAuthorities(repository, "v1");
    expect(found.map(short)).toEqual([
      "targets: answers",
      "first: shadowed because of targets",
      "second: shadowed because of targets",
    ]);
    expect(found[1]!.fault).toContain("first");
    expect((await tufAuthorities(repository, "v2")).map(short)).toEqual([
      "targets: silent",
      "first: unusable",
      "second: shadowed because of first",
    ]);
  });

  it("end in circles and in bins", async () => {
    const circle = await TufSimulator.create();
    await circle.delegate("targets", "a", { paths: ["*"] });
    await circle.delegate("a", "b", { paths: ["*"] });
    await circle.delegate("b", "a", { paths: ["*"] });
    await circle.publish("a", "b", "targets");
    expect((await tufAuthorities(circle, "v1")).map(short)).toEqual(["targets: silent", "a: silent", "b: silent"]);
    const bins = await TufSimulator.create();
    await bins.delegateToBins("targets", 3, "bin");
    const names = [...bins.roles.keys()].filter((role) => role.startsWith("bin-"));
    await bins.publish(...names, "targets");
    const found = await tufAuthorities(bins, "v1");
    expect(found.map(({ role }) => role.replace(/-.*/, ""))).toEqual(["targets", "bin"]);
    expect(found[1]).toMatchObject({ terminating: true, paths: undefined });
    expect(bins.requests.filter((file) => file.includes("bin-"))).toHaveLength(1);
  });
});

describe("authorities of a Notary collection", () => {
  async function notaryAuthorities(repository: NotaryRepository, name: string): Promise<readonly Authority[]> {
    const source = createNotarySource({
      server: SERVER,
      runtime: { transport: repository.transport, createHasher: nobleHasher, now: () => NOTARY_NOW },
      metadata: memoryMetadataStore(),
      trust: memoryTrustStateStore(),
      keyStore: memoryKeyStore(),
      keyLocation: "memory",
      passphrases: async () => "correct horse",
    });
    return (await source.open(GUN, { firstUse: "accept" })).authorities(name);
  }

  it("follow the order in which docker reads, and name those that it passes over", async () => {
    const repository = await NotaryRepository.create();
    await repository.delegate("targets/releases");
    await repository.delegate("targets/qa", ["v"]);
    await repository.delegate("targets/docs", ["docs/"]);
    await repository.addTarget("v1", "one", "targets/releases");
    await repository.addTarget("v1", "another");
    await repository.publish();
    const found = await notaryAuthorities(repository, "v1");
    expect(found.map(short)).toEqual([
      "targets/releases: answers",
      "targets: shadowed because of targets/releases",
      "targets/qa: never-asked",
    ]);
    expect(found[0]).toMatchObject({ delegator: "targets", paths: [""], threshold: 1 });
    expect(found[0]!.keys[0]!.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(found[1]).toMatchObject({ delegator: undefined, paths: undefined });
    expect(found[1]!.keys).toHaveLength(1);
    expect(found[1]!.signs).toMatch(/^[0-9a-f]{64}$/);
    expect(found[2]).toMatchObject({ paths: ["v"] });
  });
});
