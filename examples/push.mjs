// Pushes a module and signs it.
// Usage: node examples/push.mjs FILE REFERENCE SERVER   (passphrase of new keys in WASM_TO_OCI_PASSPHRASE)
import { homedir } from "node:os";
import { join } from "node:path";
import { push, RegistryClient } from "wasm-to-oci";
import { nodeRuntime, openModuleFile, openNotarySource } from "wasm-to-oci/node";

const [file, reference, server] = process.argv.slice(2);
const dir = join(homedir(), ".wasm-to-oci");

const runtime = nodeRuntime();
try {
  const source = openNotarySource({
    dir, // the authority of `wasm-to-oci serve` is found here, and accepted for this machine only
    server, // with an authority of its own: ca: await readFile("ca.pem", "utf8")
    passphrases: async () => process.env.WASM_TO_OCI_PASSPHRASE,
  });
  const report = await push({
    runtime,
    registry: new RegistryClient({ runtime }),
    reference,
    module: { name: file, body: await openModuleFile(file) },
    sign: { source, collection: reference.slice(0, reference.lastIndexOf(":")), firstUse: "accept" },
  });
  console.log(`${report.artifact.digest} signed until ${report.signed.freshUntil.toISOString()}`);
} finally {
  runtime.transport.close();
}
