import { defineConfig } from "vitest/config";
import base from "./vitest.config.ts";

const { projects: _, ...shared } = base.test ?? {};

/** The tests of src/tuf alone, in Node: what its coverage and its mutation score are measured with. */
export default defineConfig({
  test: {
    ...shared,
    include: ["test/tuf/**/*.test.ts", "test/node/tuf-*.test.ts"],
    coverage: {
      provider: "v8",
      include: ["src/tuf/**"],
      reporter: ["text", "json"],
      reportsDirectory: "coverage/tuf",
      thresholds: { branches: 100 },
    },
  },
});
