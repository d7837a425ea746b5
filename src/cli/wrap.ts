/** Text in lines that fit on any terminal. */

/** The width of text, whatever the terminal: the same in a pipe, a terminal and the reference page. */
const WIDTH = 80;

/** Breaks text into lines of the given indentation. A word that is too long stands alone. */
export function wrap(text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(" ".repeat(indent) + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, " ".repeat(indent) + line];
}
