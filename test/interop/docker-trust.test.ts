/** Docker Content Trust's own client on our trust server, in one trust directory with us. */
import { createHash } from "node:crypto";
import { mkdir, copyFile, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CliResult } from "../support/cli.ts";
import { runCommand, type CommandResult } from "../support/peer-process.ts";
import { findPeers } from "../support/peers.ts";
import { startServed, type Served } from "../support/served.ts";

const HELLO = Buffer.from("0061736d01000000", "hex");
const ROOT = "docker-root-passphrase-1";
const REPOSITORY = "docker-repository-passphrase-2";

interface Inspected {
  readonly SignedTags: readonly { SignedTag: string; Digest: string; Signers: readonly string[] }[];
  readonly Signers: readonly { Name: string; Keys: readonly { ID: string }[] }[];
  readonly AdministrativeKeys: readonly { Name: string; Keys: readonly { ID: string }[] }[];
}

const docker = findPeers().docker;
const suite = docker === undefined ? describe.skip : describe;

suite(`docker trust${docker === undefined ? " (skipped: docker is not installed)" : ""}`, { timeout: 120_000 }, () => {
  let served: Served;
  let image: string;
  let home: string;

  beforeAll(async () => {
    served = await startServed();
    home = join(served.home, "docker-home");
    image = `${served.registry}/docker-app`;
    const tls = join(home, ".docker", "tls", new URL(served.server).host);
    await mkdir(tls, { recursive: true });
    await copyFile(served.caFile, join(tls, "ca.crt"));
    await writeFile(join(served.home, "m.wasm"), HELLO);
  });

  afterAll(async () => served.stop());

  const trust = async (...words: readonly string[]): Promise<CommandResult> =>
    runCommand(docker!, ["trust", ...words], {
      cwd: home,
      env: {
        HOME: home,
        DOCKER_CONFIG: join(home, ".docker"),
        DOCKER_CONTENT_TRUST: "1",
        DOCKER_CONTENT_TRUST_SERVER: served.server,
        DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE: ROOT,
        DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE: REPOSITORY,
      },
    });

  const inspect = async (): Promise<Inspected> => {
    const { status, stdout, stderr } = await trust("inspect", image);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    return (JSON.parse(stdout) as Inspected[])[0]!;
  };

  /** We, in Docker's trust directory. */
  const ours = async (...words: readonly string[]): Promise<CliResult> =>
    served.run([...words, "--dir", join(home, ".docker", "trust"), "--tlscacert", served.caFile], {
      DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE: ROOT,
      DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE: REPOSITORY,
      WASM_TO_OCI_PASSPHRASE: "",
    });

  it("shows what we have signed, and who may", async () => {
    const pushed = await ours("push", "m.wasm", `${image}:v1`, "--server", served.server);
    expect(pushed).toMatchObject({ status: 0 });
    const seen = await inspect();
    const digest = createHash("sha256").update(HELLO).digest("hex");
    expect(seen.SignedTags).toEqual([{ SignedTag: "v1", Digest: digest, Signers: ["Repo Admin"] }]);
    expect(seen.AdministrativeKeys.map(({ Name }) => Name).toSorted()).toEqual(["Repository", "Root"]);
  });

  it("adds a signer whose key we then sign with, where a stranger verifies it", async () => {
    expect(await trust("key", "generate", "alice", "--dir", home)).toMatchObject({ status: 0 });
    const added = await trust("signer", "add", "alice", image, "--key", join(home, "alice.pub"));
    expect(added).toMatchObject({ status: 0 });
    const other = Buffer.concat([HELLO, Buffer.from("00020161", "hex")]);
    await writeFile(join(served.home, "m2.wasm"), other);
    const roles = ["--role", "targets/alice", "--role", "targets/releases"];
    const pushed = await ours("push", "m2.wasm", `${image}:v2`, "--sign", ...roles);
    expect(pushed).toMatchObject({ status: 0 });
    const seen = await inspect();
    expect(seen.Signers.map(({ Name }) => Name)).toEqual(["alice"]);
    expect(seen.SignedTags.find(({ SignedTag }) => SignedTag === "v2")?.Signers).toEqual(["alice"]);

    const pulled = await served.run([
      "pull",
      `${image}:v2`,
      "--server",
      served.server,
      "-o",
      "v2.wasm",
      "--dir",
      "stranger",
      "--tlscacert",
      served.caFile,
    ]);
    expect(pulled).toMatchObject({ status: 0 });
    expect(await readFile(join(served.home, "v2.wasm"))).toEqual(other);
  });

  it("takes back a tag that we have signed for its signer, and nobody gets it any more", async () => {
    expect(await trust("revoke", `${image}:v2`, "--yes")).toMatchObject({ status: 0 });
    expect((await inspect()).SignedTags.map(({ SignedTag }) => SignedTag)).toEqual(["v1"]);
    const refused = await ours("pull", `${image}:v2`, "-o", "refused.wasm");
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain("is not signed");
    expect(await readdir(served.home)).not.toContain("refused.wasm");
    expect(await ours("pull", `${image}:v1`, "-o", "v1.wasm")).toMatchObject({ status: 0 });
    expect(await readFile(join(served.home, "v1.wasm"))).toEqual(HELLO);
  });
});
