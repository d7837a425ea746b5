/** Property tests try new values in every run at home; CI tries the same ones each time, so that red means this change. */
import fc from "fast-check";
import { inject } from "vitest";

const seed = inject("seed");
if (seed !== undefined) fc.configureGlobal({ seed });

declare module "vitest" {
  interface ProvidedContext {
    seed: number | undefined;
  }
}
