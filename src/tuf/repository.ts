/** Where metadata and targets are read from: a web server, a directory, a test. */
import type { Bytes } from "../base/bytes.ts";

export interface MetadataRequest {
  /** Name below the metadata's base, encoded, e.g. `3.targets.json`. */
  readonly file: string;
  /** Most bytes to read. */
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
}

export interface TargetRequest {
  /** Path below the targets' base, encoded, e.g. `team/9c82….app.wasm`. */
  readonly file: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a TUF repository. Nothing that comes back is trusted.
 *
 * Obligations: undefined means that the repository itself says it has no such file (404 or 403), never that it could
 * not be asked; more than `limit` bytes end in a {@link TransportError} RESPONSE_TOO_LARGE before they are held.
 */
export interface TufRepository {
  /** For people: a URL or a path. */
  readonly location: string;
  metadata(request: MetadataRequest): Promise<Bytes | undefined>;
  target(request: TargetRequest): Promise<AsyncIterable<Uint8Array> | undefined>;
  /**
   * Gives the repository at one moment, where the place can: all that is read through a view belongs together. Every
   * run of a client, and of a publisher, reads through one.
   *
   * @param names the only targets that will be looked for, where that is known: what they need may be read ahead
   */
  view?(names?: readonly string[]): TufRepository;
}
