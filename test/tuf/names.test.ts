import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeName, metadataFile, targetFile } from "../../src/tuf/names.ts";
import { TufSimulator } from "../support/tuf-repository.ts";

const UNUSUAL = [
  "../x",
  "/x",
  "a/b",
  "?",
  "#",
  "%2e%2e",
  ".",
  "..",
  "con",
  "constructor",
  "__proto__",
  "1",
  "\r\n",
  "\u0000",
  "é",
  "😀",
  "!'()*",
  "x".repeat(512),
];

describe("A11: names in URLs and files", () => {
  for (const role of UNUSUAL) {
    it(`reads the role ${JSON.stringify(role.slice(0, 20))} under one encoded name, and from the cache after that`, async () => {
      const repository = await TufSimulator.create();
      await repository.delegate("targets", role);
      await repository.addTarget(role, "app", "x");
      await repository.publish(role, "targets");
      const client = repository.client();
      expect(await client.find("app")).toMatchObject({ role });
      const file = `2.${encodeName(role)}.json`;
      expect(repository.requests).toContain(file);
      expect(file).toMatch(/^[\w.~%-]+$/);
      repository.requests.length = 0;
      await client.refresh();
      expect(await client.find("app")).toMatchObject({ role });
      expect(repository.requests).toEqual(["2.root.json", "timestamp.json"]);
    });
  }

  for (const role of ["", "x".repeat(513), "root", "targets"]) {
    it(`refuses a delegation to ${JSON.stringify(role.slice(0, 20))}`, async () => {
      const repository = await TufSimulator.create();
      await repository.delegate("targets", role === "targets" ? "targets" : role);
      await repository.publish("targets");
      await expect(repository.client().refresh()).rejects.toMatchObject({ code: "METADATA_INVALID" });
    });
  }

  it("encodes as python's quote does", () => {
    expect(encodeName("a/b c?#!'()*~_.-é")).toBe("a%2Fb%20c%3F%23%21%27%28%29%2A~_.-%C3%A9");
    expect(metadataFile("../x", 3)).toBe("3...%2Fx.json");
  });

  it("never gives two roles one name, nor one that leads anywhere", () => {
    const name = fc.string({ unit: "grapheme", minLength: 1 });
    fc.assert(
      fc.property(name, name, (a, b) => {
        expect(encodeName(a) === encodeName(b)).toBe(a === b);
        expect(metadataFile(a)).not.toContain("/");
        expect(new URL(metadataFile(a, 1), "https://x.example/metadata/").pathname.startsWith("/metadata/1.")).toBe(
          true,
        );
      }),
    );
  });

  const hashes = { sha256: "ab" };
  for (const path of ["../x", "a/../b", "/x", "a//b", "a/", "", ".", "a/./b", String.raw`a\b`, "a\u0000", "\ud800"]) {
    it(`fetches no target by the path ${JSON.stringify(path)}`, () => {
      expect(() => targetFile(path, hashes)).toThrow(
        expect.objectContaining({
          code: "TARGET_NAME_INVALID",
          kind: "usage",
          message: `${JSON.stringify(path)} cannot be fetched by its name`,
          hint: "Parts of a target's path must not be empty, . or .., and hold no backslash",
          details: { target: path },
        }),
      );
    });
  }

  it("puts the hash before the last part, and cuts no URL short", () => {
    expect(targetFile("team/a#b?c.wasm", hashes)).toBe("team/ab.a%23b%3Fc.wasm");
    expect(targetFile("team/app", undefined)).toBe("team/app");
    expect(targetFile("app", { sha512: "cd" })).toBe("cd.app");
  });
});
