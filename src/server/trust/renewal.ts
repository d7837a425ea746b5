/** Re-signs old timestamps for collections that nobody asks for, so that whoever asks next finds them fresh. */
import { errorFields } from "../log.ts";
import { LIFETIME_MS, renewIfDue } from "./online-roles.ts";
import type { TrustService } from "./service.ts";

/** Collections per query. */
const PAGE = 100;
/** How often to look; a timestamp has days to go when it is due. */
const INTERVAL_MS = 60 * 60 * 1000;

/** Renews every collection that is due. One that cannot be renewed is logged and does not hold up the others. */
export async function renewAll(service: TrustService, signal?: AbortSignal): Promise<void> {
  const before = new Date(service.now().getTime() - LIFETIME_MS.timestamp / 2);
  let after = "";
  for (;;) {
    const guns = await service.store.staleCollections(before, after, PAGE);
    for (const gun of guns) {
      if (signal?.aborted === true) return;
      try {
        await renewIfDue(service, gun);
      } catch (error) {
        service.log.error({ gun, ...errorFields(error) }, "the timestamp could not be renewed");
      }
    }
    const last = guns.at(-1);
    if (last === undefined) return;
    after = last;
  }
}

/** Looks for old timestamps now and every hour. @returns ends it, once what is under way is done */
export function startRenewal(service: TrustService, intervalMs: number = INTERVAL_MS): () => Promise<void> {
  const controller = new AbortController();
  let running = Promise.resolve();
  const look = () => {
    running = running
      .then(() => renewAll(service, controller.signal))
      .catch((error: unknown) => service.log.error(errorFields(error), "old timestamps could not be looked for"));
  };
  look();
  const timer = setInterval(look, intervalMs);
  timer.unref();
  return async () => {
    controller.abort();
    clearInterval(timer);
    await running;
  };
}
