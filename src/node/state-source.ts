/** Verifies a published state that was read as a whole, with what a trust directory knows of its collection. */
import type { Bytes } from "../base/bytes.ts";
import type { Runtime } from "../base/runtime.ts";
import { filesRepository } from "../trust/trust-files.ts";
import { createTufSource, type TufSource } from "../trust/tuf/source.ts";
import { openTufTrustDir } from "./tuf-source.ts";

export interface StateSourceOptions {
  /** Trust directory. */
  readonly dir: string;
  /** Metadata by file name. */
  readonly files: ReadonlyMap<string, Bytes>;
  /** Where the state was read: what is known of the collection there counts. */
  readonly location: string;
  readonly runtime: Runtime;
}

export function openStateSource({ dir, files, location, runtime }: StateSourceOptions): TufSource {
  return createTufSource({
    kind: "oci",
    repository: filesRepository(files, location),
    runtime,
    trust: openTufTrustDir(dir),
  });
}
