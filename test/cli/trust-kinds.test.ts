/** What each kind of trust data can do, and what is refused because another kind can. */
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { join, normalize } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startServed, type Served } from "../support/served.ts";
import { folderIn, Team, writeModule } from "../support/team.ts";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

let served: Served;
beforeAll(async () => {
  served = await startServed();
  await writeModule(served);
});
afterAll(() => served.stop());

/** Serves a directory as any web server does. */
async function serveFiles(dir: string): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer((request, response) => {
    readFile(join(dir, normalize(decodeURIComponent(request.url ?? "/")))).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { url: `http://127.0.0.1:${address.port}/metadata/`, server };
}

describe("a directory behind a web server", () => {
  it("is read, watched and pulled from, and changed by nobody", async () => {
    const dir = await folderIn(served, "web");
    const owner = new Team(served, "web", ["--trust", dir, "--collection", "web"]);
    await owner.document("ada", "init");
    const reference = `${owner.repository}:v1`;
    const push = ["push", "m.wasm", reference, "--sign", ...owner.place];
    expect(await owner.run("ada", push)).toMatchObject({ status: 0 });

    const { url, server } = await serveFiles(dir);
    try {
      const reader = new Team(served, "web", ["--trust", url, "--collection", "web"]);
      const pull = ["pull", reference, "-o", "web.wasm", ...reader.place];
      expect(await reader.run("eve", pull)).toMatchObject({ status: 0 });
      expect(await reader.document("eve", "status")).toMatchObject({ source: "tuf", location: url, expired: false });
      const near = await reader.trust("eve", "status", ["--fail-within", "40d"]);
      expect(near.status).toBe(13);
      for (const [verb, ...words] of [
        ["refresh"],
        ["repair"],
        ["threshold", "root", "1"],
        ["rotate", "targets"],
        ["sign", "--review"],
        ["delegate", "team", "new", "--path", "team/"],
      ] as const) {
        const { status, stdout, stderr } = await reader.trust("eve", verb, words);
        expect({ verb, status, stdout }).toEqual({ verb, status: 2, stdout: "" });
        expect(stderr).toContain("can be read here, not written");
      }
      expect((await reader.run("eve", ["key", "list", "--format", "json"])).stdout).toContain('"keys": []');
    } finally {
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    }
  });
});

describe("a Notary server", () => {
  it("is told apart from what it cannot do, before anything is made or published", async () => {
    const repository = `${served.registry}/notary`;
    const server = ["--server", served.server];
    expect(await served.run(["push", "m.wasm", `${repository}:v1`, ...server])).toMatchObject({ status: 0 });
    const keys = await served.run(["key", "list", "--format", "json"]);
    for (const [verb, ...words] of [
      ["refresh"],
      ["threshold", "root", "2"],
      ["expiry", "timestamp", "7d"],
      ["revoke", "0123456789ab", "--yes"],
      ["sign"],
      ["rotate", "targets", "--stage"],
      ["delegate", "targets/releases", "--all-paths", "--pattern", "v*"],
      ["init", "--threshold", "root=2"],
    ] as const) {
      const { status, stdout, stderr } = await served.run(["trust", verb, repository, ...words]);
      expect({ verb, status, stdout }).toEqual({ verb, status: 2, stdout: "" });
      expect(stderr).toMatch(/Notary|It is for trust data in a registry or a directory/);
    }
    expect((await served.run(["key", "list", "--format", "json"])).stdout).toBe(keys.stdout);
    expect(await served.run(["trust", "status", repository])).toMatchObject({ status: 0 });
  });

  it("has options that mean nothing elsewhere, and are refused there", async () => {
    const dir = await folderIn(served, "options");
    const all = new Team(served, "options", ["--trust", dir, "--collection", "options"]);
    await all.refused("ada", "init", ["--snapshot-key", "server"], { code: "USAGE", status: 2 });
    await all.document("ada", "init");
    await all.refused("ada", "rotate", ["snapshot", "--server-managed"], { code: "USAGE", status: 2 });
    const refused = await all.refused("ada", "remove", ["-k", "0123456789ab", "--yes"], { code: "USAGE", status: 2 });
    expect(refused.hint).toContain("wasm-to-oci trust revoke");
  });
});

describe("a staged change", () => {
  it("that was tampered with is refused by every signer, changes nothing, and can be dropped", async () => {
    const dir = await folderIn(served, "tampered");
    const all = new Team(served, "tampered", ["--trust", dir, "--collection", "tampered"]);
    await all.document("ada", "init");
    const bob = await all.key("bob");
    const mallory = await all.key("mallory");
    const change = ["targets", "1", "--add", bob, "--stage"];
    await all.document("ada", "threshold", change);
    const staged = join(dir, "staged.json");
    const honest = await readFile(staged, "utf8");
    const seen = await all.document<{ staged: { digest: string } }>("bob", "sign", ["--review"]);

    await writeFile(staged, honest.replaceAll('"threshold":1', '"threshold":0'));
    await all.refused("bob", "sign", ["--yes"], { code: "METADATA_INVALID", status: 7 });
    await writeFile(staged, honest.slice(0, -20));
    await all.refused("bob", "sign", ["--yes"], { code: "JSON_INVALID", status: 7 });
    await writeFile(staged, honest.replaceAll('"version":2', '"version":9'));
    await all.refused("bob", "sign", ["--yes"], { code: "TRUST_CONFLICT", status: 8 });

    // another change in its place: what bob has seen is not what he would sign
    expect(await all.trust("ada", "sign", ["--drop", "--yes"])).toMatchObject({ status: 0 });
    await all.document("ada", "threshold", ["targets", "1", "--add", mallory, "--stage"]);
    const { digest } = seen.staged;
    const conflict = await all.refused("bob", "sign", ["--digest", digest], { code: "KEY_MISSING", status: 4 });
    expect(conflict.hint).toContain("mallory");
    await all.refused("mallory", "sign", ["--digest", digest], { code: "TRUST_CONFLICT", status: 8 });

    await writeFile(staged, "{}");
    const status = await all.document<{ warnings: string[]; roles: unknown[] }>("ada", "status");
    expect(status.roles).toHaveLength(4); // garbage in the way hides nothing
    expect(status.warnings.join()).toContain("what is staged cannot be published any more");
    expect(await all.trust("ada", "sign", ["--drop", "--yes"])).toMatchObject({ status: 0 });
    await all.document("ada", "threshold", change);
    const signed = await all.document<{ staged: { missing: string[] } }>("bob", "sign", ["--yes"]);
    expect(signed.staged.missing).toEqual([]);
    expect((await all.document<{ published: string[] }>("ada", "sign", ["--yes"])).published).toContain("root");
  });

  it("is outdated where somebody has published meanwhile, and is prepared again", async () => {
    const dir = await folderIn(served, "outdated");
    const all = new Team(served, "outdated", ["--trust", dir, "--collection", "outdated"]);
    await all.document("ada", "init");
    const bob = await all.key("bob");
    await all.document("ada", "threshold", ["targets", "1", "--add", bob, "--stage"]);
    await all.document("ada", "rotate", ["root", "--yes"]);
    await all.refused("bob", "sign", ["--yes"], { code: "TRUST_CONFLICT", status: 8 });
    expect(await all.trust("ada", "sign", ["--drop", "--yes"])).toMatchObject({ status: 0 });
    await all.document("ada", "threshold", ["targets", "1", "--add", bob, "--stage"]);
    await all.document("bob", "sign", ["--yes"]);
    expect((await all.document<{ published: string[] }>("ada", "sign", ["--yes"])).published).toContain("root");
  });
});

describe("a collection of many names", () => {
  it("is spread over hash bins, shown as one role, and pushed to as before", async () => {
    const dir = await folderIn(served, "bins");
    const all = new Team(served, "bins", ["--trust", dir, "--collection", "bins"]);
    await all.document("ada", "init");
    const push = (tag: string) =>
      all.run("ada", ["push", "m.wasm", `${all.repository}:${tag}`, "--sign", ...all.place]);
    expect(await push("v1")).toMatchObject({ status: 0 });
    const { published } = await all.document<{ published: string[] }>("ada", "delegate", ["bin", "--bins", "3"]);
    expect(published.filter((role) => role.startsWith("bin-"))).toHaveLength(8);
    expect(await push("v2")).toMatchObject({ status: 0 });
    expect((await all.trust("ada", "status")).stdout).toMatch(/^bin-\* \(8\) +\d+ .* 2$/m);
    const pull = ["pull", `${all.repository}:v2`, "-o", "bins.wasm", "--format", "json"];
    expect(JSON.parse((await all.run("ada", pull)).stdout)).toMatchObject({ verified: "artifact" });
  });
});
