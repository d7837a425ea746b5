/** What every key store must do. */
import { describe, expect, test } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import type { KeyStore } from "../../src/keys/key-store.ts";
import { canonicalKeyId } from "../../src/keys/notary-key-id.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { verifySignature } from "../../src/keys/public-key.ts";
import type { PassphraseProvider } from "../../src/keys/signer.ts";
import { always, codeOf, notary, notaryPassphrase, openssl } from "../support/key-fixtures.ts";

const MESSAGE = utf8Encode("message");
const GUN = "ghcr.io/acme/app";
const ALICE = "cfc6b9e6cdbbaf55ca65e67a0fe0878f14bf95b7a49e3abfec4f39842d01be87";
const never: PassphraseProvider = async () => {
  throw new Error("asked for a passphrase");
};

/**
 * @param open opens a store; called again it opens the same one as another process would, or returns undefined
 * where a store cannot outlive its process
 */
export function keyStoreContract(create: () => Promise<() => KeyStore | undefined>): void {
  describe("a key store", () => {
    async function setUp() {
      const reopen = await create();
      return { store: reopen()!, reopen };
    }

    test("gives back a key that was added, after asking for its passphrase", async () => {
      const { store, reopen } = await setUp();
      const key = await PrivateKey.generate();
      const id = await store.add(key, { role: "targets", gun: GUN }, always("passphrase"));
      expect(id).toBe(await canonicalKeyId(key.publicKey));
      const fresh = reopen() ?? store;
      const signer = await fresh.open(id, fresh === store ? never : always("passphrase"));
      expect(signer!.publicKey.spki).toEqual(key.publicKey.spki);
      expect(await verifySignature(key.publicKey, "ecdsa-sha256", MESSAGE, await signer!.sign(MESSAGE))).toBe(true);
      expect(await fresh.list()).toMatchObject([{ id, role: "targets", gun: GUN, encrypted: true }]);
      expect(await fresh.problems()).toEqual([]);
    });

    test("keeps an opened key, and asks for no passphrase twice", async () => {
      const { store } = await setUp();
      const id = (await store.importPem(notary("alice-key.pem"), {}, always("delegpass1")))[0]!.id;
      await store.open(id, always("delegpass1"));
      expect(await store.open(id, never)).toBeDefined();
    });

    test("knows no key that was never added, nor one by a name that is no id", async () => {
      const { store } = await setUp();
      for (const id of ["a".repeat(64), "", "../../etc/passwd", "A".repeat(64), "__proto__"]) {
        expect(await store.open(id, never)).toBeUndefined();
        expect(await store.remove(id)).toBe(false);
        expect(await store.retire(id)).toBeUndefined();
        expect(await codeOf(() => store.exportPem([id]))).toBe("KEY_MISSING");
        expect(await codeOf(() => store.changePassphrase(id, never))).toBe("KEY_MISSING");
      }
      expect(await store.list()).toEqual([]);
    });

    test("refuses a wrong passphrase, changes nothing, and opens with the right one", async () => {
      const { store } = await setUp();
      const id = (await store.importPem(notary("alice-key-with-path.pem"), {}, never))[0]!.id;
      const before = await store.exportPem([id]);
      expect(await codeOf(() => store.open(id, always("wrong")))).toBe("KEY_PASSPHRASE");
      expect(await codeOf(() => store.open(id, always(undefined)))).toBe("PASSPHRASE_MISSING");
      expect(await codeOf(() => store.changePassphrase(id, always("wrong")))).toBe("KEY_PASSPHRASE");
      expect(await store.exportPem([id])).toBe(before);
      expect(await store.open(id, always("delegpass1"))).toBeDefined();
    });

    test("leaves a key that is there already as it is", async () => {
      const { store } = await setUp();
      const key = await PrivateKey.generate();
      const id = await store.add(key, { role: "root" }, always("first"));
      const before = await store.exportPem([id]);
      expect(await store.add(key, { role: "root" }, never)).toBe(id);
      const again = await store.importPem(before, {}, never);
      expect(again).toMatchObject([{ id, added: false }]);
      expect(await store.exportPem([id])).toBe(before);
    });

    test("adds nothing where no passphrase is given, or a targets key names no collection", async () => {
      const { store } = await setUp();
      const key = await PrivateKey.generate();
      expect(await codeOf(() => store.add(key, { role: "root" }, always(undefined)))).toBe("PASSPHRASE_MISSING");
      expect(await codeOf(() => store.add(key, { role: "targets" }, always("x")))).toBe("USAGE");
      expect(await store.list()).toEqual([]);
    });

    test("keeps a key unencrypted where the chosen passphrase is empty, and says so", async () => {
      const { store, reopen } = await setUp();
      const id = await store.add(await PrivateKey.generate(), { role: "root" }, always(""));
      expect(await store.list()).toMatchObject([{ id, encrypted: false }]);
      expect(await (reopen() ?? store).open(id, never)).toBeDefined();
    });

    test("removes a key for good: it cannot be opened any more, even if it was open", async () => {
      const { store } = await setUp();
      const id = await store.add(await PrivateKey.generate(), { role: "root" }, always("x"));
      expect(await store.remove(id)).toBe(true);
      expect(await store.open(id, never)).toBeUndefined();
      expect(await store.list()).toEqual([]);
    });

    test("retires a key: out of use, and kept somewhere", async () => {
      const { store } = await setUp();
      const id = await store.add(await PrivateKey.generate(), { role: "root" }, always("x"));
      expect(await store.retire(id)).toMatch(/retired/);
      expect(await store.open(id, never)).toBeUndefined();
      expect(await store.list()).toEqual([]);
    });

    test("changes a passphrase: the new one opens the key, the old one no longer does", async () => {
      const { store, reopen } = await setUp();
      const id = await store.add(await PrivateKey.generate(), { role: "targets", gun: GUN }, always("old"));
      await store.changePassphrase(id, async ({ isNew }) => (isNew ? "new" : "old"));
      const fresh = reopen();
      if (fresh !== undefined) {
        expect(await codeOf(() => fresh.open(id, always("old")))).toBe("KEY_PASSPHRASE");
        expect(await fresh.open(id, always("new"))).toBeDefined();
      }
      expect(await codeOf(() => store.changePassphrase(id, always("old")))).toBe("KEY_PASSPHRASE");
      await store.changePassphrase(id, async ({ isNew }) => (isNew ? "newer" : "new"));
      expect(await store.list()).toMatchObject([{ id, role: "targets", gun: GUN }]);
    });

    describe("importing", () => {
      test("takes Notary's exports as they are, without a passphrase", async () => {
        const { store } = await setUp();
        const text = notary("exported.pem");
        const imported = await store.importPem(text, {}, never);
        expect(imported.map(({ role, added }) => `${role} ${added}`)).toEqual([
          "bob true",
          "root true",
          "targets true",
          "alice true",
          "root true",
        ]);
        expect(await store.exportPem(imported.map(({ id }) => id))).toBe(text);
        for (const { id, role } of imported) expect(await store.open(id, always(notaryPassphrase(role)))).toBeDefined();
      });

      test("takes an encrypted key without an id, which notary refuses, by opening it", async () => {
        const { store } = await setUp();
        const imported = await store.importPem(notary("alice-key.pem"), {}, always("delegpass1"));
        expect(imported).toMatchObject([{ id: ALICE, role: "alice", encrypted: true }]);
        expect(await store.exportPem([ALICE])).toBe(notary("alice-key-with-path.pem"));
      });

      test("encrypts anew what Notary could not open", async () => {
        const { store } = await setUp();
        const [key] = await store.importPem(openssl("p256-default.enc.pem"), { role: "root" }, always("testpass"));
        const exported = await store.exportPem([key!.id]);
        expect(exported).toContain("role: root");
        const again = await setUp();
        expect(await again.store.importPem(exported, {}, never)).toMatchObject([{ id: key!.id }]);
        expect(await again.store.open(key!.id, always("testpass"))).toBeDefined();
      });

      test("encrypts plain keys under a new passphrase; the role is delegation where nothing says", async () => {
        const { store } = await setUp();
        const asked: boolean[] = [];
        const [key] = await store.importPem(openssl("p256.sec1.pem"), {}, async ({ isNew }) => {
          asked.push(isNew);
          return "new";
        });
        expect(key).toMatchObject({ role: "delegation", encrypted: true, added: true });
        expect(asked).toEqual([true]);
      });

      test("imports nothing where one of several keys fails", async () => {
        const { store } = await setUp();
        const broken = notary("exported.pem")
          .replace("MIIFDz", "MIIFDy")
          .replace(/path: .*\n/, "");
        expect(
          await codeOf(() => store.importPem(notary("alice-key-with-path.pem") + broken, {}, always("delegpass1"))),
        ).toBe("KEY_INVALID");
        expect(await store.list()).toEqual([]);
      });

      test("refuses a file whose header gives another key's id", async () => {
        const { store } = await setUp();
        const [pem, id] = [openssl("p256.sec1.pem"), "b".repeat(64)];
        const named = pem.replace("KEY-----\n", `KEY-----\npath: ${id}\nrole: root\n\n`);
        expect(await codeOf(() => store.importPem(named, {}, always("x")))).toBe("KEY_INVALID");
        expect(await store.list()).toEqual([]);
      });

      test("does not sign with an encrypted file that was imported under another key's id", async () => {
        const { store } = await setUp();
        const id = "b".repeat(64);
        await store.importPem(notary("alice-key-with-path.pem").replace(ALICE, id), {}, never);
        expect(await codeOf(() => store.open(id, always("delegpass1")))).toBe("KEY_INVALID");
      });

      test("needs the collection of a targets key", async () => {
        const { store } = await setUp();
        expect(await codeOf(() => store.importPem(openssl("p256.pem"), { role: "targets" }, always("x")))).toBe(
          "USAGE",
        );
        const [key] = await store.importPem(openssl("p256.pem"), { role: "targets", gun: GUN }, always("x"));
        expect(key).toMatchObject({ role: "targets", gun: GUN });
      });

      test.each(["", "no key", openssl("authority.crt")])("refuses a text without a private key", async (text) => {
        const { store } = await setUp();
        expect(await codeOf(() => store.importPem(text, {}, never))).toBe("KEY_INVALID");
      });
    });
  });
}
