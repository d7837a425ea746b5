/** Imports whose new root belongs to several people. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startServed, type Served } from "../support/served.ts";
import { moduleBytes } from "../support/use-case.ts";
import { errorOf } from "../support/victim.ts";

let served: Served;
let repository: string;
let old: string;

async function ok(...words: string[]): Promise<{ stdout: string; stderr: string }> {
  const { status, stdout, stderr } = await served.run(words);
  expect({ words, status, stderr }).toMatchObject({ status: 0 });
  return { stdout, stderr };
}

beforeAll(async () => {
  served = await startServed();
  repository = `${served.registry}/team/app`;
  await writeFile(join(served.home, "app.wasm"), moduleBytes("app"));
  const { stderr } = await ok("push", "app.wasm", `${repository}:v1`, "--server", served.server);
  old = /fingerprint ([0-9a-f]{64})/.exec(stderr)![1]!;
  await writeFile(join(served.home, "bob.pem"), (await ok("key", "generate", "--dir", "bob")).stdout);
}, 60_000);

afterAll(() => served.stop());

const importing = (...more: string[]): string[] => [
  "import",
  "notary",
  served.server,
  repository,
  "--trust",
  "new",
  ...more,
];

it.each([
  ["more signatures than keys", ["--key", "root=new", "--key", "root=new", "--threshold", "root=3"]],
  ["signatures of no named key", ["--threshold", "root=2"]],
  ["a key that others hold", ["--key", "root=new", "--key", "root=bob.pem"]],
  ["keys of another role", ["--key", "targets=new"]],
  ["a key that is not here", ["--key", "root=0123456789"]],
])("refuses %s, and makes nothing", async (_what, words) => {
  const keys = (await ok("key", "list")).stdout;
  const result = await served.run([...importing(...words), "--format", "json"]);
  const missing = words.includes("root=0123456789");
  expect([errorOf(result).code, result.status, result.stdout]).toEqual(
    missing ? ["KEY_MISSING", 4, ""] : ["USAGE", 2, ""],
  );
  expect((await ok("key", "list")).stdout).toBe(keys);
  const shown = await served.run(["trust", "show", repository, "--trust", "new"]);
  expect(shown.status).not.toBe(0);
});

it("takes the keys and the threshold that are named, pins them, and lets consumers of the old key follow", async () => {
  const consumer = ["--tlscacert", served.caFile, "--dir", "consumer"];
  await ok("trust", "pin", repository, "--server", served.server, "--root-fingerprint", old, ...consumer);
  const { id } = JSON.parse((await ok("key", "generate", "--format", "json")).stdout) as { id: string };
  const keys = ["--key", "root=new", "--key", "root=new", "--key", `root=${id.slice(0, 12)}`, "--threshold", "root=2"];
  const { stdout } = await ok(...importing(...keys), "--format", "json");
  const [made] = (JSON.parse(stdout) as { imports: { rootKeys: { fingerprint: string }[]; rootThreshold: number }[] })
    .imports;
  expect(made).toMatchObject({ rootThreshold: 2 });
  const fingerprints = made!.rootKeys.map(({ fingerprint }) => fingerprint);
  expect(new Set(fingerprints).size).toBe(3);
  const pins = async (dir: string): Promise<{ pin: { fingerprints: string[]; threshold: number } }[]> => {
    const text = await readFile(join(served.home, dir, "pins.json"), "utf8");
    return (JSON.parse(text) as { pins: [] }).pins;
  };
  expect((await pins(".wasm-to-oci"))[0]!.pin).toEqual({ fingerprints, threshold: 2 });

  await ok("trust", "pin", repository, "--update", "--trust", "new", "--dir", "consumer");
  const [followed] = await pins("consumer");
  expect(followed!.pin.threshold).toBe(2);
  expect(followed!.pin.fingerprints.toSorted()).toEqual(fingerprints.toSorted());
  await ok("pull", `${repository}:v1`, "-o", "app.out", "--dir", "consumer");
  expect(new Uint8Array(await readFile(join(served.home, "app.out")))).toEqual(moduleBytes("app"));
});
