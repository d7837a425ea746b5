/** Text on its way into an artifact. */
import { UsageError } from "../base/errors.ts";

/** JSON would carry a lone surrogate as an escape that strict readers, ours too, refuse. */
export function requireUnicode(text: string, what: string): void {
  if (!/\p{Cs}/u.test(text)) return;
  throw new UsageError("USAGE", `${what} is not well-formed Unicode: ${JSON.stringify(text)}`, {
    hint: "Name the file or value in valid UTF-8",
  });
}
