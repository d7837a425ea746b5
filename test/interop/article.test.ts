/**
 * The article of 2019 on the servers that it was written for: docker-registry and notary-server, with the notary and
 * skopeo commands and ours taking turns on one collection, one repository and one trust directory.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { concatBytes, utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { digestBytes, digestHex } from "../../src/base/digest.ts";
import { runCli, type CliResult } from "../support/cli.ts";
import {
  describeWithPeers,
  NOTARY_PASSPHRASES,
  notaryCli,
  skopeo,
  startDockerRegistry,
  startNotaryServer,
  type DockerRegistry,
  type NotaryServer,
} from "../support/peers.ts";

let home: string;
let registry: DockerRegistry;
let notary: NotaryServer;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "article-"));
  writeFileSync(join(home, "one.wasm"), moduleOf("one"));
  writeFileSync(join(home, "two.wasm"), moduleOf("two"));
  writeFileSync(join(home, "evil.wasm"), moduleOf("bad"));
});

afterAll(() => rmSync(home, { recursive: true, force: true }));

/** An empty core module with a custom section, so that there are several of one length. */
function moduleOf(word: string): Bytes {
  const section = concatBytes([Uint8Array.of(1, 0x78), utf8Encode(word)]);
  return concatBytes([utf8Encode("\0asm"), Uint8Array.of(1, 0, 0, 0, 0, section.length), section]);
}

function ours(...words: string[]): Promise<CliResult> {
  return runCli(words, {
    cwd: home,
    env: {
      HOME: home,
      WASM_TO_OCI_DIR: join(home, "trust"),
      WASM_TO_OCI_SERVER: notary.url,
      WASM_TO_OCI_TLSCACERT: notary.caFile,
      SIGNY_ROOT_PASSPHRASE: NOTARY_PASSPHRASES.root,
      SIGNY_TARGETS_PASSPHRASE: NOTARY_PASSPHRASES.targets,
      SIGNY_SNAPSHOT_PASSPHRASE: NOTARY_PASSPHRASES.snapshot,
      SIGNY_DELEGATION_PASSPHRASE: NOTARY_PASSPHRASES.delegation,
    },
  });
}

async function succeeds(...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await ours(...words);
  expect({ words, status, stderr }).toMatchObject({ status: 0 });
  return stdout;
}

async function theirs(...words: string[]): Promise<string> {
  const { status, output } = await notaryCli(words, {
    dir: join(home, "trust"),
    server: notary.url,
    ca: notary.caFile,
  });
  expect({ words, status, output }).toMatchObject({ status: 0 });
  return output;
}

const pulled = (): Bytes => new Uint8Array(readFileSync(join(home, "out.wasm")));

describeWithPeers(
  ["docker-registry", "notary", "notary-server", "notary-signer", "skopeo", "openssl"],
  "docker-registry and notary-server",
  () => {
    beforeAll(async () => {
      [registry, notary] = await Promise.all([startDockerRegistry(), startNotaryServer()]);
    }, 60_000);

    afterAll(() => Promise.all([registry.stop(), notary.stop()]));

    for (const snapshotKey of ["client", "server"] as const) {
      test(`take a signed push and give a verified pull, with a snapshot key held by the ${snapshotKey}`, async () => {
        const repository = `${registry.host}/team/${snapshotKey}`;
        await succeeds("trust", "init", repository, "--snapshot-key", snapshotKey);
        await succeeds("push", "one.wasm", `${repository}:v1`, "--sign");
        const report = await succeeds("pull", `${repository}:v1`, "-o", "out.wasm", "--format", "json");
        expect(JSON.parse(report)).toMatchObject({ verified: "artifact", trust: { collection: repository } });
        expect(pulled()).toEqual(moduleOf("one"));

        const hex = digestHex(await digestBytes(moduleOf("one")));
        expect(await theirs("lookup", repository, "v1")).toContain(hex);
        await theirs("verify", repository, "v1", "-i", join(home, "one.wasm"), "-o", join(home, "same.wasm"), "-q");
      });
    }

    test("are used by notary, skopeo and us in turns", async () => {
      const repository = `${registry.host}/team/turns`;
      await succeeds("push", "one.wasm", `${repository}:v1`);
      // notary signs a second name, skopeo makes its tag: our pull finds the module behind both
      await theirs("add", repository, "v2", join(home, "one.wasm"), "-p");
      const copy = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
      expect(await skopeo([...copy, `docker://${repository}:v1`, `docker://${repository}:v2`])).toMatchObject({
        status: 0,
      });
      const report = await succeeds("pull", `${repository}:v2`, "-o", "out.wasm", "--format", "json");
      expect(JSON.parse(report)).toMatchObject({ verified: "module", trust: { target: "v2" } });
      await succeeds("sign", `${repository}:v2`);
      const signed = await succeeds("pull", `${repository}:v2`, "-o", "out.wasm", "--format", "json");
      expect(JSON.parse(signed)).toMatchObject({ verified: "artifact" });

      await theirs("key", "rotate", repository, "snapshot", "-r");
      await succeeds("push", "two.wasm", `${repository}:v3`);
      await succeeds("trust", "rotate", repository, "targets");
      expect(await theirs("list", repository)).toMatch(/v1[^]*v2[^]*v3/);
      await theirs("remove", repository, "v1", "-p");
      expect(await ours("pull", `${repository}:v1`, "-o", "gone.wasm")).toMatchObject({ status: 11 });
      await succeeds("trust", "remove", repository, "v2", "--yes");
      expect(await theirs("list", repository)).not.toContain("v2");
    });

    test("show the mapping of targets/releases before that of targets, as Docker does", async () => {
      const repository = `${registry.host}/team/delegated`;
      await succeeds("push", "one.wasm", `${repository}:v1`);
      await theirs("key", "rotate", repository, "snapshot", "-r");
      const pem = await succeeds("key", "generate", "--role", "delegation", "-d", join(home, "delegate"));
      writeFileSync(join(home, "delegate.pem"), pem);
      await succeeds("trust", "delegate", repository, "targets/releases", join(home, "delegate.pem"), "--all-paths");
      await succeeds("push", "two.wasm", `${repository}:v1`, "-d", join(home, "delegate"));
      expect(await theirs("list", repository, "-r", "targets/releases")).toContain("v1");
      const report = await succeeds("pull", `${repository}:v1`, "-o", "out.wasm", "--format", "json");
      expect(JSON.parse(report)).toMatchObject({ trust: { role: "targets/releases" } });
      expect(pulled()).toEqual(moduleOf("two"));
    });

    test("cannot pass off another module: nothing is written, and the next push heals it", async () => {
      const repository = `${registry.host}/team/attacked`;
      const digest = (await succeeds("push", "one.wasm", `${repository}:v1`)).trim();
      const elsewhere = ["-d", join(home, "attacker")];
      const evil = await runCli(["push", "evil.wasm", `${repository}:v1`, ...elsewhere], {
        cwd: home,
        env: { HOME: home },
      });
      expect(evil).toMatchObject({ status: 0 });
      rmSync(join(home, "out.wasm"), { force: true });
      const before = readdirSync(home);
      expect(await ours("pull", `${repository}:v1`, "-o", "out.wasm")).toMatchObject({ status: 10, stdout: "" });
      expect(readdirSync(home)).toEqual(before);
      await succeeds("pull", digest, "-o", "out.wasm"); // by digest the signed module is still there
      await succeeds("push", "one.wasm", `${repository}:v1`);
      await succeeds("pull", `${repository}:v1`, "-o", "out.wasm");
      expect(pulled()).toEqual(moduleOf("one"));
    });
  },
);
