/** What a delegation lets its keys sign, in words. */
import { prefixPatterns } from "../tuf/editor.ts";

/** Names that start so (Notary): `v1.…`. */
export function prefixTexts(prefixes: readonly string[]): string[] {
  return prefixes.map((prefix) => (prefix === "" ? "everything" : `${prefix}…`));
}

/** Path patterns (TUF): one per depth stands for everything below a prefix, which is all that people want to know. */
export function patternTexts(patterns: readonly string[]): string[] {
  const left = new Set(patterns);
  const texts: string[] = [];
  for (const pattern of patterns) {
    if (!left.has(pattern)) continue;
    const prefix = /^(.*\/|)\*$/.exec(pattern)?.[1];
    const all = prefix === undefined ? [] : prefixPatterns(prefix);
    if (all.length > 1 && all.every((one) => left.has(one))) {
      for (const one of all) left.delete(one);
      texts.push(prefix === "" ? "everything" : `all below ${prefix!}`);
    } else {
      left.delete(pattern);
      texts.push(pattern);
    }
  }
  return texts;
}
