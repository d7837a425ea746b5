/** Questions to a person at a terminal, on stderr so that stdout stays clean. Without a terminal nothing is asked. */
import { InterruptedError } from "../base/errors.ts";

const DEFAULT_COLUMNS = 80;

export interface Prompt {
  /** True where somebody can answer. */
  readonly available: boolean;
  /** Asks for a secret without showing it. @throws {InterruptedError} INTERRUPTED on Ctrl-C and end of input */
  secret(question: string): Promise<string>;
  /** Asks for a line of text. @throws {InterruptedError} INTERRUPTED */
  line(question: string): Promise<string>;
  /** Asks yes or no; no is the default. @throws {InterruptedError} INTERRUPTED */
  confirm(question: string): Promise<boolean>;
}

/** Prompts on this process's terminal. */
export function terminalPrompt(onQuestion: () => void): Prompt {
  const io = { input: process.stdin, output: process.stderr };
  return {
    available: process.stdin.isTTY && process.stderr.isTTY,
    async secret(question) {
      const { password } = await load(onQuestion);
      return answered(await password({ message: question, mask: "*", ...io }));
    },
    async line(question) {
      const { text } = await load(onQuestion);
      return answered(await text({ message: question, ...io }));
    },
    async confirm(question) {
      const { confirm } = await load(onQuestion);
      return answered(await confirm({ message: question, initialValue: false, ...io }));
    },
  };
}

/** Loads the prompts only when one is needed: they cost as much as the command line parser. */
async function load(onQuestion: () => void): Promise<typeof import("@clack/prompts")> {
  onQuestion();
  // A terminal that does not know its width says 0; text would then be wrapped after each character.
  if (process.stderr.columns === 0) process.stderr.columns = DEFAULT_COLUMNS;
  return await import("@clack/prompts");
}

/** Ends the run where the question was cancelled. */
function answered<T>(answer: T): Exclude<T, symbol> {
  if (typeof answer === "symbol") throw new InterruptedError("the question was not answered");
  return answer as Exclude<T, symbol>;
}
