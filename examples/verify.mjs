// Verifies a module that is at hand against what was signed for a reference, before running it. Pulls nothing.
// Usage: node examples/verify.mjs FILE REFERENCE SERVER
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { moduleFromBytes, RegistryClient, verify, WasmToOciError } from "wasm-to-oci";
import { nodeRuntime, openNotarySource } from "wasm-to-oci/node";

const [file, reference, server] = process.argv.slice(2);
const dir = join(homedir(), ".wasm-to-oci");
const runtime = nodeRuntime();
const bytes = await readFile(file); // what is verified is what would run: the same bytes, read once
try {
  const report = await verify({
    runtime,
    registry: new RegistryClient({ runtime }),
    reference,
    module: moduleFromBytes(file, bytes),
    trust: {
      source: openNotarySource({ dir, server }),
      collection: reference.slice(0, reference.lastIndexOf(":")),
      reason: "flags",
      firstUse: "refuse", // somebody must have pulled, pushed or pinned this repository before
    },
  });
  console.log(`${file} is ${reference}: ${report.checks.length} checks passed`);
} catch (error) {
  if (!(error instanceof WasmToOciError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = error.kind === "tampered" ? 10 : 1;
} finally {
  runtime.transport.close();
}
