/** Gives a whole run of tests one temporary folder, and removes it with all that tests have left in it. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export default function setUp(): () => void {
  const outer = process.env["TMPDIR"];
  const dir = mkdtempSync(join(tmpdir(), "wasm-to-oci-tests-"));
  chmodSync(dir, 0o711); // some tests run programs as somebody else
  process.env["TMPDIR"] = dir; // what workers, and the programs that they start, are told
  return () => {
    if (outer === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = outer;
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  };
}
