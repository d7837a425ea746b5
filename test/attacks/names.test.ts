/** Names chosen by an enemy, typed, in files or signed: none becomes a path, an address or a command to a terminal. */
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/base/errors.ts";
import { NAME, SignedApp } from "../support/signed-app.ts";
import { moduleBytes } from "../support/use-case.ts";

let app: SignedApp;

beforeAll(async () => {
  app = await SignedApp.start();
});

beforeEach(async () => {
  await app.reset();
  await writeFile(join(app.victim.home, "new.wasm"), moduleBytes("new"));
});

afterAll(() => app.stop());

const LONG = "a".repeat(5 * 1024);

/** Names with what a title shows of them. */
function shown(names: readonly string[]): [shown: string, name: string][] {
  return names.map((name) => [JSON.stringify(name.slice(0, 40)), name]);
}

/** Runs a command that must be refused before anything is sent. */
async function refusedUnsent(words: readonly string[], code: ErrorCode): Promise<void> {
  const sent = [app.registry.requests.length, app.trust.requests.length];
  const { message } = await app.victim.refused(words, code, 2);
  expect(message.length).toBeLessThan(1024);
  expect([app.registry.requests.length, app.trust.requests.length]).toEqual(sent);
}

const NAMES = {
  "a step up": "..",
  "a path upwards": "../../etc/passwd",
  "an encoded step up": "%2e%2e/x",
  "an absolute path": "/etc/passwd",
  "a line break": "a\nb",
  "a terminal escape": "a\u001b[2Jb",
  "a bidirectional override": "a\u202eb",
  "the one-byte escape of terminals": "a\u009b31mb",
  "5 kB": LONG,
  "a query": "a?b=c",
  "a fragment": "a#b",
  "white space": "a b",
  "a backslash": "a\\b",
  nothing: "",
};

describe.each(Object.entries(NAMES))("%s", (_, name) => {
  it("is refused as a reference, a repository and a tag", async () => {
    const { host } = app.registry;
    await refusedUnsent(["pull", name], "REFERENCE_INVALID");
    await refusedUnsent(["push", join(app.victim.home, "new.wasm"), `${host}/${name}`], "REFERENCE_INVALID");
    await refusedUnsent(["pull", `${host}/${NAME}:${name}`], "REFERENCE_INVALID");
  });

  it("is refused as a collection's name", async () => {
    await refusedUnsent(["pull", app.reference(), "--server", app.trust.url, "--gun", name], "GUN_INVALID");
  });
});

describe("a role named", () => {
  const roles = ["targets/..", "targets/../root", "targets/a\u001b[2J", `targets/${LONG}`, "targets/", "root", "../x"];

  it.each(shown(roles))("%s is refused", async (_, role) => {
    const pem = join(app.victim.home, "alice.pem");
    const alice = ["--role", "alice", "-o", pem, "--dir", join(app.victim.home, "alice")];
    if (!existsSync(pem)) await app.victim.succeed(["key", "generate", ...alice]);
    const words = ["trust", "delegate", app.reference().replace(":v1", ""), role, pem, "--all-paths"];
    expect(await app.victim.refused(words, "ROLE_INVALID", 2, { mayAdvance: true })).toMatchObject({ kind: "usage" });
  });
});

describe("a trust server's address of", () => {
  it.each(
    shown([
      "evil",
      "ftp://localhost",
      "http://evil.test",
      "https://alice:canary-password-0815@localhost",
      "alice:canary-password-0815@localhost",
      `https://${LONG}`,
      "https://a\u001b[2J",
    ]),
  )("%s is refused", async (_, server) => {
    await refusedUnsent(["pull", app.reference(), "--server", server], "USAGE");
  });
});

/** Names that a publisher, or who has his key, has signed. */
describe("a signed name with", () => {
  it.each([
    ["a path upwards", "../../../evil"],
    ["terminal escapes", "v\u009b2J\u202e\u009b31m\u007f"],
    ["5 kB", LONG],
    ["a line separator", "v1\u2028v2"],
  ])("%s is shown harmlessly and makes no file", async (_, name) => {
    const meta = app.collection.targets.get("targets")!.get("v1")!;
    app.collection.targets.get("targets")!.set(name, meta);
    await app.collection.publish("targets");
    const repository = app.reference().replace(":v1", "");
    const { stdout } = await app.victim.succeed(["trust", "show", repository]);
    expect(stdout.split("\n").filter((line) => /v1/.test(line)).length).toBeGreaterThan(0);
    const json = await app.victim.succeed(["trust", "show", repository, "--format", "json"]);
    expect(JSON.stringify(JSON.parse(json.stdout))).toContain(JSON.stringify(name));
    await app.victim.succeed(["list", repository]);
    expect(await readdir(app.victim.work)).toEqual([]);
  });

  it.each(["\n", "\u001b"])(
    "the control character %j, which Go writes and cannot read again, is refused",
    async (control) => {
      const targets = app.collection.targets.get("targets")!;
      targets.set(`v${control}`, targets.get("v1")!);
      await app.collection.publish("targets");
      expect(await app.pullRefused("JSON_INVALID", 7)).toMatchObject({ message: expect.stringContaining("targets") });
    },
  );

  it("terminal escapes in tags of a registry is refused or shown harmlessly", async () => {
    app.registry.setFault(({ path }) =>
      path.endsWith("/tags/list")
        ? {
            status: 200,
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ name: NAME, tags: ["v1", "\u001b[2J"] }),
          }
        : undefined,
    );
    const result = await app.victim.run(["list", app.reference().replace(":v1", "")]);
    // oxlint-disable-next-line no-control-regex -- exactly these must not come out
    expect(result.stdout + result.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});

describe("a delegation that metadata names", () => {
  it.each(["targets/../../../evil", "targets/\u202e", `targets/${LONG}`])("%j never becomes a path", async (role) => {
    await app.collection.delegate("targets/evil");
    app.collection.edits.set("targets", (signed) => {
      const text = JSON.stringify(signed).replaceAll("targets/evil", JSON.stringify(role).slice(1, -1));
      Object.assign(signed, JSON.parse(text));
    });
    await app.collection.publish("targets", "targets/evil");
    const report = await app.victim.refused(app.pullWords(), "METADATA_INVALID", 7, { mayAdvance: true });
    expect(report.details).toBeDefined();
    expect(app.trust.log().filter((line) => line.includes("..") || line.includes("%1B"))).toEqual([]);
  });
});

describe("pins that cannot be read stop a pull, rather than let it go unverified:", () => {
  it.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["a key twice", '{"version":1,"version":1,"pins":[]}'],
    ["a newer version", '{"version":2,"pins":[]}'],
    ["an unknown rule", '{"version":1,"pins":[],"strict":true}'],
  ])("%s", async (_, text) => {
    await writeFile(join(app.victim.dir, "pins.json"), text);
    const { message } = await app.victim.refused(app.pullWords(), "STATE_INVALID", 6);
    expect(message).toContain("pins.json");
  });
});

describe("trust state that cannot be read stops a pull:", () => {
  it.each([
    ["no JSON", () => "{"],
    ["nothing", () => ""],
    ["half of it", (text: string) => text.slice(0, text.length / 2)],
    ["another root", (text: string) => text.replace(/("root": ")[^"]{20}/, "$1AAAAAAAAAAAAAAAAAAAA")],
    ["a version below zero", (text: string) => text.replace(/("timestamp": )\d+/, "$1-1")],
  ])("%s", async (_, change) => {
    const [folder = ""] = await readdir(join(app.victim.dir, "state"));
    const path = join(app.victim.dir, "state", folder, "trust.json");
    await writeFile(path, change(await readFile(path, "utf8")));
    const { message } = await app.victim.refused(app.pullWords(), "STATE_INVALID", 6);
    expect(message).toMatch(/trust state|trusted root/);
  });
});
