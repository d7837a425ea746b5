// Bundles the command line into dist/bin: one small entry, one chunk per command.
import { rmSync } from "node:fs";
import { build } from "esbuild";

rmSync("dist/bin", { recursive: true, force: true });
await build({
  entryPoints: { "wasm-to-oci": "src/cli/main.ts" },
  outdir: "dist/bin",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20.19",
  minify: true,
  sourcemap: "linked",
  sourcesContent: false,
  external: ["@photostructure/sqlite", "pg-native"],
  // commander, pg, pino and prom-client are CommonJS: without this, "Dynamic require of X is not supported".
  banner: {
    js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);',
  },
  logLevel: "warning",
});
