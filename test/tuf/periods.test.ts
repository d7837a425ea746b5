import { describe, expect, it } from "vitest";
import { expiryAfter, isDue, periodsOf, statedRenewal, withPeriods } from "../../src/tuf/periods.ts";
import type { ExtraFields, MetadataType, Root, Signed } from "../../src/tuf/schema.ts";

const EXPIRY = "x-tuf-on-ci-expiry-period";
const SIGNING = "x-tuf-on-ci-signing-period";
const NOW = new Date("2030-01-01T12:00:00.900Z");
const DAY = 86_400_000;
const TYPES: readonly MetadataType[] = ["root", "timestamp", "snapshot", "targets"];

/** A root, and a document of a type, whose fields say something in either of the places where they may. */
function documents(type: MetadataType, { inRoot = {}, own = {} }: { inRoot?: ExtraFields; own?: ExtraFields }) {
  const role = { keyIds: [], threshold: 1, extra: inRoot };
  const root = { type: "root", roles: new Map([[type as string, role]]), extra: {} } as unknown as Root;
  const signed = { type, expires: new Date(NOW.getTime() + 100 * DAY), extra: own } as unknown as Signed;
  return { root, signed };
}

const periods = (type: MetadataType, extra: ExtraFields) => {
  const isOnline = type === "timestamp" || type === "snapshot";
  const { root, signed } = documents(type, isOnline ? { inRoot: extra } : { own: extra });
  return periodsOf(type, root, signed);
};

describe("periods", () => {
  it("are a year for what people sign and a month for the rest, unless they are said", () => {
    for (const type of ["root", "targets"] as const) expect(periods(type, {})).toEqual({ expiry: 365, signing: 60 });
    for (const type of ["snapshot", "timestamp"] as const)
      expect(periods(type, {})).toEqual({ expiry: 30, signing: 10 });
    for (const type of TYPES) expect(periods(type, { [EXPIRY]: 9, [SIGNING]: 3 })).toEqual({ expiry: 9, signing: 3 });
  });

  it("of timestamp and snapshot are root's to say, of others their own", () => {
    const both = { inRoot: { [EXPIRY]: 9, [SIGNING]: 3 }, own: { [EXPIRY]: 7, [SIGNING]: 2 } };
    for (const type of TYPES) {
      const { root, signed } = documents(type, both);
      const isOnline = type === "timestamp" || type === "snapshot";
      expect(periodsOf(type, root, signed).expiry).toBe(isOnline ? 9 : 7);
      expect(statedRenewal(root, signed)).toEqual(new Date(NOW.getTime() + (100 - (isOnline ? 3 : 2)) * DAY));
    }
    const { root } = documents("targets", both);
    expect(periodsOf("targets", root, undefined)).toEqual({ expiry: 365, signing: 60 });
    const silent = { roles: new Map(), extra: {} } as unknown as Root;
    expect(periodsOf("timestamp", silent, undefined)).toEqual({ expiry: 30, signing: 10 });
    expect(statedRenewal(silent, documents("timestamp", both).signed)).toBeUndefined();
  });

  it("end early enough where only the expiry is said", () => {
    expect(periods("targets", { [EXPIRY]: 121 })).toEqual({ expiry: 121, signing: 60 });
    expect(periods("targets", { [EXPIRY]: 119 })).toEqual({ expiry: 119, signing: 59 });
    expect(periods("timestamp", { [EXPIRY]: 5 })).toEqual({ expiry: 5, signing: 2 });
    expect(periods("targets", { [SIGNING]: 7 })).toEqual({ expiry: 365, signing: 7 });
  });

  it.each([0, -1, 1.5, 3651, Number.NaN, "9", null, true])("that nobody can mean are passed over: %j", (odd) => {
    expect(periods("targets", { [EXPIRY]: odd, [SIGNING]: odd })).toEqual({ expiry: 365, signing: 60 });
    const { root, signed } = documents("targets", { own: { [SIGNING]: odd } });
    expect(statedRenewal(root, signed)).toBeUndefined();
  });

  it("that are not said are nobody's promise", () => {
    const { root, signed } = documents("targets", {});
    expect(statedRenewal(root, signed)).toBeUndefined();
  });

  it("are from a day to ten years, the one for signing the shorter one", () => {
    for (const [expiry, signing] of [
      [2, 1],
      [3650, 3649],
      [30, 10],
    ] as const) {
      expect(withPeriods("targets", { "x-note": 1 }, { expiry, signing })).toEqual({
        "x-note": 1,
        [EXPIRY]: expiry,
        [SIGNING]: signing,
      });
    }
    for (const [expiry, signing] of [
      [1, 1],
      [0, 1],
      [9, 0],
      [9, 9],
      [9, 10],
      [3651, 1],
      [9.5, 1],
      [9, 1.5],
    ] as const) {
      expect(() => withPeriods("targets", {}, { expiry, signing })).toThrow(
        expect.objectContaining({
          code: "USAGE",
          message: `targets cannot expire after ${expiry} days and be due ${signing} days before`,
          hint: expect.stringContaining("from 1 to 3650"),
          details: { role: "targets", expiry, signing },
        }),
      );
    }
  });
});

describe("an expiry", () => {
  it("is in whole seconds, so many days from now", () => {
    expect(expiryAfter(NOW, { expiry: 30, signing: 10 })).toEqual(new Date("2030-01-31T12:00:00Z"));
  });

  it("is due from the moment that its signing period begins", () => {
    const own = { expiry: 30, signing: 10 };
    const expires = new Date(NOW.getTime() + 10 * DAY);
    expect(isDue(expires, own, NOW)).toBe(true);
    expect(isDue(expires, own, new Date(NOW.getTime() - 1))).toBe(false);
    expect(isDue(expires, own, new Date(NOW.getTime() + 100 * DAY))).toBe(true);
  });
});
