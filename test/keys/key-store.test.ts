import { memoryKeyStore } from "../../src/keys/key-store.ts";
import { keyStoreContract } from "./key-store-contract.ts";

keyStoreContract(async () => {
  const opened = [memoryKeyStore()];
  return () => opened.pop(); // it ends with its process
});
