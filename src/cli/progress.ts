/** Progress of long work as one passing line on a terminal. */
import type { OnProgress, Progress } from "../base/progress.ts";
import type { Output } from "./output.ts";

/** A person reads no faster, and a terminal over a slow line stays usable. */
const REDRAW_INTERVAL_MS = 100;

/** Work that ends sooner than this needs no line at all. */
const QUIET_START_MS = 300;

/** Shows progress on the output's status line; throttled. Off a terminal it costs nothing. */
export function progressLine(out: Output, now: () => number = () => performance.now()): OnProgress | undefined {
  if (!out.terminal || !out.shows("info")) return undefined;
  const start = now();
  let drawn = start + QUIET_START_MS - REDRAW_INTERVAL_MS;
  return (progress) => {
    const time = now();
    if (time - drawn < REDRAW_INTERVAL_MS) return;
    drawn = time;
    out.status(describe(progress));
  };
}

function describe({ phase, subject, done, total }: Progress): string {
  const amount = total === undefined ? formatSize(done) : `${formatSize(done)} of ${formatSize(total)}`;
  const share = total === undefined || total === 0 ? "" : `, ${Math.floor((100 * done) / total)} %`;
  return `${phase} ${subject}: ${amount}${share}`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A length in bytes for people, e.g. `1.5 MiB`. */
export function formatSize(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${unit === 0 ? amount : amount.toFixed(1)} ${UNITS[unit]!}`;
}
