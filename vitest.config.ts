import { accessSync, constants } from "node:fs";
import { availableParallelism } from "node:os";
import { delimiter, join } from "node:path";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectConfiguration } from "vitest/config";

delete process.env["NODE_EXTRA_CA_CERTS"]; // costs 140 ms at every start of Node 20 that a test spawns

const results = process.env["RESULTS"] ?? "coverage/results.json";

/** Tests that run what users run: the bundled command line and the compiled library. */
const BUILT = ["attacks", "cli", "docs", "examples", "interop"].map((folder) => `test/${folder}/**/*.test.ts`);

/** Tests of what runs without Node, with all that it imports: they run in Node and in a browser. */
const BROWSER = ["test/tuf/**/*.test.ts"];

const TEMP_DIR = "test/support/temp-dir.ts";

const projects: TestProjectConfiguration[] = [
  { extends: true, test: { name: "source", include: ["test/**/*.test.ts"], exclude: BUILT, globalSetup: [TEMP_DIR] } },
  { extends: true, test: { name: "built", include: BUILT, globalSetup: [TEMP_DIR, "test/support/build.ts"] } },
];

/** An installed Chromium; none is ever downloaded. */
function findChromium(): string | undefined {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Nothing but the tests' own page is to be loaded: no updates, no experiments, no look-ups of Google's hosts. */
const QUIET = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"];

const chromium = findChromium();
if (chromium === undefined && process.env["WASM_TO_OCI_PEERS"] !== "required") {
  console.warn(`skipped: ${BROWSER.join(", ")} in a browser, since no chromium is installed\n`);
} else {
  projects.push({
    extends: true,
    test: {
      name: "browser",
      include: BROWSER,
      sequence: { groupOrder: 1 }, // after the others: a page that starves looks like one that does not answer
      maxWorkers: 1, // one page per file, one after the other
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({ launchOptions: { executablePath: chromium ?? "chromium", args: QUIET } }),
        instances: [{ browser: "chromium" }],
      },
    },
  });
}

export default defineConfig({
  test: {
    reporters: process.env["CI"] ? ["default", ["json", { outputFile: results }]] : ["default"],
    coverage: { provider: "v8", include: ["src/**"] },
    provide: { seed: process.env["CI"] === undefined ? undefined : 20_191_107 },
    setupFiles: ["test/support/fast-check.ts"],
    // Other people's programs, signals, memory and time on a busy machine: one more try in CI, none at home.
    retry: process.env["CI"] === undefined ? 0 : 1,
    maxWorkers: Math.max(2, availableParallelism() - 1), // much of the time goes by waiting for servers and programs
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects,
  },
});
