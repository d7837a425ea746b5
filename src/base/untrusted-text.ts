/** Text that somebody else chose, made safe to show: it can neither steer a terminal nor pose as our own words. */

/** Controls, separators, formatting characters (bidirectional overrides, zero width), private use, lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu;

/**
 * Escapes what is not plain text as `\u{…}` and cuts the rest short.
 *
 * @param limit the most characters of the text to keep
 */
export function escapeUntrusted(text: string, limit = 256): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return cut.replace(UNSAFE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}
