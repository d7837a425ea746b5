import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { TransportError } from "../../src/base/errors.ts";
import { openPolicyFile, openPolicyIfThere } from "../../src/node/policy-file.ts";
import { runPolicyTest } from "../../src/trust/policy/tests.ts";
import { NotaryRepository } from "../support/notary-repository.ts";
import { TufSimulator } from "../support/tuf-repository.ts";

let dir: string;
let path: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "policy-"));
  path = join(dir, "policy.json");
});
afterEach(() => rm(dir, { recursive: true }));

const write = (...entries: Record<string, unknown>[]): Promise<void> =>
  writeFile(path, JSON.stringify({ version: 1, entries }));

describe("a policy in a file", () => {
  it("is applied to repositories, with its places relative to where it lies", async () => {
    await write({ pattern: "ghcr.io/acme/{rest}", sources: [{ trust: "../repository" }] });
    const policy = await openPolicyFile(path);
    const applied = await policy.apply("ghcr.io/acme/team/app");
    expect(applied).toMatchObject({ rest: "team/app", roots: undefined });
    expect(applied?.entry.sources).toEqual([{ kind: "tuf", location: join(dir, "..", "repository") }]);
    expect(await policy.apply("quay.io/acme/app")).toBeUndefined();
  });

  it("is none only where there is no such file, and then only if it was not named", async () => {
    expect(await openPolicyIfThere(path)).toBeUndefined();
    expect(await openPolicyIfThere(join(dir, "no", "such", "folder", "policy.json"))).toBeUndefined();
    await expect(openPolicyFile(path)).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ["a directory", () => mkdir(path), "STATE_INVALID"],
    ["a link to nothing", () => symlink("nowhere", path), "STATE_INVALID"],
    ["a link to itself", () => symlink("policy.json", path), "OUTPUT_REFUSED"],
    ["too large", () => writeFile(path, " ".repeat(4 * 1024 * 1024 + 1)), "STATE_INVALID"],
    ["no text", () => writeFile(path, Uint8Array.of(0xff, 0xfe)), "JSON_INVALID"],
    ["empty", () => writeFile(path, ""), "JSON_INVALID"],
  ])("is an error, not none, where it is %s", async (_what, make, code) => {
    await make();
    await expect(openPolicyIfThere(path)).rejects.toMatchObject({ code });
    await rm(path, { recursive: true });
    await write();
    await expect(openPolicyIfThere(path)).resolves.toBeDefined();
  });

  it("is an error where its folder is a file", async () => {
    await writeFile(path, "x");
    await expect(openPolicyIfThere(join(path, "policy.json"))).rejects.toThrow(/policy/);
  });
});

describe("a file that says where the policy is", () => {
  const KEY = "5d".repeat(32);
  const pointer = { reference: "ghcr.io/acme/policy:v1", roots: { fingerprints: [KEY] } };
  const digest = `sha256:${"ab".repeat(32)}` as const;
  const fetched = (text: string) => async () => ({ bytes: utf8Encode(text), digest });

  beforeEach(() => writeFile(path, JSON.stringify({ version: 1, policy: pointer })));

  it("stands for the policy that is fetched, by the keys that it names", async () => {
    const asked: unknown[] = [];
    const policy = await openPolicyFile(path, async (reference, { roots }) => {
      asked.push(reference, roots);
      return { bytes: utf8Encode('{"version":1,"entries":[{"pattern":"{rest}"}]}'), digest };
    });
    expect(asked).toEqual(["ghcr.io/acme/policy:v1", { fingerprints: [KEY], threshold: 1 }]);
    expect((await policy.apply("ghcr.io/a/b"))?.entry.origin).toBe(`ghcr.io/acme/policy:v1@${digest}:1`);
  });

  it("is no policy by itself", async () => {
    await expect(openPolicyFile(path)).rejects.toMatchObject({ code: "USAGE" });
    const down = async () => Promise.reject(new TransportError("NETWORK", "no route"));
    await expect(openPolicyIfThere(path, down)).rejects.toMatchObject({ code: "NETWORK" });
  });

  it.each([
    ["another pointer", JSON.stringify({ version: 1, policy: pointer }), "POLICY_INVALID"],
    ["a folder", '{"version":1,"entries":[{"pattern":"{rest}","sources":[{"trust":"/etc"}]}]}', "POLICY_INVALID"],
    ["no policy", "{}", "POLICY_INVALID"],
    ["nothing", "", "JSON_INVALID"],
  ])("refuses to be led to %s", async (_what, text, code) => {
    await expect(openPolicyFile(path, fetched(text))).rejects.toMatchObject({ code });
  });

  it("refuses root files that a fetched policy names: they would be this machine's", async () => {
    const text = '{"version":1,"entries":[{"pattern":"{rest}","roots":{"file":"/etc/passwd"}}]}';
    const policy = await openPolicyFile(path, fetched(text));
    await expect(policy.apply("ghcr.io/a/b")).rejects.toMatchObject({ code: "POLICY_INVALID" });
    await expect(policy.readRootFiles()).rejects.toMatchObject({ code: "POLICY_INVALID" });
  });
});

describe("docs/concepts/policy.md", () => {
  it("shows a policy that can be used, and whose tests pass", async () => {
    const page = await readFile(new URL("../../docs/concepts/policy.md", import.meta.url), "utf8");
    await writeFile(path, /^```json\n(.*?)^```$/ms.exec(page)![1]!);
    const { index } = await openPolicyFile(path);
    expect(index.policy.tests.map((test) => runPolicyTest(index, test).passed)).toEqual([true]);
  });
});

describe("a root file of a policy", () => {
  const pinned = async (): Promise<unknown> => (await (await openPolicyFile(path)).apply("ghcr.io/a/b"))?.roots;

  beforeEach(() => write({ pattern: "ghcr.io/a/b", roots: { file: "root.json" } }));

  it("stands for its keys and its threshold, for TUF", async () => {
    const repository = await TufSimulator.create();
    await writeFile(join(dir, "root.json"), repository.anchor);
    const fingerprint = await repository.signers.get("root")![0]!.signer.publicKey.fingerprint();
    expect(await pinned()).toEqual({ fingerprints: [fingerprint] });
  });

  it("stands for its keys and its threshold, for Notary", async () => {
    const repository = await NotaryRepository.create();
    await writeFile(join(dir, "root.json"), repository.files.get("root.json")!);
    const fingerprint = await repository.roles.get("root")!.keys[0]!.signer.publicKey.fingerprint();
    expect(await pinned()).toEqual({ fingerprints: [fingerprint], threshold: 1 });
  });

  it("is refused where it was changed since it was signed", async () => {
    const { anchor } = await TufSimulator.create();
    const changed = new TextDecoder().decode(anchor).replace(/"version":\s*1\b/, '"version": 2');
    await writeFile(join(dir, "root.json"), changed);
    await expect(pinned()).rejects.toMatchObject({ code: "SIGNATURE_THRESHOLD" });
  });

  it.each([
    ["missing", undefined, "FILE_NOT_FOUND"],
    ["no metadata", "{}", "METADATA_INVALID"],
    ["no JSON", "root", "JSON_INVALID"],
  ])("is refused where it is %s, when it is needed and by a test of the policy", async (_what, content, code) => {
    if (content !== undefined) await writeFile(join(dir, "root.json"), content);
    await expect(pinned()).rejects.toMatchObject({ code });
    const policy = await openPolicyFile(path);
    await expect(policy.readRootFiles()).rejects.toMatchObject({ code });
    expect(await policy.apply("ghcr.io/not/covered")).toBeUndefined();
  });
});
