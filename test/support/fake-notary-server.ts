/**
 * A Notary v1 server in memory, behind a Transport: the rules of notary-server 0.7.0 for uploads, its own timestamp
 * key and, on demand, snapshot key. What it lacks is the network, so that tests can fail any request on purpose.
 */
import { hexEncode, utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { hashBytes } from "../../src/base/digest.ts";
import { TransportError } from "../../src/base/errors.ts";
import type { Transport, TransportRequest, TransportResponse } from "../../src/base/http.ts";
import type { Clock } from "../../src/base/runtime.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { formatGoTime, parseGoTime } from "../../src/notary/go-time.ts";
import {
  readRoot,
  readSnapshot,
  readTargets,
  readTimestamp,
  writeSnapshot,
  writeTimestamp,
  type FileMeta,
  type NotaryRoot,
} from "../../src/notary/metadata.ts";
import { keyIdOf, methodFor, resolveKeys, toNotaryKey } from "../../src/notary/public-keys.ts";
import { isTargetsRole, parentRole } from "../../src/notary/roles.ts";
import { verifyDocument } from "../../src/notary/signatures.ts";
import { assertGoBytes, decodeDocument, encodeDocument } from "../../src/notary/wire.ts";

const DAY_MS = 86_400_000;

interface StoredFile {
  readonly version: number;
  readonly bytes: Bytes;
}

interface Collection {
  /** Every version of every role, oldest first. */
  readonly files: Map<string, StoredFile[]>;
  readonly keys: Map<string, PrivateKey>;
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface FakeNotaryServer {
  readonly url: string;
  readonly transport: Transport;
  /** Every request, as `METHOD /path`. */
  readonly log: string[];
  /** Called before each request; may throw, or answer in the server's place. */
  intercept:
    | ((request: TransportRequest, path: string) => Promise<TransportResponse | undefined> | undefined)
    | undefined;
  /** Called after a request was carried out and before its answer arrives. */
  afterwards: ((request: TransportRequest, path: string) => Promise<void> | undefined) | undefined;
  /** The newest bytes of a role. */
  newest(gun: string, role: string): Bytes | undefined;
  version(gun: string, role: string): number;
  guns(): string[];
}

function answer(
  status: number,
  body: string | Uint8Array = "",
  headers: Record<string, string> = {},
): TransportResponse {
  const bytes = typeof body === "string" ? utf8Encode(body) : body;
  const all = new Headers({ "content-length": String(bytes.length), ...headers });
  return {
    status,
    headers: all,
    body: (async function* () {
      yield bytes;
    })(),
    cancel: () => Promise.resolve(),
  };
}

export function networkFailure(): TransportError {
  return new TransportError("NETWORK", "the connection broke");
}

export function errorAnswer(status: number, code: string, message = code): TransportResponse {
  return answer(status, `${JSON.stringify({ errors: [{ code, message }] })}\n`, { "content-type": "application/json" });
}

export function createFakeNotaryServer(options: {
  now: Clock;
  keyAlgorithm?: "ecdsa-p256" | "ed25519";
}): FakeNotaryServer {
  const collections = new Map<string, Collection>();
  const url = "https://notary.test";

  const server: FakeNotaryServer = {
    url,
    log: [],
    intercept: undefined,
    afterwards: undefined,
    transport: async (request) => {
      const path = new URL(request.url).pathname;
      server.log.push(`${request.method} ${path}`);
      const early = await server.intercept?.(request, path);
      if (early !== undefined) return early;
      const response = await respond(request, path);
      await server.afterwards?.(request, path);
      return response;
    },
    newest: (gun, role) => collections.get(gun)?.files.get(role)?.at(-1)?.bytes,
    version: (gun, role) => collections.get(gun)?.files.get(role)?.at(-1)?.version ?? 0,
    guns: () => [...collections].filter(([, { files }]) => files.size > 0).map(([gun]) => gun),
  };
  return server;

  async function respond(request: TransportRequest, path: string): Promise<TransportResponse> {
    if (path === "/v2/") return answer(200, "{}");
    const match = /^\/v2\/([^*]+)\/_trust\/tuf\/(.*)$/.exec(path);
    if (match === null) return notFound();
    const [, gun, rest] = match as unknown as [string, string, string];
    try {
      if (request.method === "GET") return await get(gun, rest);
      if (request.method === "POST" && rest === "") return await queued(() => publish(gun, request));
      if (request.method === "POST" && rest.endsWith(".key")) return await serverKey(gun, rest.slice(0, -4), true);
      if (request.method === "DELETE" && rest === "") {
        collections.delete(gun);
        return answer(200);
      }
      return notFound();
    } catch (error) {
      if (error instanceof Refusal) return errorAnswer(error.status, error.code, error.message);
      throw error;
    }
  }

  function collection(gun: string): Collection {
    const found = collections.get(gun) ?? { files: new Map(), keys: new Map() };
    collections.set(gun, found);
    return found;
  }

  async function get(gun: string, rest: string): Promise<TransportResponse> {
    if (rest === "timestamp.key" || rest === "snapshot.key") return serverKey(gun, rest.slice(0, -4), false);
    const files = collections.get(gun)?.files;
    const byHash = /^(.+)\.([0-9a-f]{64})\.json$/.exec(rest);
    const byVersion = /^(\d+)\.(.+)\.json$/.exec(rest);
    const current = /^(.+)\.json$/.exec(rest);
    if (byHash !== null) {
      for (const { bytes } of files?.get(byHash[1] ?? "") ?? []) {
        if (hexEncode(await hashBytes("sha256", bytes)) === byHash[2]) return answer(200, bytes);
      }
      return notFound();
    }
    const role = (byVersion?.[2] ?? current?.[1])!;
    const versions = files?.get(role) ?? [];
    const found =
      byVersion === null ? versions.at(-1) : versions.find(({ version }) => version === Number(byVersion[1]));
    if (found === undefined) return notFound();
    if (byVersion === null && (role === "timestamp" || role === "snapshot")) await refresh(gun);
    return answer(200, byVersion === null ? server.newest(gun, role)! : found.bytes);
  }

  /** Signs timestamp and snapshot again where they have expired, as the server does when they are asked for. */
  async function refresh(gun: string): Promise<void> {
    const { files, keys } = collection(gun);
    const snapshot = files.get("snapshot")!.at(-1)!;
    const parsed = readSnapshot(decodeDocument(snapshot.bytes, "snapshot").signed);
    const root = readRoot(decodeDocument(files.get("root")!.at(-1)!.bytes, "root").signed);
    const timestamp = readTimestamp(decodeDocument(files.get("timestamp")!.at(-1)!.bytes, "timestamp").signed);
    if (!isExpired(parsed.expires) && !isExpired(timestamp.expires)) return;
    if (isExpired(root.expires)) throw new Refusal(500, "UNKNOWN", "unknown error");
    let bytes = snapshot.bytes;
    if (isExpired(parsed.expires)) {
      const key = signerOf(root, "snapshot", keys);
      if (key === undefined) throw new Refusal(500, "UNKNOWN", "unknown error");
      bytes = await signSnapshot(parsed.meta, snapshot.version + 1, key);
      store(files, "snapshot", snapshot.version + 1, bytes);
    }
    await signTimestamp(files, root, keys, bytes);
  }

  async function serverKey(gun: string, role: string, fresh: boolean): Promise<TransportResponse> {
    if (role !== "timestamp" && role !== "snapshot") return notFound();
    const { files, keys } = collection(gun);
    const published = files.get("root")?.at(-1);
    if (!fresh && published !== undefined) {
      const root = readRoot(decodeDocument(published.bytes, "root").signed);
      const held = root.roles
        .get(role)!
        .keyIds.map((id) => keys.get(id))
        .find((key) => key !== undefined);
      if (held !== undefined) return keyAnswer(held);
    }
    const made = await PrivateKey.generate(options.keyAlgorithm ?? "ecdsa-p256");
    keys.set(await keyIdOf(toNotaryKey(made.publicKey)), made);
    return keyAnswer(made);
  }

  async function publish(gun: string, request: TransportRequest): Promise<TransportResponse> {
    const uploaded = await readUpload(request);
    const { files, keys } = collection(gun);
    const stored = new Map(Array.from(files, ([role, versions]) => [role, versions.at(-1)!]));
    const root = await validateRoot(uploaded.get("root"), stored.get("root"));
    const loaded = new Map<string, Bytes>([["root", uploaded.get("root") ?? stored.get("root")!.bytes]]);
    const roles = [...uploaded.keys()]
      .filter(isTargetsRole)
      .toSorted((a, b) => a.split("/").length - b.split("/").length);
    for (const role of roles) await loadTargets(role, uploaded, stored, root, loaded);
    const updates = new Map([...uploaded].filter(([role]) => role !== "timestamp"));
    const former = stored.get("snapshot");
    if (updates.has("snapshot")) {
      await validateSnapshot(updates.get("snapshot")!, root, loaded);
    } else {
      const key = signerOf(root, "snapshot", keys);
      if (key === undefined)
        throw refuse(
          "ErrBadHierarchy: no snapshot was included in update and server does not hold current snapshot key for repository",
        );
      const meta = new Map(
        former === undefined ? [] : readSnapshot(decodeDocument(former.bytes, "snapshot").signed).meta,
      );
      // a Go server hashes what its structs print, not what was uploaded
      for (const [role, bytes] of loaded) meta.set(role, await fileMeta(printedByGo(bytes, role)));
      updates.set("snapshot", await signSnapshot(meta, (former?.version ?? 0) + 1, key));
    }
    for (const [role, bytes] of updates) {
      const version = versionOf(bytes, role);
      if (version <= (stored.get(role)?.version ?? 0))
        throw new Refusal(400, "VERSION", "A newer version of metadata is already available.");
    }
    if (signerOf(root, "timestamp", keys) === undefined)
      throw refuse("ErrBadRoot: no timestamp keys exist on the server");
    for (const [role, bytes] of updates) store(files, role, versionOf(bytes, role), bytes);
    await signTimestamp(files, root, keys, updates.get("snapshot")!);
    return answer(200);
  }

  async function validateRoot(uploaded: Bytes | undefined, stored: StoredFile | undefined): Promise<NotaryRoot> {
    const previous = stored && readRoot(decodeDocument(stored.bytes, "root").signed);
    if (uploaded === undefined) {
      if (previous === undefined) throw refuse("ErrValidation: no pre-existing root and no root provided in update.");
      return previous;
    }
    const root = readRoot(decodeDocument(uploaded, "root").signed);
    const base = previous?.version ?? 1;
    if (root.version !== base && root.version !== base + 1) throw refuse("ErrBadRoot: version");
    checkFresh(root.expires, "root");
    for (const signer of [root, ...(previous === undefined ? [] : [previous])]) {
      await checkSigned(uploaded, "root", signer.roles.get("root")!, signer.keys);
    }
    return root;
  }

  async function loadTargets(
    role: string,
    uploaded: ReadonlyMap<string, Bytes>,
    stored: ReadonlyMap<string, StoredFile>,
    root: NotaryRoot,
    loaded: Map<string, Bytes>,
  ): Promise<void> {
    if (loaded.has(role)) return;
    if (role !== "targets") await loadTargets(parentRole(role), uploaded, stored, root, loaded);
    const bytes = uploaded.get(role) ?? stored.get(role)?.bytes;
    if (bytes === undefined) throw refuse(`ErrBadTargets: no ${role}`);
    const document = readTargets(decodeDocument(bytes, role).signed, role);
    if (role === "targets") {
      await checkSigned(bytes, role, root.roles.get("targets")!, root.keys);
    } else {
      const parent = readTargets(
        decodeDocument(loaded.get(parentRole(role))!, parentRole(role)).signed,
        parentRole(role),
      );
      const delegation = parent.delegations.roles.find(({ name }) => name === role);
      if (delegation === undefined) throw refuse(`ErrBadTargets: ${role} is not delegated`);
      await checkSigned(bytes, role, delegation, parent.delegations.keys);
    }
    checkFresh(document.expires, role);
    loaded.set(role, bytes);
  }

  async function validateSnapshot(bytes: Bytes, root: NotaryRoot, loaded: ReadonlyMap<string, Bytes>): Promise<void> {
    await checkSigned(bytes, "snapshot", root.roles.get("snapshot")!, root.keys);
    const { meta, expires } = readSnapshot(decodeDocument(bytes, "snapshot").signed);
    checkFresh(expires, "snapshot");
    for (const [role, file] of loaded) {
      const expected = meta.get(role);
      const got = await fileMeta(file);
      if (
        expected === undefined ||
        hexEncode(expected.hashes.get("sha256")!) !== hexEncode(got.hashes.get("sha256")!)
      ) {
        throw refuse(`ErrBadSnapshot: ${role}`);
      }
    }
  }

  function checkFresh(expires: string, role: string): void {
    if (isExpired(expires)) throw refuse(`ErrBad: ${role} expired`);
  }

  function isExpired(expires: string): boolean {
    return parseGoTime(expires)! < options.now();
  }

  async function signSnapshot(meta: ReadonlyMap<string, FileMeta>, version: number, key: PrivateKey): Promise<Bytes> {
    return sign(writeSnapshot({ meta, version, expires: expiry(1095) }), key);
  }

  async function signTimestamp(
    files: Map<string, StoredFile[]>,
    root: NotaryRoot,
    keys: ReadonlyMap<string, PrivateKey>,
    snapshot: Bytes,
  ): Promise<void> {
    const version = (files.get("timestamp")?.at(-1)?.version ?? 0) + 1;
    const meta = new Map([["snapshot", await fileMeta(snapshot)]]);
    const canonical = writeTimestamp({ meta, version, expires: expiry(14) });
    store(files, "timestamp", version, await sign(canonical, signerOf(root, "timestamp", keys)!));
  }

  function expiry(days: number): string {
    return formatGoTime(new Date(options.now().getTime() + days * DAY_MS));
  }
}

/** Carries publishes out one after the other, as a storage transaction does. */
let last: Promise<unknown> = Promise.resolve();
function queued<T>(run: () => Promise<T>): Promise<T> {
  const mine = last.then(run, run);
  last = mine.catch(() => {});
  return mine;
}

function notFound(): TransportResponse {
  return errorAnswer(404, "METADATA_NOT_FOUND", "You have requested metadata that does not exist.");
}

function refuse(message: string): Refusal {
  return new Refusal(400, "INVALID_UPDATE", message);
}

function store(files: Map<string, StoredFile[]>, role: string, version: number, bytes: Bytes): void {
  files.set(role, [...(files.get(role) ?? []), { version, bytes }]);
}

function versionOf(bytes: Uint8Array, role: string): number {
  return Number(decodeDocument(bytes, role).signed["version"]);
}

function signerOf(root: NotaryRoot, role: string, keys: ReadonlyMap<string, PrivateKey>): PrivateKey | undefined {
  return root.roles
    .get(role)!
    .keyIds.map((id) => keys.get(id))
    .find((key) => key !== undefined);
}

async function keyAnswer(key: PrivateKey): Promise<TransportResponse> {
  const { keytype, public: bytes } = toNotaryKey(key.publicKey);
  return answer(
    200,
    JSON.stringify({ keytype, keyval: { public: Buffer.from(bytes).toString("base64"), private: null } }),
  );
}

async function sign(canonical: string, key: PrivateKey): Promise<Bytes> {
  const keyId = await keyIdOf(toNotaryKey(key.publicKey));
  const signature = await key.sign(utf8Encode(canonical));
  return encodeDocument(canonical, [{ keyId, method: methodFor(key.publicKey), signature }]);
}

async function fileMeta(bytes: Uint8Array): Promise<FileMeta> {
  const hashes = new Map([
    ["sha256", await hashBytes("sha256", bytes)],
    ["sha512", await hashBytes("sha512", bytes)],
  ]);
  return { length: bytes.length, hashes };
}

function printedByGo(bytes: Bytes, role: string): Bytes {
  try {
    assertGoBytes(bytes, role);
    return bytes;
  } catch {
    return utf8Encode(`printed differently: ${role}`);
  }
}

async function checkSigned(
  bytes: Bytes,
  role: string,
  signers: Parameters<typeof verifyDocument>[1],
  keys: Parameters<typeof resolveKeys>[0],
): Promise<void> {
  try {
    await verifyDocument(decodeDocument(bytes, role), signers, await resolveKeys(keys, role));
  } catch (error) {
    throw refuse(`ErrBad: ${role}: ${String(error)}`);
  }
}

async function readUpload(request: TransportRequest): Promise<Map<string, Bytes>> {
  if (!(request.body instanceof Uint8Array))
    throw new Refusal(400, "MALFORMED_UPLOAD", "The body of your request is malformed.");
  const form = await new Response(request.body as Bytes, { headers: request.headers ?? {} }).formData();
  const files = new Map<string, Bytes>();
  for (const part of form.getAll("files")) {
    if (typeof part === "string") throw new Refusal(400, "NO_FILENAME", "No file/role name provided.");
    files.set(part.name.replace(/\.json$/, ""), new Uint8Array(await part.arrayBuffer()));
  }
  return files;
}
