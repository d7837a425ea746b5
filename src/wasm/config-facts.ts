/** What a CNCF config says about its module, and where the module says otherwise. */
import type { Digest } from "../base/digest.ts";
import type { WasmInfo } from "./info.ts";
import type { WasmConfig } from "./wasm-config.ts";

/**
 * Tells whether a config says what its module imports and exports. A module's config never does. Nor does a
 * component's whose lists are both empty: the Rust tools write that for core modules, which they take for
 * components.
 */
export function saysEnough(
  config: WasmConfig,
  module: Digest,
): config is Required<Pick<WasmConfig, "component">> & WasmConfig {
  const { component } = config;
  if (component === undefined || !config.layerDigests.includes(module)) return false;
  return component.imports.length > 0 || component.exports.length > 0;
}

/** Where config and module disagree, one sentence each; empty where they agree. */
export function disagreements(config: WasmConfig, info: WasmInfo, module: Digest): string[] {
  const found: string[] = [];
  if (!config.layerDigests.includes(module)) found.push(`the config describes other content than the module ${module}`);
  const isModule = info.kind === "module";
  if (isModule !== (config.os === "wasip1")) found.push(`the config says ${config.os}, the binary is a ${info.kind}`);
  const { component } = config;
  if (component === undefined) {
    if (!isModule) found.push("the config does not describe the component's imports and exports");
    return found;
  }
  if (isModule) return found; // its kind was named above; a component's lists do not apply
  found.push(...differences("imports", component.imports, info.imports));
  // Of a WIT package tools list more than its interfaces and worlds: also what its worlds export.
  if (info.kind === "component") found.push(...differences("exports", component.exports, info.exports));
  return found;
}

function differences(
  verb: "imports" | "exports",
  listed: readonly string[],
  actual: readonly { readonly name: string; readonly kind: string }[],
): string[] {
  const inConfig = new Set(listed);
  const inModule = new Set(actual.map(({ name }) => name));
  const hidden = actual.filter(({ name, kind }) => kind !== "type" && !inConfig.has(name)).map(({ name }) => name);
  const invented = listed.filter((name) => !inModule.has(name));
  return [
    ...(hidden.length > 0 ? [`the module ${verb} ${quoted(hidden)}, which the config does not list`] : []),
    ...(invented.length > 0 ? [`the config ${verb} ${quoted(invented)}, which the module does not`] : []),
  ];
}

/** Names that a sentence can hold; the rest is counted. */
const MAX_NAMED = 5;

function quoted(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMED).map((name) => JSON.stringify(name));
  return [...shown, ...(names.length > MAX_NAMED ? [`${names.length - MAX_NAMED} more`] : [])].join(", ");
}
