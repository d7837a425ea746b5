/** The tests of a policy: references, and what it must decide for them. */
import { WasmToOciError } from "../../base/errors.ts";
import type { JsonCursor } from "../../base/json-cursor.ts";
import { parseReference } from "../../oci/reference.ts";
import { repositoryName } from "../../oci/tagged-reference.ts";
import type { WasmKind } from "../../wasm/info.ts";
import { ifPresent, oneOf, readText } from "./fields.ts";
import type { PolicyIndex, PolicyMatch } from "./match.ts";
import { checkModuleRules, checkTargetRules, type TrustRules } from "./rules.ts";

const MAX_TESTS = 1_000;
const MAX_IMPORTS = 1_000;

/**
 * - `verify`: an entry decides, and no rule refuses the facts that the test gives
 * - `refuse`: one of the entry's rules refuses these facts; or two entries tie
 * - `uncovered`: no entry matches
 */
export const POLICY_OUTCOMES = ["verify", "refuse", "uncovered"] as const;
export type PolicyOutcome = (typeof POLICY_OUTCOMES)[number];

export interface PolicyTest {
  readonly reference: string;
  readonly expect: PolicyOutcome;
  /** The pattern of the entry that must decide. */
  readonly pattern?: string | undefined;
  /** What would be pulled. */
  readonly module?: TestedModule | undefined;
}

/** Facts about an imagined module; rules about what is left out are not asked. */
export interface TestedModule {
  readonly role?: string | undefined;
  readonly format?: string | undefined;
  readonly verified?: "module" | "artifact" | undefined;
  readonly kind?: WasmKind | undefined;
  /** In bytes. */
  readonly size?: number | undefined;
  readonly imports?: readonly string[] | undefined;
}

export interface PolicyTestResult {
  readonly reference: string;
  readonly expected: PolicyOutcome;
  readonly outcome: PolicyOutcome;
  readonly passed: boolean;
  /** The entry that decided: its pattern, and where it stands. */
  readonly pattern: string | undefined;
  readonly origin: string | undefined;
  /** Why it is refused. */
  readonly reason: string | undefined;
}

/** Reads the tests of a policy; faults are the cursor's. */
export function readTests(cursor: JsonCursor): PolicyTest[] {
  return cursor.array(MAX_TESTS).map((element) => {
    const test = element.closedObject(["reference", "expect", "pattern", "module"]);
    const reference = test.field("reference");
    const text = readText(reference);
    try {
      parseReference(text);
    } catch (error) {
      if (!(error instanceof WasmToOciError)) throw error;
      reference.fail(error.message);
    }
    return {
      reference: text,
      expect: oneOf(test.field("expect"), POLICY_OUTCOMES),
      pattern: ifPresent(test.field("pattern"), readText),
      module: ifPresent(test.field("module"), readModule),
    };
  });
}

function readModule(cursor: JsonCursor): TestedModule {
  const module = cursor.closedObject(["role", "format", "verified", "kind", "size", "imports"]);
  return {
    role: ifPresent(module.field("role"), readText),
    format: ifPresent(module.field("format"), readText),
    verified: ifPresent(module.field("verified"), (field) => oneOf(field, ["module", "artifact"])),
    kind: ifPresent(module.field("kind"), (field) => oneOf(field, ["module", "component", "wit-package"])),
    size: ifPresent(module.field("size"), (field) => field.integer()),
    imports: ifPresent(module.field("imports"), (field) => field.array(MAX_IMPORTS).map(readText)),
  };
}

/** Runs one test. */
export function runPolicyTest(index: PolicyIndex, test: PolicyTest): PolicyTestResult {
  const { outcome, match, reason } = decide(index, test);
  const pattern = match?.entry.pattern.text;
  return {
    reference: test.reference,
    expected: test.expect,
    outcome,
    passed: outcome === test.expect && (test.pattern === undefined || test.pattern === pattern),
    pattern,
    origin: match?.entry.origin,
    reason,
  };
}

interface Decision {
  readonly outcome: PolicyOutcome;
  readonly match?: PolicyMatch | undefined;
  readonly reason?: string;
}

function decide(index: PolicyIndex, { reference, module }: PolicyTest): Decision {
  let match: PolicyMatch | undefined;
  try {
    match = index.match(repositoryName(parseReference(reference)));
    if (match === undefined) return { outcome: "uncovered" };
    if (module !== undefined) askRules(match.entry.rules, reference, module);
    return { outcome: "verify", match };
  } catch (error) {
    if (!(error instanceof WasmToOciError) || !REFUSALS.has(error.code)) throw error;
    return { outcome: "refuse", match, reason: error.message };
  }
}

const REFUSALS: ReadonlySet<string> = new Set(["POLICY_REFUSED", "POLICY_AMBIGUOUS"]);

/** Only what is given is asked about: a rule whose fact is left out passes. */
function askRules(rules: TrustRules, reference: string, module: TestedModule): void {
  const { kind, imports, size, ...target } = module;
  checkTargetRules(rules, { reference, size, ...target });
  checkModuleRules(
    {
      ...rules,
      kinds: kind === undefined ? undefined : rules.kinds,
      imports: imports === undefined ? undefined : rules.imports,
      maxSize: size === undefined ? undefined : rules.maxSize,
    },
    { reference, size: size ?? 0, contract: { kind: kind ?? "module", imports: imports ?? [] } },
  );
}
