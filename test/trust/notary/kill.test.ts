import { expect, test } from "vitest";
import { memoryKeyStore, type KeyStore } from "../../../src/keys/key-store.ts";
import { memoryMetadataStore } from "../../../src/notary/metadata-store.ts";
import { memoryTrustStateStore } from "../../../src/notary/trust-state.ts";
import type { NotarySource } from "../../../src/trust/notary/source.ts";
import { ACCEPT, add, createWorld, GUN, names, REFUSE, type World } from "../../support/notary-publisher.ts";

/** More than any of the operations below makes. */
const MOST_REQUESTS = 80;

class Killed extends Error {}

/** A store whose process can die: what it would still do then is not done. */
function mortal(store: KeyStore, isDead: () => boolean): KeyStore {
  const alive = <T>(run: () => Promise<T>): Promise<T> => (isDead() ? Promise.reject(new Killed()) : run());
  return new Proxy(store, {
    get: (target, name) => {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => alive(() => Reflect.apply(value, target, args) as Promise<unknown>);
    },
  });
}

/** Runs an operation that dies at its n-th request, before or after the server carries it out; false where it ended earlier. */
async function killAt(
  world: World,
  open: (keyStore: (store: KeyStore) => KeyStore) => NotarySource,
  operation: (source: NotarySource) => Promise<unknown>,
  at: number,
  when: "before" | "after",
): Promise<boolean> {
  let requests = 0;
  let dead = false;
  const die = (): undefined => {
    dead ||= ++requests > at;
    if (dead) throw new Killed();
    return undefined;
  };
  if (when === "before") world.server.intercept = die;
  else world.server.afterwards = die;
  try {
    await operation(open((store) => mortal(store, () => dead)));
    return dead;
  } catch {
    return true;
  } finally {
    world.server.intercept = undefined;
    world.server.afterwards = undefined;
  }
}

const OPERATIONS: Record<string, (source: NotarySource) => Promise<unknown>> = {
  "a first publish": (source) => source.publish(GUN, () => add("killed"), REFUSE),
  "a publish": (source) => source.publish(GUN, () => add("killed"), REFUSE),
  "a rotation of the targets key": (source) => source.rotate(GUN, { role: "targets" }),
  "a rotation of the root key": (source) => source.rotate(GUN, { role: "root" }),
  "a rotation of the snapshot key to the server": (source) =>
    source.rotate(GUN, { role: "snapshot", manager: "server" }),
};

for (const [title, operation] of Object.entries(OPERATIONS)) {
  const moments = title.endsWith("publish") ? (["before", "after"] as const) : (["after"] as const);
  for (const when of moments) {
    test(
      `${title} that is killed ${when} any of its requests loses nothing, and the next run works`,
      { timeout: 120_000 },
      async () => {
        let killed = 0;
        for (let at = 0; at < MOST_REQUESTS; at++) {
          const world = createWorld();
          const keys = memoryKeyStore();
          const stores = { metadata: memoryMetadataStore(), trust: memoryTrustStateStore() };
          const open = (wrap: (store: KeyStore) => KeyStore = (store) => store) =>
            world.machine({ ...stores, keyStore: wrap(keys) }).source;
          const first = title === "a first publish";
          if (!first) await open().publish(GUN, () => add("v1"), REFUSE);
          if (!(await killAt(world, open, operation, at, when))) break;
          killed++;
          await open().publish(GUN, () => add("v2"), REFUSE);
          const seen = names((await world.machine().source.open(GUN, ACCEPT)).list());
          expect(seen.filter((name) => name !== "killed")).toEqual(first ? ["v2"] : ["v1", "v2"]);
        }
        expect(killed).toBeGreaterThan(3);
        expect(killed).toBeLessThan(MOST_REQUESTS);
      },
    );
  }
}
