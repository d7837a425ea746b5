/** What the trust server works with, injected. */
import type { Clock } from "../../base/runtime.ts";
import type { Log } from "../log.ts";
import type { KeyedLock } from "../registry/keyed-lock.ts";
import type { OnlineKeys } from "./online-keys.ts";
import type { TrustStore } from "./store.ts";
import type { UploadMemory, ValidationBudget } from "./upload-cost.ts";

export interface TrustService {
  readonly store: TrustStore;
  readonly onlineKeys: OnlineKeys;
  readonly now: Clock;
  readonly log: Log;
  /** Publishes and renewals of one collection take turns. */
  readonly turns: KeyedLock;
  readonly uploads: UploadMemory;
  readonly validations: ValidationBudget;
}
