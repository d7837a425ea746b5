/**
 * What the server needs of a SQL database, and no more, so that SQLite and PostgreSQL both give it. Statements
 * number their parameters `?1`, `?2`, … and use SQL that both understand.
 */

export type SqlValue = string | number | null | Uint8Array;

export type SqlRow = Readonly<Record<string, SqlValue>>;

/** Runs one statement. Rows come with `select` and `returning`; other statements give none. */
export type Query = (sql: string, ...parameters: readonly SqlValue[]) => Promise<readonly SqlRow[]>;

/**
 * A database.
 *
 * Obligations: what a resolved call wrote survives a crash of the process and of the machine; `transaction`
 * applies all or nothing, sees no other writer's changes while it runs, and rolls back where its function
 * throws (that error is passed on); statements from outside never run inside someone's transaction. Faults of
 * the storage end in a StorageError.
 */
export interface Database {
  readonly query: Query;
  transaction<T>(work: (query: Query) => Promise<T>): Promise<T>;
  /** Waits for what is under way; nothing may be asked for afterwards. */
  close(): Promise<void>;
}
