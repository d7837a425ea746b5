// Adds up vitest's JSON results and prints the one closing line. Fails where a file is missing: a run that never
// wrote its results has not passed.
import { readFileSync } from "node:fs";

let passed = 0;
let failed = 0;
for (const file of process.argv.slice(2)) {
  try {
    const results = JSON.parse(readFileSync(file, "utf8"));
    passed += results.numPassedTests;
    failed += results.numFailedTests + results.numFailedTestSuites;
  } catch (error) {
    console.error(`${file}: ${error.message}`);
    failed++;
  }
}
console.log(`${passed} passed, ${failed} failed`);
if (failed > 0 || passed === 0) process.exitCode = 1;
