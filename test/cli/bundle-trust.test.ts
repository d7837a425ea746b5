/** Modules from a registry, verified by the trust data in a bundle: `--trust bundle:FILE`. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { CliResult } from "../support/cli.ts";
import { startServed, type Served } from "../support/served.ts";
import { moduleBytes } from "../support/use-case.ts";
import { errorOf } from "../support/victim.ts";

let served: Served;
let inRegistry: string;
let onNotary: string;
let out: string;
const keys: Record<string, string> = {};
const BUNDLE = ["--trust", "bundle:all.tar"];

async function ok(...words: string[]): Promise<CliResult> {
  const result = await served.run(words);
  if (result.status !== 0) throw new Error(`${words.join(" ")}: ${result.status} ${result.stderr}`);
  return result;
}

async function json<T>(...words: string[]): Promise<T> {
  return JSON.parse((await ok(...words, "--format", "json")).stdout) as T;
}

async function refused(status: number, code: string, ...words: string[]): Promise<{ hint?: string; message: string }> {
  const result = await served.run([...words, "--format", "json"]);
  const error = errorOf(result);
  expect(error).toMatchObject({ code, exitStatus: status, hint: expect.stringMatching(/\w{3}/) });
  expect(result.status).toBe(status);
  expect(result.stdout).toBe("");
  return error;
}

/** A machine that has seen nothing, and knows one root key. */
const knowing = (reference: string, dir = "nobody"): string[] => ["--dir", dir, "--root-fingerprint", keys[reference]!];

beforeAll(async () => {
  served = await startServed();
  out = join(served.home, "out.wasm");
  await writeFile(join(served.home, "app.wasm"), moduleBytes("app"));
  await writeFile(join(served.home, "evil.wasm"), moduleBytes("evil"));
  const push = async (name: string, ...flags: string[]): Promise<string> => {
    const reference = `${served.registry}/${name}:v1`;
    const { stderr } = await ok("push", "app.wasm", reference, ...flags);
    keys[reference] = /fingerprint ([0-9a-f]{64})/.exec(stderr)![1]!;
    return reference;
  };
  onNotary = await push("team/notary", "--server", served.server);
  inRegistry = await push("team/oci", "--sign");
  await ok("bundle", "save", inRegistry, onNotary, "-o", "all.tar");
});
afterAll(async () => served.stop());
beforeEach(async () => rm(out, { force: true }));

interface Report {
  readonly trust: {
    readonly source: string;
    readonly location: string;
    readonly asOf: string;
    readonly freshUntil: string;
  };
  readonly notes: readonly { readonly code: string; readonly message: string }[];
}

describe("a module from the registry, with trust data from a bundle", () => {
  it("verifies by a root key alone, whatever kind of source the bundle was saved from, and says how fresh that is", async () => {
    for (const reference of [inRegistry, onNotary]) {
      const report = await json<Report>("pull", reference, "-o", out, ...BUNDLE, ...knowing(reference));
      expect(report).toMatchObject({ verified: "artifact", trust: { source: "bundle" } });
      expect(report.trust.location).toBe(`bundle:${join(served.home, "all.tar")}`);
      expect(Date.parse(report.trust.freshUntil)).toBeGreaterThan(Date.parse(report.trust.asOf));
      const { message } = report.notes.find(({ code }) => code === "stored-knowledge")!;
      expect(message).toContain(`as of ${report.trust.asOf}, fresh until ${report.trust.freshUntil}`);
      expect(new Uint8Array(await readFile(out))).toEqual(moduleBytes("app"));
      await rm(out);
      await ok("verify", "app.wasm", reference, ...BUNDLE, ...knowing(reference));
      const { stdout } = await ok("list", reference.replace(":v1", ""), ...BUNDLE, ...knowing(reference));
      expect(stdout).toMatch(/^v1 +signed /m);
      const explained = await ok("explain", reference, ...BUNDLE, ...knowing(reference));
      expect(explained.stdout).toContain("(bundle)");
      const compared = await ok("diff", reference, reference, ...BUNDLE, ...knowing(reference));
      for (const { stderr } of [explained, compared]) expect(stderr).toMatch(/as of 20.*, fresh until 20/);
    }
  });

  it("is nothing to remember: the next pull without it is as if it had not been", async () => {
    await ok("pull", inRegistry, "-o", out, ...BUNDLE, ...knowing(inRegistry, "forgetful"));
    const pins = await json<{ pins: unknown[] }>("trust", "pin", "--dir", "forgetful");
    expect(pins.pins).toEqual([]);
  });

  it("verifies a mirror, once a pin says which collection it has", async () => {
    const mirror = `${served.registry}/mirror/app`;
    await ok("copy", inRegistry, mirror, "--dir", "mirrorer");
    const pin = ["--trust", "oci:", "--collection", "team/oci", "--root-fingerprint", keys[inRegistry]!];
    await refused(11, "TRUST_NOT_FOUND", "pull", mirror, "-o", out, ...BUNDLE, ...knowing(inRegistry, "island"));
    expect(existsSync(out)).toBe(false);
    await ok("trust", "pin", mirror, ...pin, "--dir", "island");
    await ok("pull", `${mirror}:v1`, "-o", out, ...BUNDLE, "--dir", "island");
    expect(new Uint8Array(await readFile(out))).toEqual(moduleBytes("app"));
  });

  it("shows what roles there are and when they expire, and counts Notary's timestamp, which nobody renews there", async () => {
    for (const reference of [inRegistry, onNotary]) {
      const repository = reference.replace(":v1", "");
      const status = await json<{ source: string; roles: { role: string; expired: boolean }[] }>(
        "trust",
        "status",
        repository,
        ...BUNDLE,
        ...knowing(reference),
      );
      expect(status.source).toBe("bundle");
      expect(status.roles.map(({ role }) => role)).toEqual(expect.arrayContaining(["root", "timestamp", "targets"]));
      const shown = await json<{ source: string; targets: { name: string }[] }>(
        "trust",
        "show",
        repository,
        ...BUNDLE,
        ...knowing(reference),
      );
      expect(shown).toMatchObject({ source: "bundle", targets: [{ name: "v1" }] });
      const late = await served.run([
        "trust",
        "status",
        repository,
        "--fail-within",
        "30d",
        ...BUNDLE,
        ...knowing(reference),
      ]);
      expect([late.status, late.stderr]).toEqual([13, expect.stringMatching(/timestamp expires .*\n.*bundle/)]);
    }
  });
});

describe("a bundle as a trust source refuses", () => {
  it("to vouch for itself, and another root key than the one that is known", async () => {
    await refused(12, "FIRST_USE_REFUSED", "pull", inRegistry, "-o", out, ...BUNDLE, "--dir", "nobody");
    const wrong = ["--dir", "nobody", "--root-fingerprint", "ab".repeat(32)];
    await refused(12, "PIN_MISMATCH", "pull", inRegistry, "-o", out, ...BUNDLE, ...wrong);
    expect(existsSync(out)).toBe(false);
    await ok("pull", inRegistry, "-o", out, ...BUNDLE, ...knowing(inRegistry));
  });

  it("a tag that names something else than was signed when it was saved", async () => {
    const tag = `${served.registry}/team/oci:v1`;
    await ok("push", "evil.wasm", tag, "--dir", "intruder");
    await refused(10, "TAG_MISMATCH", "pull", inRegistry, "-o", out, ...BUNDLE, ...knowing(inRegistry));
    expect(existsSync(out)).toBe(false);
    await ok("push", "app.wasm", tag, "--dir", "intruder");
    await ok("pull", inRegistry, "-o", out, ...BUNDLE, ...knowing(inRegistry));
  });

  it("what is older than this machine has seen", async () => {
    await ok("push", "app.wasm", inRegistry.replace(":v1", ":v2"), "--sign");
    const seen = knowing(inRegistry, "seen-newer");
    await ok("pull", inRegistry, "-o", out, "--sign", ...seen);
    await rm(out);
    await refused(14, "METADATA_ROLLED_BACK", "pull", inRegistry, "-o", out, ...BUNDLE, ...seen);
    expect(existsSync(out)).toBe(false);
    await ok("pull", inRegistry, "-o", out, "--sign", ...seen);
  });

  it("where a policy wants fresher knowledge than a file can have", async () => {
    const entry = { pattern: `${served.registry}/team/{rest}`, freshness: { maxAge: "1h" } };
    await writeFile(join(served.home, "fresh.json"), JSON.stringify({ version: 1, entries: [entry] }));
    const words = ["pull", inRegistry, "-o", out, ...BUNDLE, ...knowing(inRegistry)];
    await refused(15, "POLICY_REFUSED", ...words, "--policy", "fresh.json");
    expect(existsSync(out)).toBe(false);
    await ok(...words);
  });

  it("to be what is no bundle", async () => {
    const words = ["pull", inRegistry, "-o", out, ...knowing(inRegistry), "--trust"];
    await refused(3, "FILE_NOT_FOUND", ...words, "bundle:nowhere.tar");
    await refused(7, "LAYOUT_INVALID", ...words, "bundle:app.wasm");
    expect(existsSync(out)).toBe(false);
    await ok(...words, "bundle:all.tar");
  });

  it.each([
    ["push", "app.wasm", "{}/team/new:v1"],
    ["sign", "{}/team/oci:v1"],
    ["lock", "{}/team/oci:v1"],
    ["copy", "{}/team/oci:v1", "{}/team/new"],
    ["bundle", "save", "{}/team/oci:v1"],
    ["policy", "push", "fresh.json", "{}/team/new:v1"],
    ["trust", "init", "{}/team/new"],
    ["trust", "pin", "{}/team/new"],
    ["trust", "refresh", "{}/team/oci"],
    ["import", "notary", "https://notary.example", "x/y"],
  ])("to be written to or remembered, before anything is done: %s %s", async (...words) => {
    const given = words.map((word) => word.replace("{}", served.registry));
    const { hint } = await refused(2, "USAGE", ...given, ...BUNDLE);
    expect(hint).toContain("bundle load");
    const made = await served.run(["list", `${served.registry}/team/new`]);
    expect([made.status, made.stdout]).toEqual([3, ""]);
    expect(existsSync(join(served.home, "wasm-to-oci.lock"))).toBe(false);
  });

  it("to stand in a policy or a pin, or beside a server", async () => {
    const entries = [{ pattern: `${served.registry}/team/{rest}`, sources: [{ trust: "bundle:all.tar" }] }];
    await writeFile(join(served.home, "bundled.json"), JSON.stringify({ version: 1, entries }));
    const words = ["pull", inRegistry, "-o", out, ...knowing(inRegistry)];
    await refused(7, "POLICY_INVALID", ...words, "--policy", "bundled.json");
    await refused(2, "USAGE", ...words, ...BUNDLE, "--server", served.server);
    expect(existsSync(out)).toBe(false);
    await ok(...words, ...BUNDLE);
  });
});
