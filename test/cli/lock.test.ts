/** Lockfiles, the cache and --offline, with the command line that users run. */
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CliResult } from "../support/cli.ts";
import { startServed, type Served } from "../support/served.ts";
import { moduleBytes } from "../support/use-case.ts";

let served: Served;
let app: string;
let other: string;

beforeAll(async () => {
  served = await startServed();
  app = `${served.registry}/team/app:v1`;
  other = `${served.registry}/team/other:v1`;
  for (const name of ["one", "two", "other"]) await writeFile(join(served.home, `${name}.wasm`), moduleBytes(name));
  for (const [name, reference] of [
    ["one", app],
    ["other", other],
  ] as const) {
    const { status, stderr } = await push(name, reference);
    if (status !== 0) throw new Error(stderr);
  }
});
afterAll(() => served.stop());

const push = (name: string, reference: string): Promise<CliResult> =>
  served.run(["push", `${name}.wasm`, reference, "--sign"]);

/** A machine that has seen nothing, with the project's files. */
async function freshHome(name: string): Promise<Readonly<Record<string, string>>> {
  const home = join(served.home, name);
  await mkdir(home, { recursive: true });
  return { HOME: home };
}

const read = async (...path: string[]): Promise<Uint8Array> =>
  new Uint8Array(await readFile(join(served.home, ...path)));
const exists = async (path: string): Promise<boolean> => (await readdir(served.home)).includes(path);

function errorOf({ stderr }: CliResult): { code: string; exitStatus: number } {
  const { error } = JSON.parse(stderr.trim().split("\n").at(-1)!) as { error: { code: string; exitStatus: number } };
  return error;
}

describe("a locked project", () => {
  it("is written by lock, in a file that does not change until something does", async () => {
    expect(await served.run(["lock", app, other])).toMatchObject({ status: 0 });
    const first = await read("wasm-to-oci.lock");
    const { status, stdout } = await served.run(["lock", "--format", "json"]);
    expect(status).toBe(0);
    const { modules } = JSON.parse(stdout) as { modules: { reference: string; change: string }[] };
    expect(modules.map(({ reference, change }) => [reference, change])).toEqual([
      [app, "unchanged"],
      [other, "unchanged"],
    ]);
    expect(await read("wasm-to-oci.lock")).toEqual(first);
    expect(await served.run(["lock", "--check"])).toMatchObject({ status: 0 });
  });

  it("may have a reference by digest alone, under whatever name that is signed", async () => {
    const locked = JSON.parse(new TextDecoder().decode(await read("wasm-to-oci.lock"))) as Record<
      string,
      { manifest: string }
    >;
    const named = `${served.registry}/team/app@${locked[app]!.manifest}`;
    expect(await served.run(["lock", named, "--lockfile", "digest.lock"])).toMatchObject({ status: 0 });
    const text = new TextDecoder().decode(await read("digest.lock"));
    expect(JSON.parse(text)).toMatchObject({ [named]: { target: "v1" } });
    const compared = await served.run(["diff", named, app, "--format", "json"]);
    expect(JSON.parse(compared.stdout)).toMatchObject({ same: true, old: { subject: named, from: "contract" } });
    expect(await served.run(["explain", named])).toMatchObject({ status: 0 });
    const words = ["pull", "--locked", "--lockfile", "digest.lock", "--output", "by-digest"];
    expect(await served.run(words, await freshHome("by-digest-home"))).toMatchObject({ status: 0 });
  });

  it("is pulled whole, by the keys in the lockfile, on a machine that has seen nothing", async () => {
    const env = await freshHome("ci");
    const result = await served.run(["pull", "--locked", "--output", "modules", "--format", "json"], env);
    expect(result.status).toBe(0);
    const { modules } = JSON.parse(result.stdout) as { modules: { verified: string; checks: { check: string }[] }[] };
    expect(modules.map(({ verified }) => verified)).toEqual(["artifact", "artifact"]);
    expect(modules[0]!.checks.map(({ check }) => check)).toContain("as-locked");
    const host = served.registry.replace(":", "_");
    expect(await read("modules", host, "team", "app", "v1.wasm")).toEqual(moduleBytes("one"));
    expect(await read("modules", host, "team", "other", "v1.wasm")).toEqual(moduleBytes("other"));
  });

  it("appears whole or not at all, and never through a link that leads elsewhere", async () => {
    const lockfile = (await read("wasm-to-oci.lock")).slice();
    const broken = new TextDecoder().decode(lockfile).replace(/("size": )\d+/, "$12"); // of the first entry only
    await writeFile(join(served.home, "broken.lock"), broken);
    const words = ["pull", "--frozen", "--format", "json", "--output", "half", "--lockfile", "broken.lock"];
    expect(errorOf(await served.run(words, await freshHome("half-home")))).toMatchObject({
      code: "LOCK_MISMATCH",
      exitStatus: 8,
    });
    expect(await exists("half")).toBe(false);

    await mkdir(join(served.home, "linked"));
    await mkdir(join(served.home, "elsewhere"));
    await symlink("../elsewhere", join(served.home, "linked", served.registry.replace(":", "_")));
    const refused = await served.run(["pull", "--locked", "--format", "json", "--output", "linked"]);
    expect(errorOf(refused).code).toBe("OUTPUT_REFUSED");
    expect(await readdir(join(served.home, "elsewhere"), { recursive: true })).toEqual([]);
  });

  it.each<[string, (text: string) => string, string, number]>([
    ["an unknown member", (text) => text.replace('"manifest"', '"weaken": true,\n    "manifest"'), "LOCK_INVALID", 7],
    ["conflicts of a merge", (text) => `<<<<<<< ours\n${text}=======\n${text}>>>>>>> theirs\n`, "LOCK_INVALID", 7],
    ["another module", (text) => text.replace(/("module": "sha256:)[0-9a-f]{8}/, "$100000000"), "LOCK_MISMATCH", 8],
    ["other root keys", (text) => text.replace(/("rootKeys": \[\s*")[0-9a-f]{8}/, "$100000000"), "PIN_MISMATCH", 12],
    ["higher versions", (text) => text.replaceAll(/("timestamp": )\d+/g, "$1900"), "METADATA_ROLLED_BACK", 14],
    ["no entry for it", (text) => text.replaceAll("/team/app:", "/team/gone:"), "LOCK_MISSING", 3],
  ])("with %s is refused, and nothing is written", async (what, edit, code, exitStatus) => {
    const env = await freshHome(`edited ${what}`);
    const text = new TextDecoder().decode(await read("wasm-to-oci.lock"));
    await writeFile(join(served.home, "edited.lock"), edit(text));
    const words = ["pull", app, "--locked", "--lockfile", "edited.lock", "--format", "json", "--output", "edited.wasm"];
    expect(errorOf(await served.run(words, env))).toMatchObject({ code, exitStatus });
    expect(await exists("edited.wasm")).toBe(false);
    await writeFile(join(served.home, "edited.lock"), text);
    expect(await served.run(words, env)).toMatchObject({ status: 0 });
    await rm(join(served.home, "edited.wasm"));
  });

  it("is repaired by lock after a merge with conflicts", async () => {
    const text = new TextDecoder().decode(await read("wasm-to-oci.lock"));
    const conflict = text.replace(/( {4}"manifest": ")(.*)\n/, "<<<<<<< a\n$1$2\n=======\n$1$2\n>>>>>>> b\n");
    await writeFile(join(served.home, "merged.lock"), conflict);
    expect((await served.run(["lock", app, "--lockfile", "merged.lock"])).status).toBe(2);
    expect(await served.run(["lock", "--lockfile", "merged.lock"])).toMatchObject({ status: 0 });
    expect(new TextDecoder().decode(await read("merged.lock"))).toBe(text);
  });

  it("that is no text at all is refused by lock as by pull, and left as it is", async () => {
    const bytes = Uint8Array.of(0xff, 0xfe, 0x3c);
    await writeFile(join(served.home, "binary.lock"), bytes);
    for (const words of [["lock"], ["lock", app], ["pull", app, "--locked"]]) {
      const result = await served.run([...words, "--lockfile", "binary.lock", "--format", "json"]);
      expect(errorOf(result)).toMatchObject({ code: "LOCK_INVALID", exitStatus: 7 });
    }
    expect(await read("binary.lock")).toEqual(bytes);
  });

  it("refuses a newer module, delivers the old one frozen, and takes the new one when it is locked", async () => {
    const rollback = await snapshotOf("team/app", ["tuf", "v1"]);
    expect(await push("two", app)).toMatchObject({ status: 0 });
    const check = await served.run(["lock", "--check", "--format", "json"]);
    expect(errorOf(check)).toMatchObject({ code: "LOCK_MISMATCH", exitStatus: 8 });
    const words = ["pull", app, "--output", "app.wasm", "--format", "json"];
    expect(errorOf(await served.run([...words, "--locked"])).code).toBe("LOCK_MISMATCH");
    expect(await exists("app.wasm")).toBe(false);
    const stranger = await freshHome("stranger");
    expect(await served.run([...words, "--frozen"], stranger)).toMatchObject({ status: 0 });
    expect(await read("app.wasm")).toEqual(moduleBytes("one"));
    // where a pin covers it, what is signed no more is refused, frozen or not
    await rm(join(served.home, "app.wasm"));
    expect(errorOf(await served.run([...words, "--frozen"])).code).toBe("LOCK_MISMATCH");
    expect(await served.run(["lock"])).toMatchObject({ status: 0 });
    expect(await served.run([...words, "--locked"])).toMatchObject({ status: 0 });
    expect(await read("app.wasm")).toEqual(moduleBytes("two"));

    // somebody with full control of the registry puts everything back to what was honest then
    await rollback();
    const victim = await freshHome("victim");
    await rm(join(served.home, "app.wasm"));
    expect(errorOf(await served.run([...words, "--locked"], victim))).toMatchObject({
      code: "METADATA_ROLLED_BACK",
      exitStatus: 14,
    });
    expect(errorOf(await served.run(["lock", "--format", "json"], victim)).code).toBe("METADATA_ROLLED_BACK");
    expect(await exists("app.wasm")).toBe(false);
  });
});

/** Remembers what tags of a repository name, and gives the way back to it. */
async function snapshotOf(repository: string, tags: readonly string[]): Promise<() => Promise<void>> {
  const address = (tag: string): string => `http://${served.registry}/v2/${repository}/manifests/${tag}`;
  const accept = "application/vnd.oci.image.manifest.v1+json";
  const kept = await Promise.all(
    tags.map(async (tag) => [tag, await (await fetch(address(tag), { headers: { accept } })).arrayBuffer()] as const),
  );
  return async () => {
    for (const [tag, body] of kept) {
      const answer = await fetch(address(tag), { method: "PUT", headers: { "content-type": accept }, body });
      expect(answer.status).toBe(201);
    }
  };
}

describe("offline, with the servers gone", () => {
  it("pulls, verifies, lists and locks what is known, says how old that is, and refuses the rest", async () => {
    const gone = await startServed();
    const env = { HOME: gone.home };
    const signed = `${gone.registry}/team/app:v1`;
    const unseen = `${gone.registry}/team/app:v2`;
    await writeFile(join(gone.home, "one.wasm"), moduleBytes("one"));
    expect(await gone.run(["push", "one.wasm", signed, "--sign"])).toMatchObject({ status: 0 });
    expect(await gone.run(["pull", signed, "--output", "first.wasm"])).toMatchObject({ status: 0 });
    gone.child.kill("SIGTERM");
    await new Promise((resolve) => gone.child.once("close", resolve));

    const offline = (...words: string[]): Promise<CliResult> =>
      gone.run([...words, "--offline", "--format", "json"], env);
    const pulled = await offline("pull", signed, "--output", "second.wasm");
    expect(pulled).toMatchObject({ status: 0, stderr: "" });
    const report = JSON.parse(pulled.stdout) as {
      verified: string;
      trust: { asOf: string; freshUntil: string };
      notes: { code: string }[];
    };
    expect(report.verified).toBe("artifact");
    expect(Date.parse(report.trust.asOf)).toBeLessThan(Date.now());
    expect(Date.parse(report.trust.freshUntil)).toBeGreaterThan(Date.now());
    expect(report.notes.map(({ code }) => code)).toContain("stored-knowledge");
    expect(new Uint8Array(await readFile(join(gone.home, "second.wasm")))).toEqual(moduleBytes("one"));

    expect((await offline("verify", "one.wasm", signed)).status).toBe(0);
    const listed = JSON.parse((await offline("list", signed)).stdout) as { tags: { tag: string; state: string }[] };
    expect(listed.tags).toMatchObject([{ tag: "v1", state: "unchecked" }]);
    expect((await offline("lock", signed)).status).toBe(0);

    expect(errorOf(await offline("pull", unseen, "--output", "no.wasm"))).toMatchObject({ code: "TARGET_NOT_FOUND" });
    const foreign = `${gone.registry}/team/never:v1`;
    expect(errorOf(await offline("pull", foreign, "--output", "no.wasm"))).toMatchObject({
      code: "OFFLINE_MISSING",
      exitStatus: 5,
    });
    expect(errorOf(await offline("pull", foreign, "--sign", "--output", "no.wasm"))).toMatchObject({
      code: "TRUST_UNAVAILABLE",
      exitStatus: 5,
    });
    await rm(join(gone.home, ".cache"), { recursive: true });
    expect(errorOf(await offline("pull", signed, "--output", "no.wasm"))).toMatchObject({
      code: "OFFLINE_MISSING",
      exitStatus: 5,
    });
    expect(await readdir(gone.home)).not.toContain("no.wasm");
    await rm(gone.home, { recursive: true, force: true });
  });
});
