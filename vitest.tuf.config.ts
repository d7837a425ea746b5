import { defineConfig } from "vitest/config";
import base from "./vitest.config.ts";

const { projects: _, ...shared } = base.test ?? {};

/** Runs once per mutant: without the tests that publish at random and kill for seconds, and the same in every run. */
const mutating = process.env["STRYKER_MUTATOR_WORKER"] !== undefined;

/** The tests of src/tuf alone, in Node: what its coverage and its mutation score are measured with. */
export default defineConfig({
  test: {
    ...shared,
    globalSetup: ["test/support/temp-dir.ts"],
    include: process.env["TUF_TESTS"]?.split(",") ?? [
      "test/tuf/**/*.test.ts",
      "test/trust/{tuf,oci}/**/*.test.ts",
      "test/node/tuf-*.test.ts",
    ],
    exclude: mutating ? ["test/tuf/publish-model.test.ts", "test/node/tuf-directory-publisher.test.ts"] : [],
    provide: mutating ? { seed: 1 } : shared.provide!,
    coverage: {
      provider: "v8",
      include: ["src/tuf/**"],
      reporter: ["text", "json"],
      reportsDirectory: "coverage/tuf",
      thresholds: { branches: 100 },
    },
  },
});
