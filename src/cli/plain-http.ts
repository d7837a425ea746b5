/** Whether a registry is spoken to in plain http. */
import type { SessionOptions } from "./session.ts";

/** Undefined leaves it to the client: plain http on loopback. Whoever speaks of certificates means https, there too. */
export function plainHttp({ useHttp, insecure, caFile, certFile }: SessionOptions): boolean | undefined {
  if (useHttp === true) return true;
  return insecure === true || caFile !== undefined || certFile !== undefined ? false : undefined;
}
