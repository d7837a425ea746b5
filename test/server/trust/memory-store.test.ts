import { describe } from "vitest";
import { memoryTrustStore } from "../../../src/server/trust/memory-store.ts";
import { trustStoreContract } from "./store-contract.ts";

describe("trust store in memory", () => {
  trustStoreContract(async () => memoryTrustStore());
});
