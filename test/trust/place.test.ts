import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UsageError, WasmToOciError } from "../../src/base/errors.ts";
import { tagOf, targetName } from "../../src/trust/coverage.ts";
import { coverRepository } from "../../src/trust/cover.ts";
import {
  defaultCollection,
  formatPlace,
  parsePlace,
  parseReadablePlace,
  placeFlags,
  placeOf,
  prefixIn,
  type TrustPlace,
} from "../../src/trust/place.ts";
import type { PinEntry, PinnedSource } from "../../src/trust/pins.ts";
import type { TrustSource } from "../../src/trust/source.ts";

describe("parsePlace", () => {
  it.each<[string, TrustPlace]>([
    ["oci:", { kind: "oci" }],
    ["oci://ghcr.io/acme/trust", { kind: "oci", repository: "ghcr.io/acme/trust" }],
    ["oci://localhost:5000/t", { kind: "oci", repository: "localhost:5000/t" }],
    ["https://tuf.example/metadata/", { kind: "tuf", location: "https://tuf.example/metadata/" }],
    ["/srv/tuf", { kind: "tuf", location: "/srv/tuf" }],
  ])("reads %s, and writes it the same", (text, place) => {
    expect(parsePlace(text)).toEqual(place);
    expect(formatPlace(place)).toBe(text);
  });

  it("makes directories absolute, and addresses not", () => {
    const toAbsolute = (path: string): string => `/here/${path}`;
    expect(parsePlace("tuf", toAbsolute)).toEqual({ kind: "tuf", location: "/here/tuf" });
    expect(parsePlace("https://t.example/", toAbsolute)).toEqual({ kind: "tuf", location: "https://t.example/" });
  });

  it.each([
    "",
    "ftp://tuf.example/",
    "https://user:secret@tuf.example/",
    "https://",
    "oci://ghcr.io/acme/app:v1",
    `oci://ghcr.io/acme/app@sha256:${"0".repeat(64)}`,
  ])("refuses %j", (text) => {
    expect(() => parsePlace(text)).toThrow(UsageError);
  });

  it("takes a bundle for one run, and for nothing that is kept", () => {
    const toAbsolute = (path: string): string => `/here/${path}`;
    expect(parseReadablePlace("bundle:app.tar", toAbsolute)).toEqual({ kind: "bundle", path: "/here/app.tar" });
    expect(parseReadablePlace("oci:", toAbsolute)).toEqual({ kind: "oci" });
    expect(parseReadablePlace("./bundle:x", toAbsolute)).toEqual({ kind: "tuf", location: "/here/./bundle:x" });
    expect(() => parsePlace("bundle:app.tar", toAbsolute)).toThrow(/neither written nor pinned/);
    expect(() => parseReadablePlace("bundle:", toAbsolute)).toThrow(UsageError);
  });

  it("shows no password that was given in an address", () => {
    try {
      parsePlace("https://user:secret@tuf.example/");
      expect.unreachable();
    } catch (error) {
      expect(String(error)).not.toContain("secret");
    }
  });

  it("gives a place or a typed error for any text", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.webUrl(),
          fc.string().map((text) => `oci:${text}`),
        ),
        (text) => {
          try {
            expect(parsePlace(formatPlace(parsePlace(text)))).toEqual(parsePlace(text));
          } catch (error) {
            expect(error).toBeInstanceOf(WasmToOciError);
          }
        },
      ),
    );
  });
});

describe("placeOf", () => {
  it("remembers trust data beside the module as such, so that it is found beside any repository", () => {
    const beside = { kind: "oci", location: "oci://ghcr.io/acme/app" } as const;
    expect(placeOf(beside, "ghcr.io/acme/app")).toEqual({ kind: "oci" });
    expect(placeOf(beside, "ghcr.io/acme/other")).toEqual({ kind: "oci", repository: "ghcr.io/acme/app" });
  });

  it("remembers no source that was there for one run", () => {
    expect(placeOf({ kind: "bundle", location: "app.tar" }, "ghcr.io/acme/app")).toBeUndefined();
  });

  it("says the flags that name the place again", () => {
    expect(placeFlags({ kind: "notary", server: "https://n.example" })).toBe("--server https://n.example");
    expect(placeFlags({ kind: "oci" })).toBe("--trust oci:");
    expect(placeFlags({ kind: "tuf", location: "/srv/my trust$HOME" })).toBe("--trust '/srv/my trust$HOME'");
  });
});

describe("names in a collection", () => {
  it("have no host but in Notary", () => {
    expect(defaultCollection("notary", "ghcr.io/acme/app")).toBe("ghcr.io/acme/app");
    expect(defaultCollection("oci", "ghcr.io/acme/app")).toBe("acme/app");
    expect(defaultCollection("tuf", "localhost:5000/app")).toBe("app");
  });

  it("are the repository's path below the collection and the tag, where many repositories share it", () => {
    expect(prefixIn("oci", "acme", "ghcr.io/acme/team/app")).toBe("team/app/");
    expect(prefixIn("oci", "acme/team/app", "ghcr.io/acme/team/app")).toBe("");
    expect(prefixIn("oci", "acm", "ghcr.io/acme/app")).toBe("");
    expect(prefixIn("notary", "acme", "ghcr.io/acme/app")).toBeUndefined();
  });

  it("belong to one repository each: another's names are no tags of it", () => {
    expect(targetName({ prefix: "team/app/" }, "v1")).toBe("team/app/v1");
    expect(tagOf({ prefix: "team/app/" }, "team/app/v1")).toBe("v1");
    expect(tagOf({ prefix: "team/app/" }, "team/app2/v1")).toBeUndefined();
    expect(tagOf({ prefix: "team/" }, "team/app/v1")).toBeUndefined();
    expect(tagOf({ prefix: "" }, "team/v1")).toBeUndefined();
    expect(tagOf({ prefix: undefined }, "any/name")).toBe("any/name");
  });
});

describe("a reference's coverage", () => {
  const openSource = (pinned: PinnedSource): TrustSource => ({ kind: pinned.kind }) as unknown as TrustSource;
  const pin = (pattern: string, collection: string): PinEntry => ({
    pattern,
    collection,
    source: { kind: "oci" },
    pin: { fingerprints: ["ab"] },
    firstUse: false,
    added: new Date(0),
  });
  const cover = (pins: PinEntry[], repository: string): ReturnType<typeof coverRepository> =>
    coverRepository({ repository, pins, allowFirstUse: true, openSource });

  it("is the registry itself where trust is asked for and nothing says where it is", () => {
    const request = { repository: "ghcr.io/acme/app", pins: [], allowFirstUse: true, openSource };
    expect(coverRepository({ ...request, fallback: { kind: "oci" } })).toMatchObject({
      source: { kind: "oci" },
      collection: "acme/app",
      prefix: "",
      reason: "flags",
      firstUse: "accept",
    });
    expect(coverRepository(request)).toBeUndefined();
  });

  it("gives a mirror the names that the collection has", () => {
    const pins = [pin("mirror.example/x/{rest}", "acme")];
    expect(cover(pins, "mirror.example/x/team/app")).toMatchObject({ collection: "acme", prefix: "team/app/" });
    const each = [pin("mirror.example/x/{rest}", "acme/{rest}")];
    expect(cover(each, "mirror.example/x/team/app")).toMatchObject({ collection: "acme/team/app", prefix: "" });
  });
});
