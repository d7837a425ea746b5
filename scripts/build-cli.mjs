// Bundles the command line into dist/bin: one small entry, one chunk per command. Built beside and swapped in, so
// that whoever runs it meanwhile sees the old one or the new one.
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { build } from "esbuild";

const target = "dist/bin";
const fresh = `dist/.bin-${process.pid}`;
const old = `dist/.bin-${process.pid}-old`;

await build({
  entryPoints: { "wasm-to-oci": "src/cli/main.ts" },
  outdir: fresh,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20.19",
  minify: true,
  sourcemap: "linked",
  sourcesContent: false,
  external: ["@photostructure/sqlite", "pg-native"],
  // commander and pino are CommonJS: without this, "Dynamic require of X is not supported".
  banner: {
    js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);',
  },
  logLevel: "warning",
});
mkdirSync(target, { recursive: true });
renameSync(target, old);
renameSync(fresh, target);
rmSync(old, { recursive: true, force: true });
