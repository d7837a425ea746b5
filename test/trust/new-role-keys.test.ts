import { describe, expect, it } from "vitest";
import { memoryKeyStore } from "../../src/keys/key-store.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { newRoleKey } from "../../src/trust/new-role-keys.ts";

const passphrases = async (): Promise<string> => "passphrase-of-a-test";

describe("the keys of a new collection", () => {
  it("are made for each role and collection, but one root key serves all of a publisher's", async () => {
    const keyStore = memoryKeyStore();
    const made: string[] = [];
    const first = await newRoleKey("root", "acme/a", { keyStore, passphrases }, made);
    const second = await newRoleKey("root", "acme/b", { keyStore, passphrases }, made);
    expect(second.id).toBe(first.id);
    const targets = [
      await newRoleKey("targets", "acme/a", { keyStore, passphrases }, made),
      await newRoleKey("targets", "acme/b", { keyStore, passphrases }, made),
    ];
    expect(new Set(targets.map(({ id }) => id)).size).toBe(2);
    expect(made).toHaveLength(3);
  });

  it("begin with a root key that another tool has made", async () => {
    const keyStore = memoryKeyStore();
    const key = await PrivateKey.generate("ecdsa-p256");
    await keyStore.add(key, { role: "root" }, passphrases);
    const root = await newRoleKey("root", "acme/a", { keyStore, passphrases }, []);
    expect(await root.publicKey?.fingerprint()).toBe(await key.publicKey.fingerprint());
  });

  it("are not guessed among several root keys, but chosen", async () => {
    const keyStore = memoryKeyStore();
    const ids: string[] = [];
    for (const type of ["ed25519", "ecdsa-p256"] as const) {
      ids.push(await keyStore.add(await PrivateKey.generate(type), { role: "root" }, passphrases));
    }
    const made: string[] = [];
    await expect(newRoleKey("root", "acme/a", { keyStore, passphrases }, made)).rejects.toMatchObject({
      code: "USAGE",
      hint: expect.stringContaining("--root-key"),
    });
    const missing = { keyStore, passphrases, rootKeyId: "f".repeat(64) };
    await expect(newRoleKey("root", "acme/a", missing, made)).rejects.toMatchObject({ code: "KEY_MISSING" });
    expect(made).toEqual([]);
    const chosen = await newRoleKey("root", "acme/a", { keyStore, passphrases, rootKeyId: ids[1] }, made);
    expect(chosen.publicKey?.type).toBe("ecdsa");
  });
});
