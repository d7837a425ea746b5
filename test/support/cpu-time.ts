/**
 * Milliseconds of work that an action takes: of this process where that can be told, which a busy machine does not
 * change much, and by the clock in browsers.
 */
export async function workOf(action: () => unknown): Promise<number> {
  const before = spent();
  await action();
  return spent() - before;
}

function spent(): number {
  if (typeof process === "undefined") return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
