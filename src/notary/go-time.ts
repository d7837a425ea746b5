/** Times as Go writes them in JSON (RFC3339Nano): a wrong form makes a server hash other bytes than it stores. */

const GO_TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([+-])(\d\d):(\d\d))$/;

/** Reads a time, to the millisecond; undefined where the text is none or names no real moment. */
export function parseGoTime(text: string): Date | undefined {
  const match = GO_TIME.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const offsetHours = Number(match[9] ?? 0);
  const offsetMinutes = Number(match[10] ?? 0);
  if (hour > 23 || minute > 59 || second > 59 || offsetHours > 23 || offsetMinutes > 59) return undefined;
  const local = new Date(0);
  local.setUTCFullYear(year, month - 1, day);
  if (local.getUTCMonth() !== month - 1 || local.getUTCDate() !== day) return undefined;
  local.setUTCHours(hour, minute, second, Math.floor(Number(`0${match[7] ?? ""}`) * 1000));
  const offset = (offsetHours * 60 + offsetMinutes) * 60_000;
  return new Date(local.getTime() + (match[8] === "-" ? offset : -offset));
}

/** Writes a time as Go does: UTC, no trailing zeros in the fraction, no fraction where it is zero. */
export function formatGoTime(time: Date): string {
  return normaliseGoTime(time.toISOString());
}

/** Gives a time's text as Go would print it again: trailing zeros dropped, an offset of nothing as `Z`. */
export function normaliseGoTime(text: string): string {
  return text
    .replace(/(?<=\.\d*?)0+(?=[Z+-])/, "")
    .replace(/\.(?=[Z+-])/, "")
    .replace(/[+-]00:00$/, "Z");
}
