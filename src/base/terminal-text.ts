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

/** Characters that JSON.stringify leaves raw and that act on a terminal. */
const ACTIVE_IN_JSON = /[\u007f-\u009f\p{Cf}\u2028\u2029]/gu;

/** Spells out such characters in JSON text by its own escapes: it means the same, and nothing in it acts on a terminal. */
export function escapeJsonText(json: string): string {
  return json.replace(ACTIVE_IN_JSON, (character) =>
    Array.from({ length: character.length }, (_, i) => unicodeEscape(character.charCodeAt(i))).join(""),
  );
}

function unicodeEscape(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, "0")}`;
}
