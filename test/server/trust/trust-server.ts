/** Trust servers in memory for tests, with a clock that the test moves. */
import { vi } from "vitest";
import type { Log } from "../../../src/server/log.ts";
import { createTrustApp } from "../../../src/server/trust/app.ts";
import { memoryTrustStore } from "../../../src/server/trust/memory-store.ts";
import { openOnlineKeys } from "../../../src/server/trust/online-keys.ts";
import type { TrustStore } from "../../../src/server/trust/store.ts";
import { readSnapshot } from "../../../src/notary/metadata.ts";
import { decodeDocument } from "../../../src/notary/wire.ts";
import { Publisher } from "./publisher.ts";

export const START = new Date("2026-11-22T12:00:00.500Z");
export const MASTER_KEY = new Uint8Array(32).fill(1);

export function silentLog() {
  const sink = () => vi.fn<Log["info"]>();
  return { debug: sink(), info: sink(), warn: sink(), error: sink() } satisfies Log;
}

export async function trustServer(store: TrustStore = memoryTrustStore()) {
  const clock = { time: START };
  const now = () => clock.time;
  const log = silentLog();
  const onlineKeys = await openOnlineKeys({ store, masterKey: MASTER_KEY });
  return { app: createTrustApp({ store, onlineKeys, now, log }), store, onlineKeys, clock, now, log };
}

export const GUN = "localhost:5000/acme/app";

/** A server with a publisher whose collection does not exist yet. */
export async function collection(options: { snapshot?: "server" | "client"; store?: TrustStore } = {}) {
  const { store, ...role } = options;
  const server = await trustServer(store);
  const publisher = await Publisher.create(server.app, GUN, { now: server.now, ...role });
  return { ...server, publisher };
}

/** What is stored: version, digest and size of every role. */
export async function stateOf({ store }: { store: TrustStore }) {
  return Object.fromEntries(await store.listCurrent(GUN));
}

export async function snapshotMeta(publisher: Publisher) {
  return readSnapshot(decodeDocument(await publisher.bytes("snapshot.json"), "snapshot").signed).meta;
}
