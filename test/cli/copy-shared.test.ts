/** A collection that many repositories share, where it was copied to: beside each module, or into one place. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CliResult } from "../support/cli.ts";
import { startServed, type Served } from "../support/served.ts";
import { moduleBytes } from "../support/use-case.ts";

let served: Served;
let fingerprint: string;

async function ok(...words: string[]): Promise<CliResult> {
  const result = await served.run(words);
  if (result.status !== 0) throw new Error(`${words.join(" ")}: ${result.status} ${result.stderr}`);
  return result;
}

/** The collection's first root, as its publisher would hand it out. */
async function rootFile(): Promise<Uint8Array> {
  const repository = `http://${served.registry}/v2/corp/trust`;
  const manifest = await (await fetch(`${repository}/manifests/tuf`)).json();
  const { layers } = manifest as { layers: { digest: string; annotations: Record<string, string> }[] };
  const root = layers.find(({ annotations }) => annotations["tuf.io/filename"] === "1.root.json")!;
  return new Uint8Array(await (await fetch(`${repository}/blobs/${root.digest}`)).arrayBuffer());
}

beforeAll(async () => {
  served = await startServed();
  const { registry, home } = served;
  await writeFile(join(home, "app.wasm"), moduleBytes("app"));
  const shared = ["--trust", `oci://${registry}/corp/trust`, "--collection", "corp"];
  for (const name of ["web/app", "api"]) {
    const { stderr } = await ok("push", "app.wasm", `${registry}/corp/${name}:v1`, ...shared);
    fingerprint = /fingerprint ([0-9a-f]{64})/.exec(stderr)?.[1] ?? fingerprint;
    await ok("copy", `${registry}/corp/${name}:v1`, `${registry}/beside/${name}`);
    await ok(
      "copy",
      `${registry}/corp/${name}:v1`,
      `${registry}/apart/${name}`,
      "--trust-to",
      `${registry}/apart/trust`,
    );
  }
});
afterAll(async () => served.stop());

describe("a copied collection of many repositories", () => {
  it.each([
    ["beside each module", "beside", (): string => "oci:"],
    ["in one place", "apart", (): string => `oci://${served.registry}/apart/trust`],
  ] as const)("with its trust data %s verifies under one pin, by key or by root file", async (_, folder, place) => {
    const { registry, home } = served;
    const root = ["--trust", place(), "--collection", "corp"];
    const by = {
      key: ["--root-fingerprint", fingerprint],
      file: ["--root", "root.json"],
    };
    await writeFile(join(home, "root.json"), await rootFile());
    for (const [name, words] of Object.entries(by)) {
      const dir = ["--dir", `${folder}-${name}`];
      await ok("trust", "pin", `${registry}/${folder}/{rest}`, ...root, ...words, ...dir);
      for (const module of ["web/app", "api"]) {
        const reference = `${registry}/${folder}/${module}:v1`;
        const { stdout } = await ok("pull", reference, "-o", "out.wasm", "--format", "json", ...dir);
        expect(JSON.parse(stdout)).toMatchObject({ verified: "artifact", trust: { collection: "corp" } });
      }
    }
  });

  it("is verified in a bundle, which says once as of when, whatever number of modules it vouches for", async () => {
    const modules = ["web/app", "api"].map((name) => `${served.registry}/corp/${name}:v1`);
    await ok("bundle", "save", ...modules, "-o", "corp.tar");
    const { stderr, stdout } = await ok("bundle", "verify", "corp.tar");
    expect(stdout.match(/artifact/g)).toHaveLength(2);
    const moments = [...stderr.matchAll(/^(.*)[Aa]s of (20[^,]*), fresh until/gm)].map(([, begin, at]) => [begin, at]);
    const warned = ["warning: the trust data of corp is in bundle:corp.tar: ", moments[0]![1]];
    expect(moments).toEqual([warned, ["", moments[0]![1]]]);
  });
});
