/** Which policy governs a run. */
import { join } from "node:path";
import {
  openPolicyFile,
  openPolicyIfThere,
  POLICY_FILE,
  type FetchPolicy,
  type LoadedPolicy,
} from "../node/policy-file.ts";

/** The policy that `--policy` names, or the trust directory's own; undefined where there is none. */
export async function openPolicy(
  dir: string,
  named: string | undefined,
  fetch: FetchPolicy,
): Promise<LoadedPolicy | undefined> {
  return named === undefined ? openPolicyIfThere(join(dir, POLICY_FILE), fetch) : openPolicyFile(named, fetch);
}
