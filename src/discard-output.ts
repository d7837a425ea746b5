import type { ModuleOutput } from "./download.ts";

/** For work that reads every byte of a module and wants to keep none. */
export const DISCARD: ModuleOutput = {
  write: async () => undefined,
  restart: async () => undefined,
  commit: async () => undefined,
  abort: async () => undefined,
};
