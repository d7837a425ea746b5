/** Puts the words of a command line into the order that the parser knows: command first, then its options. */
import type { AnyOption } from "./options.ts";
import { leadingOptions } from "./shared-options.ts";
import { allEntries } from "./table.ts";

/**
 * Arranges words:
 * - options that the 2019 tool took before its command (`--server URL push …`) move behind it
 * - `help push` becomes `push --help`
 */
export function arrangeWords(words: readonly string[]): string[] {
  const count = countLeading(words);
  const leading = words.slice(0, count);
  const rest = words.slice(count);
  if (rest[0] === "help") return [...rest.slice(1, 3), "--help"];
  if (rest.length === 0 || leading.length === 0) return [...leading, ...rest];
  const names = new Set(allEntries().map((entry) => entry.name));
  const depth = names.has(rest.slice(0, 2).join(" ")) ? 2 : 1;
  return [...rest.slice(0, depth), ...leading, ...rest.slice(depth)];
}

/** How many words at the start are options that may precede a command, with their values. */
function countLeading(words: readonly string[]): number {
  const specs = new Map<string, AnyOption>();
  for (const spec of Object.values(leadingOptions)) for (const flag of spec.flags) specs.set(flag, spec);
  let at = 0;
  for (;;) {
    const word = words[at] ?? "";
    const [flag = ""] = word.split("=", 1);
    const spec = specs.get(flag) ?? specs.get(word.slice(0, 2));
    if (spec === undefined) return at;
    const attached = word.length > flag.length || !specs.has(flag);
    at += spec.placeholder === undefined || attached ? 1 : 2;
  }
}
