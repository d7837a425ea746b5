// Writes docs/reference/cli.md from the command table. `--check` only says whether the page is in sync.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const page = join(root, "docs/reference/cli.md");
const built = mkdtempSync(join(root, "node_modules/.cli-reference-")); // where external packages are found
try {
  await build({
    absWorkingDir: root,
    entryPoints: ["src/cli/reference.ts"],
    outfile: join(built, "reference.mjs"),
    bundle: true,
    format: "esm",
    platform: "node",
    packages: "external",
    logLevel: "warning",
  });
  const { referencePage } = await import(pathToFileURL(join(built, "reference.mjs")).href);
  const wanted = await referencePage();
  if (!process.argv.includes("--check")) writeFileSync(page, wanted);
  else if (readFileSync(page, "utf8") !== wanted) {
    console.error("docs/reference/cli.md is not in sync: run node scripts/generate-cli-reference.mjs");
    process.exitCode = 1;
  }
} finally {
  rmSync(built, { recursive: true, force: true });
}
