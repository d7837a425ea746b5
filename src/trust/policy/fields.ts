/** Readers of a policy's members, each as strict as the published schema says. */
import type { JsonCursor } from "../../base/json-cursor.ts";

/** Names, comments and paths; longer ones are no use to anybody. */
export const MAX_TEXT = 1_024;

// oxlint-disable-next-line no-control-regex -- exactly these are refused
export const CONTROL = /[\u0000-\u001f\u007f]/;

export function ifPresent<T>(cursor: JsonCursor, read: (cursor: JsonCursor) => T): T | undefined {
  return cursor.absent ? undefined : read(cursor);
}

export function readText(cursor: JsonCursor): string {
  const text = cursor.string();
  if (text !== "" && text.length <= MAX_TEXT && !CONTROL.test(text)) return text;
  return cursor.fail(`expected a text of 1 to ${MAX_TEXT} characters without control characters`);
}

export function oneOf<const C extends string>(cursor: JsonCursor, choices: readonly C[]): C {
  const text = cursor.string();
  return choices.find((choice) => choice === text) ?? cursor.fail(`expected one of ${choices.join(", ")}`);
}

/** Some of a few words, each once. */
export function readChoices<const C extends string>(cursor: JsonCursor, choices: readonly C[]): C[] {
  const chosen = nonEmpty(cursor, choices.length).map((element) => oneOf(element, choices));
  requireDistinct(cursor, chosen);
  return chosen;
}

export function readTexts(cursor: JsonCursor, max: number): string[] {
  const texts = nonEmpty(cursor, max).map(readText);
  requireDistinct(cursor, texts);
  return texts;
}

export function nonEmpty(cursor: JsonCursor, max: number): JsonCursor[] {
  const elements = cursor.array(max);
  return elements.length > 0 ? elements : cursor.fail("an empty list would allow nothing; leave it out or fill it in");
}

export function requireDistinct(cursor: JsonCursor, texts: readonly string[]): void {
  if (new Set(texts).size < texts.length) cursor.fail("an element stands twice");
}
