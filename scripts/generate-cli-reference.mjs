// Writes docs/reference/cli.md and errors.md from the tables of commands and codes. `--check` only says whether the
// pages are in sync.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const pages = { "docs/reference/cli.md": "referencePage", "docs/reference/errors.md": "errorsPage" };
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
  const reference = await import(pathToFileURL(join(built, "reference.mjs")).href);
  for (const [page, make] of Object.entries(pages)) {
    const wanted = await reference[make]();
    if (!process.argv.includes("--check")) writeFileSync(join(root, page), wanted);
    else if (readFileSync(join(root, page), "utf8") !== wanted) {
      console.error(`${page} is not in sync: run node scripts/generate-cli-reference.mjs`);
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(built, { recursive: true, force: true });
}
