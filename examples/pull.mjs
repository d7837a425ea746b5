// Pulls a module, verified, and says by whom it was signed. Fails if anything is not as it was signed.
// Usage: node examples/pull.mjs REFERENCE SERVER FILE
import { homedir } from "node:os";
import { join } from "node:path";
import { pull, RegistryClient, WasmToOciError } from "wasm-to-oci";
import { fileOutput, nodeRuntime, openNotarySource } from "wasm-to-oci/node";

const [reference, server, file] = process.argv.slice(2);
const dir = join(homedir(), ".wasm-to-oci");
const runtime = nodeRuntime();
try {
  const report = await pull({
    runtime,
    registry: new RegistryClient({ runtime }),
    reference,
    output: await fileOutput(file),
    trust: {
      source: openNotarySource({ dir, server }),
      collection: reference.slice(0, reference.lastIndexOf(":")),
      reason: "flags",
      firstUse: "accept", // a program that knows the publisher's root key passes `pin` and refuses
    },
  });
  console.log(
    `${report.verified} verified, signed by ${report.trust.role}, fresh until ${report.trust.freshUntil.toISOString()}`,
  );
} catch (error) {
  if (!(error instanceof WasmToOciError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
} finally {
  runtime.transport.close();
}
