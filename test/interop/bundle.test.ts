/** What we write into layouts and bundles, read by the programs of other people, and the other way round. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli, type CliResult } from "../support/cli.ts";
import { findProgram } from "../support/peer-process.ts";
import { describeWithPeers, skopeo, startDockerRegistry, type DockerRegistry } from "../support/peers.ts";
import { moduleBytes } from "../support/use-case.ts";

const ORAS = findProgram("oras");

let dir: string;
let registry: DockerRegistry;
let key: string;

async function cli(...words: string[]): Promise<CliResult> {
  const result = await runCli(words, { cwd: dir, env: { HOME: dir, WASM_TO_OCI_PASSPHRASE: "a passphrase" } });
  if (result.status !== 0) throw new Error(`wasm-to-oci ${words.join(" ")}: ${result.status} ${result.stderr}`);
  return result;
}

/** Runs a program that must succeed. */
async function run(...args: string[]): Promise<string> {
  const result = await skopeo(args);
  if (result.status !== 0) throw new Error(`skopeo ${args.join(" ")} failed: ${result.output}`);
  return result.stdout;
}

describeWithPeers(["skopeo", "docker-registry"], "layouts and bundles beside skopeo, oras and docker-registry", () => {
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "interop-bundle-"));
    registry = await startDockerRegistry();
    writeFileSync(join(dir, "app.wasm"), moduleBytes("app"));
    const pushed = await cli("push", "app.wasm", `${registry.host}/acme/app:v1`, "--sign");
    key = /fingerprint ([0-9a-f]{64})/.exec(pushed.stderr)![1]!;
    await cli("bundle", "save", `${registry.host}/acme/app:v1`, "-o", "app.tar");
  });
  afterAll(async () => {
    await registry.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const verify = (file: string) => cli("bundle", "verify", file, "--dir", "nobody", "--root-fingerprint", key);

  test("skopeo reads a bundle by its tags, and copies the module and the trust data out of it", async () => {
    for (const tag of ["v1", "tuf"])
      await run(
        "copy",
        "--dest-tls-verify=false",
        `oci-archive:${dir}/app.tar:${tag}`,
        `docker://${registry.host}/skopeo/app:${tag}`,
      );
    const pin = [
      "trust",
      "pin",
      `${registry.host}/skopeo/app`,
      "--trust",
      "oci:",
      "--collection",
      "acme/app",
      "--root-fingerprint",
      key,
    ];
    await cli(...pin);
    await cli("pull", `${registry.host}/skopeo/app:v1`, "-o", "skopeo.wasm");
    expect(new Uint8Array(readFileSync(join(dir, "skopeo.wasm")))).toEqual(moduleBytes("app"));
  });

  test("an archive that skopeo made is copied into a registry", async () => {
    await run(
      "copy",
      "--src-tls-verify=false",
      `docker://${registry.host}/acme/app:v1`,
      `oci-archive:${dir}/theirs.tar:v1`,
    );
    await cli("copy", "oci-archive:theirs.tar:v1", `${registry.host}/theirs/app`);
    await run("copy", "--src-tls-verify=false", `docker://${registry.host}/theirs/app:v1`, `oci:${dir}/layout:v1`);
    await cli("copy", "oci:layout:v1", "oci-archive:ours.tar");
    const raw = await run("inspect", "--raw", `oci-archive:${dir}/ours.tar:v1`);
    expect(raw).toBe(await run("inspect", "--raw", "--tls-verify=false", `docker://${registry.host}/acme/app:v1`));
  });

  test("a registry without the referrers API gives and takes a whole repository", async () => {
    await cli("copy", "--all-tags", `${registry.host}/acme/app`, `${registry.host}/mirror/app`);
    await cli("bundle", "load", "app.tar", `${registry.host}/loaded/{rest}`);
    for (const place of ["mirror/app", "loaded/acme/app"]) {
      await cli(
        "trust",
        "pin",
        `${registry.host}/${place}`,
        "--trust",
        "oci:",
        "--collection",
        "acme/app",
        "--root-fingerprint",
        key,
      );
      await cli("pull", `${registry.host}/${place}:v1`, "-o", "copied.wasm");
      expect(new Uint8Array(readFileSync(join(dir, "copied.wasm")))).toEqual(moduleBytes("app"));
    }
    await verify("app.tar");
  });

  test.skipIf(ORAS === undefined)("oras reads a bundle and a layout", async () => {
    const oras = async (...args: string[]) => (await promisify(execFile)(ORAS!, args, { cwd: dir })).stdout;
    const manifest = await oras("manifest", "fetch", "--oci-layout", "app.tar:v1");
    expect(manifest).toBe(await run("inspect", "--raw", `oci-archive:${dir}/app.tar:v1`));
    await oras("copy", "--from-oci-layout", "app.tar:v1", "--to-plain-http", `${registry.host}/oras/app:v1`);
    await cli("copy", `${registry.host}/oras/app:v1`, "oci:oras-layout");
    expect(await oras("repo", "tags", "--oci-layout", "oras-layout")).toBe("v1\n");
  });
});
