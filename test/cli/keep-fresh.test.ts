/** `serve --keep-fresh` as the guide tells it: the server's key, its owner's word, and what is refused. */
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServed, type Served } from "../support/served.ts";
import { moduleBytes } from "../support/use-case.ts";
import { errorOf } from "../support/victim.ts";

let served: Served;
let repository: string;

beforeAll(async () => {
  served = await startServed(["--keep-fresh", "acme/app", "--keep-fresh", "acme/lib"]);
  repository = `${served.registry}/acme/app`;
  await writeFile(join(served.home, "app.wasm"), moduleBytes("app"));
});
afterAll(async () => served.stop());

const keyFile = (name: string): string =>
  join(served.home, ".wasm-to-oci", "server", "freshness", name, "server.pub.pem");

async function ok(...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await served.run(words);
  if (status !== 0) throw new Error(`${words.join(" ")}: ${status} ${stderr}`);
  return stdout;
}

async function until(isSo: () => boolean): Promise<void> {
  for (let times = 0; !isSo(); times++) {
    if (times > 400) throw new Error(`the server has not: ${served.log()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("serve --keep-fresh", () => {
  it("has a key for each collection, which root lists with the server's own signature", async () => {
    await ok("push", "app.wasm", `${repository}:v1`, "--sign");
    expect(existsSync(keyFile("acme+lib"))).toBe(true);
    await ok("trust", "threshold", repository, "timestamp", "1", "--add", keyFile("acme+app"), "--stage");
    await until(() => served.log().includes("was signed to show that the server has it"));
    const signed = await served.run(["trust", "sign", repository, "--yes"]);
    expect(signed.stderr).not.toContain("error:");
    expect(signed.status).toBe(0);
    const { roles } = JSON.parse(await ok("trust", "status", repository, "--format", "json")) as {
      roles: { role: string; keys: { owner?: string; held: boolean }[] }[];
    };
    const timestamp = roles.find(({ role }) => role === "timestamp")!;
    expect(timestamp.keys.map(({ owner, held }) => [owner, held])).toContainEqual(["server", false]);
    await until(() => served.log().includes("trusts this root, the first one seen"));
    await ok("trust", "expiry", repository, "timestamp", "14d/7d");
    await ok("trust", "expiry", repository, "snapshot", "365d/60d");
    await ok("push", "app.wasm", `${repository}:v2`, "--sign");
    await ok("pull", `${repository}:v2`, "-o", "v2.wasm");
    expect(served.log()).not.toContain("the timestamp is not renewed");
  });

  it.each([["Acme/App"], [""], ["acme/app=12"], ["../x"]])("refuses %j before it starts anything", async (value) => {
    const data = join(served.home, "never");
    const result = await served.run(["serve", "--data", data, "--keep-fresh", value, "--format", "json"]);
    expect(errorOf(result)).toMatchObject({ code: "USAGE", exitStatus: 2 });
    expect(result.stdout).toBe("");
    expect(existsSync(data)).toBe(false);
  });
});
