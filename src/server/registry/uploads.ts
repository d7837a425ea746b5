/** Uploads: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-blobs */
import { digestAlgorithm, type Digest, type HashAlgorithm } from "../../base/digest.ts";
import { RegistryFault } from "./errors.ts";
import { bodyOf, contentLength, readDigest, refuseContentEncoding, type Exchange, type Handler } from "./exchange.ts";
import { readChunkRange } from "./range.ts";

/** POST: begins an upload, takes a whole blob, or mounts one from another repository. */
export const startUpload: Handler = async (exchange) => {
  const { store, request, query, repository } = exchange;
  const mount = query.get("mount");
  if (mount !== null) {
    const digest = readDigest(mount);
    if (await mountBlob(exchange, digest)) return created(repository, digest);
  }
  const digest = query.get("digest");
  if (digest === null) {
    const id = await store.uploads.start(repository, expectedAlgorithm(query, mount));
    return progress(202, repository, id, 0);
  }
  const expected = readDigest(digest);
  refuseContentEncoding(request);
  const id = await store.uploads.start(repository, digestAlgorithm(expected));
  try {
    await appendBody(exchange, id);
    await store.uploads.finish(repository, id, expected);
  } catch (error) {
    await store.uploads.cancel(repository, id);
    throw error;
  }
  return created(repository, expected);
};

export const uploadStatus: Handler = async ({ store, repository, item }) => {
  const offset = await store.uploads.offset(repository, item);
  if (offset === undefined) throw new RegistryFault("BLOB_UPLOAD_UNKNOWN");
  return progress(204, repository, item, offset);
};

/** PATCH: takes a chunk. */
export const continueUpload: Handler = async (exchange) => {
  const offset = await appendBody(exchange, exchange.item);
  return progress(202, exchange.repository, exchange.item, offset);
};

/** PUT: takes the last chunk, where there is one, and makes the upload a blob. */
export const finishUpload: Handler = async (exchange) => {
  const { store, request, query, repository, item } = exchange;
  const digest = readDigest(query.get("digest") ?? "");
  if (request.body !== null && contentLength(request) !== 0) await appendBody(exchange, item);
  await store.uploads.finish(repository, item, digest);
  return created(repository, digest);
};

export const cancelUpload: Handler = async ({ store, repository, item }) => {
  if (!(await store.uploads.cancel(repository, item))) throw new RegistryFault("BLOB_UPLOAD_UNKNOWN");
  return new Response(null, { status: 204 });
};

/**
 * Mounts from the repository that the client names, or from any that has the blob. Only from one that this
 * client may pull from: else a digest, which is no secret, would be enough to read other people's content.
 */
async function mountBlob(exchange: Exchange, digest: Digest): Promise<boolean> {
  const { store, query, repository } = exchange;
  const from = query.get("from");
  for (const source of from === null ? await store.blobs.holders(digest) : [from]) {
    if ((await exchange.mayPull(source)) && (await store.blobs.mount(digest, source, repository))) return true;
  }
  return false;
}

async function appendBody({ store, request, repository }: Exchange, id: string): Promise<number> {
  refuseContentEncoding(request);
  const announced = contentLength(request);
  const header = request.headers.get("content-range");
  const range = header === null ? undefined : readChunkRange(header);
  if (range !== undefined && announced !== undefined && range.size !== announced) {
    throw new RegistryFault("SIZE_INVALID", "Content-Range and Content-Length disagree");
  }
  const chunk = { body: bodyOf(request), start: range?.start, size: range?.size ?? announced };
  return store.uploads.append(repository, id, chunk);
}

function expectedAlgorithm(query: URLSearchParams, mount: string | null): HashAlgorithm {
  const algorithm = query.get("digest-algorithm");
  if (algorithm === null) return mount === null ? "sha256" : digestAlgorithm(readDigest(mount));
  if (algorithm === "sha256" || algorithm === "sha512") return algorithm;
  throw new RegistryFault("DIGEST_INVALID", "the digest-algorithm must be sha256 or sha512");
}

function progress(status: number, repository: string, id: string, offset: number): Response {
  return new Response(null, {
    status,
    headers: {
      location: `/v2/${repository}/blobs/uploads/${id}`,
      // The specification cannot say "nothing yet"; 0-0 is what every registry says for it.
      range: `0-${Math.max(0, offset - 1)}`,
      "docker-upload-uuid": id,
    },
  });
}

function created(repository: string, digest: Digest): Response {
  return new Response(null, {
    status: 201,
    headers: { location: `/v2/${repository}/blobs/${digest}`, "docker-content-digest": digest },
  });
}
