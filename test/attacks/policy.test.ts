/** What a policy demands is demanded: by whatever flags, with whatever the servers say, and never by a policy that cannot be read. */
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/base/errors.ts";
import { moduleBytes } from "../support/use-case.ts";
import { errorOf, type ErrorReport } from "../support/victim.ts";
import { HONEST_MODULE, MANIFEST_TYPE, NAME, OUTPUT, SignedApp } from "../support/signed-app.ts";

/** Notary's own statement that it has no such thing. */
const NOT_THERE = JSON.stringify({ errors: [{ code: "METADATA_NOT_FOUND", message: "not there", detail: null }] });

const STRANGER = "00".repeat(32);

let app: SignedApp;
let key: string;

beforeAll(async () => {
  app = await SignedApp.start();
  key = await app.collection.roles.get("root")!.keys[0]!.signer.publicKey.fingerprint();
});
afterAll(() => app.stop());
beforeEach(() => app.reset());

const file = (): string => join(app.victim.dir, "policy.json");
const sources = () => [{ server: app.trust.url }];

/** The victim's policy for the application, and perhaps for others. */
async function policy(members: Record<string, unknown>, ...others: Record<string, unknown>[]): Promise<void> {
  const entries = [{ pattern: `${app.registry.host}/${NAME}`, sources: sources(), ...members }, ...others];
  await writeFile(file(), JSON.stringify({ version: 1, entries }));
}

const refused = (code: ErrorCode, status: number, words = app.pullWords()) => app.victim.refused(words, code, status);

/** By a rule, once the collection has been verified: that it was may be remembered. */
const refusedByRule = (words = app.pullWords()) =>
  app.victim.refused(words, "POLICY_REFUSED", 15, { mayAdvance: true });

async function delivered(): Promise<Uint8Array> {
  return new Uint8Array(await readFile(join(app.victim.work, OUTPUT)));
}

/** Somebody who knows the policy and nothing else. */
async function newcomer(): Promise<void> {
  const text = await readFile(file());
  await app.victim.forget();
  await mkdir(app.victim.dir, { recursive: true });
  await writeFile(file(), text);
}

describe("root keys of a policy", () => {
  it("decide for somebody who has never heard of the collection", async () => {
    await policy({ roots: { fingerprints: [key] } });
    await newcomer();
    await app.victim.succeed(app.pullWords());
    expect(await delivered()).toEqual(HONEST_MODULE);
    await policy({ roots: { fingerprints: [STRANGER] } });
    await newcomer();
    await refused("PIN_MISMATCH", 12);
    await policy({ roots: { fingerprints: [key, STRANGER], threshold: 2 } });
    await refused("PIN_MISMATCH", 12);
  });

  it("are not replaced by those that a flag names", async () => {
    await policy({ roots: { fingerprints: [STRANGER] } });
    await newcomer();
    await refused("PIN_MISMATCH", 12, app.pullWords("v1", "--root-fingerprint", key));
    await policy({ roots: { fingerprints: [key] } });
    await refused("PIN_MISMATCH", 12, app.pullWords("v1", "--root-fingerprint", STRANGER));
    await app.victim.succeed(app.pullWords("v1", "--root-fingerprint", key));
  });

  it("of a pin are not replaced by those that a flag names, either", async () => {
    const words = ["trust", "pin", `${app.registry.host}/${NAME}`, "--server", app.trust.url, "--offline"];
    await app.victim.forget();
    await app.victim.succeed([...words, "--root-fingerprint", STRANGER]);
    await refused("PIN_MISMATCH", 12, app.pullWords("v1", "--root-fingerprint", key));
    await app.victim.succeed([...words, "--root-fingerprint", key]);
    await app.victim.succeed(app.pullWords("v1", "--root-fingerprint", key));
  });

  it("may come from a root file beside the policy", async () => {
    const root = join(app.victim.dir, "acme.root.json");
    await policy({ roots: { file: "acme.root.json" } });
    await refused("FILE_NOT_FOUND", 3);
    await writeFile(root, "{}");
    await refused("METADATA_INVALID", 7);
    await writeFile(root, app.collection.files.get("root.json")!);
    await app.victim.succeed(app.pullWords());
  });
});

describe("flags", () => {
  it.each([
    ["another collection", ["--collection", "somebody/else"]],
    ["older trust data", ["--offline"]],
  ])("cannot ask for %s than the policy says", async (_what, flags) => {
    await policy({ collection: `${app.registry.host}/${NAME}`, freshness: "online", roots: { fingerprints: [key] } });
    await refused("POLICY_REFUSED", 15, app.pullWords("v1", ...flags));
    await app.victim.succeed(app.pullWords());
  });

  it("cannot name another place where the place is all that the policy knows", async () => {
    await app.victim.forget();
    await mkdir(app.victim.dir, { recursive: true });
    await policy({ firstUse: "accept" });
    await refused("POLICY_REFUSED", 15, app.pullWords("v1", "--server", "https://127.0.0.1:1"));
    await refused("POLICY_REFUSED", 15, app.pullWords("v1", "--trust", "oci:", "--root-fingerprint", STRANGER));
    await app.victim.succeed(app.pullWords());
  });

  it("cannot make a first use of what the policy wants known", async () => {
    await policy({});
    await newcomer();
    await refused("FIRST_USE_REFUSED", 12, app.pullWords("v1", "--server", app.trust.url));
  });
});

describe("rules of a policy", () => {
  it("want the role that they name, and deliver what it signed", async () => {
    await policy({ roles: ["targets/releases"] });
    const report = await refusedByRule();
    expect(report.details).toMatchObject({ rule: "roles", got: "targets", policy: `${file()}:1` });
    await app.victim.succeed(app.pullWords("r1"));
    expect(await delivered()).toEqual(new Uint8Array(moduleBytes("one of the releases")));
  });

  it.each([
    ["kinds", { wasm: { kinds: ["component"] } }],
    ["maxSize", { wasm: { maxSize: 8 } }],
    ["formats", { formats: ["cncf-wasm-v0"] }],
  ])("refuse by %s, and no file appears", async (rule, members) => {
    await policy(members);
    expect((await refusedByRule()).details["rule"]).toBe(rule);
    await policy({});
    await app.victim.succeed(app.pullWords());
  });

  it("want the artifact signed, where a target signs the module alone", async () => {
    await policy({ verified: "artifact" });
    expect((await refusedByRule(app.pullWords("v0"))).details["rule"]).toBe("verified");
    await app.victim.succeed(app.pullWords("v1"));
  });
});

describe("missing trust data under a policy that accepts it", () => {
  const other = (): string => `${app.registry.host}/team/other:v1`;
  const pullOther = (): string[] => ["pull", other(), "-o", OUTPUT, "--timeout", "1s"];

  beforeEach(async () => {
    app.trust.setFault(({ path }) => (path.includes("/team/other/") ? { status: 404, body: NOT_THERE } : undefined));
    const bytes = moduleBytes("unsigned");
    const manifest = app.manifestOf(bytes);
    for (const blob of [bytes, Buffer.from("{}")]) app.registry.addBlob("team/other", blob);
    app.registry.addManifest("team/other", manifest, MANIFEST_TYPE, "v1");
    await policy(
      { missing: "accept" },
      { pattern: `${app.registry.host}/{rest}`, sources: sources(), missing: "warn" },
    );
  });

  it("is delivered with a warning, and the report says that nothing was verified", async () => {
    const { stderr } = await app.victim.succeed(pullOther());
    expect(stderr).toContain("warning: ");
    expect(stderr).toContain("delivered unverified");
    const { stdout } = await app.victim.succeed([...pullOther(), "--format", "json"]);
    expect(JSON.parse(stdout)).toMatchObject({ verified: "none", notes: [{ code: "unverified" }] });
  });

  it("is a refusal where the server only fails to answer", async () => {
    app.trust.setFault(() => ({ status: 503 }));
    const report = await app.victim.refused(pullOther(), "TRUST_UNAVAILABLE", 5);
    expect(report.kind).toBe("network");
  });

  it("is a refusal where a flag asks for verification", async () => {
    const report = await app.victim.refused([...pullOther(), "--server", app.trust.url], "TRUST_NOT_FOUND", 11);
    expect(report.kind).toBe("unsigned");
  });

  it("is a refusal where the collection was seen before: hiding it is no way around it", async () => {
    app.trust.setFault(() => ({ status: 404, body: NOT_THERE }));
    await refused("TRUST_WITHHELD", 12);
    app.trust.setFault(undefined);
    await app.victim.succeed(app.pullWords());
  });
});

describe("a policy that cannot be used is never no policy", () => {
  const cases: [string, () => Promise<unknown>, ErrorCode, number][] = [
    ["is no JSON", () => writeFile(file(), "{"), "JSON_INVALID", 7],
    ["is empty", () => writeFile(file(), ""), "JSON_INVALID", 7],
    ["has a member twice", () => writeFile(file(), '{"version":1,"entries":[],"entries":[]}'), "JSON_INVALID", 7],
    ["has an unknown rule", () => policy({ deny: ["wasi:sockets/*"] }), "POLICY_INVALID", 7],
    ["has a misspelled rule", () => policy({ Missing: "reject" }), "POLICY_INVALID", 7],
    ["is of a later version", () => writeFile(file(), '{"version":2,"entries":[]}'), "POLICY_INVALID", 7],
    ["has one pattern twice", () => policy({}, { pattern: `${app.registry.host}/${NAME}` }), "POLICY_INVALID", 7],
    [
      "has two that tie",
      () => policy({}, { pattern: "ghcr.io/*/x" }, { pattern: "ghcr.io/y/*" }),
      "POLICY_AMBIGUOUS",
      7,
    ],
    ["is a directory", () => mkdir(file()), "STATE_INVALID", 6],
    ["is a link to nothing", () => symlink("nowhere.json", file()), "STATE_INVALID", 6],
    ["is larger than any honest one", () => writeFile(file(), " ".repeat(5_000_000)), "STATE_INVALID", 6],
  ];

  it.each(cases)("where it %s", async (_what, make, code, status) => {
    await make();
    await refused(code, status);
    await refused(code, status, ["pull", "127.0.0.1:1/not/covered:v1", "-o", OUTPUT]);
    await rm(file(), { recursive: true });
    await app.victim.succeed(app.pullWords());
  });

  it("where a flag or the environment names one that is not there", async () => {
    await refused("FILE_NOT_FOUND", 3, app.pullWords("v1", "--policy", "nowhere.json"));
    await app.victim.refused(app.pullWords(), "FILE_NOT_FOUND", 3, { env: { WASM_TO_OCI_POLICY: "nowhere.json" } });
    await app.victim.succeed(app.pullWords());
  });
});

describe("a policy that is fetched", () => {
  const place = (): string => `${app.registry.host}/team/policy:v1`;
  const publisher = (): string => join(app.victim.work, "..", "publisher");

  /** Publishes what all machines shall follow. Gives the fingerprint of its root key. */
  async function publish(members: Record<string, unknown>): Promise<string> {
    const path = join(app.victim.home, "published.json");
    const entries = [{ pattern: `${app.registry.host}/${NAME}`, sources: sources(), ...members }];
    await writeFile(path, JSON.stringify({ version: 1, entries }));
    const words = ["policy", "push", path, place(), "--dir", publisher(), "--format", "json"];
    const { stdout } = await app.victim.succeed(words);
    return (JSON.parse(stdout) as { signed: { rootKeys: { fingerprint: string }[] } }).signed.rootKeys[0]!.fingerprint;
  }

  /** What each machine has instead of a policy. */
  const follow = (root: string): Promise<void> =>
    writeFile(file(), JSON.stringify({ version: 1, policy: { reference: place(), roots: { fingerprints: [root] } } }));

  let root: string;
  beforeEach(async () => {
    await rm(publisher(), { recursive: true, force: true });
    root = await publish({ wasm: { kinds: ["component"] } });
    await follow(root);
  });

  it("is followed, and so is the next one", async () => {
    const report = await refusedByPolicy();
    expect(report.details["policy"]).toMatch(/\/team\/policy:v1@sha256:[0-9a-f]{64}:1$/);
    await publish({ wasm: { kinds: ["module"] } });
    await app.victim.succeed(app.pullWords());
    expect(await delivered()).toEqual(HONEST_MODULE);
  });

  it("does not go back to an older one", async () => {
    const older = new Map(app.registry.manifests);
    await publish({ wasm: { kinds: ["module"], maxSize: 8 } });
    await refusedByPolicy();
    for (const [name, manifest] of older) app.registry.manifests.set(name, manifest);
    expect((await failsWith("METADATA_ROLLED_BACK", 14)).kind).toBe("rolled-back");
  });

  it("is not left out where its trust data is hidden, or the registry is down", async () => {
    await refusedByPolicy();
    const kept = new Map(app.registry.manifests);
    for (const name of kept.keys()) if (name.startsWith("team/policy")) app.registry.manifests.delete(name);
    await failsWith("TRUST_WITHHELD", 12);
    for (const [name, manifest] of kept) app.registry.manifests.set(name, manifest);
    app.registry.setFault(({ path }) => (path.includes("/team/policy/") ? { status: 503 } : undefined));
    expect((await failsWith("REGISTRY_UNAVAILABLE", 5)).kind).toBe("network");
  });

  it("is not taken from somebody else", async () => {
    await follow(STRANGER);
    expect((await failsWith("PIN_MISMATCH", 12)).details["collection"]).toBe("team/policy");
  });

  /** The state of the policy's own collection may advance with each look at it. */
  async function failsWith(code: ErrorCode, status: number): Promise<ErrorReport> {
    const result = await app.victim.run([...app.pullWords(), "--format", "json"]);
    expect(errorOf(result)).toMatchObject({ code, exitStatus: status });
    expect(result).toMatchObject({ status, stdout: "" });
    await expect(delivered()).rejects.toThrow("ENOENT");
    const isOfPolicy = code !== "POLICY_REFUSED"; // whose trust data it is, people must be able to tell
    expect(result.stderr.includes(`the policy ${place()} that governs this run`)).toBe(isOfPolicy);
    return errorOf(result);
  }
  const refusedByPolicy = (): Promise<ErrorReport> => failsWith("POLICY_REFUSED", 15);
});

describe("policy test and policy explain", () => {
  it("show what a policy says in text that a terminal cannot be driven by", async () => {
    await policy({ comment: "red \u009b31m \u202etxt", roots: { fingerprints: [key] } });
    const { stdout } = await app.victim.succeed(["policy", "explain", app.reference()]);
    expect(stdout).toContain("Comment: red ");
    expect(stdout).toContain(`(${file()}:1)`);
    const { stdout: json } = await app.victim.succeed(["policy", "explain", app.reference(), "--format", "json"]);
    expect(JSON.parse(json)).toMatchObject({
      policy: file(),
      entry: { pattern: `${app.registry.host}/${NAME}`, origin: `${file()}:1` },
      demands: { reason: "policy", source: { kind: "notary", location: app.trust.url }, rules: { missing: "reject" } },
    });
  });

  it("end with a status of their own where a test fails, after saying which", async () => {
    await policy({});
    const { victim } = app;
    expect((await victim.succeed(["policy", "test", `${app.reference()}=verify`, "hello=uncovered"])).stdout).toMatch(
      /^RESULT/,
    );
    const failed = await victim.run(["policy", "test", `${app.reference()}=uncovered`, "--format", "json"]);
    expect(failed.status).toBe(1);
    expect(JSON.parse(failed.stdout)).toMatchObject({ failed: 1, results: [{ passed: false, outcome: "verify" }] });
    expect(failed.stderr).toContain("POLICY_TEST_FAILED");
  });

  it("hold a real module against the rules", async () => {
    await writeFile(join(app.victim.work, "app.wasm"), moduleBytes("one"));
    const words = ["policy", "test", "--module", "app.wasm"];
    await policy({ wasm: { kinds: ["component"] } });
    const { stdout } = await app.victim.succeed([...words, `${app.reference()}=refuse`]);
    expect(stdout).toContain("ok");
    await policy({ wasm: { kinds: ["module"], imports: { allow: [] } } });
    await app.victim.succeed([...words, `${app.reference()}=verify`]);
  });

  it("refuse what they cannot understand", async () => {
    await app.victim.refused(["policy", "test"], "USAGE", 2);
    await policy({ roots: { file: "nowhere.json" } });
    await app.victim.refused(["policy", "test"], "FILE_NOT_FOUND", 3);
    await policy({});
    await app.victim.refused(["policy", "test", app.reference()], "USAGE", 2);
    const report = await app.victim.refused(["policy", "test", `${app.reference()}=maybe`], "USAGE", 2);
    expect(report.message).toContain("verify, refuse, uncovered");
  });
});
