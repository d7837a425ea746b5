/** The life of a collection through the trust commands, against the embedded servers. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { CliResult } from "../support/cli.ts";
import { startServed, type Served } from "../support/served.ts";

const HELLO = Buffer.from("0061736d01000000", "hex");

vi.setConfig({ testTimeout: 180_000 }); // each step is a process of its own, on a machine that may be busy

let served: Served;

beforeAll(async () => {
  served = await startServed();
  await writeFile(join(served.home, "m.wasm"), HELLO);
});

afterAll(async () => served.stop());

/** The same machine, other keys, and nothing known about any collection. */
async function other(words: readonly string[]): Promise<CliResult> {
  return served.run([...words, "--dir", "other", "--tlscacert", served.caFile]);
}

async function json<T>(result: Promise<CliResult>): Promise<T> {
  const { status, stdout, stderr } = await result;
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return JSON.parse(stdout) as T;
}

interface Status {
  readonly expired: boolean;
  readonly roles: readonly {
    role: string;
    version: number;
    signable: boolean;
    keys: { keyId: string; held: boolean }[];
  }[];
}

describe("the trust commands", () => {
  it("tell how long signatures last, and fail ahead of time where asked to", async () => {
    const repository = `${served.registry}/fresh`;
    await served.run(["push", "m.wasm", `${repository}:v1`, "--server", served.server]);
    const near = await served.run(["trust", "status", repository, "--fail-within", "3000d"]);
    expect(near.status).toBe(13);
    expect(near.stdout).toContain("timestamp");
    expect(near.stderr).toContain(`hint: Sign again with: wasm-to-oci trust repair ${repository} --within 3000d`);
    const aheadOfTimestamp = ["trust", "status", repository, "--fail-within", "30d"]; // the server's own lasts 14 days
    expect(await served.run(aheadOfTimestamp)).toMatchObject({ status: 0 });

    const before = await json<Status>(served.run(["trust", "status", repository, "--format", "json"]));
    expect(await served.run(["trust", "repair", repository])).toMatchObject({ status: 0 });
    await json(served.run(["trust", "repair", repository, "--within", "2000d", "--format", "json"]));
    const after = await json<Status>(served.run(["trust", "status", repository, "--format", "json"]));
    const versions = ({ roles }: Status): number[] => roles.map(({ version }) => version);
    expect(versions(after).slice(1)).not.toEqual(versions(before).slice(1));
    expect(await served.run(["trust", "repair", repository, "--role", "targets"])).toMatchObject({ status: 0 });
  });

  it("forget a collection only when told twice, and keep a pin that was set on purpose", async () => {
    const repository = `${served.registry}/forget`;
    await served.run(["push", "m.wasm", `${repository}:v1`, "--server", served.server]);
    expect(await other(["pull", `${repository}:v1`, "--server", served.server, "-o", "f.wasm"])).toMatchObject({
      status: 0,
    });
    expect(await other(["trust", "remove", repository])).toMatchObject({ status: 2 });
    expect(await other(["trust", "remove", repository, "--yes"])).toMatchObject({ status: 0 });
    const unverified = await served.run([
      "pull",
      `${repository}:v1`,
      "-o",
      "f.wasm",
      "--dir",
      "other",
      "--format",
      "json",
    ]);
    expect(JSON.parse(unverified.stdout)).toMatchObject({ verified: "none" });

    const kept = await served.run(["trust", "remove", repository, "--yes"]);
    expect(kept.stderr).toContain(`${repository} stays pinned`);
    expect(await served.run(["pull", `${repository}:v1`, "-o", "f.wasm"])).toMatchObject({ status: 0 });
    expect(await served.run(["trust", "pin", repository, "--remove"])).toMatchObject({ status: 0 });
    expect((await served.run(["trust", "pin"])).stdout).not.toContain(repository);
  });

  it("pin a prefix for all repositories below it", async () => {
    const repository = `${served.registry}/team/app`;
    await served.run(["push", "m.wasm", `${repository}:v1`, "--server", served.server]);
    const { rootKeys } = await json<{ rootKeys: { fingerprint: string }[] }>(
      served.run(["trust", "show", repository, "--format", "json"]),
    );
    const prefix = `${served.registry}/team/{rest}`;
    const words = ["trust", "pin", prefix, "--server", served.server];
    expect(await other(words)).toMatchObject({ status: 2 });
    expect(await other([...words, "--root-fingerprint", rootKeys[0]!.fingerprint])).toMatchObject({ status: 0 });
    const pulled = await other(["pull", `${repository}:v1`, "-o", "team.wasm", "--format", "json"]);
    expect(JSON.parse(pulled.stdout)).toMatchObject({ verified: "artifact", trust: { firstUse: false } });
    expect(await other(["pull", `${served.registry}/team/none:v1`, "-o", "none.wasm"])).toMatchObject({ status: 12 });
  });

  it("refuse to pin keys that the collection does not have", async () => {
    const repository = `${served.registry}/wrong`;
    await served.run(["push", "m.wasm", `${repository}:v1`, "--server", served.server]);
    const words = ["trust", "pin", repository, "--server", served.server, "--root-fingerprint", "cd".repeat(32)];
    expect(await other(words)).toMatchObject({ status: 12 });
    expect((await other(["trust", "pin"])).stdout).not.toContain(repository);
    expect(await other([...words.slice(0, 3), "--server", served.server, "--yes"])).toMatchObject({ status: 0 });
    expect(await other([...words, "--offline"])).toMatchObject({ status: 0 });
    expect(await other(["pull", `${repository}:v1`, "-o", "w.wasm"])).toMatchObject({ status: 12 });
  });

  it("create, delegate, sign as a delegate, rotate, and take it all back", async () => {
    const repository = `${served.registry}/life`;
    const server = ["--server", served.server];

    const made = await json<{ published: string[] }>(
      served.run(["trust", "init", repository, ...server, "--snapshot-key", "server", "--format", "json"]),
    );
    expect(made.published).toEqual(expect.arrayContaining(["root", "targets"]));
    expect(await served.run(["trust", "init", repository])).toMatchObject({ status: 8 });

    expect(await other(["key", "generate", "--role", "alice", "-o", "alice.pem"].slice(0, 6))).toMatchObject({
      status: 2,
    });
    const key = await json<{ id: string }>(
      served.run(["key", "generate", "--role", "alice", "-o", "alice.pem", "--dir", "other", "--format", "json"]),
    );
    const delegated = await json<{ published: string[] }>(
      served.run(["trust", "delegate", repository, "targets/releases", "alice.pem", "--all-paths", "--format", "json"]),
    );
    expect(delegated.published).toContain("targets");

    const refused = await other(["push", "m.wasm", `${repository}:v1`, ...server, "--no-tofu"]);
    expect(refused).toMatchObject({ status: 12, stdout: "" });
    expect(await other(["push", "m.wasm", `${repository}:v1`, ...server])).toMatchObject({ status: 0 });
    const pulled = await json<{ trust: { role: string } }>(
      served.run(["pull", `${repository}:v1`, "-o", "life.wasm", "--format", "json"]),
    );
    expect(pulled.trust.role).toBe("targets/releases");

    const rotated = await json<{ newKeyIds: string[]; oldKeyIds: string[]; backups: string[] }>(
      served.run(["trust", "rotate", repository, "targets", "--format", "json"]),
    );
    expect(rotated.newKeyIds).not.toEqual(rotated.oldKeyIds);
    expect(rotated.backups).toHaveLength(1);
    expect(await served.run(["trust", "rotate", repository, "root"])).toMatchObject({ status: 2 });
    expect(await served.run(["trust", "rotate", repository, "root", "--yes"])).toMatchObject({ status: 0 });
    expect(await served.run(["trust", "rotate", repository, "targetz"])).toMatchObject({ status: 2 });

    const status = await json<Status>(served.run(["trust", "status", repository, "--format", "json"]));
    expect(status.expired).toBe(false);
    expect(status.roles.map(({ role }) => role)).toEqual([
      "root",
      "timestamp",
      "snapshot",
      "targets",
      "targets/releases",
    ]);
    expect(status.roles.find(({ role }) => role === "root")).toMatchObject({ version: 3, signable: true });
    expect(status.roles.at(-1)?.keys).toMatchObject([{ keyId: key.id, held: false }]);

    expect(await other(["pull", `${repository}:v1`, "-o", "after.wasm"])).toMatchObject({ status: 0 }); // walks the root
    const updated = await served.run(["trust", "pin", repository, "--update", "--format", "json"]);
    expect(updated).toMatchObject({ status: 0 });

    expect(await served.run(["trust", "remove", repository, "v9"])).toMatchObject({ status: 11 });
    const gone = await served.run(["trust", "remove", repository, "--delegation", "targets/releases", "-k", key.id]);
    expect(gone).toMatchObject({ status: 4 }); // nobody would be left to sign
    expect(gone.stderr).toContain("delete the delegation");
    expect(await served.run(["trust", "remove", repository, "--delegation", "targets/releases"])).toMatchObject({
      status: 2,
    });
    const deleted = ["trust", "remove", repository, "--delegation", "targets/releases", "--yes"];
    expect(await served.run(deleted)).toMatchObject({ status: 0 });
    expect(await served.run(["pull", `${repository}:v1`, "-o", "never.wasm"])).toMatchObject({ status: 11 });
    expect(await readdir(served.home)).not.toContain("never.wasm");

    expect(await served.run(["sign", `${repository}:v1`])).toMatchObject({ status: 0 });
    expect(await served.run(["pull", `${repository}:v1`, "-o", "again.wasm"])).toMatchObject({ status: 0 });
    expect(await readFile(join(served.home, "again.wasm"))).toEqual(HELLO);
    expect(await served.run(["trust", "remove", repository, "v1"])).toMatchObject({ status: 0 });
    expect(await served.run(["pull", `${repository}:v1`, "-o", "never.wasm"])).toMatchObject({ status: 11 });

    const next = ["push", "m.wasm", `${served.registry}/next:v1`, ...server];
    const ambiguous = await served.run(next);
    expect(ambiguous).toMatchObject({ status: 2, stdout: "" });
    expect(ambiguous.stderr).toContain("there are several root keys");
    const root = status.roles.find(({ role }) => role === "root")!;
    expect(await served.run([...next, "--root-key", root.keys[0]!.keyId.slice(0, 9)])).toMatchObject({ status: 0 });
  });
});
