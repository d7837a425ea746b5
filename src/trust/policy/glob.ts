/** Patterns with `*`, which stands for any run of characters, also for none. Nothing else is special. */

/** Compares in time bounded by the product of both lengths: nobody can make it run away. */
export function globMatches(glob: string, text: string): boolean {
  let at = 0;
  let globAt = 0;
  let star = -1;
  let starAt = 0;
  while (at < text.length) {
    if (glob[globAt] === "*") {
      star = globAt++;
      starAt = at;
    } else if (globAt < glob.length && glob[globAt] === text[at]) {
      globAt++;
      at++;
    } else if (star !== -1) {
      globAt = star + 1;
      at = ++starAt; // the last `*` takes one character more
    } else {
      return false;
    }
  }
  while (glob[globAt] === "*") globAt++;
  return globAt === glob.length;
}

/**
 * Gives a text that both patterns match; undefined where there is none.
 *
 * @param filler stands between the parts, where a `*` may be anything
 */
export function globOverlap(a: string, b: string, filler: string): string | undefined {
  if (!a.includes("*")) return globMatches(b, a) ? a : undefined;
  if (!b.includes("*")) return globMatches(a, b) ? b : undefined;
  const [startA = "", ...restA] = a.split("*");
  const [startB = "", ...restB] = b.split("*");
  const start = longer(startA, startB, (long, short) => long.startsWith(short));
  const end = longer(restA.pop() ?? "", restB.pop() ?? "", (long, short) => long.endsWith(short));
  if (start === undefined || end === undefined) return undefined;
  const middle = [...restA, ...restB].filter((part) => part !== "");
  return [start, ...middle, end].join(filler);
}

function longer(a: string, b: string, fits: (long: string, short: string) => boolean): string | undefined {
  const [long, short] = a.length < b.length ? [b, a] : [a, b];
  return fits(long, short) ? long : undefined;
}
