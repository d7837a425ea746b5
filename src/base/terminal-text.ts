/** Text that came from outside, made safe to show: on a terminal, in a log line, in an error message. */

/**
 * Characters that act instead of being seen: controls (C0 with ESC, CR, LF and tab; DEL; C1 with the one-byte
 * CSI), format characters (bidirectional overrides, zero-width characters, tags), lone surrogates, line and
 * paragraph separators.
 */
const ACTIVE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

const SHORT: Readonly<Record<string, string>> = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };

/**
 * Spells out each character that could move the cursor, change colours, reorder what is read or forge another
 * line, e.g. `\u{1b}` for ESC. Everything that is merely seen stays as it is, so ordinary text is unchanged.
 * The result is for people: a backslash stays one, so it cannot be turned back.
 *
 * @example
 * ```ts
 * escapeTerminal("app\u001b[2K\rverified"); // "app\\u{1b}[2K\\rverified"
 * ```
 */
export function escapeTerminal(text: string): string {
  return text.replace(ACTIVE, (character) => SHORT[character] ?? `\\u{${character.codePointAt(0)!.toString(16)}}`);
}
