// Checks the arrows of ARCHITECTURE.md over the import graph of src/: which folder may import which, and which may
// use Node or a package. One table instead of one lint override per folder (docs/adr/0003-boundaries-as-one-table.md).
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";

/** folder → folders it may import besides itself; "use cases" are the files directly in src/, "entry" is its index. */
export const ALLOWED = {
  base: [],
  keys: ["base"],
  oci: ["base"],
  wasm: ["oci", "base"],
  tuf: ["keys", "base"],
  notary: ["tuf", "keys", "base"],
  trust: ["notary", "tuf", "wasm", "oci", "keys", "base"],
  "use cases": ["trust", "wasm", "oci", "base"],
  entry: ["use cases", "trust", "notary", "tuf", "wasm", "oci", "keys", "base"], // it only hands on, types above all
  node: ["use cases", "trust", "notary", "tuf", "wasm", "oci", "keys", "base"],
  server: ["node", "use cases", "trust", "notary", "tuf", "wasm", "oci", "keys", "base"],
  cli: ["server", "node", "use cases", "trust", "notary", "tuf", "wasm", "oci", "keys", "base"],
};

/** folder → packages it may import; folders of Node may import node:* as well. */
export const PACKAGES = {
  base: ["@noble/hashes"],
  server: ["hono", "@hono/node-server", "pino", "@photostructure/sqlite"],
  cli: ["commander", "@clack/prompts"],
};

const NODE_FOLDERS = new Set(["node", "server", "cli"]);

const IMPORT = /(?:^|[^.\w])(?:import|export)\s*(?:type\s)?(?:[\w*${}\s,]*?\sfrom\s*)?\(?\s*["']([^"'\s]+)["']/g;

function folderOf(path) {
  const [first, second] = path.split(sep);
  if (path === "index.ts") return "entry";
  return second === undefined ? "use cases" : first;
}

function packageOf(specifier) {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

/** Says what is wrong with one import, or nothing. `file` is relative to src/. */
export function violation(file, specifier) {
  const from = folderOf(file);
  if (specifier.startsWith(".")) {
    const to = folderOf(normalize(join(dirname(file), specifier)));
    if (to === from || ALLOWED[from]?.includes(to)) return undefined;
    return `${from} may not import ${to}`;
  }
  if (specifier.startsWith("node:")) return NODE_FOLDERS.has(from) ? undefined : `${from} must run without Node`;
  if (PACKAGES[from]?.includes(packageOf(specifier))) return undefined;
  return `${from} may not import the package ${packageOf(specifier)}`;
}

/** Finds every import of a source text. */
export function importsOf(text) {
  return [...text.matchAll(IMPORT)].map((match) => match[1]);
}

function main() {
  const root = join(import.meta.dirname, "..", "src");
  let faults = 0;
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith(".ts")) continue;
    const path = join(entry.parentPath, entry.name);
    const file = relative(root, path);
    for (const specifier of importsOf(readFileSync(path, "utf8"))) {
      const fault = violation(file, specifier);
      if (fault === undefined) continue;
      console.error(`src/${file}: imports "${specifier}": ${fault}`);
      faults++;
    }
  }
  if (faults > 0) process.exitCode = 1;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main();
