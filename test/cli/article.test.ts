/** The 2019 article and what an attacker makes of it, through the command line against the embedded servers. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { runCli, type CliResult } from "../support/cli.ts";
import { PASSPHRASE, startServed, type Served } from "../support/served.ts";

/** A module and another one: `(module)` with a custom section that differs. */
const HELLO = Buffer.from("0061736d010000000006056e616d6501", "hex");
const EVIL = Buffer.from("0061736d010000000006056e616d6666", "hex");

vi.setConfig({ testTimeout: 180_000 }); // each step is a process of its own, on a machine that may be busy

let served: Served;

beforeAll(async () => {
  served = await startServed();
  await mkdir(join(served.home, "testdata"));
  await writeFile(join(served.home, "testdata/hello.wasm"), HELLO);
  await writeFile(join(served.home, "evil.wasm"), EVIL);
});

afterAll(async () => served.stop());

function reference(name: string): string {
  return `${served.registry}/${name}`;
}

/** Somebody else on the same machine, who knows nothing and trusts the servers' authority only if told. */
async function consumer(words: readonly string[]): Promise<CliResult> {
  return served.run([...words, "--dir", "consumer"]);
}

async function push(name: string): Promise<CliResult> {
  return served.run(["push", "testdata/hello.wasm", reference(name), "--server", served.server]);
}

describe("the article's lines", () => {
  it("push signed and pull verified, in the words of 2019, on stderr", async () => {
    const ref = reference("hello-wasm:v1");
    const words = ["--server", served.server, "--tlscacert", served.caFile];
    const pushed = await served.run(["push", "testdata/hello.wasm", ref, ...words]);
    const hex = /Pushed trust data for \S+: ([0-9a-f]{64})\n/.exec(pushed.stderr)?.[1];
    expect(pushed.status).toBe(0);
    expect(pushed.stderr).toContain(
      `Pushed trust data for ${ref}: ${hex}\nPushed: ${ref}\nSize: ${HELLO.length}\nDigest: sha256:`,
    );
    expect(pushed.stdout).toMatch(new RegExp(`^${reference("hello-wasm")}@sha256:[0-9a-f]{64}\n$`));

    const pulled = await served.run(["pull", ref, ...words, "--output", "hello.wasm"]);
    expect(pulled.status).toBe(0);
    expect(pulled.stdout).toBe("");
    expect(pulled.stderr).toContain(
      `Pulled: ${ref}\nSize: ${HELLO.length}\nDigest: sha256:${hex}\n` +
        `Pulled trust data for ${ref}, with role targets - SHA256: ${hex}\n` +
        `Computed SHA: ${hex}\nThe SHA sums are equal: ${hex}\n`,
    );
    expect(await readFile(join(served.home, "hello.wasm"))).toEqual(HELLO);
  });

  it("work without --tlscacert for a server of this machine", async () => {
    const pushed = await push("local:v1");
    expect(pushed).toMatchObject({ status: 0 });
    expect(await served.run(["pull", reference("local:v1"), "--server", served.server])).toMatchObject({ status: 0 });
    expect(await readFile(join(served.home, "module.wasm"))).toEqual(HELLO);
  });

  it("deliver an unsigned module, and say on every run that it is unverified", async () => {
    expect(await served.run(["push", "testdata/hello.wasm", reference("plain:v1")])).toMatchObject({ status: 0 });
    for (const level of ["info", "info", "error", "fatal"]) {
      const words = ["pull", reference("plain:v1"), "-o", "plain.wasm", "--log", level];
      const { status, stderr } = await served.run(words);
      expect(status).toBe(0);
      expect(stderr).toContain("warning: ");
      expect(stderr).toContain("delivered unverified");
    }
    const { stdout } = await served.run(["pull", reference("plain:v1"), "-o", "plain.wasm", "--format", "json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      verified: "none",
      notes: [{ code: "unverified" }],
      output: "plain.wasm",
    });
  });

  it("need no trust server: --sign alone is trust in the registry itself", async () => {
    const alone = reference("alone:v1");
    const early = await served.run(["pull", alone, "--sign", "-o", "alone.wasm"]);
    expect(early.status).not.toBe(0);
    expect(await readdir(served.home)).not.toContain("alone.wasm");
    expect(await served.run(["push", "testdata/hello.wasm", alone, "--sign"])).toMatchObject({ status: 0 });
    expect(await consumer(["pull", alone, "--sign", "-o", "alone.wasm"])).toMatchObject({ status: 0 });
    expect(await readFile(join(served.home, "alone.wasm"))).toEqual(HELLO);

    const notary = ["push", "testdata/hello.wasm", reference("beside:v1"), "--server", served.server];
    expect(await served.run(notary)).toMatchObject({ status: 0 }); // one root key is good for both kinds

    const asked = await served.run(["verify", "testdata/hello.wasm", reference("nowhere:v1")]);
    expect(asked.status).toBe(2);
    expect(asked.stderr).toContain("Add --sign for trust data in the registry itself");
  });

  it("pin a mirror to the collections that it mirrors, by a pattern", async () => {
    const pattern = `${served.registry}/mirror/{rest}`;
    const pin = ["trust", "pin", pattern, "--trust", "oci:", "--root-fingerprint", "ab".repeat(32), "--dir", "mirror"];
    expect(await served.run([...pin, "--collection", "acme/../{rest}"])).toMatchObject({ status: 2 });
    expect(await served.run([...pin, "--collection", "acme/{rest}"])).toMatchObject({ status: 0 });
    const { stdout } = await served.run(["trust", "pin", "--dir", "mirror", "--format", "json"]);
    expect(JSON.parse(stdout)).toMatchObject({ pins: [{ pattern, collection: "acme/{rest}", trust: "oci:" }] });
  });

  it("refuse two places of trust data", async () => {
    const words = ["--server", served.server, "--trust", "oci:"];
    const { status, stderr } = await served.run(["push", "testdata/hello.wasm", reference("two:v1"), ...words]);
    expect(status).toBe(2);
    expect(stderr).toContain("name two places");
  });

  it("refuse to push unsigned where the command line says how to sign", async () => {
    const { status, stderr } = await served.run([
      "push",
      "testdata/hello.wasm",
      reference("meant:v1"),
      "--role",
      "targets/releases",
    ]);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr:
        "error: --role says how to sign, and nothing asks for a signature\n" +
        "hint: Add --sign where the repository is pinned, else --server URL\n",
    });
    expect(await served.run(["list", reference("meant")])).toMatchObject({ status: 3 });
  });

  it("write the layout of 2019 on request, with results as JSON at the same time", async () => {
    const words = ["push", "testdata/hello.wasm", reference("old:v1"), "--format", "wasm-to-oci", "--format", "json"];
    const { status, stdout } = await served.run(words);
    expect(status).toBe(0);
    const report = JSON.parse(stdout) as { artifact: { digest: string }; module: { digest: string } };
    expect(report).toMatchObject({ artifact: { format: "wasm-to-oci" }, signed: null, module: { kind: "module" } });
    const again = await served.run([...words.slice(0, 3), "--artifact-format", "wasm-to-oci"]);
    expect(again.stdout).toBe(`${reference("old")}@${report.artifact.digest}\n`);
  });

  it("pipe a module to stdout only when it is verified", async () => {
    await push("pipe:v1");
    const good = await served.run(["pull", reference("pipe:v1"), "-o", "-", "--log", "error"]);
    expect(good).toEqual({ status: 0, stdout: HELLO.toString("utf8"), stderr: "" });
    await consumer(["push", "evil.wasm", reference("pipe:v1")]);
    const bad = await served.run(["pull", reference("pipe:v1"), "-o", "-"]);
    expect(bad).toMatchObject({ status: 10, stdout: "" });
  });
});

describe("a tag that was replaced in the registry", () => {
  it("is refused with both digests, leaves what was there, and the next honest push heals it", async () => {
    await push("app:v1");
    await served.run(["pull", reference("app:v1"), "-o", "app.wasm"]);
    expect(await consumer(["push", "evil.wasm", reference("app:v1")])).toMatchObject({ status: 0 });

    const unverified = await consumer(["pull", reference("app:v1"), "-o", "taken.wasm"]);
    expect(unverified).toMatchObject({ status: 0 });
    expect(await readFile(join(served.home, "taken.wasm"))).toEqual(EVIL);

    const refused = await served.run(["pull", reference("app:v1"), "-o", "app.wasm", "--format", "json"]);
    expect(refused).toMatchObject({ status: 10, stdout: "" });
    const { error } = JSON.parse(refused.stderr) as { error: { code: string; details: Record<string, unknown> } };
    expect(error.code).toBe("TAG_MISMATCH");
    expect(error.details["expectedModule"]).toMatch(/^sha256:/);
    expect(error.details["gotModule"]).toMatch(/^sha256:/);
    expect(error.details["gotModule"]).not.toBe(error.details["expectedModule"]);
    expect(await readFile(join(served.home, "app.wasm"))).toEqual(HELLO);

    const fresh = await served.run(["pull", reference("app:v1"), "-o", "never.wasm"]);
    expect(fresh).toMatchObject({ status: 10 });
    const files = await readdir(served.home);
    expect(files.filter((name) => name.includes("never") || name.endsWith(".tmp"))).toEqual([]);

    const listed = await served.run(["list", reference("app")]);
    expect(listed.status).toBe(10);
    expect(listed.stdout).toMatch(/^v1\s+MISMATCH/m);

    await push("app:v1");
    expect(await served.run(["pull", reference("app:v1"), "-o", "app.wasm"])).toMatchObject({ status: 0 });
    expect(await served.run(["list", reference("app")])).toMatchObject({ status: 0 });
  });
});

describe("a consumer who knows nothing", () => {
  it("trusts the first root loudly, and from then on verifies without being told to", async () => {
    await push("tofu:v1");
    const tls = ["--tlscacert", served.caFile];
    const refused = await consumer([
      "pull",
      reference("tofu:v1"),
      "--server",
      served.server,
      ...tls,
      "--no-tofu",
      "-o",
      "t.wasm",
    ]);
    expect(refused).toMatchObject({ status: 12 });
    expect(await readdir(served.home)).not.toContain("t.wasm");

    const first = await consumer(["pull", reference("tofu:v1"), "--server", served.server, ...tls, "-o", "t.wasm"]);
    expect(first.status).toBe(0);
    expect(first.stderr).toMatch(/warning: .*first time; root key fingerprint [0-9a-f]{64}/);
    expect(first.stderr).toContain(
      `wasm-to-oci trust pin ${reference("tofu")} --server ${served.server} --root-fingerprint `,
    );

    const second = await consumer(["pull", reference("tofu:v1"), ...tls, "-o", "t.wasm", "--format", "json"]);
    expect(JSON.parse(second.stdout)).toMatchObject({
      verified: "artifact",
      trust: { firstUse: false, role: "targets" },
    });

    const unsigned = await consumer(["pull", reference("tofu:v2"), ...tls, "-o", "t2.wasm"]);
    expect(unsigned).toMatchObject({ status: 11 });
  });

  it("refuses a root that is not the pinned one, and pins the right one", async () => {
    await push("pinned:v1");
    const base = [
      "pull",
      reference("pinned:v1"),
      "--server",
      served.server,
      "--tlscacert",
      served.caFile,
      "-o",
      "p.wasm",
    ];
    expect(await consumer([...base, "--root-fingerprint", "ab".repeat(32)])).toMatchObject({ status: 12 });
    expect(await readdir(served.home)).not.toContain("p.wasm");
    const shown = await served.run(["trust", "show", reference("pinned"), "--format", "json"]);
    const { rootKeys } = JSON.parse(shown.stdout) as { rootKeys: { fingerprint: string }[] };
    expect(await consumer([...base, "--root-fingerprint", rootKeys[0]!.fingerprint])).toMatchObject({ status: 0 });
    const pins = await consumer(["trust", "pin", "--format", "json"]);
    expect(JSON.parse(pins.stdout)).toMatchObject({
      pins: expect.arrayContaining([
        expect.objectContaining({ pattern: reference("pinned"), firstUse: false }),
      ]) as unknown,
    });
  });

  it("is told what is wrong with the certificates", async () => {
    const base = ["pull", reference("any:v1"), "--server", served.server, "-o", "x.wasm"];
    const unknown = await consumer(base);
    expect(unknown).toMatchObject({ status: 5 });
    expect(unknown.stderr).toContain("--tlscacert");
    await writeFile(join(served.home, "empty.pem"), "nothing here\n");
    expect(await consumer([...base, "--tlscacert", "empty.pem"])).toMatchObject({ status: 7 });
    expect(await consumer([...base, "--tlscacert", "testdata/hello.wasm"])).toMatchObject({ status: 7 });
    expect(await consumer([...base, "--tlscacert", "absent.pem"])).toMatchObject({ status: 3 });
    expect(await consumer([...base, "--tlscert", served.caFile])).toMatchObject({ status: 2 });
  });
});

describe("verify", () => {
  it("tells a signed file from another one", async () => {
    await push("check:v1");
    const good = await served.run(["verify", "testdata/hello.wasm", reference("check:v1")]);
    expect(good.status).toBe(0);
    expect(good.stdout).toMatch(/^Verified: testdata\/hello.wasm is .*\nChecks made:\n {2}- root-trusted: /);
    const bad = await served.run(["verify", "evil.wasm", reference("check:v1")]);
    expect(bad).toMatchObject({ status: 10, stdout: "" });
    expect(await served.run(["verify", "absent.wasm", reference("check:v1")])).toMatchObject({ status: 3 });
    await writeFile(join(served.home, "text.wasm"), "no wasm");
    expect(await served.run(["verify", "text.wasm", reference("check:v1")])).toMatchObject({ status: 7 });
    expect(await consumer(["verify", "evil.wasm", reference("nothing:v1")])).toMatchObject({ status: 2 });
  });
});

describe("secrets", () => {
  it("are never printed, at any level, by any command", async () => {
    let text = "";
    for (const words of [
      ["push", "testdata/hello.wasm", reference("secret:v1"), "--server", served.server],
      ["pull", reference("secret:v1"), "-o", "s.wasm"],
      ["trust", "status", reference("secret")],
      ["key", "list"],
      ["key", "export"],
    ]) {
      const { status, stdout, stderr } = await served.run([...words, "--log", "debug"]);
      expect([words, status]).toEqual([words, 0]);
      text += stdout + stderr;
    }
    expect(text).toContain("debug: GET ");
    expect(text + served.log()).not.toContain(PASSPHRASE);
  });
});

describe("serve", () => {
  it("refuses a second process on the same data, and ports that are taken", async () => {
    const second = await served.run(["serve", "--registry-port", "0", "--trust-port", "0"]);
    expect(second).toMatchObject({ status: 6, stdout: "" });
    const port = served.registry.split(":")[1]!;
    const taken = await served.run(["serve", "--registry-port", port, "--trust-port", "0", "--data", "other"]);
    expect(taken).toMatchObject({ status: 8, stdout: "" });
  });

  it("refuses to listen beyond this machine", async () => {
    const { status, stderr } = await served.run(["serve", "--host", "0.0.0.0", "--data", "open", "--trust-port", "0"]);
    expect({ status, line: stderr.split("\n").at(-3) }).toEqual({
      status: 2,
      line: "error: refusing to listen on 0.0.0.0 without access control",
    });
  });

  it.each(["SIGTERM", "SIGINT"] as const)("ends cleanly on %s, and nothing listens any more", async (signal) => {
    const own = await startServed();
    await writeFile(join(own.home, "m.wasm"), HELLO);
    expect(await own.run(["push", "m.wasm", `${own.registry}/x:v1`])).toMatchObject({ status: 0 });
    const ended = new Promise((resolve) => own.child.once("close", (...result) => resolve(result)));
    own.child.kill(signal);
    expect(await ended).toEqual([0, null]);
    const gone = await runCli(["inspect", `${own.registry}/x:v1`], { env: { HOME: own.home } });
    expect(gone.status).toBe(5);
    await own.stop();
  });
});
