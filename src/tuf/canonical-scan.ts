/**
 * Looking at JSON text without making values of it. {@link findMember} takes text of any form; everything else says
 * whether what it names is here in canonical form, printable ASCII without escapes only. The work is left to regular
 * expressions: engines run those fast from the first document on, loops over characters only after some time.
 */

/** Levels of a value; deeper ones are left to the usual reader, which has a limit of its own. */
const MAX_DEPTH = 32;

/** Characters of texts that have one form in JSON and in canonical JSON: printable ASCII but `"` and `\`. */
export const PLAIN_CHARACTERS = String.raw`[ !#-\[\]-~]`;
/** Numbers without sign that are safe without looking closer. */
export const NATURAL = "(?:0|[1-9][0-9]{0,14})";

const KEY = new RegExp(`"(${PLAIN_CHARACTERS}*)":`, "y");
const LEAF = new RegExp(`"${PLAIN_CHARACTERS}*"|-?[1-9][0-9]{0,14}|0|true|false|null`, "y");
const SPACE = /[ \n\r\t]*/y;
const UNESCAPED = /[^"\\]*/y;
const UNSTRUCTURED = /[^"[\]{},]*/y;

/** Where a match of a sticky expression ends that begins at a place; undefined where there is none. */
export function endOf(expression: RegExp, text: string, at: number): number | undefined {
  expression.lastIndex = at;
  return expression.test(text) ? expression.lastIndex : undefined;
}

/** Where a value in canonical form ends; undefined where there is none. */
export function endOfValue(text: string, at: number, depth = 0): number | undefined {
  const first = text[at];
  if (first !== "{" && first !== "[") return endOf(LEAF, text, at);
  if (depth === MAX_DEPTH) return undefined;
  return first === "{" ? endOfObject(text, at + 1, depth + 1) : endOfArray(text, at + 1, depth + 1);
}

function endOfObject(text: string, start: number, depth: number): number | undefined {
  if (text[start] === "}") return start + 1;
  let before: string | undefined;
  for (let at = start; ;) {
    KEY.lastIndex = at;
    const key = KEY.exec(text)?.[1];
    if (key === undefined || (before !== undefined && before >= key)) return undefined;
    before = key;
    const end = endOfValue(text, KEY.lastIndex, depth);
    if (end === undefined) return undefined;
    if (text[end] === "}") return end + 1;
    if (text[end] !== ",") return undefined;
    at = end + 1;
  }
}

function endOfArray(text: string, start: number, depth: number): number | undefined {
  if (text[start] === "]") return start + 1;
  for (let at = start; ;) {
    const end = endOfValue(text, at, depth);
    if (end === undefined) return undefined;
    if (text[end] === "]") return end + 1;
    if (text[end] !== ",") return undefined;
    at = end + 1;
  }
}

/**
 * Finds where the value of a member begins, in JSON of any form. Where the text is no JSON, it may find anything: who
 * uses the place must parse what is around it.
 *
 * @param path of member names, without escapes, from the outermost object on
 */
export function findMember(text: string, path: readonly string[]): number | undefined {
  let at: number | undefined = 0;
  for (const name of path) {
    at = enterMember(text, at, name);
    if (at === undefined) return undefined;
  }
  return at;
}

function enterMember(text: string, start: number, name: string): number | undefined {
  const wanted = JSON.stringify(name);
  let at = skipSpace(text, start);
  if (text[at] !== "{") return undefined;
  for (;;) {
    at = skipSpace(text, at + 1);
    const end = endOfString(text, at);
    if (end === undefined) return undefined;
    const isFound = text.startsWith(wanted, at);
    at = skipSpace(text, end);
    if (text[at] !== ":") return undefined;
    at = skipSpace(text, at + 1);
    if (isFound) return at;
    const next = passValue(text, at);
    if (next === undefined || text[next] !== ",") return undefined;
    at = next;
  }
}

/** Where the comma or brace after a value is. */
function passValue(text: string, start: number): number | undefined {
  let depth = 0;
  for (let at = endOf(UNSTRUCTURED, text, start)!; ;) {
    const character = text[at];
    if (character === '"') {
      const end = endOfString(text, at);
      if (end === undefined) return undefined;
      at = end;
    } else if (character === undefined) {
      return undefined;
    } else {
      if ((character === "," || character === "}") && depth === 0) return at;
      if (character === "{" || character === "[") depth++;
      if (character === "}" || character === "]") depth--;
      at++;
    }
    at = endOf(UNSTRUCTURED, text, at)!;
  }
}

/** In a loop: an expression for a whole string keeps a place to go back to for each of its characters. */
function endOfString(text: string, start: number): number | undefined {
  if (text[start] !== '"') return undefined;
  for (let at = endOf(UNESCAPED, text, start + 1)!; ; at = endOf(UNESCAPED, text, at + 2)!) {
    if (text[at] === '"') return at + 1;
    if (at + 1 >= text.length) return undefined; // at the end, or at a backslash that escapes nothing
  }
}

function skipSpace(text: string, at: number): number {
  return endOf(SPACE, text, at)!;
}
