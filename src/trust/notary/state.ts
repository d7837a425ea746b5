/**
 * A Notary collection that travels: the documents as a server gave them, in an OCI artifact of its own media types,
 * and a transport that gives them back, so that the same client verifies them without a network.
 */
import { concatBytes, hexEncode, utf8Encode, type Bytes } from "../../base/bytes.ts";
import { digestBytes, hashBytes, type Digest } from "../../base/digest.ts";
import { FormatError, TransportError } from "../../base/errors.ts";
import type { Transport, TransportResponse } from "../../base/http.ts";
import { parseGun } from "../../notary/gun.ts";
import type { ContentStore } from "../../oci/content-store.ts";
import { MediaType, type ReceivedManifest } from "../../oci/types.ts";
import { FILE_NAME_ANNOTATION } from "../oci/layout.ts";
import { MAX_STATE_BYTES } from "../oci/state.ts";

export const NOTARY_ARTIFACT_TYPE = "application/vnd.wasm-to-oci.notary.repository.v1+json";
const NOTARY_MEDIA_TYPE = "application/vnd.wasm-to-oci.notary.metadata.v1+json";
const SERVER_ANNOTATION = "org.wasm-to-oci.notary.server";
const GUN_ANNOTATION = "org.wasm-to-oci.notary.gun";

/** Every version of root, four base documents, and 256 delegations, as a client loads them. */
const MAX_FILES = 2_000;
/** The largest document that a client takes. */
const MAX_FILE_BYTES = 100 * 1024 * 1024;
const FILE_NAME = /^(?:\d{1,9}\.)?[a-z0-9][a-z0-9_/-]{0,200}(?:\.[0-9a-f]{64})?\.json$/;

/** What one server had of one collection. Nothing in it is verified, and neither are its names. */
export interface NotaryState {
  readonly server: string;
  readonly gun: string;
  /** By the names of Notary's API, e.g. `timestamp.json`, `2.root.json`, `targets/releases.json`. */
  readonly files: ReadonlyMap<string, Bytes>;
}

/** Stores a state as an artifact. The same state gives the same manifest. */
export async function writeNotaryState(store: ContentStore, { server, gun, files }: NotaryState): Promise<Digest> {
  const config = utf8Encode("{}");
  const put = async (bytes: Bytes): Promise<{ digest: Digest; size: number }> => {
    const blob = { digest: await digestBytes(bytes), size: bytes.length };
    await store.blobs.put(blob, bytes);
    return blob;
  };
  const layers = [];
  for (const name of [...files.keys()].toSorted()) {
    const blob = await put(files.get(name)!);
    layers.push({ mediaType: NOTARY_MEDIA_TYPE, ...blob, annotations: { [FILE_NAME_ANNOTATION]: name } });
  }
  const manifest = utf8Encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      artifactType: NOTARY_ARTIFACT_TYPE,
      config: { mediaType: MediaType.ociEmpty, ...(await put(config)) },
      layers,
      annotations: { [SERVER_ANNOTATION]: server, [GUN_ANNOTATION]: gun },
    }),
  );
  const digest = await digestBytes(manifest);
  await store.manifests.putByDigest(manifest, MediaType.ociManifest, digest);
  return digest;
}

/** Reads a state. @throws {FormatError} MANIFEST_INVALID for what {@link writeNotaryState} would not have written */
export async function readNotaryState(store: ContentStore, manifest: ReceivedManifest): Promise<NotaryState> {
  const fail = (fault: string): never => {
    throw new FormatError("MANIFEST_INVALID", `${manifest.digest} of ${store.name} is no Notary collection: ${fault}`);
  };
  const { content } = manifest;
  if (content.kind !== "manifest" || content.artifactType !== NOTARY_ARTIFACT_TYPE) return fail("it is something else");
  if (content.layers.length > MAX_FILES) fail(`it has more than ${MAX_FILES} files`);
  const total = content.layers.reduce((sum, { size }) => sum + size, 0);
  if (total > MAX_STATE_BYTES) fail(`it has ${total} bytes in all`);
  const server = content.annotations[SERVER_ANNOTATION] ?? fail("it names no server");
  const gun = content.annotations[GUN_ANNOTATION] ?? fail("it names no collection");
  const files = new Map<string, Bytes>();
  for (const layer of content.layers) {
    const name = layer.annotations?.[FILE_NAME_ANNOTATION] ?? "";
    if (layer.mediaType !== NOTARY_MEDIA_TYPE || !FILE_NAME.test(name) || files.has(name))
      fail("a layer is no document of its own");
    files.set(name, await store.blobs.read(layer, MAX_FILE_BYTES));
  }
  return { server, gun: parseGun(gun), files };
}

/** Keeps every document that comes from a server, and passes everything on. */
export function recordingTransport(transport: Transport, gun: string, files: Map<string, Bytes>): Transport {
  return async (request) => {
    const response = await transport(request);
    const name = documentName(request.url, gun);
    if (request.method !== "GET" || response.status !== 200 || name === undefined) return response;
    return { ...plain(response), body: recorded(response.body, (bytes) => files.set(name, bytes)) };
  };
}

/** Answers as a server that has these documents would. Nothing else is reached. */
export async function replayTransport({ gun, files }: NotaryState): Promise<Transport> {
  const byHash = new Map<string, Bytes>();
  for (const [name, bytes] of files) {
    const role = name.replace(/^\d+\./, "").replace(/(?:\.[0-9a-f]{64})?\.json$/, "");
    byHash.set(`${role}.${hexEncode(await hashBytes("sha256", bytes))}.json`, bytes);
  }
  return async ({ method, url }) => {
    const name = documentName(url, gun);
    if (method !== "GET" || name === undefined) {
      throw new TransportError(
        "NETWORK",
        "a bundle has documents of its collection only, and nothing else is asked offline",
      );
    }
    const bytes = files.get(name) ?? byHash.get(name);
    return bytes === undefined
      ? answer(404, utf8Encode('{"errors":[{"code":"METADATA_NOT_FOUND","message":"not in the bundle"}]}'))
      : answer(200, bytes);
  };
}

function documentName(url: string, gun: string): string | undefined {
  const { pathname } = new URL(url);
  const place = `/v2/${gun}/_trust/tuf/`;
  const at = pathname.indexOf(place);
  const name = at === -1 ? "" : pathname.slice(at + place.length);
  return FILE_NAME.test(name) ? name : undefined;
}

async function* recorded(body: AsyncIterable<Uint8Array>, keep: (bytes: Bytes) => void): AsyncGenerator<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size <= MAX_FILE_BYTES) chunks.push(chunk.slice());
    yield chunk;
  }
  if (size <= MAX_FILE_BYTES) keep(concatBytes(chunks));
}

/** Not a spread: a response may be a class whose members live on its prototype. */
function plain(response: TransportResponse): TransportResponse {
  const { status, headers, peerAddress, body } = response;
  return { status, headers, peerAddress, body, cancel: () => response.cancel() };
}

function answer(status: number, bytes: Bytes): TransportResponse {
  const headers = new Map([
    ["content-length", `${bytes.length}`],
    ["content-type", "application/json"],
  ]);
  return {
    status,
    headers: { get: (name) => headers.get(name.toLowerCase()) ?? null },
    body: (async function* () {
      yield bytes;
    })(),
    cancel: async () => undefined,
  };
}
