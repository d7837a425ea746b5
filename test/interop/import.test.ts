/**
 * The end of Notary, as a user lives it: a collection that the notary command made on a real server is taken over into
 * the registry, the server goes away, and consumers who pinned the old root key go on verifying.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { concatBytes, utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { runCli, type CliResult } from "../support/cli.ts";
import {
  describeWithPeers,
  NOTARY_PASSPHRASES,
  notaryCli,
  startDockerRegistry,
  startNotaryServer,
  type DockerRegistry,
  type NotaryServer,
} from "../support/peers.ts";

let home: string;
let registry: DockerRegistry;
let notary: NotaryServer;
let repository: string;

function moduleOf(word: string): Bytes {
  const section = concatBytes([Uint8Array.of(1, 0x78), utf8Encode(word)]);
  return concatBytes([utf8Encode("\0asm"), Uint8Array.of(1, 0, 0, 0, 0, section.length), section]);
}

/** A person's machine: a directory with a trust directory of its own. */
function at(person: string, ...words: string[]): Promise<CliResult> {
  const own = join(home, person);
  mkdirSync(own, { recursive: true });
  return runCli(words, {
    cwd: home,
    env: {
      HOME: own,
      WASM_TO_OCI_TLSCACERT: join(home, "ca.pem"),
      WASM_TO_OCI_PASSPHRASE: "a passphrase of ours",
      NOTARY_ROOT_PASSPHRASE: NOTARY_PASSPHRASES.root,
      NOTARY_TARGETS_PASSPHRASE: NOTARY_PASSPHRASES.targets,
      NOTARY_SNAPSHOT_PASSPHRASE: NOTARY_PASSPHRASES.snapshot,
      NOTARY_DELEGATION_PASSPHRASE: NOTARY_PASSPHRASES.delegation,
    },
  });
}

async function succeeds(person: string, ...words: string[]): Promise<CliResult> {
  const result = await at(person, ...words);
  expect({ words, status: result.status, stderr: result.stderr }).toMatchObject({ status: 0 });
  return result;
}

const notaryDir = (): string => join(home, "old-notary");

async function notarySucceeds(...args: string[]): Promise<void> {
  const result = await notaryCli(args, { dir: notaryDir(), server: notary.url, ca: notary.caFile });
  expect({ args, ...result }).toMatchObject({ status: 0 });
}

describeWithPeers(["docker-registry", "notary", "notary-server", "notary-signer", "openssl"], "leaving Notary", () => {
  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), "import-"));
    mkdirSync(notaryDir());
    registry = await startDockerRegistry();
    notary = await startNotaryServer({ keyAlgorithm: "ecdsa", remoteSigner: true });
    repository = `${registry.host}/demo/app`;
    writeFileSync(join(home, "ca.pem"), notary.caPem);
    writeFileSync(join(home, "one.wasm"), moduleOf("one"));
    writeFileSync(join(home, "two.wasm"), moduleOf("two"));
    await succeeds("publisher", "push", "one.wasm", `${repository}:v1`);
    const pushed = await succeeds("publisher", "push", "two.wasm", `${repository}:v2`, "--format", "json");
    const { artifact } = JSON.parse(pushed.stdout) as { artifact: { digest: string } };
    const manifest = await (
      await fetch(`http://${repository.replace("/", "/v2/")}/manifests/${artifact.digest}`, {
        headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
      })
    ).text();
    writeFileSync(join(home, "manifest.json"), manifest);
    await notarySucceeds("init", repository, "-p");
    await notarySucceeds("add", repository, "v1", join(home, "one.wasm"), "-p"); // the module, as in 2019
    await notarySucceeds("add", repository, "v2", join(home, "manifest.json"), "-p"); // the manifest, as docker trust
  }, 120_000);

  afterAll(async () => {
    await notary.stop();
    await registry.stop();
    rmSync(home, { recursive: true, force: true });
  });

  test("a collection moves into the registry, the server goes away, and a pin of the old key follows", async () => {
    const shown = await succeeds("consumer", "trust", "show", repository, "--server", notary.url, "--format", "json");
    const { rootKeys } = JSON.parse(shown.stdout) as { rootKeys: { fingerprint: string }[] };
    const fingerprint = rootKeys[0]!.fingerprint;
    const pin = ["trust", "pin", repository, "--server", notary.url, "--root-fingerprint", fingerprint];
    await succeeds("consumer", ...pin);
    await succeeds("consumer", "pull", `${repository}:v1`, "-o", "pulled.wasm");

    const imported = await succeeds(
      "publisher",
      "import",
      "notary",
      notary.url,
      repository,
      "--keys",
      notaryDir(),
      "--format",
      "json",
    );
    const { imports } = JSON.parse(imported.stdout) as {
      imports: { handedOverBy: string[]; targets: { name: string; signs: string }[] }[];
    };
    expect(imports[0]!.handedOverBy).toEqual([fingerprint]);
    expect(imports[0]!.targets.map(({ name, signs }) => [name, signs])).toEqual([
      ["v1", "module"],
      ["v2", "manifest"],
    ]);

    await succeeds("consumer", "trust", "pin", repository, "--update", "--trust", "oci:");
    const again = await at("publisher", "import", "notary", notary.url, repository, "--keys", notaryDir());
    expect(again.stderr).toContain("error:");
    expect(again.status).toBe(8);
    await notary.stop();
    await succeeds("consumer", "pull", `${repository}:v1`, "-o", "one-again.wasm");
    await succeeds("consumer", "pull", `${repository}:v2`, "-o", "two-again.wasm");
    expect(new Uint8Array(readFileSync(join(home, "one-again.wasm")))).toEqual(moduleOf("one"));
    expect(new Uint8Array(readFileSync(join(home, "two-again.wasm")))).toEqual(moduleOf("two"));

    const explained = await succeeds("publisher", "explain", `${repository}:v1`);
    expect(explained.stdout).toContain("1. targets has signed it");
    expect(explained.stdout).toContain("here as targets key");
    const stranger = [
      "pull",
      `${repository}:v1`,
      "--trust",
      "oci:",
      "--root-fingerprint",
      "ab".repeat(32),
      "-o",
      "no.wasm",
    ];
    expect((await at("stranger", ...stranger)).status).toBe(12);
  }, 120_000);

  test("a trust directory is listed, and its collection imported without any server", async () => {
    const listed = await succeeds("publisher", "import", "docker-trust", "--from", notaryDir());
    expect(listed.stdout).toBe(`${repository}\n`);
    const place = join(home, "plain-tuf");
    const wanted = ["import", "docker-trust", repository, "--from", notaryDir(), "--trust", place];
    await succeeds("other", ...wanted);
    const pulled = await succeeds("other", "pull", `${repository}:v1`, "-o", "from-tuf.wasm", "--format", "json");
    expect(JSON.parse(pulled.stdout)).toMatchObject({ trust: { source: "tuf", collection: "demo/app" } });
  }, 120_000);
});
