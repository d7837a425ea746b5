/** Entries of lockfiles, as the tests of them need. */
import type { LockedModule } from "../../src/trust/lock/lockfile.ts";

const hex = (digit: string, length = 64): string => digit.repeat(length);

/** An entry that nothing is wrong with. */
export function lockedModule(reference: string, changes: Partial<LockedModule> = {}): LockedModule {
  return {
    reference,
    manifest: `sha256:${hex("a")}`,
    format: "cncf-wasm-v0",
    module: `sha256:${hex("b")}`,
    sha512: `sha512:${hex("c", 128)}`,
    size: 2895,
    contract: `sha256:${hex("d")}`,
    place: { kind: "oci" },
    collection: "acme/app",
    target: "v1",
    role: "targets",
    rootKeys: [hex("1")],
    signedBy: [hex("2")],
    versions: new Map([
      ["root", 1],
      ["timestamp", 4],
      ["snapshot", 3],
      ["targets", 3],
    ]),
    ...changes,
  };
}
