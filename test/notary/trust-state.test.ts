import { describe, expect, it } from "vitest";
import { utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import { decodeTrustState, encodeTrustState, mergeTrustState, type TrustState } from "../../src/notary/trust-state.ts";

const APP = { server: "https://notary.example", gun: "acme/app" };

const state = (changes: Partial<TrustState> = {}): TrustState => ({
  root: utf8Encode("root 1"),
  rootVersion: 1,
  anchor: utf8Encode("root 1"),
  firstUse: false,
  since: new Date("2026-01-01T00:00:00Z"),
  checkedAt: new Date("2026-01-01T00:00:00Z"),
  versions: new Map([["targets", 1]]),
  ...changes,
});

describe("joining what was seen with what is stored", () => {
  it("keeps how trust began, the newer root and the highest versions", () => {
    const stored = state({
      firstUse: true,
      versions: new Map([
        ["targets", 5],
        ["targets/a", 2],
      ]),
    });
    const seen = state({
      root: utf8Encode("root 2"),
      rootVersion: 2,
      since: new Date("2026-03-01T00:00:00Z"),
      checkedAt: new Date("2026-03-01T00:00:00Z"),
      versions: new Map([
        ["targets", 4],
        ["snapshot", 9],
      ]),
    });
    const merged = mergeTrustState(stored, seen);
    expect(merged).toEqual({
      ...stored,
      root: seen.root,
      rootVersion: 2,
      checkedAt: seen.checkedAt,
      versions: new Map([
        ["targets", 5],
        ["targets/a", 2],
        ["snapshot", 9],
      ]),
    });
    const other = mergeTrustState(seen, stored);
    expect(other).toMatchObject({ root: seen.root, rootVersion: 2, checkedAt: seen.checkedAt });
  });

  it("stays readable, however many delegations somebody invents", () => {
    let kept = state();
    for (let round = 0; round < 6; round++) {
      const names = Array.from({ length: 250 }, (_, index) => [`targets/r${round}-${index}`, 1] as const);
      kept = mergeTrustState(kept, state({ versions: new Map([["targets", round + 1], ...names]) }));
    }
    expect(kept.versions.size).toBe(1024);
    expect(kept.versions.get("targets")).toBe(6);
    expect(kept.versions.has("targets/r5-0")).toBe(true);
    expect(kept.versions.has("targets/r0-0")).toBe(false);
    expect(decodeTrustState(APP, encodeTrustState(APP, kept))).toEqual(kept);
  });

  it("refuses a newer root that another beginning led to: nobody of the first one signed it", () => {
    const thief = state({ root: utf8Encode("thief 9"), rootVersion: 9, anchor: utf8Encode("thief 9"), firstUse: true });
    const fault = expect.objectContaining({ code: "ROOT_UNTRUSTED", kind: "untrusted" }) as Error;
    expect(() => mergeTrustState(state(), thief)).toThrow(fault);
    expect(() => mergeTrustState(thief, state())).toThrow(fault);
  });

  it("refuses two roots of one version", () => {
    expect(() => mergeTrustState(state(), state({ root: utf8Encode("root 1, of somebody else") }))).toThrow(
      expect.objectContaining({ code: "ROOT_UNTRUSTED", kind: "untrusted" }),
    );
  });
});

describe("stored trust state", () => {
  const text = utf8Decode(encodeTrustState(APP, state()));

  it("comes back as it was", () => {
    expect(decodeTrustState(APP, utf8Encode(text))).toEqual(state());
  });

  const damaged: [string, string][] = [
    ["nothing", ""],
    ["half of it", text.slice(0, text.length / 2)],
    ["something else", "[]"],
    ["another collection's", text.replace("acme/app", "acme/other")],
    ["another server's", text.replace("notary.example", "evil.example")],
    ["a newer program's", text.replace('"format": 1', '"format": 2')],
    ["a root that is no base64", text.replace(/"root": "[^"]*"/, '"root": "!"')],
    ["a date that is none", text.replace("2026-01-01T00:00:00.000Z", "some day")],
    ["a version that is none", text.replace('"targets": 1', '"targets": "1"')],
    ["a missing member", text.replace('"firstUse": false,', "")],
    ["a repeated member", text.replace('"firstUse": false,', '"firstUse": false, "firstUse": true,')],
  ];
  it.each(damaged)("is an error where it is %s, never taken for no state", (_, broken) => {
    expect(broken).not.toBe(text);
    expect(() => decodeTrustState(APP, utf8Encode(broken))).toThrow(
      expect.objectContaining({ code: "STATE_INVALID", kind: "storage" }),
    );
  });
});
