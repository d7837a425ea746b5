/** Diff: what a new version of a module may do that the old one could not. */
import type { Digest } from "./base/digest.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import type { Reference } from "./oci/reference.ts";
import type { RegistryClient } from "./oci/registry-client.ts";
import { readModule, type ModuleSource } from "./read-module.ts";
import { readReference } from "./read-reference.ts";
import { diffContracts, diffNames, type ContractDiff, type NameDiff } from "./trust/contract/diff.ts";
import { fullContract, type Contract } from "./trust/contract/contract.ts";
import type { Coverage } from "./trust/coverage.ts";
import type { Note } from "./trust/report.ts";
import type { WasmInfo } from "./wasm/binary.ts";
import type { WasmKind } from "./wasm/info.ts";

/** One of the two versions: a local module, or a reference with what it is verified against. */
export type DiffSource =
  | { readonly module: ModuleSource }
  | {
      readonly registry: RegistryClient;
      readonly reference: string | Reference;
      readonly trust?: Coverage | undefined;
    };

export interface DiffOptions {
  readonly runtime: Runtime;
  readonly old: DiffSource;
  readonly new: DiffSource;
  /** Reads modules themselves, even where their contracts are signed. */
  readonly deep?: boolean | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface DiffedModule {
  /** The file's name, or the reference in full. */
  readonly subject: string;
  /** Where the names come from: the signed contract, or the module's own bytes. */
  readonly from: "contract" | "module";
  readonly kind: WasmKind;
  readonly digest: Digest;
  /** Length in bytes. */
  readonly size: number;
  /** The role that signed it; absent where nothing was verified. */
  readonly role?: string;
}

/** Plain data, which `--format json` prints as it is. Its names are the publisher's: escape them before showing them. */
export interface DiffReport {
  readonly old: DiffedModule;
  readonly new: DiffedModule;
  /** True where both are the same bytes. */
  readonly same: boolean;
  readonly contract: ContractDiff;
  /** Of two core modules that were both read: single imports, `module name`. Contracts know the modules only. */
  readonly coreImports?: NameDiff;
  /** Whether the new version may do what the old one could not, or nobody can rule it out. */
  readonly widens: boolean;
  readonly notes: readonly Note[];
}

interface Side {
  readonly module: DiffedModule;
  readonly contract: Contract;
  readonly info: WasmInfo | undefined;
  readonly notes: readonly Note[];
}

/**
 * Compares two versions of a module.
 *
 * @throws {TrustError} where a reference with trust is not what was signed
 * @throws {FormatError} WASM_INVALID, MODULE_MISSING, …
 * @throws {RegistryError} REGISTRY_NOT_FOUND, …
 * @example
 * ```ts
 * const { widens, contract } = await diff({ runtime, old: { module: deployed }, new: { module: built } });
 * if (widens) throw new Error(`asks for ${contract.imports.added.join(", ")}`);
 * ```
 */
export async function diff(options: DiffOptions): Promise<DiffReport> {
  const from = await readSide(options.old, options);
  const to = await readSide(options.new, options);
  const same = from.module.digest === to.module.digest && from.module.size === to.module.size;
  const contract = diffContracts(from.contract, to.contract);
  const coreImports = from.info && to.info && diffCoreImports(from.info, to.info);
  return {
    old: from.module,
    new: to.module,
    same,
    contract,
    ...(coreImports === undefined ? {} : { coreImports }),
    widens: contract.widens || (coreImports?.added.length ?? 0) > 0,
    notes: [...from.notes, ...to.notes],
  };
}

async function readSide(source: DiffSource, { runtime, deep, onProgress, signal }: DiffOptions): Promise<Side> {
  if ("module" in source) {
    const { info, digest, size } = await readModule(source.module, runtime, onProgress);
    const module = { subject: source.module.name, from: "module", kind: info.kind, digest, size } as const;
    return { module, contract: await fullContract(info), info, notes: [] };
  }
  const read = await readReference({ ...source, runtime, deep, onProgress, signal });
  const { subject, module, contract, info, role, notes } = read;
  return {
    module: {
      subject,
      from: info === undefined ? "contract" : "module",
      kind: contract.kind,
      ...module,
      ...(role === undefined ? {} : { role }),
    },
    contract,
    info,
    notes,
  };
}

function diffCoreImports(from: WasmInfo, to: WasmInfo): NameDiff | undefined {
  if (from.kind !== "module" || to.kind !== "module") return undefined;
  const names = ({ imports }: WasmInfo): string[] => imports.map(({ module, name }) => `${module ?? ""} ${name}`);
  return diffNames(names(from), names(to));
}
