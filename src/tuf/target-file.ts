/** Target entries as publishers compare them: by what they say, since large documents make their objects anew. */
import { canonicalJson } from "./canonical-json.ts";
import type { Hashes, TargetFile } from "./schema.ts";

/** Tells whether two entries sign the same content. */
export function sameTarget(a: TargetFile | undefined, b: TargetFile | undefined): boolean {
  if (a === undefined || b === undefined || a === b) return a === b;
  return (
    a.length === b.length &&
    sameHashes(a.hashes, b.hashes) &&
    (a.custom === b.custom || canonicalJson(a.custom ?? null) === canonicalJson(b.custom ?? null))
  );
}

function sameHashes(a: Hashes, b: Hashes): boolean {
  const algorithms = Object.keys(a);
  return algorithms.length === Object.keys(b).length && algorithms.every((algorithm) => a[algorithm] === b[algorithm]);
}
