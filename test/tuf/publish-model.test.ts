import * as fc from "fast-check";
import { expect, test } from "vitest";
import { WasmToOciError } from "../../src/base/errors.ts";
import type { TufChange } from "../../src/tuf/changes.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import { people, Rig, type Person } from "../support/tuf-publishing.ts";

const ROLES = ["targets", "a", "b"];
const TOP = ["root", "timestamp", "snapshot", "targets", "a", "b"];
const role = fc.constantFrom(...ROLES);
const name = fc.constantFrom("x", "a/x", "a/y", "a/b/z", "b/x");
const index = fc.nat(3);

/** One change as anybody might ask for it, sensible or not. */
const step = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), role, name, text: fc.constantFrom("aa", "bb") }),
  fc.record({ kind: fc.constant("remove" as const), role, name }),
  fc.record({
    kind: fc.constant("delegate" as const),
    role,
    delegator: role,
    key: index,
    path: fc.constantFrom("a/*", "a/*/*", "b/*", "*"),
    terminating: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("undelegate" as const), role, delegator: role }),
  fc.record({
    kind: fc.constant("keys" as const),
    role: fc.constantFrom(...TOP),
    add: index,
    remove: index,
    threshold: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
  }),
  fc.record({ kind: fc.constant("renew" as const), role: fc.constantFrom(...TOP) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function changeOf(one: Step, pool: readonly Person[]): TufChange {
  switch (one.kind) {
    case "add": {
      const content = { length: 1, hashes: { sha256: one.text.repeat(32) } };
      return { action: "add", role: one.role, name: one.name, content };
    }
    case "remove":
      return { action: "remove", role: one.role, name: one.name };
    case "delegate": {
      const { delegator, terminating, path } = one;
      const keys = [pool[one.key]!.key];
      return { action: "delegate", delegator, role: one.role, keys, paths: [path], terminating };
    }
    case "undelegate":
      return { action: "undelegate", role: one.role, delegator: one.delegator };
    case "keys": {
      const { threshold, role: of } = one;
      const remove = one.add === one.remove ? [] : [pool[one.remove]!.key.id];
      return { action: "keys", role: of, add: [pool[one.add]!.key], remove, threshold };
    }
    case "renew":
      break;
  }
  return { action: "renew", role: one.role };
}

test("whatever is published in whatever order, clients new and old follow; what is refused changes nothing", async () => {
  const pool = await people(4);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 2 }), { maxLength: 12 }), async (publishes) => {
      const keys = [pool[0]!.key];
      const rig = await Rig.make({ root: { keys }, targets: { keys }, snapshot: { keys }, timestamp: { keys } }, pool);
      const [a, b] = pool.slice(1).map(({ key }) => [key]);
      const paths = ["a/*", "a/*/*", "b/*", "*"];
      await rig.publish(
        [
          { action: "delegate", delegator: "targets", role: "a", keys: a!, paths },
          { action: "delegate", delegator: "a", role: "b", keys: b!, paths },
        ],
        pool,
      );
      const returning = memoryTufStore();
      await rig.client(returning).refresh();
      for (const steps of publishes) {
        const before = rig.store.snapshot();
        try {
          await rig.publish(
            steps.map((one) => changeOf(one, pool)),
            pool,
          );
        } catch (error) {
          if (!(error instanceof WasmToOciError)) throw error;
          expect(error.code).not.toMatch(/^(?:INTERNAL|PUBLISH_UNREADABLE)$/);
          expect(rig.store.snapshot()).toEqual(before);
        }
        for (const [file, bytes] of before)
          if (file !== "timestamp.json") expect(rig.store.files.get(file)).toBe(bytes);
        await rig.client(returning).refresh();
        const fresh = rig.client();
        await fresh.refresh();
        for (const wanted of ["x", "a/x", "a/b/z", "b/x"]) await fresh.find(wanted);
      }
    }),
    { numRuns: 40 },
  );
}, 120_000);
