import { readFileSync } from "node:fs";
import { isJsonObject, parseJson } from "../base/json.ts";

/** This program's version, from package.json two folders up: true for src/cli, dist/cli and the bundle in dist/bin. */
export function programVersion(): string {
  const manifest = parseJson(readFileSync(new URL("../../package.json", import.meta.url)), { what: "package.json" });
  const version = isJsonObject(manifest) ? manifest["version"] : undefined;
  return typeof version === "string" ? version : "unknown";
}
