/**
 * Brings a database's schema up to date. Each migration is one transaction together with the record that it
 * was applied, so a crash leaves it wholly done or not begun. The texts are code, not files: the command line
 * is one bundle.
 */
import { InternalError, StorageError } from "../../base/errors.ts";
import type { Database } from "./database.ts";

export interface Migration {
  /** 1, 2, 3, … without gaps. A released migration never changes. */
  readonly version: number;
  readonly name: string;
  /** One statement each. */
  readonly statements: readonly string[];
}

/**
 * Applies the migrations that are missing.
 *
 * @throws {StorageError} STATE_INVALID where the database was written by a newer version of this program
 */
export async function migrate(database: Database, migrations: readonly Migration[]): Promise<void> {
  migrations.forEach((migration, index) => {
    if (migration.version !== index + 1) throw new InternalError(`migration ${migration.name} is out of order`);
  });
  await database.query(
    "create table if not exists schema_migrations (version integer primary key, name text not null, applied_at text not null)",
  );
  for (const migration of migrations) {
    await database.transaction(async (query) => {
      const applied = await query("select version from schema_migrations where version = ?1", migration.version);
      if (applied.length > 0) return;
      for (const statement of migration.statements) await query(statement);
      await query(
        "insert into schema_migrations (version, name, applied_at) values (?1, ?2, ?3)",
        migration.version,
        migration.name,
        new Date().toISOString(),
      );
    });
  }
  const [row] = await database.query("select max(version) as version from schema_migrations");
  const version = Number(row?.["version"] ?? 0);
  if (version > migrations.length) {
    throw new StorageError(
      "STATE_INVALID",
      `the database has schema version ${version}; this program knows versions up to ${migrations.length}`,
      { hint: "Run the newer wasm-to-oci that wrote it", details: { version, known: migrations.length } },
    );
  }
}
