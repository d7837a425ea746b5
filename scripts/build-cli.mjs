// Bundles the command line into dist/bin: a small entry, which help and version need no more than; one chunk with the
// commands; one with the servers, and one with prompts. Built beside and swapped in, so that whoever runs it meanwhile
// sees the old one or the new one.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const cli = join(import.meta.dirname, "..", "src", "cli");
/** What is imported when it is needed, and together: what is named here has export names of its own. */
const program = [
  "./open-session.ts",
  "./parser.ts",
  "./words.ts",
  ...readdirSync(join(cli, "commands")).map((file) => `./commands/${file}`),
].filter((path) => path !== "./commands/serve.ts"); // as large as all others, and runs for long

// `export *` leaves out, without a word, what two modules export under one name.
const names = program.flatMap((path) =>
  [...readFileSync(join(cli, path), "utf8").matchAll(/^export (?:async )?(?:const|function|class) (\w+)/gm)].map(
    (match) => match[1],
  ),
);
const twice = names.find((name, index) => names.indexOf(name) !== index);
if (twice !== undefined) throw new Error(`two commands export ${twice}: give one of them another name`);

/**
 * Makes one chunk of what would be a chunk each: commands share most of their code, so that each would be cut into nearly
 * a hundred files, and to open, resolve and link so many takes longer than to read what is not needed.
 */
const together = {
  name: "together",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\// }, ({ kind, path, resolveDir }) => {
      if (kind !== "dynamic-import" || resolveDir !== cli || !program.includes(path)) return undefined;
      return { path: "program", namespace: "together" };
    });
    onLoad({ filter: /^program$/, namespace: "together" }, () => {
      const contents = program.map((path) => `export * from ${JSON.stringify(path)};`).join("\n");
      return { contents, resolveDir: cli };
    });
  },
};

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
  plugins: [together],
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
