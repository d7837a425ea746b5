import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compareStates } from "../../src/trust/compare-states.ts";
import { readTrustState, writeTrustState, type PublishedState } from "../../src/trust/oci/state.ts";
import { CopyRig } from "../support/copy-rig.ts";
import { adding, machine, REFUSE } from "../support/oci-trust.ts";

/** The files of what a publisher had, one publish after the other. */
const states: PublishedState["files"][] = [];
/** What another machine with the same keys published in the second's place. */
let fork: PublishedState["files"];
let rig: CopyRig;

beforeAll(async () => {
  rig = await CopyRig.start();
  const { source } = rig.publisher;
  const state = async (): Promise<PublishedState["files"]> => (await readTrustState(rig.source))!.files;
  await source.publish("acme/app", adding("v1"), REFUSE);
  states.push(await state());
  for (const name of ["v2", "v3"]) {
    await source.publish("acme/app", adding(name), REFUSE);
    states.push(await state());
  }
  const elsewhere = { registry: rig.from.host, repository: "fork/app" };
  await writeTrustState(rig.client.repository(elsewhere), states[0]!, undefined);
  const { keyStore } = rig.publisher;
  const other = machine(rig.from.host, rig.runtime.transport, { keyStore, repository: elsewhere });
  await other.source.publish("acme/app", adding("other"), { firstUse: "accept" });
  fork = (await readTrustState(rig.client.repository(elsewhere)))!.files;
});
afterAll(async () => rig.stop());

const code = (action: () => unknown): unknown => {
  try {
    return action();
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe("a published state", () => {
  it("takes the place of every older one, and of none that is newer", () => {
    expect(compareStates(states[0]!, undefined, "there")).toBe("first");
    for (const [i, wanted] of states.entries()) {
      for (const [j, there] of states.entries()) {
        const expected = i === j ? "same" : i > j ? "newer" : "COPY_DESTINATION_NEWER";
        expect(code(() => compareStates(wanted, there, "there"))).toBe(expected);
      }
    }
  });

  it("does not take the place of another one with the same versions", () => {
    expect(code(() => compareStates(fork, states[1], "there"))).toBe("COPY_DESTINATION_NEWER");
    expect(code(() => compareStates(states[1]!, fork, "there"))).toBe("COPY_DESTINATION_NEWER");
    expect(code(() => compareStates(states[2]!, fork, "there"))).toBe("newer"); // signed later by the same keys
  });

  it("is compared with one that lacks anything, or cannot be read, by refusing", () => {
    for (const name of states[1]!.keys()) {
      const less = new Map(states[1]);
      less.delete(name);
      if (name.endsWith(".targets.json")) continue; // its version stands in the snapshot
      expect(["JSON_INVALID", "METADATA_INVALID", "COPY_OTHER_COLLECTION"]).toContain(
        code(() => compareStates(states[2]!, less, "there")),
      );
      const broken = new Map(states[1]).set(name, new Uint8Array([0x7b]));
      expect(["JSON_INVALID", "COPY_OTHER_COLLECTION"]).toContain(
        code(() => compareStates(states[2]!, broken, "there")),
      );
    }
  });
});
