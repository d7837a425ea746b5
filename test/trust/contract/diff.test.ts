/** What counts as a further capability. */
import { describe, expect, it } from "vitest";
import { diffContracts, diffNames } from "../../../src/trust/contract/diff.ts";
import { contractOf, fullContract, type Contract } from "../../../src/trust/contract/contract.ts";
import type { WasmKind } from "../../../src/wasm/info.ts";

function contract(kind: WasmKind, imports: string[], exports: string[] = []): Promise<Contract> {
  return fullContract(facts(kind, imports, exports));
}

function facts(kind: WasmKind, imports: string[], exports: string[] = []): Parameters<typeof fullContract>[0] {
  const named = (name: string): { name: string; kind: "instance" } => ({ name, kind: "instance" });
  return { kind, imports: imports.map(named), exports: exports.map(named) };
}

describe("diffContracts", () => {
  it("names what was added and what was dropped", async () => {
    const from = await contract("component", ["a:b/c@1.0.0", "a:b/d@1.0.0"], ["x:y/z@1.0.0"]);
    const to = await contract("component", ["a:b/d@1.0.0", "a:b/e@1.0.0"]);
    expect(diffContracts(from, to)).toEqual({
      kind: { from: "component", to: "component" },
      imports: { added: ["a:b/e@1.0.0"], removed: ["a:b/c@1.0.0"], changed: [] },
      exports: { added: [], removed: ["x:y/z@1.0.0"], changed: [] },
      complete: true,
      widens: true,
    });
  });

  it("takes less, or the same, or other exports, for no widening", async () => {
    const from = await contract("component", ["a:b/c", "a:b/d"]);
    for (const to of [["a:b/c"], ["a:b/c", "a:b/d"], []]) {
      expect(diffContracts(from, await contract("component", to, ["x:y/z"])).widens).toBe(false);
    }
  });

  it("takes another kind for a widening, whatever it imports", async () => {
    const { kind, widens } = diffContracts(await contract("wit-package", []), await contract("component", []));
    expect([kind.from, kind.to, widens]).toEqual(["wit-package", "component", true]);
  });

  it.each([
    ["0.2.0", "0.2.6", false],
    ["0.2.6", "0.2.0", false],
    ["0.2", "0.2.6", false],
    ["1.4.0", "1.9.3", false],
    ["1.4.0", "1.4.0+build.7", false],
    ["0.2.6", "0.3.0", true],
    ["0.0.1", "0.0.2", true],
    ["1.4.0", "2.0.0", true],
    ["0.3.0", "0.3.0-rc-2026", true],
    ["0.3.0-rc-1", "0.3.0-rc-2", true],
  ])("counts the step from %s to %s as a further capability: %s", async (from, to, expected) => {
    const before = await contract("component", [`wasi:http/types@${from}`]);
    const after = await contract("component", [`wasi:http/types@${to}`]);
    const { imports, widens } = diffContracts(before, after);
    expect(widens).toBe(expected);
    expect(imports.changed).toHaveLength(expected ? 0 : 1);
    expect(imports.removed).toHaveLength(expected ? 1 : 0);
  });

  it("does not read versions into the names of core modules, which have none", async () => {
    const before = await contract("module", ["env@1.0.0"]);
    expect(diffContracts(before, await contract("module", ["env@1.1.0"])).widens).toBe(true);
  });

  it("rules nothing out where a list is cut short and its digest is another one", async () => {
    const many = Array.from({ length: 300 }, (_, i) => `a:b/i${String(i).padStart(3, "0")}`);
    const cut = async (imports: string[]): Promise<Contract> =>
      contractOf({ ...facts("component", imports) } as Parameters<typeof contractOf>[0]);
    const from = await cut(many);
    expect(from.truncated).toBe(true);
    expect(diffContracts(from, await cut(many))).toMatchObject({ complete: true, widens: false });
    expect(diffContracts(from, await cut([...many, "z:z/z"]))).toMatchObject({
      imports: { added: [] },
      complete: false,
      widens: true,
    });
  });
});

describe("diffNames", () => {
  it("keeps an interface that stays beside its newer version", () => {
    const base = (name: string): string => name.replace(/@.*/, "");
    expect(diffNames(["a@1.0.0"], ["a@1.0.0", "a@1.1.0"], base)).toEqual({
      added: [],
      removed: [],
      changed: [{ from: "a@1.0.0", to: "a@1.1.0" }],
    });
    expect(diffNames(["a@1.0.0", "a@1.1.0"], ["a@1.2.0"], base)).toMatchObject({
      removed: ["a@1.0.0"],
      changed: [{ from: "a@1.1.0", to: "a@1.2.0" }],
    });
  });
});
