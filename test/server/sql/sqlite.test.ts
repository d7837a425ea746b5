import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Database } from "../../../src/server/sql/database.ts";
import { migrate } from "../../../src/server/sql/migrate.ts";
import { openSqlite } from "../../../src/server/sql/sqlite.ts";

let directory: string;
let path: string;
let database: Database;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "sqlite-"));
  path = join(directory, "test.db");
  database = await openSqlite(path);
  await database.query("create table note (id integer primary key, body blob)");
});

afterEach(async () => {
  await database.close().catch(() => undefined);
  await rm(directory, { recursive: true, force: true });
});

async function ids(): Promise<unknown[]> {
  return (await database.query("select id from note order by id")).map((row) => row["id"]);
}

describe("SQLite database", () => {
  it("keeps bytes as they were given, by numbered parameters in any order", async () => {
    await database.query("insert into note (body, id) values (?2, ?1)", 7, new Uint8Array([0, 255, 1]));
    const [row] = await database.query("select body from note where id = ?1", 7);
    expect(row?.["body"]).toEqual(new Uint8Array([0, 255, 1]));
  });

  it("rolls a transaction back where its function throws, and passes the error on", async () => {
    const failing = database.transaction(async (query) => {
      await query("insert into note (id) values (1)");
      throw new Error("enough");
    });
    await expect(failing).rejects.toThrow("enough");
    expect(await ids()).toEqual([]);
    await database.query("insert into note (id) values (2)");
    expect(await ids()).toEqual([2]);
  });

  it("runs no statement from outside within a transaction that is waiting", async () => {
    let release: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const failing = database.transaction(async (query) => {
      await query("insert into note (id) values (1)");
      await gate;
      throw new Error("rolled back");
    });
    const outside = database.query("insert into note (id) values (2)");
    release?.();
    await expect(failing).rejects.toThrow("rolled back");
    await outside;
    expect(await ids()).toEqual([2]);
  });

  it("syncs every commit to the disk and writes ahead", async () => {
    expect(await database.query("pragma synchronous")).toEqual([{ synchronous: 2 }]);
    expect(await database.query("pragma journal_mode")).toEqual([{ journal_mode: "wal" }]);
  });

  it("says which file is not a database", async () => {
    const other = join(directory, "other.db");
    await writeFile(other, "this is a text file, and long enough to be looked at ".repeat(20));
    await expect(openSqlite(other)).rejects.toMatchObject({ code: "STATE_INVALID", details: { path: other } });
  });

  it("says which directory does not let it write", async () => {
    const missing = join(directory, "missing", "x.db");
    await expect(openSqlite(missing)).rejects.toMatchObject({ code: "STORAGE_DENIED", details: { path: missing } });
  });

  it("reports a full disk as such, keeps what was there and goes on once there is room", async () => {
    await database.query("insert into note (id) values (1)");
    const [pages] = await database.query("pragma page_count");
    await database.query(`pragma max_page_count = ${String(pages?.["page_count"])}`);
    const big = new Uint8Array(1 << 20);
    await expect(database.query("insert into note (id, body) values (2, ?1)", big)).rejects.toMatchObject({
      code: "STORAGE_FULL",
    });
    const transaction = database.transaction(async (query) => {
      await query("insert into note (id) values (3)");
      await query("insert into note (id, body) values (4, ?1)", big);
    });
    await expect(transaction).rejects.toMatchObject({ code: "STORAGE_FULL" });
    expect(await ids()).toEqual([1]);
    await database.query("pragma max_page_count = 100000");
    await database.query("insert into note (id, body) values (2, ?1)", big);
    expect(await ids()).toEqual([1, 2]);
  });
});

describe("migrate", () => {
  const first = { version: 1, name: "first", statements: ["create table a (x integer)", "create table b (x integer)"] };

  it("applies each migration once", async () => {
    await migrate(database, [first]);
    await migrate(database, [
      first,
      { version: 2, name: "second", statements: ["alter table a add column y integer"] },
    ]);
    await migrate(database, [
      first,
      { version: 2, name: "second", statements: ["alter table a add column y integer"] },
    ]);
    expect(await database.query("select version from schema_migrations order by version")).toEqual([
      { version: 1 },
      { version: 2 },
    ]);
  });

  it("leaves nothing of a migration that fails half way", async () => {
    const broken = {
      version: 1,
      name: "broken",
      statements: ["create table a (x integer)", "create table a (x integer)"],
    };
    await expect(migrate(database, [broken])).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await migrate(database, [first]);
    expect(await database.query("select * from b")).toEqual([]);
  });

  it("refuses a database that a newer version wrote", async () => {
    await migrate(database, [first, { version: 2, name: "second", statements: [] }]);
    await expect(migrate(database, [first])).rejects.toMatchObject({ code: "STATE_INVALID", details: { version: 2 } });
  });
});
