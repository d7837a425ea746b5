import { describe, expect, it } from "vitest";
import { TrustError } from "../../../src/base/errors.ts";
import { checkModuleRules, checkTargetRules, refusesEarly, type TrustRules } from "../../../src/trust/policy/rules.ts";

const rules = (members: Partial<TrustRules>): TrustRules => ({
  origin: "policy.json:3",
  missing: "reject",
  ...members,
});
const reference = "ghcr.io/acme/app:v1";

function refused(work: () => unknown): TrustError {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(TrustError);
    expect(error).toMatchObject({ code: "POLICY_REFUSED", kind: "refused", details: { policy: "policy.json:3" } });
    expect((error as TrustError).message).toContain(`${reference} is not allowed by policy.json:3`);
    return error as TrustError;
  }
  throw new Error("it was allowed");
}

const imports = (deny: string[], allow?: string[]): TrustRules => rules({ imports: { deny, allow } });
const component = (...names: string[]) =>
  ({ reference, size: 8, contract: { kind: "component", imports: names } }) as const;

describe("rules before the download", () => {
  it("pass where nothing is demanded", () => {
    const facts = { reference, role: "targets", size: 1, format: "generic", verified: "module" } as const;
    expect(checkTargetRules(rules({}), facts)).toEqual([]);
  });

  it("demand one of the roles, by its whole name", () => {
    const releases = rules({ roles: ["targets/releases"] });
    expect(checkTargetRules(releases, { reference, role: "targets/releases" })).toMatchObject([
      { check: "policy-role" },
    ]);
    for (const role of ["targets", "targets/releases/x", "targets/Releases", "releases"]) {
      expect(refused(() => checkTargetRules(releases, { reference, role })).details).toMatchObject({
        rule: "roles",
        expected: ["targets/releases"],
        got: role,
      });
    }
  });

  it("take a hash bin for the role whose bin it is, since collections move to bins by themselves", () => {
    const facts = { reference, role: "releases-bin-0e", home: "releases" };
    expect(checkTargetRules(rules({ roles: ["releases"] }), facts)).toMatchObject([{ check: "policy-role" }]);
    expect(checkTargetRules(rules({ roles: ["releases-bin-0e"] }), facts)).toMatchObject([{ check: "policy-role" }]);
    expect(refused(() => checkTargetRules(rules({ roles: ["targets"] }), facts)).details["got"]).toBe(facts.role);
    refused(() => checkTargetRules(rules({ roles: ["releases"] }), { reference, role: facts.role })); // others' keys
  });

  it("demand a signed artifact, an allowed layout and a size that was signed", () => {
    const all = rules({ verified: "artifact", formats: ["cncf-wasm-v0"], maxSize: 10 });
    const good = { reference, verified: "artifact", format: "cncf-wasm-v0", size: 10 } as const;
    expect(checkTargetRules(all, good).map(({ check }) => check)).toEqual(["policy-artifact", "policy-format"]);
    expect(refused(() => checkTargetRules(all, { ...good, verified: "module" })).details["rule"]).toBe("verified");
    expect(refused(() => checkTargetRules(all, { ...good, format: "generic" })).details["rule"]).toBe("formats");
    expect(refused(() => checkTargetRules(all, { ...good, size: 11 })).details["rule"]).toBe("maxSize");
  });

  it("say what was found, and what was expected in its place", () => {
    const all = rules({ roles: ["a", "b"], formats: ["cncf-wasm-v0", "solo"], maxSize: 10, kinds: ["component"] });
    const contract = { kind: "module", imports: [], truncated: false } as const;
    for (const [facts, words] of [
      [{ role: "c" }, "it is signed by c, not by a or b"],
      [{ format: "generic" }, "its artifact has the layout generic, not cncf-wasm-v0 or solo"],
      [{ size: 11 }, "its module has 11 bytes, more than 10"],
      [{ contract }, "it is a module, not a component"],
    ] as const) {
      expect(refused(() => checkTargetRules(all, { reference, ...facts })).message).toMatch(new RegExp(`: ${words}$`));
    }
    const many = rules({ roles: Array.from({ length: 64 }, (_, at) => `role-${at}`) });
    expect(refused(() => checkTargetRules(many, { reference, role: "c" })).message.length).toBeLessThan(300);
  });

  it("refuse by a signed contract, also by one that was cut short", () => {
    const contract = { kind: "component", imports: ["wasi:sockets/tcp@0.2.0"], truncated: true } as const;
    refused(() => checkTargetRules(imports(["wasi:sockets/*"]), { reference, contract }));
    expect(checkTargetRules(imports(["wasi:http/*"]), { reference, contract })).toEqual([]);
  });

  it("tell what is not worth a download", () => {
    const both = rules({ maxSize: 10, formats: ["cncf-wasm-v0"] });
    expect(refusesEarly(both, { size: 10, format: "cncf-wasm-v0" })).toBe(false);
    expect(refusesEarly(both, { size: 11, format: "cncf-wasm-v0" })).toBe(true);
    expect(refusesEarly(both, { size: 10, format: "generic" })).toBe(true);
    expect(refusesEarly(rules({}), { size: 2 ** 40, format: "generic" })).toBe(false);
  });
});

describe("rules for modules", () => {
  it.each([
    ["wasi:sockets/*", "wasi:sockets/tcp@0.2.0"],
    ["wasi:sockets/tcp", "wasi:sockets/tcp@0.2.0"],
    ["wasi:sockets/tcp", "wasi:sockets/tcp@0.2.0-rc.1+build"],
    ["wasi:sockets/tcp@0.2.0", "wasi:sockets/tcp@0.2.0"],
    ["wasi:sockets/tcp@0.2.0", "wasi:sockets/tcp@0.2"],
    ["wasi:sockets/tcp@0.2", "wasi:sockets/tcp@0.2.3"],
    ["wasi:sockets/tcp@*", "wasi:sockets/tcp@0.2.0"],
    ["wasi:*", "wasi:sockets/tcp@0.2.0"],
    ["*", "anything"],
    ["*sockets*", "wasi:sockets/tcp@0.2.0"],
    ["wasi_snapshot_preview1", "wasi_snapshot_preview1"],
  ])("deny %s: a module that imports %s is refused", (pattern, name) => {
    const error = refused(() => checkModuleRules(imports([pattern]), component(name, "wasi:clocks/wall-clock@0.2.0")));
    expect(error.details).toMatchObject({ rule: "imports.deny", got: name });
    expect(error.message).toContain(JSON.stringify(pattern));
  });

  it.each([
    ["wasi:sockets/*", "wasi:sockets-extra/tcp"],
    ["wasi:sockets/tcp", "wasi:sockets/tcp-create-socket@0.2.0"],
    ["wasi:sockets/tcp@0.2.0", "wasi:sockets/tcp@0.3.0"],
    ["wasi:sockets/tcp@0.2", "wasi:sockets/tcp@0.20.0"],
    ["wasi:sockets/tcp@0.20.0", "wasi:sockets/tcp@0.2"],
    ["env", "environment"],
  ])("deny %s: a module that imports %s passes", (pattern, name) => {
    expect(checkModuleRules(imports([pattern]), component(name))).toMatchObject([{ check: "policy-imports" }]);
  });

  it("allow nothing but what is listed, and what is denied not even then", () => {
    const listed = imports(["wasi:sockets/*"], ["wasi:*"]);
    checkModuleRules(listed, component("wasi:http/types@0.2.0", "wasi:io/streams@0.2.0"));
    expect(refused(() => checkModuleRules(listed, component("env"))).details["rule"]).toBe("imports.allow");
    expect(refused(() => checkModuleRules(listed, component("wasi:sockets/tcp"))).details["rule"]).toBe("imports.deny");
  });

  it("allow an interface without its version, and nothing that merely has an @ in its name", () => {
    const listed = imports([], ["env"]);
    checkModuleRules(listed, component("env"));
    refused(() => checkModuleRules(listed, component("env@evil")));
    refused(() => checkModuleRules(listed, component("Env")));
    refused(() => checkModuleRules(listed, component("еnv"))); // a Cyrillic e
  });

  it("allow a module that imports nothing where nothing may be imported", () => {
    checkModuleRules(imports([], []), component());
    refused(() => checkModuleRules(imports([], []), component("env")));
  });

  it("demand a kind and a size", () => {
    refused(() => checkModuleRules(rules({ kinds: ["module"] }), component()));
    expect(checkModuleRules(rules({ kinds: ["component"] }), component())).toMatchObject([{ check: "policy-kind" }]);
    refused(() => checkModuleRules(rules({ maxSize: 7 }), component()));
    expect(checkModuleRules(rules({ maxSize: 8 }), component())).toMatchObject([{ check: "policy-size" }]);
  });

  it("refuse what cannot be read, where its content matters", () => {
    const unreadable = { reference, size: 8, contract: undefined };
    refused(() => checkModuleRules(imports([]), unreadable));
    refused(() => checkModuleRules(rules({ kinds: ["module"] }), unreadable));
    expect(checkModuleRules(rules({ maxSize: 8, roles: ["x"] }), unreadable)).toHaveLength(1);
  });

  it("show a name made to be long in short", () => {
    const error = refused(() => checkModuleRules(imports(["*"]), component("x".repeat(100_000))));
    expect(error.message.length).toBeLessThan(500);
  });
});
