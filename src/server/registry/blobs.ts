/** Blobs: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-blobs */
import type { OpenBlob } from "../../node/open-blob.ts";
import { RegistryFault } from "./errors.ts";
import { etag, readDigest, type Handler } from "./exchange.ts";
import { readRange } from "./range.ts";

export const getBlob: Handler = async ({ store, request, repository, item, headOnly }) => {
  const digest = readDigest(item);
  const unknown = (): RegistryFault => new RegistryFault("BLOB_UNKNOWN", undefined, { detail: { digest } });
  const headers = new Headers({
    "content-type": "application/octet-stream",
    "docker-content-digest": digest,
    "accept-ranges": "bytes",
    etag: etag(digest),
  });
  if (headOnly) {
    const size = await store.blobs.stat(repository, digest);
    if (size === undefined) throw unknown();
    headers.set("content-length", String(size));
    return new Response(null, { headers });
  }
  const blob = await store.blobs.open(repository, digest);
  if (blob === undefined) throw unknown();
  try {
    const range = readRange(request.headers, blob.size, etag(digest));
    const { start, end } = range ?? { start: 0, end: blob.size };
    headers.set("content-length", String(end - start));
    if (range !== undefined) headers.set("content-range", `bytes ${start}-${end - 1}/${blob.size}`);
    return new Response(streamOf(blob, start, end), { status: range === undefined ? 200 : 206, headers });
  } catch (error) {
    await blob.close();
    throw error;
  }
};

export const deleteBlob: Handler = async ({ store, repository, item }) => {
  const digest = readDigest(item);
  if (!(await store.blobs.delete(repository, digest))) {
    throw new RegistryFault("BLOB_UNKNOWN", undefined, { detail: { digest } });
  }
  return new Response(null, { status: 202 });
};

/** Reads as fast as the client takes, one piece ahead of it. */
function streamOf(blob: OpenBlob, start: number, end: number): ReadableStream<Uint8Array> {
  const chunks = blob.read(start, end);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await chunks.return(undefined);
      // An iteration that never began does not close what it reads.
      await blob.close();
    },
  });
}
