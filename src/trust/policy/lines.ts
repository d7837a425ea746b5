/** Finds the lines of a policy's entries, so that messages can say where to look. */
import { utf8Decode } from "../../base/bytes.ts";

/**
 * @param document valid JSON, an object with the member `entries`
 * @returns the line, from 1, on which each element of `entries` begins
 */
export function entryLines(document: Uint8Array | string): number[] {
  const text = typeof document === "string" ? document : utf8Decode(document, "the policy");
  const lines: number[] = [];
  const open: string[] = [];
  let line = 1;
  let member = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "\n") line++;
    else if (character === '"') {
      const end = endOfString(text, at);
      // at the top level the last text before a value is its member's name
      if (open.length === 1) member = JSON.parse(text.slice(at, end + 1)) as string;
      at = end;
    } else if (character === "{" || character === "[") {
      if (character === "{" && open.length === 2 && open[1] === "[" && member === "entries") lines.push(line);
      open.push(character);
    } else if (character === "}" || character === "]") open.pop();
  }
  return lines;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}
