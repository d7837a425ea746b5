/** Diff over files, references, and signed contracts. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { diff, type DiffReport, type DiffSource } from "../src/diff.ts";
import { moduleFromBytes } from "../src/read-module.ts";
import type { SignedTarget } from "../src/trust/source.ts";
import { readBinding, withBinding } from "../src/trust/target-custom.ts";
import { failure, UseCase } from "./support/use-case.ts";
import { componentAsking, moduleAsking } from "./support/wasm-builder.ts";

let world: UseCase;

beforeEach(async () => {
  world = await UseCase.start();
});

afterEach(() => world.stop());

const core = (...names: string[]): Uint8Array => moduleAsking("wasi", ...names);

function wasi(...names: string[]): Uint8Array {
  return componentAsking(...names.map((name) => `wasi:${name}@0.2.0`));
}

const file = (bytes: Uint8Array): DiffSource => ({ module: moduleFromBytes("app.wasm", bytes) });

function tagged(tag: string, trust = true): DiffSource {
  const reference = `${world.repository}:${tag}`;
  return { registry: world.client, reference, trust: trust ? world.coverage : undefined };
}

async function pushTag(tag: string, bytes: Uint8Array): Promise<void> {
  await world.push("", { reference: `${world.repository}:${tag}`, module: moduleFromBytes("app.wasm", bytes) });
}

function compare(from: DiffSource, to: DiffSource, deep = false): Promise<DiffReport> {
  return diff({ runtime: world.runtime, old: from, new: to, deep });
}

function blobReads(): number {
  return world.registry.requests.filter(({ method, path }) => method === "GET" && path.includes("/blobs/")).length;
}

describe("diff", () => {
  it("compares single functions of two files, which their contracts do not tell apart", async () => {
    const report = await compare(file(core("fd_write")), file(core("fd_write", "sock_open")));
    expect(report.contract.widens).toBe(false);
    expect(report.coreImports).toEqual({ added: ["wasi sock_open"], removed: [], changed: [] });
    expect(report.widens).toBe(true);
  });

  it("says that two files are the same", async () => {
    expect(await compare(file(core("a")), file(core("a")))).toMatchObject({ same: true, widens: false });
  });

  it("compares signed contracts without fetching a module", async () => {
    await pushTag("v1", wasi("cli/stdin"));
    await pushTag("v2", wasi("cli/stdin", "sockets/tcp"));
    const before = blobReads();
    const report = await compare(tagged("v1"), tagged("v2"));
    expect(blobReads()).toBe(before);
    expect(report).toMatchObject({
      old: { from: "contract", kind: "component", role: "targets" },
      new: { from: "contract", subject: `${world.repository}:v2` },
      widens: true,
    });
    expect(report.contract.imports.added).toEqual(["wasi:sockets/tcp@0.2.0"]);
    const back = await compare(tagged("v2"), file(wasi("cli/stdin")));
    expect(back).toMatchObject({ new: { from: "module" }, widens: false });
    expect(back.contract.imports.removed).toEqual(["wasi:sockets/tcp@0.2.0"]);
  });

  it("reads the modules where asked, or where no contract is signed, and checks what it reads", async () => {
    await pushTag("v1", core("fd_write"));
    await pushTag("v2", core("sock_open"));
    const deep = await compare(tagged("v1"), tagged("v2"), true);
    expect(deep).toMatchObject({
      old: { from: "module", role: "targets" },
      coreImports: { added: ["wasi sock_open"] },
    });
    forgetContract("v2");
    const { new: side, notes } = await compare(tagged("v1"), tagged("v2"));
    expect(side.from).toBe("module");
    expect(notes.map(({ code }) => code)).toEqual(["no-contract"]);
  });

  it("says that nothing was verified where nothing covers a reference", async () => {
    await pushTag("v1", core("a"));
    const { old, notes } = await compare(tagged("v1", false), file(core("a")));
    expect(old.role).toBeUndefined();
    expect(notes.map(({ code }) => code)).toEqual(["unverified"]);
  });

  it("refuses a tag that is not what was signed, and a module that does not keep to its contract", async () => {
    await pushTag("v1", core("a"));
    await pushTag("v2", core("b"));
    await world.push("", {
      reference: `${world.repository}:v2`,
      module: moduleFromBytes("app.wasm", core("c")),
      sign: undefined,
    });
    await failure(compare(tagged("v1"), tagged("v2")), "TAG_MISMATCH");
    await pushTag("v2", core("b"));
    const target = targetOf("v1");
    const contract = { ...readBinding(target.custom, "v1")!.contract!, imports: ["other"] };
    signTarget(target, contract);
    await failure(compare(tagged("v1"), tagged("v2"), true), "CONTRACT_MISMATCH");
    await failure(compare(tagged("v9"), tagged("v2")), "TARGET_NOT_FOUND");
    await failure(compare(tagged("v9", false), tagged("v2")), "REGISTRY_NOT_FOUND");
    expect((await compare(tagged("v2"), tagged("v2"))).same).toBe(true);
  });

  function targetOf(tag: string): SignedTarget {
    return world.source.collections.get(world.repository)!.get(tag)!;
  }

  function signTarget(
    target: SignedTarget,
    contract: NonNullable<Parameters<typeof withBinding>[1]>["contract"],
  ): void {
    const { manifests } = readBinding(target.custom, target.name)!;
    world.source.sign(world.repository, { ...target, custom: withBinding(undefined, { manifests, contract }) });
  }

  function forgetContract(tag: string): void {
    signTarget(targetOf(tag), undefined);
  }
});
