/** What an inspection shows of a signed contract. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InterruptedError, TransportError } from "../src/base/errors.ts";
import { inspect, type Inspection } from "../src/inspect.ts";
import { moduleFromBytes } from "../src/read-module.ts";
import { contractOf } from "../src/trust/contract/contract.ts";
import { readBinding, withBinding } from "../src/trust/target-custom.ts";
import { scanWasm } from "../src/wasm/binary.ts";
import { failure, UseCase } from "./support/use-case.ts";
import { componentAsking, moduleAsking } from "./support/wasm-builder.ts";

let world: UseCase;

beforeEach(async () => {
  world = await UseCase.start();
});

afterEach(() => world.stop());

const CORE = moduleAsking("env", "log");
const COMPONENT = componentAsking("wasi:cli/stdin@0.2.0");

async function push(bytes: Uint8Array, signed = true): Promise<void> {
  const options = signed ? {} : { sign: undefined };
  await world.push("", { module: moduleFromBytes("app.wasm", bytes), ...options });
}

function look(deep = false): Promise<Inspection> {
  return inspect({ registry: world.client, reference: world.reference, trust: world.coverage, deep });
}

describe("inspect, with trust", () => {
  it("shows that a module which was read keeps to its contract", async () => {
    await push(CORE);
    expect((await look()).signed).toEqual({
      collection: world.repository,
      target: "v1",
      role: "targets",
      contract: await contractOf(scanWasm(CORE)),
      agreement: "kept",
    });
  });

  it("does not claim to have compared what it did not read", async () => {
    await push(COMPONENT);
    expect((await look()).signed?.agreement).toBe("not-compared");
    expect((await look(true)).signed?.agreement).toBe("kept");
  });

  it("shows a contract that the module breaks, and does not fail", async () => {
    await push(CORE);
    const target = world.source.collections.get(world.repository)!.get("v1")!;
    const { manifests } = readBinding(target.custom, "v1")!;
    const contract = await contractOf(scanWasm(COMPONENT));
    world.source.sign(world.repository, { ...target, custom: withBinding(undefined, { manifests, contract }) });
    expect((await look()).signed).toMatchObject({ agreement: "broken", contract: { kind: "component" } });
    world.source.sign(world.repository, { ...target, custom: withBinding(undefined, { manifests }) });
    expect((await look()).signed).toMatchObject({ agreement: "no-contract", contract: undefined });
  });

  it("says that another module is signed under the name", async () => {
    await push(CORE);
    await push(COMPONENT, false);
    const { signed, notes } = await look(true);
    expect(signed?.agreement).toBe("not-compared");
    expect(notes.map(({ message }) => message)).toContain("another module is signed under this name");
  });

  it("notes trust that fails and names that are not signed, and goes on", async () => {
    await push(CORE, false);
    const missing = await look();
    expect(missing.signed).toBeUndefined();
    expect(missing.notes.some(({ message }) => message.includes("TRUST_NOT_FOUND"))).toBe(true);
    world.source.collections.set(world.repository, new Map());
    expect((await look()).notes.some(({ message }) => message.endsWith("is not signed"))).toBe(true);
    world.source.failOpen = new TransportError("NETWORK", "no way there");
    expect((await look()).notes.some(({ message }) => message.includes("NETWORK"))).toBe(true);
    world.source.failOpen = new InterruptedError();
    await failure(look(), "INTERRUPTED");
  });
});
