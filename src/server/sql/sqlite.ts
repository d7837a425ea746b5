/**
 * SQLite as the server's database: `node:sqlite` from Node 24 on, its prebuilt twin with the same interface
 * below. One connection, so statements and transactions take turns; they are short, since nothing is signed
 * or verified inside one.
 */
import { isAbsolute, resolve } from "node:path";
import type { DatabaseSyncInstance, StatementSyncInstance } from "@photostructure/sqlite";
import { errorMessage, StorageError, WasmToOciError } from "../../base/errors.ts";
import type { Database, Query, SqlRow, SqlValue } from "./database.ts";

/** How long to wait for another process that holds the file, e.g. a backup; then LOCKED. In milliseconds. */
const BUSY_TIMEOUT = 5000;

/** node:sqlite left its experimental state (and its warning at each start) here. */
const FIRST_NODE_WITH_SQLITE = 24;

type Driver = new (path: string) => DatabaseSyncInstance;

/**
 * Opens a database file, creating it where there is none.
 *
 * @throws {StorageError} STORAGE_DENIED, STORAGE_FULL, STORAGE_FAILED, LOCKED; STATE_INVALID where the file is no
 * database or is damaged
 */
export async function openSqlite(path: string): Promise<Database> {
  const connection = await connect(path, BUSY_TIMEOUT);
  try {
    // WAL with FULL: a commit is on the disk before it is acknowledged, and a crash never leaves half of one.
    connection.exec("pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on");
  } catch (error) {
    connection.close();
    throw storageError(error, path);
  }
  return new SqliteDatabase(connection, path);
}

/**
 * Holds a file, creating it where there is none, until it is released or the process ends, however it ends: the
 * lock is the operating system's.
 *
 * @returns releases it
 * @throws {StorageError} LOCKED at once where somebody else holds it, and as {@link openSqlite}
 */
export async function holdFile(path: string): Promise<() => void> {
  const connection = await connect(path, 0);
  try {
    connection.exec("begin exclusive");
    return () => connection.close();
  } catch (error) {
    connection.close();
    throw storageError(error, path);
  }
}

async function connect(path: string, busyTimeout: number): Promise<DatabaseSyncInstance> {
  const file = isAbsolute(path) || path === ":memory:" ? path : resolve(path);
  const DatabaseSync = await loadDriver();
  let connection: DatabaseSyncInstance | undefined;
  try {
    connection = new DatabaseSync(file);
    connection.exec(`pragma busy_timeout = ${busyTimeout}`);
    return connection;
  } catch (error) {
    connection?.close();
    throw storageError(error, path);
  }
}

async function loadDriver(): Promise<Driver> {
  if (Number.parseInt(process.versions.node, 10) >= FIRST_NODE_WITH_SQLITE) {
    return (await import("node:sqlite")).DatabaseSync;
  }
  try {
    return (await import("@photostructure/sqlite")).DatabaseSync;
  } catch (cause) {
    throw new StorageError("STORAGE_FAILED", `Node ${process.versions.node} has no SQLite that the server can use`, {
      cause,
      hint: `Run the server on Node ${FIRST_NODE_WITH_SQLITE} or newer, or install the optional package @photostructure/sqlite`,
    });
  }
}

class SqliteDatabase implements Database {
  private readonly connection: DatabaseSyncInstance;
  private readonly path: string;
  private readonly statements = new Map<string, StatementSyncInstance>();
  /** The end of the queue: settles, never rejects, when all that was asked for so far is done. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(connection: DatabaseSyncInstance, path: string) {
    this.connection = connection;
    this.path = path;
  }

  readonly query: Query = (sql, ...parameters) => this.inTurn(async () => this.run(sql, parameters));

  transaction<T>(work: (query: Query) => Promise<T>): Promise<T> {
    return this.inTurn(async () => {
      this.run("begin immediate", []);
      try {
        const result = await work(async (sql, ...parameters) => this.run(sql, parameters));
        this.run("commit", []);
        return result;
      } catch (error) {
        this.rollBack();
        throw error;
      }
    });
  }

  close(): Promise<void> {
    return this.inTurn(async () => {
      this.statements.clear();
      this.connection.close();
    });
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.last.then(work);
    this.last = turn.catch(() => undefined);
    return turn;
  }

  private run(sql: string, parameters: readonly SqlValue[]): readonly SqlRow[] {
    try {
      let statement = this.statements.get(sql);
      if (statement === undefined) {
        statement = this.connection.prepare(sql);
        this.statements.set(sql, statement);
      }
      // The twin's all() loses SQLite's result code, so statements that only write go through run().
      if (statement.columns().length > 0) return statement.all(...parameters) as SqlRow[];
      statement.run(...parameters);
      return [];
    } catch (error) {
      throw storageError(error, this.path);
    }
  }

  private rollBack(): void {
    try {
      this.connection.exec("rollback");
    } catch {
      // SQLite has already rolled back, as it does on a full disk; the first error is the one to report.
    }
  }
}

const SQLITE_ERROR = 1;
const SQLITE_PERM = 3;
const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

/** Makes our error of SQLite's, by its primary result code (https://sqlite.org/rescode.html). */
function storageError(error: unknown, path: string): WasmToOciError {
  if (error instanceof WasmToOciError) return error;
  const errcode = (error as { errcode?: unknown }).errcode;
  const primary = typeof errcode === "number" ? errcode & 0xff : SQLITE_ERROR;
  const details = { path };
  const failed = `the database ${path} cannot be used: ${errorMessage(error)}`;
  switch (primary) {
    case SQLITE_FULL:
      return new StorageError("STORAGE_FULL", `the disk that holds ${path} is full`, {
        cause: error,
        hint: "Nothing was changed; make room and try again",
        details,
      });
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return new StorageError("STORAGE_DENIED", failed, {
        cause: error,
        hint: "The server must be able to read and write this file and the directory that it lies in",
        details,
      });
    case SQLITE_BUSY:
      return new StorageError("LOCKED", `another process holds the database ${path}`, {
        cause: error,
        hint: "Wait until it has finished, or end it",
        details,
      });
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new StorageError("STATE_INVALID", failed, {
        cause: error,
        hint: "The file is damaged or not one of ours: restore it from a backup",
        details,
      });
    default:
      return new StorageError("STORAGE_FAILED", failed, {
        cause: error,
        hint: "Check the disk: its free space and its health",
        details,
      });
  }
}
