/** Which roots a pin lets in, and how Notary's own configuration is read. */
import { beforeEach, describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { createCaCertificate, createServerCertificate } from "../../src/keys/certificate-template.ts";
import { canonicalKeyId } from "../../src/keys/notary-key-id.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { parseTrustPinning, pinningRule, type NotaryPin } from "../../src/notary/pinning.ts";
import { keyIdOf } from "../../src/notary/public-keys.ts";
import { createHarness, refusalOf, type Harness } from "../support/notary-harness.ts";
import { certifiedKey, GUN, NotaryRepository, type RoleKey } from "../support/notary-repository.ts";

const DATES = { notBefore: new Date("2020-01-01T00:00:00Z"), notAfter: new Date("2035-01-01T00:00:00Z") };

let repository: NotaryRepository;
let harness: Harness;
beforeEach(async () => {
  repository = await NotaryRepository.create();
  harness = createHarness(repository);
});

const rootKeys = (): RoleKey[] => repository.roles.get("root")!.keys;
const fingerprint = (key: RoleKey) => key.signer.publicKey.fingerprint();
const accepted = (pin: NotaryPin) => harness.update({ firstUse: "refuse", pin });
const refused = (pin: NotaryPin) => refusalOf(harness, { firstUse: "accept", pin });

describe("a pin by fingerprint", () => {
  it("counts the pinned keys that have signed", async () => {
    const [first, second, third] = [await certifiedKey(GUN), await certifiedKey(GUN), await certifiedKey(GUN)];
    repository.roles.set("root", { keys: [first, second, third], threshold: 2 });
    repository.signers.set("root", [first, second]);
    await repository.publish();
    const fingerprints = await Promise.all([first, second, third].map(fingerprint));
    expect(await refused({ fingerprints, threshold: 3 })).toMatchObject({ code: "PIN_MISMATCH" });
    expect(await refused({ fingerprints: [fingerprints[2]!] })).toMatchObject({ code: "PIN_MISMATCH" });
    await expect(accepted({ fingerprints, threshold: 2 })).resolves.toMatchObject({ firstUse: false });
  });

  it("holds together with a second one, each by the root that trust began with or by today's", async () => {
    const old = { fingerprints: [await fingerprint(rootKeys()[0]!)] };
    const stranger = { fingerprints: ["0".repeat(64)] };
    expect(await refused({ ...old, also: stranger })).toMatchObject({ code: "PIN_MISMATCH" });
    expect(await refused({ ...stranger, also: old })).toMatchObject({ code: "PIN_MISMATCH" });
    expect(await refused({ also: stranger })).toMatchObject({ code: "PIN_MISMATCH" });
    expect(await harness.stored()).toMatchObject({ state: undefined });
    await expect(accepted({ ...old, also: { ...old, threshold: 1 } })).resolves.toBeDefined();
    await repository.rotateRoot();
    await harness.update({ firstUse: "refuse" });
    const young = { fingerprints: [await fingerprint(rootKeys()[0]!)] };
    await expect(accepted({ ...old, also: young })).resolves.toBeDefined();
    await expect(accepted({ ...young, also: old })).resolves.toBeDefined();
    expect(await refused({ ...young, also: { ...old, also: stranger } })).toMatchObject({ code: "PIN_MISMATCH" });
  });

  it("reads fingerprints in either case", async () => {
    await expect(
      accepted({ fingerprints: [(await fingerprint(rootKeys()[0]!)).toUpperCase()] }),
    ).resolves.toBeDefined();
  });

  it("refuses a threshold that can never be met, or always is", async () => {
    const fingerprints = [await fingerprint(rootKeys()[0]!)];
    for (const threshold of [0, -1, 1.5, 2]) {
      expect(await refused({ fingerprints, threshold })).toMatchObject({ code: "USAGE" });
    }
  });

  it("counts one key once, in however many certificates it is", async () => {
    const key = rootKeys()[0]!;
    const twin = await certifiedKey(GUN, { signer: key.signer });
    repository.roles.set("root", { keys: [key, twin], threshold: 1 });
    await repository.publish();
    const fingerprints = [await fingerprint(key), "0".repeat(64)];
    expect(await refused({ fingerprints, threshold: 2 })).toMatchObject({ code: "PIN_MISMATCH" });
  });
});

describe("a pin by certificate id", () => {
  it("takes the id in the document, and the canonical id", async () => {
    const key = rootKeys()[0]!;
    await expect(accepted({ certificateIds: [await keyIdOf(key.listed)] })).resolves.toBeDefined();
    harness = createHarness(repository);
    await expect(accepted({ certificateIds: [await canonicalKeyId(key.signer.publicKey)] })).resolves.toBeDefined();
  });

  it("refuses any other", async () => {
    expect(await refused({ certificateIds: ["0".repeat(64)] })).toMatchObject({ code: "PIN_MISMATCH" });
  });

  it("lets only pinned keys sign: a root with others is not signed enough", async () => {
    const other = await certifiedKey(GUN);
    const pinned = rootKeys()[0]!;
    repository.roles.set("root", { keys: [pinned, other], threshold: 1 });
    repository.signers.set("root", [other]);
    await repository.publish();
    const pin = { certificateIds: [await keyIdOf(pinned.listed)] };
    expect(await refused(pin)).toMatchObject({ code: "ROOT_UNTRUSTED", role: "root" }); // it knows a root 1 of that key
    repository.files.delete("1.root.json");
    expect(await refused(pin)).toMatchObject({ code: "SIGNATURE_THRESHOLD", role: "root" });
  });

  it("must hold together with every other form that is given", async () => {
    const certificateIds = [await keyIdOf(rootKeys()[0]!.listed)];
    expect(await refused({ certificateIds, fingerprints: ["0".repeat(64)] })).toMatchObject({ code: "PIN_MISMATCH" });
  });
});

describe("a pin by authority", () => {
  async function issued(by: { signer: PrivateKey; name: string }, gun = GUN): Promise<RoleKey> {
    const signer = await PrivateKey.generate("ecdsa-p256");
    const pem = await createServerCertificate({
      ...DATES,
      commonName: gun,
      publicKey: signer.publicKey,
      names: { dnsNames: ["signer.example"], ipAddresses: [] },
      issuer: by.name,
      signer: by.signer,
    });
    return { signer, listed: { keytype: "ecdsa-x509", public: utf8Encode(pem) } };
  }

  async function authority(name = "Acme Root", dates = DATES) {
    const signer = await PrivateKey.generate("ecdsa-p256");
    return { name, signer, pem: await createCaCertificate({ ...dates, commonName: name, signer }) };
  }

  it("accepts a root whose certificate it issued, and no other", async () => {
    const acme = await authority();
    const twin = await authority();
    repository.roles.set("root", { keys: [await issued(acme)], threshold: 1 });
    await repository.publish();
    expect(await refused({ certificateAuthorities: twin.pem })).toMatchObject({ code: "PIN_MISMATCH" });
    await expect(accepted({ certificateAuthorities: twin.pem + acme.pem })).resolves.toMatchObject({ firstUse: false });
  });

  it("refuses a certificate that signed itself", async () => {
    expect(await refused({ certificateAuthorities: (await authority()).pem })).toMatchObject({ code: "PIN_MISMATCH" });
  });

  it("refuses one that it issued for another collection", async () => {
    const acme = await authority();
    repository.roles.set("root", { keys: [await issued(acme, "acme/other")], threshold: 1 });
    await repository.publish();
    expect(await refused({ certificateAuthorities: acme.pem })).toMatchObject({ code: "COLLECTION_MISMATCH" });
  });

  it("refuses an authority that has expired", async () => {
    const acme = await authority("Acme Root", { ...DATES, notAfter: new Date("2026-01-01T00:00:00Z") });
    repository.roles.set("root", { keys: [await issued(acme)], threshold: 1 });
    await repository.publish();
    expect(await refused({ certificateAuthorities: acme.pem })).toMatchObject({ code: "PIN_MISMATCH" });
  });

  it("says that a file of authorities is none", async () => {
    expect(await refused({ certificateAuthorities: "" })).toMatchObject({ code: "CERTIFICATE_INVALID" });
  });

  it("takes no authority's own certificate, and no bundle that does not start with its one leaf, for a root key", async () => {
    const signer = await PrivateKey.generate("ecdsa-p256");
    const leaf = await certifiedKey(GUN, { signer });
    const ca = utf8Encode(await createCaCertificate({ ...DATES, commonName: GUN, signer }));
    const bundles = [
      ca,
      Uint8Array.of(...ca, ...leaf.listed.public),
      Uint8Array.of(...leaf.listed.public, ...leaf.listed.public),
    ];
    for (const bundle of bundles) {
      repository.roles.set("root", {
        keys: [{ signer, listed: { keytype: "ecdsa-x509", public: bundle } }],
        threshold: 1,
      });
      await repository.publish();
      expect(await refusalOf(harness)).toMatchObject({ code: "COLLECTION_MISMATCH" });
    }
    const good = { signer, listed: { keytype: "ecdsa-x509", public: Uint8Array.of(...leaf.listed.public, ...ca) } };
    repository.roles.set("root", { keys: [good], threshold: 1 });
    await repository.publish();
    await expect(harness.update()).resolves.toBeDefined();
  });
});

describe("Notary's trust_pinning", () => {
  const config = (pinning: unknown) => parseTrustPinning(JSON.stringify({ trust_dir: "~/x", trust_pinning: pinning }));

  it("chooses the exact name, the longest prefix, the longest authority, then first use", () => {
    const pinning = config({
      certs: { "acme/app": ["1"], "acme/*": ["2"], "acme/a*": ["3"], "*": ["4"] },
      ca: { other: "other.pem", "other/deep": "deep.pem" },
    });
    expect(pinningRule(pinning, "acme/app")).toEqual({ kind: "certificates", certificateIds: ["1"] });
    expect(pinningRule(pinning, "acme/apple")).toEqual({ kind: "certificates", certificateIds: ["3"] });
    expect(pinningRule(pinning, "acme/b")).toEqual({ kind: "certificates", certificateIds: ["2"] });
    expect(pinningRule(pinning, "other/deep/x")).toEqual({ kind: "certificates", certificateIds: ["4"] });
    const authorities = config({ ca: { other: "other.pem", "other/deep": "deep.pem" } });
    expect(pinningRule(authorities, "other/deep/x")).toEqual({ kind: "authority", path: "deep.pem" });
    expect(pinningRule(authorities, "other/x")).toEqual({ kind: "authority", path: "other.pem" });
    expect(pinningRule(authorities, "acme")).toEqual({ kind: "first-use" });
  });

  it("applies to names with capitals, which Notary's own program forgets", () => {
    const pinning = config({ certs: { "Acme/App": ["1"] }, disable_tofu: true });
    expect(pinningRule(pinning, "Acme/App")).toEqual({ kind: "certificates", certificateIds: ["1"] });
    expect(pinningRule(pinning, "acme/app")).toEqual({ kind: "refuse" });
  });

  it("is empty where the file does not speak of it", () => {
    expect(pinningRule(parseTrustPinning("{}"), "acme/app")).toEqual({ kind: "first-use" });
    expect(pinningRule(config(null), "acme/app")).toEqual({ kind: "first-use" });
    expect(pinningRule(config({ certs: null, ca: null, disable_tofu: null }), "acme/app")).toEqual({
      kind: "first-use",
    });
  });

  it("is an error where it is malformed, never no pin", () => {
    for (const pinning of [
      1,
      [],
      { certs: [] },
      { certs: { a: "1" } },
      { certs: { a: [1] } },
      { certs: { a: [] } },
      { ca: { a: 1 } },
      { disable_tofu: "yes" },
      { Certs: {} },
    ]) {
      expect(() => config(pinning)).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
    }
    expect(() => parseTrustPinning("{")).toThrow(expect.objectContaining({ code: "JSON_INVALID" }));
  });
});
