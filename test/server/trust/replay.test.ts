/**
 * Every captured answer of notary-server 0.7.0 against ours: the same request, over a real connection, must give the
 * same status, headers and body. Where ours differs on purpose, the difference is listed here with its reason.
 */
import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { concatBytes, utf8Decode, utf8Encode, type Bytes } from "../../../src/base/bytes.ts";
import { digestBytes } from "../../../src/base/digest.ts";
import { PublicKey } from "../../../src/keys/public-key.ts";
import { keyIdOf, toNotaryKey } from "../../../src/notary/public-keys.ts";
import { listen, type RunningServer } from "../../../src/server/listen.ts";
import { createTrustApp } from "../../../src/server/trust/app.ts";
import { memoryTrustStore } from "../../../src/server/trust/memory-store.ts";
import { openOnlineKeys, type OnlineKeys } from "../../../src/server/trust/online-keys.ts";
import type { TrustDocument, TrustStore } from "../../../src/server/trust/store.ts";
import { MASTER_KEY, silentLog } from "./trust-server.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures/notary-v1/http-api");
const GUN = "api/probe";
const NOW = new Date("2026-11-22T10:52:26Z");

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Bytes;
}

interface Capture {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly upload: Bytes | undefined;
  readonly answer: Answer | undefined;
}

/** What ours answers differently, and why. */
const DIFFERENCES: Readonly<Record<string, { reason: string; status: number; body?: string }>> = {
  "wrong-role-for-hash": {
    reason: "memory storage does not compare the role with the hash; Notary's SQL storage does, and so do we",
    status: 404,
    body: '{"errors":[{"code":"METADATA_NOT_FOUND","message":"You have requested metadata that does not exist.","detail":{}}]}\n',
  },
  "changefeed-neg": {
    reason:
      "notary-server's memory storage panics and drops the connection; its documentation says: backwards from the newest",
    status: 200,
  },
};

/** Headers that a client could depend on. Date and Transfer-Encoding are the business of the HTTP library. */
const HEADERS = ["content-type", "cache-control", "last-modified", "location"];

const names = readdirSync(FIXTURES)
  .filter((name) => name.endsWith(".txt"))
  .map((name) => name.slice(0, -".txt".length));

/** Answers that come after the collection was deleted. */
const AFTER_DELETE = new Set(["get-after-delete", "key-after-delete", "changefeed-after-delete"]);

let server: RunningServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

describe("answers as notary-server", () => {
  it("has all captures", () => {
    expect(names.length).toBeGreaterThan(70);
  });

  it.each(names)("%s", async (name) => {
    const capture = readCapture(name);
    const { url, store } = await start(name.startsWith("changefeed") ? "all" : "documents");
    if (AFTER_DELETE.has(name)) await store.delete(GUN, new Date("2026-11-22T10:52:27.207Z"));
    if (name === "post-snapshot-notkey") await storeLaterSnapshot(store);
    const got = await send(url, capture);
    const difference = DIFFERENCES[name];
    if (difference !== undefined || capture.answer === undefined) {
      expect(got.status).toBe(difference?.status);
      if (difference?.body !== undefined) expect(utf8Decode(got.body)).toBe(difference.body);
      return;
    }
    const expected = capture.answer;
    expect(got.status).toBe(expected.status);
    for (const header of HEADERS) expect([header, got.headers[header]]).toEqual([header, expected.headers[header]]);
    if (capture.method === "HEAD") {
      expect(got.body).toHaveLength(0);
      expect(got.headers["content-length"]).toBe(expected.headers["content-length"]);
    } else expect(comparable(name, got.body)).toBe(comparable(name, expected.body));
  });

  it("gives the pending key again where notary-server mints one for each question (listed difference)", async () => {
    const { url } = await start("documents");
    const [first, second] = [
      await send(url, readCapture("key-newgun")),
      await send(url, readCapture("key-newgun-again")),
    ];
    expect(first.body).toEqual(second.body);
    const [theirs, again] = [readCapture("key-newgun").answer?.body, readCapture("key-newgun-again").answer?.body];
    expect(theirs).not.toEqual(again);
  });
});

/** New keys are random, and our clock counts milliseconds. */
function comparable(name: string, body: Bytes): string {
  const text = utf8Decode(body);
  if (/^key-(newgun|post|after)/.test(name)) return text.replace(/"MFkwEwYHKoZIzj0[^"]*"/, '"(new key)"');
  return name.startsWith("changefeed") ? text.replace(/(\.\d{3})\d*Z"/g, '$1Z"').replace(/\.?0*Z"/g, 'Z"') : text;
}

function readCapture(name: string): Capture {
  const bytes = new Uint8Array(readFileSync(join(FIXTURES, `${name}.txt`)));
  const text = utf8Decode(bytes);
  const answerAt = text.indexOf("\nHTTP/1.1 ");
  const command = text.slice("$ curl ".length, answerAt < 0 ? undefined : answerAt).trim();
  const [, path = ""] = /https:\/\/localhost:14101(\S*)$/.exec(command) ?? [];
  const method = / -I |^-I /.test(` ${command}`) ? "HEAD" : (/-X (\S+)/.exec(command)?.[1] ?? "GET");
  return {
    method,
    path,
    ...uploadOf(command),
    answer: answerAt < 0 ? undefined : answerOf(bytes.subarray(answerAt + 1)),
  };
}

function answerOf(bytes: Uint8Array): Answer {
  const text = new TextDecoder("latin1").decode(bytes);
  const headEnd = /\r?\n\r?\n/.exec(text);
  const [statusLine = "", ...lines] = text.slice(0, headEnd?.index).split(/\r?\n/);
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const body = bytes.slice((headEnd?.index ?? 0) + (headEnd?.[0].length ?? 0));
  // The capture ends each file with one line end of its own.
  const length = Number(headers["content-length"] ?? body.length - 1);
  return { status: Number(statusLine.split(" ")[1]), headers, body: body.slice(0, length) };
}

/** What curl sends for -F, -d and --data-binary. */
function uploadOf(command: string): { headers: Record<string, string>; upload: Bytes | undefined } {
  const forms = [...command.matchAll(/-F files=(?:@\.?\/?(\S+?);filename=(\S+)|(\S+))/g)];
  if (forms.length > 0) {
    const parts = forms.map(([, file, filename, text]) => {
      const head = `--curl\r\nContent-Disposition: form-data; name="files"${filename === undefined ? "" : `; filename="${filename}"`}\r\n\r\n`;
      const content = file === undefined ? utf8Encode(text ?? "") : readUpload(file);
      return concatBytes([utf8Encode(head), content, utf8Encode("\r\n")]);
    });
    const headers = { "content-type": "multipart/form-data; boundary=curl" };
    return { headers, upload: concatBytes([...parts, utf8Encode("--curl--\r\n")]) };
  }
  const [, type] = /-H Content-Type: (.*?) --?d/.exec(command) ?? /-d .* -H Content-Type: (\S+)/.exec(command) ?? [];
  const headers: Record<string, string> = type === undefined ? {} : { "content-type": type };
  const [, data] = /(?:-d|--data-binary) (.*?)\s+(?:-H|https:)/s.exec(command) ?? [];
  return { headers, upload: data === undefined ? undefined : utf8Encode(`${data}\r\n`) };
}

function readUpload(file: string): Uint8Array {
  return file === "dev/null" ? new Uint8Array() : readFileSync(join(FIXTURES, file));
}

function send(url: string, { method, path, headers, upload }: Capture): Promise<Answer> {
  const { hostname, port } = new URL(url);
  const length = upload === undefined ? {} : { "content-length": upload.length };
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { hostname, port, method, path, headers: { ...headers, ...length }, agent: false },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("end", () => {
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers as Record<string, string>,
            body: concatBytes(chunks),
          });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(upload);
  });
}

/**
 * Our server in the state that notary-server was in: with the documents that were captured first, or with the whole
 * history, whose last documents were not captured.
 */
async function start(until: "documents" | "all"): Promise<{ url: string; store: TrustStore }> {
  const store = memoryTrustStore();
  await replayHistory(store, until);
  const own = await openOnlineKeys({ store, masterKey: MASTER_KEY });
  const onlineKeys = await withCapturedKeys(own);
  const app = createTrustApp({ store, onlineKeys, now: () => NOW, log: silentLog() });
  server = await listen(app, { host: "127.0.0.1", port: 0 });
  return { url: server.url, store };
}

interface CapturedChange {
  readonly CreatedAt: string;
  readonly GUN: string;
  readonly Version: number;
  readonly SHA256: string;
  readonly Category: string;
}

/** Brings the store to the 63 changes that were captured; the documents of the probed collection come with theirs. */
async function replayHistory(store: TrustStore, until: "documents" | "all"): Promise<void> {
  const { records } = JSON.parse(utf8Decode(readCapture("changefeed-zero").answer!.body)) as {
    records: CapturedChange[];
  };
  for (const { CreatedAt, GUN: gun, Version: version, SHA256, Category } of records) {
    if (until === "documents" && gun === GUN && version > 3) return;
    const now = new Date(CreatedAt);
    if (Category === "deletion") {
      await store.delete(gun, now);
      continue;
    }
    const known = gun === GUN ? await documentsOf(version) : [];
    const timestamp: TrustDocument = {
      role: "timestamp",
      version,
      bytes: new Uint8Array(),
      digest: `sha256:${SHA256}`,
    };
    const documents = known.some(({ role }) => role === "timestamp") ? known : [...known, timestamp];
    await store.update({ gun, documents, publishedKeyIds: undefined, now });
  }
}

/** When this was captured, two more publishes had made two more snapshots. */
async function storeLaterSnapshot(store: TrustStore): Promise<void> {
  const bytes = new Uint8Array(readFileSync(join(FIXTURES, "cur-snapshot.json")));
  const document = { role: "snapshot", version: 6, bytes, digest: await digestBytes(bytes) };
  await store.update({ gun: GUN, documents: [document], publishedKeyIds: undefined, now: NOW });
}

/** The captured documents that came with a version of the timestamp; those in between were not captured. */
async function documentsOf(timestamp: number): Promise<TrustDocument[]> {
  const captured: [role: string, version: number, capture: string][] =
    timestamp === 1
      ? [
          ["root", 1, "root-by-version"],
          ["targets", 2, "targets-v2"],
          ["snapshot", 2, "snapshot-v2"],
          ["timestamp", 1, "timestamp-v1"],
        ]
      : timestamp === 3
        ? [
            ["root", 2, "root"],
            ["targets", 3, "targets"],
            ["snapshot", 4, "snapshot"],
            ["timestamp", 3, "timestamp"],
          ]
        : [];
  const documents = captured.map(async ([role, version, capture]) => {
    const bytes = readCapture(capture).answer!.body;
    return { role, version, bytes, digest: await digestBytes(bytes) };
  });
  return Promise.all(documents);
}

/**
 * Puts the keys in that the captured root names. Their private halves were in a notary-signer's memory, so what they
 * sign is no signature; nothing in this test verifies one.
 */
async function withCapturedKeys(own: OnlineKeys): Promise<OnlineKeys> {
  const held = new Map<string, PublicKey>();
  for (const name of ["key-ts", "key-snap"]) {
    const { keyval } = JSON.parse(utf8Decode(readCapture(name).answer!.body)) as { keyval: { public: string } };
    const key = PublicKey.fromSpki(new Uint8Array(Buffer.from(keyval.public, "base64")));
    held.set(await keyIdOf(toNotaryKey(key)), key);
  }
  return {
    pending: (gun, role) => own.pending(gun, role),
    create: (gun, role) => own.create(gun, role),
    signers: async (_gun, _role, keyIds) =>
      keyIds.flatMap((keyId) => {
        const publicKey = held.get(keyId);
        const sign = async () => new Uint8Array(64);
        return publicKey === undefined ? [] : [{ keyId, signer: { publicKey, sign } }];
      }),
  };
}
