import { trust } from "./0001-trust.ts";

/** Every migration, in order. */
export const MIGRATIONS = [trust] as const;
