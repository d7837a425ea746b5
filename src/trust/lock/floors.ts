/** Versions below which metadata is refused, whatever this machine has seen: from a lockfile, or from a caller. */
import { checkNotOlder } from "../../tuf/checks.ts";

/** The lowest version to accept, by role. */
export type Floors = ReadonlyMap<string, number>;

/** Checks what a source gave out, also where it knows no floors of its own. @throws {TrustError} METADATA_ROLLED_BACK */
export function checkFloors(
  roles: readonly { readonly role: string; readonly version: number }[],
  floors: Floors,
): void {
  for (const { role, version } of roles) checkNotOlder(role, version, floors.get(role) ?? 0);
}
