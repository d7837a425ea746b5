/** Text that somebody else chose, for use inside our own messages. */
import { escapeTerminal } from "./terminal-text.ts";

/**
 * Makes text harmless, as {@link escapeTerminal} does, and cuts it short.
 *
 * @param limit the most characters of the text to keep
 */
export function escapeUntrusted(text: string, limit = 256): string {
  return escapeTerminal(text.length > limit ? `${text.slice(0, limit)}…` : text);
}

/** The longest address that is worth showing whole. */
const SHOWN_ADDRESS = 200;

/** Quotes an address for a message, without what may be a user's name and password before an `@`. */
export function quoteAddress(text: string): string {
  return `"${escapeUntrusted(text.replace(/^.*@/s, "…@"), SHOWN_ADDRESS)}"`;
}
