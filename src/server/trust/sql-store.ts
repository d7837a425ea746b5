/** The trust store in a SQL database; all of its SQL is here. */
import { ownBytes, type Bytes } from "../../base/bytes.ts";
import type { Digest } from "../../base/digest.ts";
import type { Database, Query, SqlRow } from "../sql/database.ts";
import { migrate } from "../sql/migrate.ts";
import { MIGRATIONS } from "../sql/migrations/index.ts";
import { versionConflict } from "./store.ts";
import type {
  Change,
  ChangeQuery,
  DocumentFacts,
  OnlineRole,
  SealedKey,
  StoredDocument,
  StoredKey,
  TrustDocument,
  TrustStore,
  TrustUpdate,
} from "./store.ts";

/**
 * Opens the trust store of a database, bringing its schema up to date. Closing the store closes the database.
 *
 * @throws {StorageError}
 */
export async function openSqlTrustStore(database: Database): Promise<TrustStore> {
  await migrate(database, MIGRATIONS);
  return new SqlTrustStore(database);
}

const DOCUMENT = "select role, version, digest, bytes, stored_at from trust_document";

class SqlTrustStore implements TrustStore {
  private readonly database: Database;

  constructor(database: Database) {
    this.database = database;
  }

  async current(gun: string, role: string): Promise<StoredDocument | undefined> {
    const sql = `${DOCUMENT} where gun = ?1 and role = ?2 order by version desc limit 1`;
    return firstDocument(await this.database.query(sql, gun, role));
  }

  async listCurrent(gun: string): Promise<ReadonlyMap<string, DocumentFacts>> {
    const sql = `select role, version, digest, length(bytes) as size from trust_document d where gun = ?1 and version =
      (select max(version) from trust_document m where m.gun = d.gun and m.role = d.role)`;
    const rows = await this.database.query(sql, gun);
    return new Map(
      rows.map((row) => {
        const digest = text(row, "digest") as Digest;
        return [text(row, "role"), { version: Number(row["version"]), digest, size: Number(row["size"]) }];
      }),
    );
  }

  async byVersion(gun: string, role: string, version: number): Promise<StoredDocument | undefined> {
    const sql = `${DOCUMENT} where gun = ?1 and role = ?2 and version = ?3`;
    return firstDocument(await this.database.query(sql, gun, role, version));
  }

  async byDigest(gun: string, role: string, digest: Digest): Promise<StoredDocument | undefined> {
    const sql = `${DOCUMENT} where gun = ?1 and role = ?2 and digest = ?3 order by version desc limit 1`;
    return firstDocument(await this.database.query(sql, gun, role, digest));
  }

  async update({ gun, documents, publishedKeyIds, now }: TrustUpdate): Promise<void> {
    await this.database.transaction(async (query) => {
      for (const each of documents) {
        await insertDocument(query, gun, each, now);
        if (each.role === "timestamp") await insertChange(query, gun, now, each.version, each.digest);
      }
      for (const keyId of publishedKeyIds ?? []) {
        await query("update online_key set published = 1 where gun = ?1 and key_id = ?2", gun, keyId);
      }
    });
  }

  async delete(gun: string, now: Date): Promise<void> {
    await this.database.transaction(async (query) => {
      await query("delete from online_key where gun = ?1", gun);
      const found = await query("select 1 from trust_document where gun = ?1 limit 1", gun);
      if (found.length === 0) return;
      await query("delete from trust_document where gun = ?1", gun);
      await insertChange(query, gun, now, 0, undefined);
    });
  }

  async changes({ gun, limit, after, direction }: ChangeQuery): Promise<readonly Change[]> {
    const forward = direction === "forward";
    const from = after ?? (forward ? 0 : Number.MAX_SAFE_INTEGER);
    const sql = `select id, created_at, gun, version, digest, category from trust_change
      where id ${forward ? ">" : "<"} ?1 ${gun === undefined ? "" : "and gun = ?3"}
      order by id ${forward ? "asc" : "desc"} limit ?2`;
    const rows = await this.database.query(sql, from, limit, ...(gun === undefined ? [] : [gun]));
    const changes = rows.map((row) => change(row));
    if (!forward) changes.reverse();
    return changes;
  }

  async staleCollections(before: Date, after: string, limit: number): Promise<readonly string[]> {
    const sql = `select gun from trust_document where role = 'timestamp' and gun > ?1
      group by gun having max(stored_at) < ?2 order by gun limit ?3`;
    const rows = await this.database.query(sql, after, before.getTime(), limit);
    return rows.map((row) => text(row, "gun"));
  }

  async keys(gun: string, role: OnlineRole): Promise<readonly StoredKey[]> {
    const sql = "select key_id, sealed, published from online_key where gun = ?1 and role = ?2 order by id desc";
    const rows = await this.database.query(sql, gun, role);
    return rows.map((row) => {
      const published = Number(row["published"]) === 1;
      return { gun, role, keyId: text(row, "key_id"), sealed: bytes(row, "sealed"), published };
    });
  }

  async addKey(key: SealedKey, limits: { keepPerRole: number; keepInAll: number }): Promise<void> {
    await this.database.transaction(async (query) => {
      const { gun, role, keyId, sealed } = key;
      await query(
        "insert into online_key (gun, role, key_id, sealed) values (?1, ?2, ?3, ?4)",
        gun,
        role,
        keyId,
        sealed,
      );
      await query(
        `delete from online_key where published = 0 and gun = ?1 and role = ?2 and id not in
          (select id from online_key where published = 0 and gun = ?1 and role = ?2 order by id desc limit ?3)`,
        gun,
        role,
        limits.keepPerRole,
      );
      await query(
        `delete from online_key where published = 0 and id not in
          (select id from online_key where published = 0 order by id desc limit ?1)`,
        limits.keepInAll,
      );
    });
  }

  async setting(name: string): Promise<Bytes | undefined> {
    const [row] = await this.database.query("select value from setting where name = ?1", name);
    return row === undefined ? undefined : bytes(row, "value");
  }

  async initialiseSetting(name: string, value: Bytes): Promise<void> {
    const sql = "insert into setting (name, value) values (?1, ?2) on conflict (name) do nothing";
    await this.database.query(sql, name, value);
  }

  async check(): Promise<void> {
    await this.database.query("select count(*) from setting");
  }

  async close(): Promise<void> {
    await this.database.close();
  }
}

async function insertDocument(query: Query, gun: string, added: TrustDocument, now: Date): Promise<void> {
  const { role, version } = added;
  const sql = "select max(version) as newest from trust_document where gun = ?1 and role = ?2";
  const [row] = await query(sql, gun, role);
  const newest = Number(row?.["newest"] ?? 0);
  if (version <= newest) throw versionConflict(gun, added, newest);
  await query(
    "insert into trust_document (gun, role, version, digest, bytes, stored_at) values (?1, ?2, ?3, ?4, ?5, ?6)",
    gun,
    role,
    version,
    added.digest,
    added.bytes,
    now.getTime(),
  );
}

async function insertChange(
  query: Query,
  gun: string,
  now: Date,
  version: number,
  digest: Digest | undefined,
): Promise<void> {
  await query(
    "insert into trust_change (created_at, gun, version, digest, category) values (?1, ?2, ?3, ?4, ?5)",
    now.getTime(),
    gun,
    version,
    digest ?? null,
    digest === undefined ? "deletion" : "update",
  );
}

function firstDocument(rows: readonly SqlRow[]): StoredDocument | undefined {
  return rows[0] === undefined ? undefined : document(rows[0]);
}

function document(row: SqlRow): StoredDocument {
  return {
    role: text(row, "role"),
    version: Number(row["version"]),
    digest: text(row, "digest") as Digest,
    bytes: bytes(row, "bytes"),
    storedAt: new Date(Number(row["stored_at"])),
  };
}

function change(row: SqlRow): Change {
  return {
    id: Number(row["id"]),
    createdAt: new Date(Number(row["created_at"])),
    gun: text(row, "gun"),
    version: Number(row["version"]),
    digest: row["digest"] === null ? undefined : (text(row, "digest") as Digest),
    category: text(row, "category") as Change["category"],
  };
}

function text(row: SqlRow, column: string): string {
  return String(row[column]);
}

function bytes(row: SqlRow, column: string): Bytes {
  return ownBytes(row[column] as Uint8Array);
}
