/** What one contract asks for that another did not. Pure. */
import type { WasmKind } from "../../wasm/info.ts";
import type { Contract } from "./contract.ts";

export interface NameDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** The same interface in another version that is compatible by semantic versioning: no further capability. */
  readonly changed: readonly { readonly from: string; readonly to: string }[];
}

export interface ContractDiff {
  readonly kind: { readonly from: WasmKind; readonly to: WasmKind };
  readonly imports: NameDiff;
  readonly exports: NameDiff;
  /** False where lists are cut short and their digests differ: there may be more than is shown. */
  readonly complete: boolean;
  /** Whether the new one may do what the old one could not, or nobody can rule it out. */
  readonly widens: boolean;
}

/** Compares two contracts, signed or read. */
export function diffContracts(from: Contract, to: Contract): ContractDiff {
  const track = trackOf(from.kind === to.kind ? to.kind : "module");
  const imports = diffNames(from.imports, to.imports, track);
  const complete = from.digest === to.digest || (!from.truncated && !to.truncated);
  return {
    kind: { from: from.kind, to: to.kind },
    imports,
    exports: diffNames(from.exports, to.exports, track),
    complete,
    widens: from.kind !== to.kind || imports.added.length > 0 || !complete,
  };
}

/**
 * Compares two sets of names; each result is sorted.
 *
 * @param track gives compatible names the same text. Names of core modules have no versions, whatever they look like
 */
export function diffNames(
  from: readonly string[],
  to: readonly string[],
  track: (name: string) => string = itself,
): NameDiff {
  const before = new Set(from);
  const after = new Set(to);
  const gone = from.filter((name) => !after.has(name));
  const byTrack = new Map<string, string>();
  // what is gone goes last, so that it wins: a version was replaced rather than added
  for (const name of [...from, ...gone]) byTrack.set(track(name), name);
  const added: string[] = [];
  const changed: { from: string; to: string }[] = [];
  for (const name of after) {
    if (before.has(name)) continue;
    const former = byTrack.get(track(name));
    if (former === undefined) added.push(name);
    else changed.push({ from: former, to: name });
  }
  const replaced = new Set(changed.map((change) => change.from));
  return {
    added: added.toSorted(),
    removed: gone.filter((name) => !replaced.has(name)).toSorted(),
    changed: changed.toSorted((a, b) => (a.to < b.to ? -1 : 1)),
  };
}

/** What a module of this kind imports that is neither in a list nor compatible with something in it. */
export function furtherImports(
  kind: WasmKind,
  known: readonly string[],
  imports: readonly string[],
): readonly string[] {
  return diffNames(known, imports, trackOf(kind)).added;
}

function trackOf(kind: WasmKind): (name: string) => string {
  return kind === "component" ? compatibilityTrack : itself;
}

function itself(name: string): string {
  return name;
}

const VERSION = /@(\d+)(?:\.(\d+)(?:\.(\d+))?)?(?:\+[0-9A-Za-z.-]+)?$/;

/**
 * What names of compatible versions have in common, as the component model cuts versions in names: `a:b/c@0.2` for
 * 0.2.0 and 0.2.6. A pre-release is compatible with nothing.
 */
function compatibilityTrack(name: string): string {
  const match = VERSION.exec(name);
  if (match === null) return name;
  const [suffix, major, minor, patch] = match;
  const version = major !== "0" ? major : minor !== "0" ? `0.${minor ?? "0"}` : `0.0.${patch ?? "0"}`;
  return `${name.slice(0, -suffix.length)}@${version ?? ""}`;
}
