import type { Migration } from "../migrate.ts";

/** Collections, their history, and the server's keys. Times are milliseconds since 1970; ids are never reused. */
export const trust: Migration = {
  version: 1,
  name: "trust",
  statements: [
    `create table trust_document (
      id integer primary key autoincrement,
      gun text not null,
      role text not null,
      version integer not null check (version >= 1),
      digest text not null,
      bytes blob not null,
      stored_at integer not null,
      unique (gun, role, version)
    )`,
    "create index trust_document_by_digest on trust_document (gun, role, digest)",
    `create table trust_change (
      id integer primary key autoincrement,
      created_at integer not null,
      gun text not null,
      version integer not null,
      digest text,
      category text not null check (category in ('update', 'deletion'))
    )`,
    "create index trust_change_by_gun on trust_change (gun, id)",
    `create table online_key (
      id integer primary key autoincrement,
      gun text not null,
      role text not null check (role in ('snapshot', 'timestamp')),
      key_id text not null,
      sealed blob not null,
      published integer not null default 0,
      unique (gun, role, key_id)
    )`,
    "create index online_key_pending on online_key (published, gun, role, id)",
    "create table setting (name text primary key, value blob not null)",
  ],
};
