// Packs the package, installs it into an empty folder without install scripts, and uses it as a stranger would:
// the command's version, the library's entries, and a signed push and verified pull over the embedded servers.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "wasm-to-oci-packed-"));
const env = { ...process.env, HOME: folder, WASM_TO_OCI_PASSPHRASE: "packed package check" };
const run = (command, args) => execFileSync(command, args, { cwd: folder, encoding: "utf8", env });

/** Starts the installed `serve` on ports that the system picks and waits for its addresses. */
async function startServers(bin) {
  const child = spawn(
    process.execPath,
    [bin, "serve", "--data", join(folder, "data"), "--registry-port", "0", "--trust-port", "0", "--format", "json"],
    { cwd: folder, env, stdio: ["ignore", "pipe", "ignore"] },
  );
  let text = "";
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (!text.endsWith("}\n")) continue;
    const { registry, trust } = JSON.parse(text);
    return { registry: new URL(registry).host, trust, child };
  }
  throw new Error("serve ended before it served");
}

try {
  execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  writeFileSync(join(folder, "package.json"), '{"private":true,"type":"module"}\n');
  run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", `./${tarball}`]);
  const bin = join(folder, "node_modules", "wasm-to-oci", "dist", "bin", "wasm-to-oci.js");
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const printed = run(process.execPath, [bin, "--version"]).trim();
  if (!printed.includes(version)) throw new Error(`--version printed ${printed}, expected ${version}`);
  writeFileSync(
    join(folder, "library.mjs"),
    'import { push, pull, verify } from "wasm-to-oci";\nimport { nodeRuntime } from "wasm-to-oci/node";\n' +
      'if ([push, pull, verify, nodeRuntime].some((value) => typeof value !== "function")) process.exit(1);\n',
  );
  run(process.execPath, ["library.mjs"]);
  const servers = await startServers(bin);
  try {
    const reference = `${servers.registry}/packed/empty:v1`;
    writeFileSync(join(folder, "empty.wasm"), Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    run(process.execPath, [bin, "push", "empty.wasm", reference, "--server", servers.trust]);
    run(process.execPath, [bin, "pull", reference, "--server", servers.trust, "--output", "pulled.wasm"]);
    if (!readFileSync(join(folder, "pulled.wasm")).equals(readFileSync(join(folder, "empty.wasm")))) {
      throw new Error("the pulled module differs from the pushed one");
    }
  } finally {
    servers.child.kill("SIGTERM");
  }
  console.log(`packed package works: ${tarball}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
