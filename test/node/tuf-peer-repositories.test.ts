/** Repositories that other implementations have made (test/fixtures/tuf-peers holds the programs that did). */
import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nodeHasher } from "../../src/node/hasher.ts";
import { directoryRepository } from "../../src/node/tuf-directory.ts";
import { TufClient } from "../../src/tuf/client.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import { downloadTarget } from "../../src/tuf/target-download.ts";

const FIXTURES = join(import.meta.dirname, "..", "fixtures", "tuf-peers");
const NOW = new Date("2030-01-01T00:00:00Z");
const BINNED = Array.from({ length: 8 }, (_, index) => `binned/${index}`);

/** What each holds: every target's content is its name. */
const PEERS = [
  {
    peer: "python-tuf",
    names: ["v1", "name with (odd) characters, é", "team/a", "team/inner/m.wasm", "hashed/x", ...BINNED],
    schemes: ["rsa-pkcs1v15-sha256", "rsassa-pss-sha256", "rsassa-pss-sha512", "ecdsa-sha2-nistp256", "ed25519"],
    version: 2,
    newest: "2.targets.json",
  },
  {
    peer: "tuf-js",
    names: ["v1", "name with (odd) characters", "team/a", ...BINNED],
    schemes: ["rsassa-pss-sha256", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ed25519"],
    version: 1,
    newest: "1.targets.json",
  },
  {
    peer: "go-tuf",
    names: ["v1", "name with (odd) characters, é", "team/a", "hashed/x", ...BINNED],
    schemes: ["rsassa-pss-sha256", "ecdsa-sha2-nistp256", "ed25519"],
    version: 7,
    newest: "7.targets.json",
  },
];

async function clientOf(dir: string): Promise<{ client: TufClient; content: (name: string) => Promise<string> }> {
  const anchor = new Uint8Array(await readFile(join(dir, "metadata", "1.root.json")));
  const repository = directoryRepository(dir);
  const client = new TufClient({ anchor, repository, store: memoryTufStore(), now: () => NOW });
  return {
    client,
    content: async (name) => {
      const found = await client.find(name);
      const chunks: Uint8Array[] = [];
      const options = { repository, createHasher: nodeHasher, hashPrefix: client.consistentSnapshot };
      for await (const chunk of downloadTarget(found!, options)) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    },
  };
}

describe.each(PEERS)("a repository of $peer", ({ peer, names, schemes, version, newest }) => {
  it("is read with every target, from its first root on", async () => {
    const { client, content } = await clientOf(join(FIXTURES, peer));
    const { roles } = await client.refresh();
    expect(roles.map(({ role, document }) => [role, document.signed.version])).toContainEqual(["root", 2]);
    expect(roles.map(({ role, document }) => [role, document.signed.version])).toContainEqual(["targets", version]);
    for (const name of names) expect(await content(name)).toBe(name);
    for (const name of ["none", "team/none", "binned/none", "hashed/none"]) {
      expect(await client.find(name)).toBeUndefined();
    }
    const counted = new Set(client.report().roles.flatMap(({ signedBy }) => signedBy.map(({ scheme }) => scheme)));
    expect([...counted].toSorted()).toEqual(schemes.toSorted());
  });

  it("is refused where a byte of what is signed, or of a signature, is another one", async () => {
    const dir = await mkdtemp(join(tmpdir(), "tuf-peers-"));
    try {
      await cp(join(FIXTURES, peer), dir, { recursive: true });
      const file = join(dir, "metadata", newest);
      const honest = await readFile(file, "utf8");
      const hash = createHash("sha256").update("v1").digest("hex");
      const sig = /"sig":\s*"([0-9a-f]{40})/.exec(honest)![1]!;
      for (const part of [hash, sig]) {
        expect(honest).toContain(part);
        await writeFile(
          file,
          honest.replace(part, createHash("sha256").update("x").digest("hex").slice(0, part.length)),
        );
        await expect((await clientOf(dir)).client.refresh()).rejects.toMatchObject({ code: "METADATA_TAMPERED" });
      }
      await writeFile(file, honest);
      await expect((await clientOf(dir)).client.refresh()).resolves.toBeDefined();
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});
