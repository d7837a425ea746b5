/** Times in TUF metadata: UTC to the second, `2030-01-31T12:00:00Z`, and nothing else (specification §4.2.2). */

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** Reads a time; undefined where the text is none, such as `never` or 31 February. */
export function parseTime(text: string): Date | undefined {
  if (!TIME.test(text)) return undefined;
  const time = new Date(text);
  return !Number.isNaN(time.getTime()) && formatTime(time) === text ? time : undefined;
}

/** Writes a time, cut to whole seconds. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
