import { beforeAll, describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { hashBytes } from "../../src/base/digest.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { PublicKey } from "../../src/keys/public-key.ts";
import {
  checkBytes,
  checkNotExpired,
  checkNotOlder,
  checkThreshold,
  checkVersion,
  matchesBytes,
  type Candidate,
} from "../../src/tuf/checks.ts";

const message = utf8Encode("a document");

describe("thresholds", () => {
  let alice: PrivateKey;
  let bob: PrivateKey;
  beforeAll(async () => {
    [alice, bob] = await Promise.all([PrivateKey.generate("ecdsa-p256"), PrivateKey.generate("ed25519")]);
  });

  const by = async (key: PrivateKey, source: string, over = message): Promise<Candidate<string>> => ({
    key: key.publicKey,
    scheme: key.publicKey.type === "ed25519" ? "ed25519" : "ecdsa-sha256",
    signature: await key.sign(over),
    source,
  });

  it("gives the keys whose signatures are good, and passes over the others", async () => {
    const candidates = [await by(alice, "alice"), await by(bob, "bob", utf8Encode("another document"))];
    expect(await checkThreshold("targets", message, candidates, 1)).toEqual(["alice"]);
  });

  it("reports every signer, also beyond the threshold", async () => {
    const candidates = [await by(bob, "bob"), await by(alice, "alice")];
    expect(await checkThreshold("targets", message, candidates, 1)).toEqual(["bob", "alice"]);
  });

  it("counts a key once, whatever ids and objects it comes under", async () => {
    const again = { ...(await by(alice, "alice again")), key: PublicKey.fromSpki(alice.publicKey.spki) };
    const both = [await by(alice, "alice"), again];
    await expect(checkThreshold("targets", message, both, 2)).rejects.toMatchObject({
      code: "SIGNATURE_THRESHOLD",
      kind: "untrusted",
      role: "targets",
      details: { expected: 2, got: 1 },
    });
    expect(await checkThreshold("targets", message, [...both, await by(bob, "bob")], 2)).toEqual(["alice", "bob"]);
  });

  it("needs a good signature even where the threshold is no number of keys", async () => {
    for (const threshold of [0, -1, Number.NaN]) {
      await expect(checkThreshold("targets", message, [], threshold)).rejects.toMatchObject({
        code: "SIGNATURE_THRESHOLD",
      });
    }
  });

  it("takes a key whose point is not on its curve for one that signed nothing", async () => {
    const spki = alice.publicKey.spki.slice();
    spki.fill(1, -64);
    const odd = { ...(await by(alice, "odd")), key: PublicKey.fromSpki(spki) };
    await expect(checkThreshold("targets", message, [odd], 1)).rejects.toMatchObject({ code: "SIGNATURE_THRESHOLD" });
    expect(await checkThreshold("targets", message, [odd, await by(alice, "alice")], 1)).toEqual(["alice"]);
  });
});

describe("a signature that cannot be checked", () => {
  it("for a reason that is no fault of the key is a failure, and not a bad signature", async () => {
    const error = new Error("the crypto of this machine does not work");
    const key = new Proxy({} as PublicKey, {
      get: (_, name) => {
        if (name === "spki") return new Uint8Array(1); // what keys are told apart by, which is asked for later
        throw error;
      },
    });
    const candidate = { source: 1, key, scheme: "ed25519" as const, signature: new Uint8Array(64) };
    await expect(checkThreshold("r", new Uint8Array(1), [candidate], 1)).rejects.toBe(error);
  });
});

describe("versions", () => {
  it("accepts the version seen before and higher ones", () => {
    expect(() => checkNotOlder("targets", 3, 3)).not.toThrow();
    expect(() => checkNotOlder("targets", 4, 3)).not.toThrow();
    expect(() => checkNotOlder("targets", 2, 3)).toThrow(
      expect.objectContaining({
        code: "METADATA_ROLLED_BACK",
        kind: "rolled-back",
        details: { role: "targets", expected: 3, got: 2 },
      }),
    );
  });

  it("tells a version that is too high from one that is too low", () => {
    expect(() => checkVersion("root", 4, 4)).not.toThrow();
    expect(() => checkVersion("root", 5, 4)).toThrow(expect.objectContaining({ code: "METADATA_TAMPERED" }));
    expect(() => checkVersion("root", 3, 4)).toThrow(expect.objectContaining({ code: "METADATA_ROLLED_BACK" }));
  });
});

describe("expiry", () => {
  it("ends at the very moment that is written", () => {
    const expires = new Date("2026-01-01T00:00:00Z");
    expect(() => checkNotExpired("root", expires, new Date(expires.getTime() - 1))).not.toThrow();
    for (const now of [expires, new Date(expires.getTime() + 1)]) {
      expect(() => checkNotExpired("root", expires, now)).toThrow(
        expect.objectContaining({ code: "METADATA_EXPIRED", kind: "expired", role: "root" }),
      );
    }
  });

  it("takes a date that is none for expired", () => {
    expect(() => checkNotExpired("root", new Date(Number.NaN), new Date())).toThrow(
      expect.objectContaining({ code: "METADATA_EXPIRED" }),
    );
  });
});

describe("hashes and length", () => {
  it("wants the length and every hash that it knows", async () => {
    const sha256 = await hashBytes("sha256", message);
    const sha512 = await hashBytes("sha512", message);
    const good = {
      length: message.length,
      hashes: new Map([
        ["sha256", sha256],
        ["sha512", sha512],
        ["md5", sha256],
      ]),
    };
    await expect(checkBytes("targets", message, good)).resolves.toBeUndefined();
    const bad = [
      { ...good, length: message.length + 1 },
      {
        ...good,
        hashes: new Map([
          ["sha256", sha256],
          ["sha512", sha256],
        ]),
      },
      {
        ...good,
        hashes: new Map([
          ["sha256", sha512],
          ["sha512", sha512],
        ]),
      },
      { ...good, hashes: new Map([["md5", sha256]]) },
      { ...good, hashes: new Map() },
    ];
    for (const expected of bad) {
      expect(await matchesBytes(message, expected)).toBe(false);
      await expect(checkBytes("targets", message, expected)).rejects.toMatchObject({
        code: "METADATA_TAMPERED",
        kind: "tampered",
        role: "targets",
      });
    }
  });
});

describe("what is said of a refusal", () => {
  const sha256 = new Uint8Array(32).fill(0xab);
  const of = (length: number, algorithm: "sha256" | "sha1", hash: Uint8Array) => ({
    length,
    hashes: new Map([[algorithm, hash]]) as ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  });
  const refusals: [string, () => unknown, object][] = [
    [
      "too few signatures",
      () => checkThreshold("team", message, [], 2),
      {
        code: "SIGNATURE_THRESHOLD",
        message: "the metadata of team is not signed by enough of its keys: 2 needed, 0 good",
        hint: "The metadata was changed, or signed by somebody who may not; it was not used",
        details: { role: "team", expected: 2, got: 0, candidates: 0 },
      },
    ],
    [
      "an older version",
      () => checkNotOlder("team", 1, 2),
      {
        code: "METADATA_ROLLED_BACK",
        message: "the metadata of team is older than what was seen before: version 1, seen 2",
        hint: expect.stringMatching(/^Somebody serves old trust data/),
        details: { role: "team", expected: 2, got: 1 },
      },
    ],
    [
      "a version that is too high",
      () => checkVersion("team", 3, 2),
      {
        code: "METADATA_TAMPERED",
        message: expect.stringMatching(/^the metadata of team has version 3, /),
        details: { role: "team", expected: 2, got: 3 },
      },
    ],
    [
      "a date that has passed",
      () => checkNotExpired("team", new Date("2030-01-01T00:00:00Z"), new Date("2030-01-02T00:00:00Z")),
      {
        code: "METADATA_EXPIRED",
        message: "the metadata of team expired: 2030-01-01T00:00:00.000Z",
        hint: "Its publisher must sign it again; check this machine's clock too",
        details: { role: "team", expires: "2030-01-01T00:00:00.000Z", now: "2030-01-02T00:00:00.000Z" },
      },
    ],
    [
      "a date that is none",
      () => checkNotExpired("team", new Date(Number.NaN), new Date("2030-01-02T00:00:00Z")),
      { code: "METADATA_EXPIRED", message: "the metadata of team expired: at no readable date" },
    ],
    [
      "another length",
      () => checkBytes("team", message, of(3, "sha256", sha256)),
      {
        code: "METADATA_TAMPERED",
        message: "the metadata of team is not what was signed for it: expected 3 bytes, got 10 bytes",
        hint: expect.stringMatching(/^Somebody mixes metadata of different moments/),
        details: { role: "team", expected: "3 bytes", got: "10 bytes" },
      },
    ],
    [
      "another hash",
      () => checkBytes("team", message, of(10, "sha256", sha256)),
      {
        details: {
          expected: `sha256:${"ab".repeat(32)}`,
          got: "sha256:0d1da5138c035ffb7a848cfa108a901b2d7e44195f11ddc475e1fe7c1cf9d8b3",
        },
      },
    ],
    [
      "no hash that is known",
      () => checkBytes("team", message, of(10, "sha1", sha256)),
      { details: { expected: "a sha256 or sha512 hash", got: "none" } },
    ],
  ];
  for (const [name, check, error] of refusals) {
    it(`names ${name}: what was expected, what came, and what to do`, async () => {
      await expect(async () => check()).rejects.toMatchObject(error);
    });
  }

  it("is nothing where bytes are right", async () => {
    const hash = await hashBytes("sha256", message);
    expect(await matchesBytes(message, of(10, "sha256", hash))).toBe(true);
    expect(await matchesBytes(message, of(11, "sha256", hash))).toBe(false);
    expect(await matchesBytes(message, of(10, "sha256", sha256))).toBe(false);
    await expect(checkBytes("team", message, of(10, "sha256", hash))).resolves.toBeUndefined();
  });
});
