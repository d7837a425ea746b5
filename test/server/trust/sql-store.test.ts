import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openSqlite } from "../../../src/server/sql/sqlite.ts";
import { openSqlTrustStore } from "../../../src/server/trust/sql-store.ts";
import type { TrustStore } from "../../../src/server/trust/store.ts";
import { storable, trustStoreContract } from "./store-contract.ts";

let directory: string;
let count = 0;
const opened: TrustStore[] = [];

async function open(name = `${count++}.db`): Promise<TrustStore> {
  const store = await openSqlTrustStore(await openSqlite(join(directory, name)));
  opened.push(store);
  return store;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sql-store-"));
});

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe("trust store in SQLite", () => {
  trustStoreContract(() => open());

  it("has everything after it was closed and opened again, and never gives a change's id twice", async () => {
    const now = new Date("2026-11-22T12:00:00Z");
    const first = await open("again.db");
    await first.update({ gun: "a", documents: [await storable("timestamp", 1)], publishedKeyIds: undefined, now });
    await first.delete("a", now);
    opened.splice(0);
    await first.close();
    const second = await open("again.db");
    await second.update({ gun: "a", documents: [await storable("timestamp", 1)], publishedKeyIds: undefined, now });
    const changes = await second.changes({ gun: "a", limit: 10, after: undefined, direction: "forward" });
    expect(changes.map((change) => [change.id, change.category])).toEqual([
      [1, "update"],
      [2, "deletion"],
      [3, "update"],
    ]);
  });
});
