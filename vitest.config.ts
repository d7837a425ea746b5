import { defineConfig } from "vitest/config";

delete process.env["NODE_EXTRA_CA_CERTS"]; // costs 140 ms at every start of Node 20 that a test spawns

const results = process.env["RESULTS"] ?? "coverage/results.json";

/** Tests that run what users run: the bundled command line and the compiled library. */
const BUILT = ["attacks", "cli", "docs", "examples", "interop"].map((folder) => `test/${folder}/**/*.test.ts`);

export default defineConfig({
  test: {
    reporters: process.env["CI"] ? ["default", ["json", { outputFile: results }]] : ["default"],
    coverage: { provider: "v8", include: ["src/**"] },
    setupFiles: ["test/support/fast-check.ts"],
    // Other people's programs, signals, memory and time on a busy machine: one more try in CI, none at home.
    retry: process.env["CI"] === undefined ? 0 : 1,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: { name: "source", include: ["test/**/*.test.ts"], exclude: [...BUILT, "test/browser/**"] },
      },
      { extends: true, test: { name: "built", include: BUILT, globalSetup: ["test/support/build.ts"] } },
    ],
  },
});
