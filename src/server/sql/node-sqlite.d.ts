/** @types/node 20 has no node:sqlite; its prebuilt twin has the same interface, and types for it. */
declare module "node:sqlite" {
  export { DatabaseSync, StatementSync } from "@photostructure/sqlite";
}
