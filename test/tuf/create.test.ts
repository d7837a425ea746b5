/** New collections: what their documents say before anybody has signed them. */
import { describe, expect, test } from "vitest";
import { newCollection, type NewCollection } from "../../src/tuf/create.ts";
import { periodsOf } from "../../src/tuf/periods.ts";
import type { Targets } from "../../src/tuf/schema.ts";
import { codeOf } from "../support/error-code.ts";
import { people, type Person } from "../support/tuf-publishing.ts";

const [root, targets, online, second] = (await people(4)) as [Person, Person, Person, Person];
const roles: NewCollection["roles"] = {
  root: { keys: [root.key] },
  targets: { keys: [targets.key] },
  snapshot: { keys: [online.key] },
  timestamp: { keys: [online.key] },
};
const PERIODS = {
  root: { expiry: 400, signing: 40 },
  targets: { expiry: 300, signing: 30 },
  snapshot: { expiry: 20, signing: 5 },
  timestamp: { expiry: 2, signing: 1 },
} as const;

describe("a new collection", () => {
  test("lists each key once, and who signs for what", () => {
    const draft = newCollection({
      roles: { ...roles, root: { keys: [root.key, second.key, root.key], threshold: 2 } },
      extra: { "x-name": "registry.example/app" },
    });
    expect([...draft.root.keys.keys()].toSorted()).toEqual(
      [root, targets, online, second].map(({ key }) => key.id).toSorted(),
    );
    expect(draft.root.roles.get("root")).toEqual({ keyIds: [root.key.id, second.key.id], threshold: 2, extra: {} });
    expect(draft.root.roles.get("timestamp")).toEqual({ keyIds: [online.key.id], threshold: 1, extra: {} });
    expect(draft.root).toMatchObject({
      version: 0,
      consistentSnapshot: true,
      extra: { "x-name": "registry.example/app" },
    });
    expect([...draft.dirty]).toEqual(["root", "targets"]);
  });

  test("says of every role how long it is signed for, where that is not the usual", () => {
    const usual = newCollection({ roles });
    expect([usual.root.extra, usual.changed.get("targets")!.extra]).toEqual([{}, {}]);
    const own = (name: keyof typeof roles) => ({ ...roles[name], periods: PERIODS[name] });
    const draft = newCollection({
      roles: { root: own("root"), targets: own("targets"), snapshot: own("snapshot"), timestamp: own("timestamp") },
      extra: { "x-name": "a" },
    });
    const documents: [keyof typeof roles, Targets | typeof draft.root | undefined][] = [
      ["root", draft.root],
      ["targets", draft.changed.get("targets")],
      ["snapshot", undefined],
      ["timestamp", undefined],
    ];
    for (const [role, document] of documents) expect(periodsOf(role, draft.root, document)).toEqual(PERIODS[role]);
    expect(draft.root.extra).toMatchObject({ "x-name": "a" });
  });

  test("that nobody could sign is refused", async () => {
    for (const threshold of [0, 2]) {
      const lacking = { ...roles, snapshot: { keys: [online.key], threshold } };
      expect(await codeOf(async () => newCollection({ roles: lacking }))).toBe("USAGE");
    }
  });
});
