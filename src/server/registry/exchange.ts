/** One request to the registry as its handlers see it: names checked, access decided, body as a stream. */
import { isDigest, type Digest } from "../../base/digest.ts";
import { BrokenBody, digestFault, RegistryFault } from "./errors.ts";
import type { RegistryStore, TagCondition } from "./store.ts";

export type RegistryAction = "pull" | "push" | "delete";

export interface Exchange {
  readonly store: RegistryStore;
  readonly request: Request;
  readonly query: URLSearchParams;
  /** A HEAD request: the answer needs its headers only. */
  readonly headOnly: boolean;
  /** A checked name. */
  readonly repository: string;
  /** The last part of the path: a tag, digest or upload id, not checked yet; empty where the path has none. */
  readonly item: string;
  /** To be told of each tag that was moved. */
  readonly tagMoved: ((repository: string, tag: string) => void) | undefined;
  /** Asks whether this client may see another repository too. */
  mayPull(repository: string): Promise<boolean>;
}

export type Handler = (exchange: Exchange) => Promise<Response>;

/** Longest number that is read from a header: 15 digits are exact in a double. */
const NUMBER = /^\d{1,15}$/;

/** Reads a digest from path or query. @throws {RegistryFault} DIGEST_INVALID */
export function readDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw digestFault(text);
}

/** The body piece by piece, or {@link BrokenBody}. What is not read stays in the connection, for the server to drain. */
export async function* bodyOf(request: Request): AsyncGenerator<Uint8Array> {
  if (request.body === null) return;
  const reader = request.body.getReader();
  const read = (): ReturnType<typeof reader.read> =>
    reader.read().catch((cause: unknown) => {
      throw new BrokenBody(cause);
    });
  try {
    for (let next = await read(); !next.done; next = await read()) yield next.value;
  } finally {
    reader.releaseLock();
  }
}

/** The announced length of the body; undefined where it is sent in chunks of unknown number. */
export function contentLength(request: Request): number | undefined {
  const text = request.headers.get("content-length");
  if (text === null) return undefined;
  if (!NUMBER.test(text)) throw new RegistryFault("SIZE_INVALID", "the Content-Length is not a length");
  return Number(text);
}

/** Content is stored as it is sent, so a coded body would be stored coded, under the digest of its code. */
export function refuseContentEncoding(request: Request): void {
  const coding = request.headers.get("content-encoding");
  if (coding === null || coding.toLowerCase() === "identity") return;
  throw new RegistryFault("UNSUPPORTED", "send the content without Content-Encoding", { status: 415 });
}

export function etag(digest: Digest): string {
  return `"${digest}"`;
}

/** True where the client says that it has this content already. */
export function isUnchanged(request: Request, digest: Digest): boolean {
  const known = request.headers.get("if-none-match");
  return known !== null && (known.trim() === "*" || entityTags(known).includes(digest));
}

/**
 * Reads the condition of a change to a tag (RFC 9110 §13.1): `If-Match` with one entity tag or `*`,
 * `If-None-Match: *`. Anything else cannot hold.
 */
export function tagCondition(request: Request): TagCondition {
  const match = request.headers.get("if-match");
  const noneMatch = request.headers.get("if-none-match");
  if (match === null && noneMatch === null) return undefined;
  if (match === null && noneMatch!.trim() === "*") return "absent";
  if (match !== null && noneMatch === null) {
    if (match.trim() === "*") return "present";
    const digest = /^"([^"]*)"$/.exec(match.trim())?.[1];
    if (digest !== undefined && isDigest(digest)) return { digest };
  }
  throw new RegistryFault("DENIED", "the condition is not one digest of a manifest, and none else is supported", {
    status: 412,
  });
}

function entityTags(header: string): string[] {
  return header.split(",").map((tag) => tag.trim().replace(/^(?:W\/)?"(.*)"$/, "$1"));
}
