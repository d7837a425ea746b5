/**
 * Rules of a policy: what a target and its module must be, whoever signed them. Those that signed facts decide are
 * checked before a module is downloaded, all of them again on its bytes.
 */
import { TrustError } from "../../base/errors.ts";
import type { WasmKind } from "../../wasm/info.ts";
import type { Contract } from "../contract/contract.ts";
import { globMatches } from "./glob.ts";
import type { Check } from "../report.ts";

/** What follows an interface's name, e.g. `@0.2.0-rc.1`. */
const VERSION = /@\d[\w.+-]*$/;

export interface TrustRules {
  /** Where they are written, for messages: `policy.json:12`. */
  readonly origin: string;
  /** One of these roles must have signed the name. */
  readonly roles?: readonly string[] | undefined;
  /** Layouts that artifacts may have. */
  readonly formats?: readonly string[] | undefined;
  /** How much must be signed: the module alone (unless told), or the artifact around it too. */
  readonly verified?: "module" | "artifact" | undefined;
  readonly kinds?: readonly WasmKind[] | undefined;
  /** Length of a module in bytes. */
  readonly maxSize?: number | undefined;
  /** What a module may import; where `allow` is given, nothing else. What `deny` names is refused in any case. */
  readonly imports?: ImportRules | undefined;
  /** Whether a version that asks for more than the one before needs somebody's approval. */
  readonly widening?: "allow" | "approve" | undefined;
  /** What to do where nobody has signed anything. */
  readonly missing: "reject" | "warn" | "accept";
}

export interface ImportRules {
  /** Patterns with `*`; one without a version is for every version. */
  readonly allow?: readonly string[] | undefined;
  readonly deny?: readonly string[] | undefined;
}

/** What is known before a download. What is left out is not known, and not judged. */
export interface TargetFacts {
  /** In full, for messages. */
  readonly reference: string;
  /** The role that signed the name; undefined where nobody did. */
  readonly role?: string | undefined;
  /** The role whose hash bin that one is, signed by its keys: whoever may sign the one has signed the other. */
  readonly home?: string | undefined;
  /** Signed length of the module in bytes. */
  readonly size?: number | undefined;
  readonly format?: string | undefined;
  readonly verified?: "module" | "artifact" | undefined;
  /** The signed contract. */
  readonly contract?: Pick<Contract, "kind" | "imports" | "truncated"> | undefined;
}

/** What a module's own bytes say. */
export interface ModuleFacts {
  readonly reference: string;
  readonly size: number;
  /** With every name; undefined where the bytes cannot be read as Wasm. */
  readonly contract: Pick<Contract, "kind" | "imports"> | undefined;
}

/**
 * Checks all rules that can be decided before the download.
 *
 * @returns the checks made, for the report
 * @throws {TrustError} POLICY_REFUSED
 */
export function checkTargetRules(rules: TrustRules, facts: TargetFacts): Check[] {
  const { role, home, format, verified, size, contract } = facts;
  const checks: Check[] = [];
  if (rules.roles !== undefined && role !== undefined) {
    if (!rules.roles.includes(role) && (home === undefined || !rules.roles.includes(home))) {
      const reason = `it is signed by ${role}, not by ${either(rules.roles)}`;
      throw refused(rules, facts, "roles", reason, rules.roles, role);
    }
    checks.push({ check: "policy-role", detail: `${role} may sign it by ${rules.origin}` });
  }
  if (rules.verified === "artifact" && verified !== undefined) {
    if (verified !== "artifact") {
      throw refused(
        rules,
        facts,
        "verified",
        "its module is signed, the artifact around it is not",
        "artifact",
        verified,
      );
    }
    checks.push({ check: "policy-artifact", detail: `the artifact is signed, as ${rules.origin} demands` });
  }
  if (rules.formats !== undefined && format !== undefined) {
    if (!rules.formats.includes(format)) {
      const reason = `its artifact has the layout ${format}, not ${either(rules.formats)}`;
      throw refused(rules, facts, "formats", reason, rules.formats, format);
    }
    checks.push({ check: "policy-format", detail: `the layout ${format} is allowed by ${rules.origin}` });
  }
  if (size !== undefined) requireSize(rules, facts, size);
  if (contract !== undefined) requireContract(rules, facts, contract);
  return checks;
}

/**
 * Checks the rules for modules on a module's own bytes.
 *
 * @returns the checks made, for the report
 * @throws {TrustError} POLICY_REFUSED, also where the bytes cannot be read and there are rules for what they say
 */
export function checkModuleRules(rules: TrustRules, facts: ModuleFacts): Check[] {
  const { contract, size } = facts;
  const checks: Check[] = [];
  requireSize(rules, facts, size);
  if (rules.maxSize !== undefined) {
    checks.push({ check: "policy-size", detail: `${size} of at most ${rules.maxSize} bytes by ${rules.origin}` });
  }
  if (rules.kinds === undefined && rules.imports === undefined) return checks;
  if (contract === undefined) {
    throw refused(rules, facts, "wasm", "it cannot be read as Wasm, so nobody knows what it imports", "a module", null);
  }
  requireContract(rules, facts, contract);
  if (rules.kinds !== undefined) {
    checks.push({ check: "policy-kind", detail: `a ${contract.kind} is allowed by ${rules.origin}` });
  }
  if (rules.imports !== undefined) {
    checks.push({
      check: "policy-imports",
      detail: `${contract.imports.length} imports are allowed by ${rules.origin}`,
    });
  }
  return checks;
}

/** Tells whether a module that is only announced is refused already, and so not worth a request. */
export function refusesEarly(
  rules: TrustRules,
  announced: { readonly size: number; readonly format: string },
): boolean {
  const { maxSize, formats } = rules;
  if (maxSize !== undefined && announced.size > maxSize) return true;
  return formats !== undefined && !formats.includes(announced.format);
}

function requireSize(rules: TrustRules, facts: { readonly reference: string }, size: number): void {
  const { maxSize } = rules;
  if (maxSize === undefined || size <= maxSize) return;
  const reason = `its module has ${size} bytes, more than ${maxSize}`;
  throw refused(rules, facts, "maxSize", reason, String(maxSize), String(size));
}

/** Of a contract that was cut short, what is in it can be refused, and what is not in it is seen in the module. */
function requireContract(
  rules: TrustRules,
  facts: { readonly reference: string },
  { kind, imports }: Pick<Contract, "kind" | "imports">,
): void {
  if (rules.kinds !== undefined && !rules.kinds.includes(kind)) {
    throw refused(rules, facts, "kinds", `it is a ${kind}, not a ${either(rules.kinds)}`, rules.kinds, kind);
  }
  const { allow, deny = [] } = rules.imports ?? {};
  for (const name of imports) {
    const denied = deny.find((pattern) => deniesImport(pattern, name));
    if (denied !== undefined) {
      throw refused(rules, facts, "imports.deny", `it imports ${shown(name)}, which ${shown(denied)} denies`, [], name);
    }
    if (allow !== undefined && !allow.some((pattern) => allowsImport(pattern, name))) {
      throw refused(rules, facts, "imports.allow", `it imports ${shown(name)}, which nothing allows`, allow, name);
    }
  }
}

/** `wasi:sockets/tcp` is every version of it; `wasi:sockets/tcp@0.2.0` is that one. */
function allowsImport(pattern: string, name: string): boolean {
  return globMatches(pattern, pattern.includes("@") ? name : name.replace(VERSION, ""));
}

/** Names may tell only the compatible part of a version, `@0.2`: what is denied as `@0.2.0` must not pass as that. */
function deniesImport(pattern: string, name: string): boolean {
  if (allowsImport(pattern, name) || globMatches(pattern, name)) return true;
  if (!pattern.includes("@")) return false;
  const version = VERSION.exec(name)?.[0];
  const longer = version === undefined ? -1 : pattern.indexOf(`${version}.`);
  return globMatches(`${pattern}.*`, name) || (longer >= 0 && name === pattern.slice(0, longer) + (version ?? ""));
}

function either(allowed: readonly string[]): string {
  return cut(allowed.join(" or "));
}

function shown(name: string): string {
  return JSON.stringify(cut(name));
}

function cut(text: string): string {
  return text.length > 128 ? `${text.slice(0, 128)}…` : text;
}

function refused(
  rules: TrustRules,
  { reference }: { readonly reference: string },
  rule: string,
  reason: string,
  expected: readonly string[] | string,
  got: string | null,
): TrustError {
  return new TrustError("POLICY_REFUSED", `${reference} is not allowed by ${rules.origin}: ${reason}`, {
    hint: `\`wasm-to-oci policy explain\` shows what is demanded; nothing was delivered`,
    details: { policy: rules.origin, rule, expected, got },
  });
}
