/** Characters that no shell makes anything of, wherever in a word they stand. */
const PLAIN = /^[\w./:@%+=,-]+$/;

/**
 * Writes a value as one word of a command line that people copy into a POSIX shell, as hints do: whatever is in it, the
 * shell runs no more than the command.
 */
export function shellWord(value: string): string {
  return PLAIN.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`;
}
