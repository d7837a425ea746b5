/** What the environment provides, injected everywhere so that tests and other runtimes can replace it. */
import type { CreateHasher } from "./digest.ts";
import type { Transport } from "./http.ts";

/** The current time; the one clock of all expiry checks. */
export type Clock = () => Date;

export interface Runtime {
  readonly transport: Transport;
  readonly createHasher: CreateHasher;
  readonly now: Clock;
}
