// Adds up vitest's JSON results, says again what failed, and prints the one closing line. Fails where a file is missing:
// a run that never wrote its results has not passed.
import { readFileSync } from "node:fs";
import { relative } from "node:path";

/** What is shown of each failure; the whole stands further up. */
const MAX_MESSAGE = 600;

let passed = 0;
let failed = 0;

function fail(what, messages) {
  failed++;
  console.error(`failed: ${what}\n  ${messages.join("\n").trim().slice(0, MAX_MESSAGE).replaceAll("\n", "\n  ")}`);
}

for (const file of process.argv.slice(2)) {
  try {
    const { numPassedTests, testResults } = JSON.parse(readFileSync(file, "utf8"));
    passed += numPassedTests;
    for (const { name, status, message, assertionResults } of testResults) {
      const test = `${relative(process.cwd(), name)} (${file})`;
      const failures = assertionResults.filter((result) => result.status === "failed");
      for (const { fullName, failureMessages } of failures) fail(`${test}: ${fullName}`, failureMessages);
      if (status === "failed" && failures.length === 0) fail(test, [message]); // it could not be loaded, or set up
    }
  } catch (error) {
    fail(file, [error.message]);
  }
}
console.log(`${passed} passed, ${failed} failed`);
if (failed > 0 || passed === 0) process.exitCode = 1;
