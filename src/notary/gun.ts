/** GUNs ("globally unique names"): the names of Notary collections, by convention `host[:port]/path`. */
import { UsageError } from "../base/errors.ts";

/** Notary's SQL storage has 255 characters for it. */
const MAX_GUN_LENGTH = 255;

/**
 * A GUN goes unescaped into URLs and becomes directories, so every character must mean itself in both: no white
 * space, controls, `%`, `?`, `#`, `*` or backslash; what remains is ASCII that URLs leave alone.
 */
const SEGMENT = /^[A-Za-z0-9._~:@+=,!$'()-]+$/;

/**
 * Checks a GUN.
 *
 * @returns the same text: GUNs are case-sensitive and have no other spelling
 * @throws {UsageError} GUN_INVALID
 */
export function parseGun(text: string): string {
  if (text.length === 0) throw fault(text, "it is empty");
  if (text.length > MAX_GUN_LENGTH)
    throw fault(text, `it has ${text.length} characters, the limit is ${MAX_GUN_LENGTH}`);
  for (const segment of text.split("/")) {
    if (segment === "") throw fault(text, "it has an empty part between slashes");
    if (segment === "." || segment === "..") throw fault(text, `it has the part ${JSON.stringify(segment)}`);
    if (segment === "_trust") throw fault(text, "the part _trust belongs to the server's own addresses");
    if (!SEGMENT.test(segment))
      throw fault(text, `${JSON.stringify(shorten(segment))} has a character that it may not have`);
  }
  return text;
}

function fault(gun: string, reason: string): UsageError {
  return new UsageError("GUN_INVALID", `${JSON.stringify(shorten(gun))} is not the name of a collection: ${reason}`, {
    hint: "A collection's name (GUN) looks like registry.example:5000/team/app: parts of letters, digits and ._~:@+-, joined by slashes",
  });
}

/** Long enough to recognise a name by, short enough for one line. */
const SHOWN_LENGTH = 80;

function shorten(text: string): string {
  return text.length <= SHOWN_LENGTH ? text : `${text.slice(0, SHOWN_LENGTH)}…`;
}
