/** Finding the newest of versions that count up by one, where a server only answers for single ones. */

/** Far beyond a version per second for a century; a server that says yes to everything ends here. */
const MAX_VERSION = 2 ** 32;

/**
 * @param exists tells whether the server has a version
 * @param known a version that exists; 0 where none is known
 * @returns the newest version, or 0; `known` at least
 */
export async function newestVersion(exists: (version: number) => Promise<boolean>, known = 0): Promise<number> {
  let low = known;
  let step = 1;
  while (low + step <= MAX_VERSION && (await exists(low + step))) {
    low += step;
    step *= 2;
  }
  let high = low + step; // does not exist
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await exists(middle)) low = middle;
    else high = middle;
  }
  return low;
}
