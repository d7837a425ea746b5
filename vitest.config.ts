import { defineConfig } from "vitest/config";

delete process.env["NODE_EXTRA_CA_CERTS"]; // costs 140 ms at every start of Node 20 that a test spawns

const results = process.env["RESULTS"] ?? "coverage/results.json";

export default defineConfig({
  test: {
    globalSetup: ["test/support/build-cli.ts"],
    reporters: process.env["CI"] ? ["default", ["json", { outputFile: results }]] : ["default"],
    coverage: { provider: "v8", include: ["src/**"] },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [{ extends: true, test: { name: "node", include: ["test/**/*.test.ts"], exclude: ["test/browser/**"] } }],
  },
});
