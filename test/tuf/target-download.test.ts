import { describe, expect, it } from "vitest";
import { concatBytes, utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import { TrustError } from "../../src/base/errors.ts";
import { nobleHasher } from "../../src/base/hasher.ts";
import type { FoundTarget } from "../../src/tuf/delegations.ts";
import type { TufRepository } from "../../src/tuf/repository.ts";
import { downloadTarget, isTarget } from "../../src/tuf/target-download.ts";
import { TufSimulator } from "../support/tuf-repository.ts";

async function rig(): Promise<{ repository: TufSimulator; found: FoundTarget; file: string }> {
  const repository = await TufSimulator.create();
  await repository.addTarget("targets", "team/app", "the content of a module");
  await repository.publish("targets");
  const found = (await repository.client().find("team/app"))!;
  return { repository, found, file: [...repository.targetFiles.keys()][0]! };
}

async function download(found: FoundTarget, repository: TufRepository): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of downloadTarget(found, { repository, createHasher: nobleHasher, hashPrefix: true }))
    chunks.push(chunk);
  return utf8Decode(concatBytes(chunks));
}

describe("the bytes of a target", () => {
  it("come out where length and hash are right", async () => {
    const { repository, found } = await rig();
    expect(await download(found, repository.repository)).toBe("the content of a module");
  });

  const swapped: Record<string, string> = {
    "of the same length": "THE content of a module",
    shorter: "the",
    longer: "the content of a module!",
    empty: "",
  };
  for (const [name, content] of Object.entries(swapped)) {
    it(`are refused where they are ${name === "empty" ? "missing" : `others, ${name}`}`, async () => {
      const { repository, found, file } = await rig();
      const good = repository.targetFiles.get(file)!;
      repository.targetFiles.set(file, utf8Encode(content));
      await expect(download(found, repository.repository)).rejects.toMatchObject({
        code: "TARGET_MISMATCH",
        kind: "tampered",
      });
      repository.targetFiles.set(file, good);
      expect(await download(found, repository.repository)).toBe("the content of a module");
    });
  }

  it("end as soon as they are too long, however many more would come", async () => {
    const { found } = await rig();
    let sent = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield new Uint8Array(++sent);
    }
    const repository = { location: "", metadata: async () => undefined, target: async () => endless() };
    await expect(download(found, repository)).rejects.toMatchObject({ code: "TARGET_MISMATCH" });
    expect(sent).toBeLessThan(10);
  });

  it("must match every hash that is listed", async () => {
    const { repository, found } = await rig();
    const hashes = { ...found.file.hashes, sha512: "00".repeat(64) };
    const both = { ...found, file: { ...found.file, hashes } };
    await expect(download(both, repository.repository)).rejects.toMatchObject({ code: "TARGET_MISMATCH" });
  });

  it("are not even asked for where no hash is one that we know", async () => {
    const { repository, found } = await rig();
    const weak = { ...found, file: { ...found.file, hashes: { md5: "00", sha1: "00" } } };
    await expect(download(weak, repository.repository)).rejects.toMatchObject({ code: "TARGET_MISMATCH" });
  });

  it("are withheld where the repository does not have them", async () => {
    const { repository, found } = await rig();
    repository.targetFiles.clear();
    await expect(download(found, repository.repository)).rejects.toMatchObject({ code: "TRUST_WITHHELD" });
  });

  it("are said to be what they are where they are refused", async () => {
    const { repository, found, file } = await rig();
    const good = `sha256:${found.file.hashes["sha256"]}`;
    const refusal = async (text: string, expected: string, got: unknown): Promise<void> => {
      repository.targetFiles.set(file, utf8Encode(text));
      await expect(download(found, repository.repository)).rejects.toMatchObject({
        message: expect.stringContaining(
          `the target "team/app" is not what targets signed: expected ${expected}, got `,
        ),
        hint: "The file was replaced or damaged; nothing of it was kept",
        details: { role: "targets", target: "team/app", expected, got },
      });
    };
    await refusal("the", "23 bytes", "3 bytes");
    await refusal("the content of a module!", "23 bytes", "more than 23 bytes");
    await refusal("THE content of a module", good, expect.stringMatching(/^sha256:[0-9a-f]{64}$/));
    const weak = { ...found, file: { ...found.file, hashes: { md5: "00", sha1: "00" } } };
    await expect(download(weak, repository.repository)).rejects.toMatchObject({
      details: { expected: "a sha256 or sha512 hash", got: "md5, sha1" },
    });
    repository.targetFiles.clear();
    await expect(download(found, repository.repository)).rejects.toMatchObject({
      message: 'the repository does not have the signed target "team/app"',
      hint: "It was removed, or is being withheld; tell the publisher",
      details: { role: "targets", target: "team/app" },
    });
  });

  it("come from the plain name where files have no hash before theirs", async () => {
    const asked: string[] = [];
    const { found } = await rig();
    const repository: TufRepository = {
      location: "",
      metadata: async () => undefined,
      target: async ({ file }) => {
        asked.push(file);
        return undefined;
      },
    };
    const content = downloadTarget(found, { repository, createHasher: nobleHasher, hashPrefix: false });
    await expect(content.next()).rejects.toMatchObject({ code: "TRUST_WITHHELD" });
    await expect(download(found, repository)).rejects.toMatchObject({ code: "TRUST_WITHHELD" });
    expect(asked).toEqual(["team/app", `team/${found.file.hashes["sha256"]}.app`]);
  });

  it("that are here already and cannot be read are a failure, and not another file", async () => {
    const { found } = await rig();
    for (const error of [new Error("cannot read"), new TrustError("TRUST_UNAVAILABLE", "not there")]) {
      const content = async function* (): AsyncGenerator<Uint8Array> {
        yield utf8Encode("the");
        throw error;
      };
      await expect(isTarget(found, content(), nobleHasher)).rejects.toBe(error);
    }
  });

  it("are none of a hash that is no hexadecimal text, or half of one", async () => {
    const { repository, found } = await rig();
    const content = async function* (): AsyncGenerator<Uint8Array> {
      yield utf8Encode("the content of a module");
    };
    const hashed = (sha256: string) => ({ ...found, file: { ...found.file, hashes: { sha256 } } });
    for (const sha256 of ["", found.file.hashes["sha256"]!.slice(2)]) {
      // a file of that name is not there; one that is here is another
      await expect(download(hashed(sha256), repository.repository)).rejects.toMatchObject({ code: "TRUST_WITHHELD" });
      expect(await isTarget(hashed(sha256), content(), nobleHasher)).toBe(false);
    }
    const none = hashed("not hex");
    await expect(download(none, repository.repository)).rejects.toMatchObject({ code: "TARGET_MISMATCH" });
    await expect(isTarget(none, content(), nobleHasher)).rejects.toMatchObject({ code: "TARGET_MISMATCH" });
  });

  it("that are here already are looked at before they are used", async () => {
    const { found } = await rig();
    const content = async function* (text: string): AsyncGenerator<Uint8Array> {
      yield utf8Encode(text);
    };
    expect(await isTarget(found, content("the content of a module"), nobleHasher)).toBe(true);
    expect(await isTarget(found, content("the content of a modulE"), nobleHasher)).toBe(false);
    expect(await isTarget(found, content("the content of a module and more"), nobleHasher)).toBe(false);
  });
});
