import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { coverRepository, type CoverRequest } from "../../src/trust/cover.ts";
import { pinParts } from "../../src/trust/pin.ts";
import { checkPattern, matchPin, type PinEntry } from "../../src/trust/pins.ts";
import type { TrustSource } from "../../src/trust/source.ts";

function entry(pattern: string, collection: string, overrides: Partial<PinEntry> = {}): PinEntry {
  return {
    pattern,
    collection,
    source: { kind: "notary", server: "https://pinned.test" },
    pin: { fingerprints: ["ab"] },
    firstUse: false,
    added: new Date(0),
    ...overrides,
  };
}

const source = (location: string): TrustSource => ({ kind: "notary", location }) as unknown as TrustSource;

function cover(overrides: Partial<CoverRequest>): ReturnType<typeof coverRepository> {
  return coverRepository({
    repository: "ghcr.io/acme/app",
    pins: [],
    allowFirstUse: true,
    openSource: (pinned) => source(pinned.kind === "notary" ? pinned.server : pinned.kind),
    ...overrides,
  });
}

describe("matchPin", () => {
  it("prefers the exact repository, then the longest prefix", () => {
    const pins = [
      entry("ghcr.io/{rest}", "{rest}"),
      entry("ghcr.io/acme/{rest}", "acme/{rest}"),
      entry("ghcr.io/acme/app", "special"),
    ];
    expect(matchPin(pins, "ghcr.io/acme/app")?.collection).toBe("special");
    expect(matchPin(pins, "ghcr.io/acme/other")?.collection).toBe("acme/other");
    expect(matchPin(pins.toReversed(), "ghcr.io/acme/other")?.collection).toBe("acme/other");
    expect(matchPin(pins, "ghcr.io/x")?.collection).toBe("x");
  });

  it("prefers a pin to the record of a first use, also where the record is for this repository alone", () => {
    const record = entry("ghcr.io/acme/app", "acme/app", { firstUse: true, pin: { fingerprints: ["cd"] } });
    const pin = entry("ghcr.io/acme/{rest}", "acme/{rest}");
    for (const pins of [
      [record, pin],
      [pin, record],
    ]) {
      expect(matchPin(pins, "ghcr.io/acme/app")?.entry).toBe(pin);
      expect(cover({ pins })).toMatchObject({ reason: "pin", pin: { fingerprints: ["ab"] } });
    }
    expect(matchPin([record, entry("ghcr.io/x/{rest}", "x/{rest}")], "ghcr.io/acme/app")?.entry).toBe(record);
  });

  it("does not match a name that only begins alike", () => {
    expect(matchPin([entry("ghcr.io/acme/{rest}", "x/{rest}")], "ghcr.io/acme-evil/app")).toBeUndefined();
    expect(matchPin([entry("ghcr.io/acme/{rest}", "x/{rest}")], "ghcr.io/acme/")).toBeUndefined();
    expect(matchPin([entry("ghcr.io/acme", "x")], "ghcr.io/Acme")).toBeUndefined();
  });

  it("fills in a repository that looks like a replacement pattern as it is", () => {
    expect(matchPin([entry("r/{rest}", "c/{rest}")], "r/$&$1")?.collection).toBe("c/$&$1");
  });

  it.each([
    ["{rest}", "a"],
    ["a/{rest}/b", "a"],
    ["a/{rest}", "{rest}/b/{rest}"],
    ["a", "a/{rest}"],
    ["/{rest}", "{rest}"],
  ])("refuses the pattern %s → %s", (pattern, collection) => {
    expect(() => checkPattern(pattern, collection)).toThrow(UsageError);
  });
});

describe("coverRepository", () => {
  it("covers nothing where there is neither a pin nor a flag", () => {
    expect(cover({})).toBeUndefined();
  });

  it("trusts the first root only by flag, and never with a pin or without leave", () => {
    expect(cover({ source: source("s") })).toMatchObject({
      reason: "flags",
      firstUse: "accept",
      collection: "ghcr.io/acme/app",
    });
    expect(cover({ source: source("s"), allowFirstUse: false })?.firstUse).toBe("refuse");
    expect(cover({ source: source("s"), pin: { fingerprints: ["cd"] } })).toMatchObject({ firstUse: "refuse" });
  });

  it("asks a pinned collection without any flag", () => {
    const covered = cover({ pins: [entry("ghcr.io/acme/app", "acme/app")] });
    expect(covered).toMatchObject({
      reason: "pin",
      firstUse: "refuse",
      collection: "acme/app",
      pin: { fingerprints: ["ab"] },
    });
    expect(covered?.source.location).toBe("https://pinned.test");
  });

  it("keeps the pinned keys where a flag names another server", () => {
    const covered = cover({ pins: [entry("ghcr.io/acme/app", "acme/app")], source: source("https://other.test") });
    expect(covered?.source.location).toBe("https://other.test");
    expect(covered).toMatchObject({ firstUse: "refuse", pin: { fingerprints: ["ab"] } });
  });

  it("wants keys that flags name besides the pinned ones, not instead of them", () => {
    const covered = cover({
      pins: [entry("ghcr.io/acme/app", "acme/app", { pin: { fingerprints: ["ab", "cd"], threshold: 2 } })],
      pin: { fingerprints: ["ef"] },
    });
    expect(pinParts(covered?.pin)).toEqual([{ fingerprints: ["ab", "cd"], threshold: 2 }, { fingerprints: ["ef"] }]);
  });

  it("treats a first-use record as binding", () => {
    const covered = cover({ pins: [entry("ghcr.io/acme/app", "acme/app", { firstUse: true })] });
    expect(covered).toMatchObject({ reason: "first-use-record", firstUse: "refuse" });
  });
});
