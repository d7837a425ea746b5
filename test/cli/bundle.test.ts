/** Bundles and copies as users run them: every kind of trust source, the answers in JSON, and what is refused. */
import { readFile, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CliResult } from "../support/cli.ts";
import { startServed, type Served } from "../support/served.ts";
import { moduleBytes } from "../support/use-case.ts";
import { errorOf } from "../support/victim.ts";

let served: Served;
let inRegistry: string;
let onNotary: string;
let inFolder: string;
const keys: Record<string, string> = {};

async function ok(...words: string[]): Promise<CliResult> {
  const result = await served.run(words);
  if (result.status !== 0) throw new Error(`${words.join(" ")}: ${result.status} ${result.stderr}`);
  return result;
}

async function json<T>(...words: string[]): Promise<T> {
  return JSON.parse((await ok(...words, "--format", "json")).stdout) as T;
}

async function refused(status: number, code: string, ...words: string[]): Promise<void> {
  const result = await served.run([...words, "--format", "json"]);
  expect(errorOf(result)).toMatchObject({ code, exitStatus: status, hint: expect.stringMatching(/\w{3}/) });
  expect(result.status).toBe(status);
  expect(result.stdout).toBe("");
}

interface Verified {
  readonly freshness: { readonly asOf: string; readonly freshUntil: string; readonly online: boolean };
  readonly policy: string | null;
  readonly modules: readonly {
    readonly reference: string;
    readonly verified: string;
    readonly trust: { readonly source: string; readonly collection: string };
  }[];
}

beforeAll(async () => {
  served = await startServed();
  await writeFile(join(served.home, "app.wasm"), moduleBytes("app"));
  const push = async (name: string, ...flags: string[]): Promise<string> => {
    const reference = `${served.registry}/${name}:v1`;
    const { stderr } = await ok("push", "app.wasm", reference, ...flags);
    keys[reference] = /fingerprint ([0-9a-f]{64})/.exec(stderr)![1]!;
    return reference;
  };
  onNotary = await push("team/notary", "--server", served.server); // first: its root key may be used for the others
  inRegistry = await push("team/oci", "--sign");
  inFolder = await push("team/tuf", "--trust", "tuf-repository");
  await ok("bundle", "save", inRegistry, onNotary, inFolder, "-o", "all.tar");
});
afterAll(async () => served.stop());

const nobody = ["--dir", "nobody"];

describe("a bundle of modules whose trust data is in a registry, on a Notary server and in a TUF repository", () => {
  it("is verified offline by root keys alone, each as what it is, and says how fresh that is", async () => {
    for (const reference of [inRegistry, onNotary, inFolder]) {
      const report = await json<Verified>(
        ...nobody,
        "bundle",
        "verify",
        "all.tar",
        reference,
        "--root-fingerprint",
        keys[reference]!,
      );
      const host = reference === onNotary ? `${served.registry}/` : "";
      const collection = `${host}${reference.slice(served.registry.length + 1, -3)}`;
      expect(report.modules).toMatchObject([
        { reference, verified: "artifact", trust: { source: "bundle", collection } },
      ]);
      expect(report.freshness.online).toBe(false);
      expect(Date.parse(report.freshness.freshUntil)).toBeGreaterThan(Date.parse(report.freshness.asOf));
    }
  });

  it("is verified by the pins of the publisher's machine, as a whole", async () => {
    const result = await ok("bundle", "verify", "all.tar");
    expect(result.stderr).toMatch(/As of 20.*, fresh until 20/);
    expect(result.stdout.match(/artifact/g)).toHaveLength(3);
  });

  it("has the same bytes when it is saved again", async () => {
    await ok("bundle", "save", inRegistry, onNotary, inFolder, "-o", "again.tar");
    const [first, again] = await Promise.all(["all.tar", "again.tar"].map((name) => readFile(join(served.home, name))));
    expect(first!.equals(again!)).toBe(true);
  });

  it("gives a module out verified, and no file where it is not", async () => {
    const out = join(served.home, "taken.wasm");
    await refused(12, "FIRST_USE_REFUSED", ...nobody, "bundle", "extract", "all.tar", inRegistry, "-o", out);
    await refused(
      12,
      "PIN_MISMATCH",
      ...nobody,
      "bundle",
      "extract",
      "all.tar",
      onNotary,
      "-o",
      out,
      "--root-fingerprint",
      "ab".repeat(32),
    );
    await refused(
      13,
      "METADATA_EXPIRED",
      ...nobody,
      "bundle",
      "extract",
      "all.tar",
      inFolder,
      "-o",
      out,
      "--root-fingerprint",
      keys[inFolder]!,
      "--as-of",
      "2099-01-01",
    );
    await refused(
      7,
      "MODULE_MISSING",
      ...nobody,
      "bundle",
      "extract",
      "all.tar",
      `${served.registry}/team/oci:v2`,
      "-o",
      out,
    );
    expect(existsSync(out)).toBe(false);
    await ok(...nobody, "bundle", "extract", "all.tar", inFolder, "-o", out, "--root-fingerprint", keys[inFolder]!);
    expect(new Uint8Array(await readFile(out))).toEqual(moduleBytes("app"));
  });

  it("is verified by a root file, and by no other one", async () => {
    const root = join(served.home, "tuf-repository", "metadata", "1.root.json");
    await ok(...nobody, "bundle", "verify", "all.tar", inFolder, "--root", root);
    await refused(
      12,
      "COLLECTION_MISMATCH",
      ...nobody,
      "bundle",
      "verify",
      "all.tar",
      inFolder,
      "--root",
      root,
      "--collection",
      "team/other",
    );
    await refused(2, "USAGE", ...nobody, "bundle", "verify", "all.tar", onNotary, "--root", root);
  });

  it("is loaded with the trust data that a registry can hold, and says what it cannot", async () => {
    const place = `${served.registry}/loaded/{rest}`;
    await refused(2, "USAGE", "bundle", "load", "all.tar", `${served.registry}/one/place`);
    const report = await json<{ modules: { trust: { change: string }; notes: { code: string }[] }[] }>(
      "bundle",
      "load",
      "all.tar",
      place,
    );
    expect(report.modules.map(({ trust }) => trust.change).toSorted()).toEqual(["copied", "copied", "elsewhere"]);
    for (const reference of [inRegistry, inFolder]) {
      const repository = reference.slice(served.registry.length + 1, -3);
      const there = `${served.registry}/loaded/${repository}`;
      await ok(
        "trust",
        "pin",
        there,
        "--trust",
        "oci:",
        "--collection",
        repository,
        "--root-fingerprint",
        keys[reference]!,
      );
      await ok("pull", `${there}:v1`, "-o", "loaded.wasm");
    }
  });

  it("of Notary's is refused where it is older than what was verified here", async () => {
    await ok("push", "app.wasm", onNotary.replace(":v1", ":v2"), "--server", served.server);
    await ok("bundle", "save", onNotary, "-o", "newer.tar");
    const words = [onNotary, "--root-fingerprint", keys[onNotary]!];
    const seen = ["--dir", "has-seen-newer"];
    await ok(...seen, "bundle", "verify", "newer.tar", ...words);
    await refused(14, "METADATA_ROLLED_BACK", ...seen, "bundle", "verify", "all.tar", ...words);
    await ok(...seen, "bundle", "verify", "newer.tar", ...words);
    await ok("--dir", "has-seen-nothing", "bundle", "verify", "all.tar", ...words);
  });

  it("carries a policy, which is strict and decides nothing by being there", async () => {
    await writeFile(join(served.home, "travel.json"), '{"version":1,"entries":[]}');
    await ok("bundle", "save", inRegistry, "-o", "policy.tar", "--include-policy", "travel.json");
    const report = await json<Verified>("bundle", "verify", "policy.tar");
    expect(report.policy).toMatch(/^sha256:[0-9a-f]{64}$/);
    await writeFile(join(served.home, "broken.json"), '{"version":1,"entries":[],"more":1}');
    await refused(
      7,
      "POLICY_INVALID",
      "bundle",
      "save",
      inRegistry,
      "-o",
      "none.tar",
      "--include-policy",
      "broken.json",
    );
    expect(existsSync(join(served.home, "none.tar"))).toBe(false);
  });

  it("is held to the policy of the machine that reads it", async () => {
    const rules = { version: 1, entries: [{ pattern: `${served.registry}/team/{rest}`, formats: ["wasm-to-oci"] }] };
    await writeFile(join(served.home, "strict.json"), JSON.stringify(rules));
    await refused(15, "POLICY_REFUSED", "bundle", "verify", "all.tar", inRegistry, "--policy", "strict.json");
    await ok("bundle", "verify", "all.tar", inRegistry);
  });
});

describe("copy", () => {
  it("between registries, folders and archives keeps module and trust data, and reports it in JSON", async () => {
    interface Copied {
      readonly tags: readonly { readonly verified: string }[];
      readonly trust: { readonly change: string; readonly verified: boolean };
    }
    const first = await json<Copied>("copy", inRegistry, "oci:layout");
    expect(first).toMatchObject({
      tags: [{ tag: "v1", verified: "artifact" }],
      trust: { change: "copied", verified: true },
    });
    const unverified = await json<Copied>("copy", "oci:layout:v1", "oci-archive:copied.tar");
    expect(unverified.trust).toMatchObject({ change: "copied", verified: false });
    const root = ["--collection", "team/oci", "--root-fingerprint", keys[inRegistry]!];
    const last = await json<Copied>("copy", "oci-archive:copied.tar:v1", `${served.registry}/last/oci`, ...root);
    expect(last).toMatchObject({ tags: [{ verified: "artifact" }], trust: { change: "copied", verified: true } });
    await ok("trust", "pin", `${served.registry}/last/oci`, "--trust", "oci:", ...root);
    await ok("pull", `${served.registry}/last/oci:v1`, "-o", "last.wasm");
    await refused(
      12,
      "PIN_MISMATCH",
      "copy",
      "oci:layout:v1",
      "oci:other",
      "--collection",
      "team/oci",
      "--root-fingerprint",
      "ab".repeat(32),
    );
  });

  it("that fails at once leaves no empty layout behind", async () => {
    const there = join(served.home, "new-layout");
    const wrong = ["--collection", "team/oci", "--root-fingerprint", "ab".repeat(32)];
    await refused(12, "PIN_MISMATCH", "copy", inRegistry, "oci:new-layout", "--dir", "nobody", "--sign", ...wrong);
    await refused(3, "REGISTRY_NOT_FOUND", "copy", inRegistry.replace(":v1", ":none"), "oci:new-layout", ...nobody);
    expect(existsSync(there)).toBe(false);
    await ok("copy", inRegistry, "oci:new-layout");
    expect(existsSync(join(there, "oci-layout"))).toBe(true);
  });

  it("makes nothing with --dry-run", async () => {
    await ok("copy", inRegistry, "oci-archive:dry.tar", "--dry-run");
    expect(existsSync(join(served.home, "dry.tar"))).toBe(false);
    await refused(3, "FILE_NOT_FOUND", "copy", inRegistry, "oci:dry", "--dry-run");
  });

  it("says of Notary's modules that their trust data stays where it is", async () => {
    const { stderr } = await ok("copy", onNotary, `${served.registry}/copied/notary`);
    expect(stderr).toContain(`the trust data is in ${served.server} and stays there`);
  });

  it.each([
    [2, "USAGE", ["copy", "a:v1", "b", "--all-tags"]],
    [2, "USAGE", ["copy", "a:v1", `b@sha256:${"ab".repeat(32)}`]],
    [2, "USAGE", ["copy", "oci:", "oci:x"]],
    [2, "USAGE", ["copy", "oci:x:a b", "oci:y"]],
    [2, "USAGE", ["copy", "oci:layout:v1", "oci:z", "--sign"]],
    [3, "FILE_NOT_FOUND", ["copy", "oci:nowhere:v1", "oci:y"]],
    [3, "FILE_NOT_FOUND", ["copy", "oci-archive:nowhere.tar:v1", "oci:y"]],
    [7, "LAYOUT_INVALID", ["copy", "oci-archive:app.wasm:v1", "oci:y"]],
  ] as const)("refuses with status %i and %s: %j", async (status, code, words) => {
    await refused(status, code, ...words);
  });
});
