/**
 * Counts how often somebody has to wait for the network: requests are held until nobody begins another one, then all of
 * them are let go at once. Each time that happens is one round trip, however many requests it took side by side.
 */
import type { Transport } from "../../src/base/http.ts";

/** Without a new request for so long, everybody waits for an answer: far above what reading and verifying one takes. */
const QUIET_MS = 250;

export class RoundTrips {
  /** Requests of each round trip, as `METHOD /path`. */
  readonly rounds: string[][] = [];
  private held: { readonly line: string; readonly go: () => void }[] = [];
  private running = 0;
  private timer: NodeJS.Timeout | undefined;

  through(inner: Transport): Transport {
    return async (request) => {
      const line = `${request.method} ${new URL(request.url).pathname}`;
      await new Promise<void>((go) => {
        this.held.push({ line, go });
        this.wait();
      });
      this.running++;
      try {
        return await inner(request);
      } finally {
        this.running--;
        this.wait();
      }
    };
  }

  private wait(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.running > 0 || this.held.length === 0) return;
      const { held } = this;
      this.held = [];
      this.rounds.push(held.map(({ line }) => line));
      for (const { go } of held) go();
    }, QUIET_MS);
  }
}
