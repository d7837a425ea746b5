/** A registry behind https: its authority, client certificates, and how far `--insecure` goes. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCli, type CliResult } from "../support/cli.ts";
import { startHostileRegistry, type HostileRegistry } from "../support/hostile-registry.ts";
import { makeCertificates, type TestCertificates } from "../support/test-certificates.ts";
import { describeWithPeers } from "../support/peers.ts";
import { moduleBytes } from "../support/use-case.ts";

let home: string;
let certificates: TestCertificates;
let registry: HostileRegistry;
let strict: HostileRegistry;

const run = (...words: string[]): Promise<CliResult> => runCli(words, { cwd: home, env: { HOME: home } });
const file = (name: string): string => join(certificates.dir, name);

describeWithPeers(["openssl"], "a registry behind https", () => {
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), "wasm-to-oci-tls-"));
    await writeFile(join(home, "app.wasm"), moduleBytes("app"));
    certificates = await makeCertificates(["server", "client"]);
    const cert = await readFile(file("server.crt"), "utf8");
    const key = await readFile(file("server.key"), "utf8");
    registry = await startHostileRegistry({ tls: { cert, key } });
    strict = await startHostileRegistry({
      tls: { cert, key, ca: certificates.caPem, requestCert: true, rejectUnauthorized: true },
    });
  });

  afterAll(async () => {
    await registry.stop();
    await strict.stop();
    certificates.remove();
    await rm(home, { recursive: true, force: true });
  });

  it("is used with the authority of --ca-file, and refused without it", async () => {
    const reference = `${registry.host}/app:v1`;
    const pushed = await run("push", "app.wasm", reference, "--ca-file", file("ca.crt"));
    expect(pushed).toMatchObject({ status: 0 });
    const other = await makeCertificates([]);
    const refused = await run("pull", reference, "--ca-file", other.caFile, "-o", "refused.wasm", "--format", "json");
    other.remove();
    expect(refused.status).toBe(5);
    expect(JSON.parse(refused.stderr)).toMatchObject({ error: { code: "TLS" } });
    await expect(readFile(join(home, "refused.wasm"))).rejects.toThrow("ENOENT");
    const pulled = await run("pull", reference, "--ca-file", file("ca.crt"), "-o", "pulled.wasm");
    expect(pulled.status).toBe(0);
  });

  it("gets the client certificate that it asks for, and refuses without", async () => {
    const reference = `${strict.host}/app:v1`;
    const identity = ["--cert-file", file("client.crt"), "--key-file", file("client.key")];
    const pushed = await run("push", "app.wasm", reference, "--ca-file", file("ca.crt"), ...identity);
    expect(pushed).toMatchObject({ status: 0 });
    const refused = await run("pull", reference, "--ca-file", file("ca.crt"), "-o", "refused.wasm");
    expect(refused.status).toBe(5);
    const half = await run("pull", reference, "--ca-file", file("ca.crt"), "--cert-file", file("client.crt"));
    expect(half.status).toBe(2);
    expect(half.stderr).toContain("--cert-file and --key-file belong together");
  });

  it("may go unchecked with --insecure, which warns, but no other host may (CVE-2019-10214)", async () => {
    const reference = `${registry.host}/app:v1`;
    const pulled = await run("pull", reference, "--insecure", "-o", "insecure.wasm");
    expect(pulled.status).toBe(0);
    expect(pulled.stderr).toContain("--insecure: the registry's TLS certificate is not checked");

    const before = strict.requests.length;
    registry.setFault(({ path }) =>
      path.includes("/blobs/")
        ? { status: 307, headers: { location: `https://localhost:${strict.host.split(":")[1]}/elsewhere` } }
        : undefined,
    );
    const redirected = await run("pull", reference, "--insecure", "-o", "redirected.wasm");
    registry.setFault(undefined);
    expect(redirected.status).toBe(5);
    expect(strict.requests.length).toBe(before);
    await expect(readFile(join(home, "redirected.wasm"))).rejects.toThrow("ENOENT");
  });
});
