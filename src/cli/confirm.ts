/** Asks before what cannot be undone. */
import { UsageError } from "../base/errors.ts";
import type { Context } from "./command.ts";
import { flag } from "./options.ts";

export const yesOption = flag("-y, --yes", "do not ask");

/**
 * Asks unless the answer was given in advance. Where nobody can be asked, nothing is done.
 *
 * @returns whether to go on
 * @throws {UsageError} USAGE without a terminal
 */
export async function confirmed({ prompt }: Context, question: string, yes: boolean): Promise<boolean> {
  if (yes) return true;
  if (!prompt.available) {
    throw new UsageError("USAGE", `${question} Nobody is there to answer`, {
      hint: "Repeat the command with --yes if so",
    });
  }
  return prompt.confirm(question);
}
