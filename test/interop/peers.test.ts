import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  describeWithPeers,
  notaryCli,
  skopeo,
  startDockerRegistry,
  startNotaryServer,
  type NotaryServer,
} from "../support/peers.ts";

describeWithPeers(["docker-registry", "openssl"], "docker-registry as a peer", () => {
  test("answers over http, and leaves nothing behind its stop", async () => {
    const registry = await startDockerRegistry();
    expect((await fetch(`${registry.url}/v2/`)).status).toBe(200);
    await registry.stop();
    await expect(fetch(`${registry.url}/v2/`)).rejects.toThrow("fetch failed");
  });

  test("demands a token that its token server gives", async () => {
    const registry = await startDockerRegistry({ auth: { users: { alice: "secret" } } });
    const refused = await fetch(`${registry.url}/v2/`);
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toContain(registry.tokens!.realm);
    const basic = `Basic ${btoa("alice:secret")}`;
    const asked = await fetch(`${registry.tokens!.realm}?service=x&scope=repository:a/b:pull,push`, {
      headers: { authorization: basic },
    });
    const { token } = (await asked.json()) as { token: string };
    const accepted = await fetch(`${registry.url}/v2/`, { headers: { authorization: `Bearer ${token}` } });
    expect(accepted.status).toBe(200);
    await registry.stop();
  });
});

describeWithPeers(["docker-registry", "skopeo"], "skopeo as a peer", () => {
  test("says of an empty registry that it does not know a repository", async () => {
    const registry = await startDockerRegistry();
    const result = await skopeo(["inspect", "--tls-verify=false", `docker://${registry.host}/a/b:v1`]);
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/manifest unknown|name unknown/);
    await registry.stop();
  });
});

for (const remoteSigner of [true, false]) {
  const title = `notary-server as a peer, ${remoteSigner ? "with notary-signer" : "signing itself"}`;
  describeWithPeers(["notary", "notary-server", "notary-signer", "openssl"], title, () => {
    const dir = mkdtempSync(join(tmpdir(), "peer-test-"));
    let server: NotaryServer;
    beforeAll(async () => {
      server = await startNotaryServer({ remoteSigner });
    });
    afterAll(async () => {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    });

    test("serves what the notary command publishes", async () => {
      const options = { dir: join(dir, "trust"), server: server.url, ca: server.caFile };
      writeFileSync(join(dir, "file"), "content");
      const init = await notaryCli(["init", "acme/app", "-p"], options);
      expect(init.output).toContain("Successfully published");
      await notaryCli(["add", "acme/app", "v1", join(dir, "file"), "-p"], options);
      expect((await notaryCli(["list", "acme/app"], options)).stdout).toMatch(/^v1\s/m);
    });
  });
}
