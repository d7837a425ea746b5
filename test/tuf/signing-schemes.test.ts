import { describe, expect, it } from "vitest";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { decodeMetadata } from "../../src/tuf/metadata.ts";
import { tufKeyOf, type RsaScheme } from "../../src/tuf/keys.ts";
import { publishNew } from "../../src/tuf/publish.ts";
import { openSigningKeys } from "../../src/tuf/signing-keys.ts";
import { newCollection } from "../../src/tuf/create.ts";
import { add, MemoryPublisherStore, NOW, people, person, Rig, type Person } from "../support/tuf-publishing.ts";

async function rsa(scheme: RsaScheme): Promise<Person> {
  const algorithm = { name: "RSA-PSS", hash: "SHA-256", modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) };
  const { privateKey } = await crypto.subtle.generateKey(algorithm, true, ["sign"]);
  const signer = await PrivateKey.fromPkcs8(new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey)));
  return { signer, key: await tufKeyOf(signer.publicKey, scheme) };
}

const role = ({ key }: Pick<Person, "key">) => ({ keys: [key] });

const KINDS: [scheme: string, keytype: string, make: () => Promise<Person>][] = [
  ["ed25519", "ed25519", () => person("ed25519")],
  ["ecdsa-sha2-nistp256", "ecdsa", () => person("ecdsa-p256")],
  ["ecdsa-sha2-nistp384", "ecdsa", () => person("ecdsa-p384")],
  ["rsassa-pss-sha256", "rsa", () => rsa("rsassa-pss-sha256")],
  ["rsa-pkcs1v15-sha256", "rsa", () => rsa("rsa-pkcs1v15-sha256")],
];

describe("keys that collections are published with", () => {
  it.each(KINDS)("may be %s in every role, and are listed as %s", async (scheme, keytype, make) => {
    const one = await make();
    const own = role(one);
    const rig = await Rig.make({ root: own, targets: own, snapshot: own, timestamp: own }, [one]);
    expect([one.key.keytype, one.key.scheme]).toEqual([keytype, scheme]);
    await rig.publish([add("app/v1")], [one]);
    expect((await rig.find("app/v1"))?.role).toBe("targets");
    expect(decodeMetadata(rig.anchor!, "root").signed.keys.get(one.key.id)?.json).toEqual(one.key.json);
  });

  it("may be of all kinds at once, all of whom must sign", async () => {
    const all = await Promise.all(KINDS.map(([, , make]) => make()));
    const quorum = { keys: all.map(({ key }) => key), threshold: all.length };
    const rig = await Rig.make({ root: quorum, targets: quorum }, all);
    const { roles } = await rig.client().refresh();
    const counted = roles.find((one) => one.role === "targets")!.signedBy.map(({ scheme }) => scheme);
    expect(counted.toSorted()).toEqual(KINDS.map(([scheme]) => scheme).toSorted());
    const before = rig.store.snapshot();
    await expect(rig.publish([add("app/v1")], [...all.slice(1), rig.online])).rejects.toMatchObject({
      code: "KEY_MISSING",
    });
    expect(rig.store.snapshot()).toEqual(before);
    await rig.publish([add("app/v1")], [...all, rig.online]);
    expect(await rig.find("app/v1")).toBeDefined();
  });

  it("are none of ECDSA P-521, which not every client verifies with", async () => {
    await expect(person("ecdsa-p521")).rejects.toMatchObject({ code: "KEY_INVALID" });
  });

  it("sign under the scheme that they are listed with: an RSA key of one is no key of the other", async () => {
    const pss = await rsa("rsassa-pss-sha256");
    const key = await tufKeyOf(pss.signer.publicKey, "rsa-pkcs1v15-sha256");
    expect(key.id).not.toBe(pss.key.id);
    const rig = await Rig.make({ targets: role({ key }) }, [pss]);
    expect((await rig.client().refresh()).roles.at(-1)!.signedBy).toEqual([expect.objectContaining({ id: key.id })]);
  });

  it("must make the signatures that they are asked for: others are never published", async () => {
    const honest = await person("ecdsa-p384");
    // an agent that knows SHA-256 only
    const signer = { publicKey: honest.signer.publicKey, sign: (message: Uint8Array) => honest.signer.sign(message) };
    const held = [...(await people(3)), { key: honest.key, signer }];
    const [root, online, other] = held.map(({ key }) => ({ keys: [key] }));
    const draft = newCollection({
      roles: { root: root!, targets: role(honest), snapshot: online!, timestamp: other! },
    });
    const store = new MemoryPublisherStore();
    const signing = openSigningKeys(held.map((one) => one.signer));
    await expect(publishNew({ store, anchor: undefined }, draft, { signing, now: () => NOW })).rejects.toMatchObject({
      code: "KEY_INVALID",
      details: { scheme: "ecdsa-sha2-nistp384" },
    });
    expect(store.files.size).toBe(0);
    const able = openSigningKeys([...held.map((one) => one.signer).slice(0, 3), honest.signer]);
    await publishNew({ store, anchor: undefined }, draft, { signing: able, now: () => NOW });
    expect(store.files.has("timestamp.json")).toBe(true);
  });
});
