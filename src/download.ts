/** Brings a module into an output in one pass over its bytes; may begin before it is known to be wanted. */
import { concatBytes, hexEncode } from "./base/bytes.ts";
import type { Digest } from "./base/digest.ts";
import { FormatError, InternalError, InterruptedError } from "./base/errors.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import type { CacheEntry, ContentCache } from "./content-cache.ts";
import type { ReadableContent } from "./stored-content.ts";
import { WasmScanner, type WasmInfo } from "./wasm/binary.ts";

/**
 * Where a pulled module goes.
 *
 * Obligations: nothing is visible to others before `commit`; `restart` drops what was written; after `abort`
 * nothing is left, and calling it twice is fine.
 */
export interface ModuleOutput {
  write(chunk: Uint8Array): Promise<void>;
  restart(): Promise<void>;
  commit(): Promise<void>;
  abort(): Promise<void>;
}

/** A blob by its digest and length in bytes. */
export interface BlobAddress {
  readonly digest: Digest;
  readonly size: number;
}

export interface Downloaded extends BlobAddress {
  /** Lower-case hex of the same bytes, from the same pass. */
  readonly sha512: string;
}

/** What a downloaded module says about itself, or why nothing can be read of it. */
export type ModuleScan = { readonly info: WasmInfo } | { readonly info: undefined; readonly fault: FormatError };

export interface DownloadedModule extends Downloaded {
  readonly scan: ModuleScan;
}

interface Attempt {
  readonly blob: BlobAddress;
  readonly abort: AbortController;
  readonly done: Promise<DownloadedModule>;
}

export class Download {
  private readonly runtime: Runtime;
  private readonly output: ModuleOutput;
  private readonly onProgress: OnProgress | undefined;
  private readonly cache: ContentCache | undefined;
  private attempt: Attempt | undefined;
  /** What was downloaded, on its way into the cache. */
  private entry: CacheEntry | undefined;

  constructor(runtime: Runtime, output: ModuleOutput, onProgress?: OnProgress, cache?: ContentCache) {
    this.runtime = runtime;
    this.output = output;
    this.onProgress = onProgress;
    this.cache = cache;
  }

  /** Starts to fetch a blob that will probably be wanted. Its failure shows only where it is. */
  begin(content: Pick<ReadableContent, "blobs">, blob: BlobAddress, signal?: AbortSignal): void {
    if (this.attempt !== undefined) throw new InternalError("a download was begun twice");
    this.attempt = this.start(content, blob, signal);
  }

  /** Gives the blob that is wanted: the one begun, or another, for which the first is dropped. */
  async complete(
    content: Pick<ReadableContent, "blobs">,
    blob: BlobAddress,
    signal?: AbortSignal,
  ): Promise<DownloadedModule> {
    const begun = this.attempt;
    if (begun?.blob.digest === blob.digest && begun.blob.size === blob.size) return begun.done;
    if (begun !== undefined) {
      await this.stop();
      await this.output.restart();
    }
    this.attempt = this.start(content, blob, signal);
    return this.attempt.done;
  }

  /** Ends a download that is under way and waits until it no longer writes. */
  async stop(): Promise<void> {
    if (this.attempt === undefined) return;
    this.attempt.abort.abort();
    await this.attempt.done.catch(() => undefined);
    this.attempt = undefined;
    await this.entry?.abort();
    this.entry = undefined;
  }

  /** Lets the cache have what was downloaded; to be called when everything has matched. */
  async keep(): Promise<void> {
    await this.entry?.commit();
    this.entry = undefined;
  }

  private start(content: Pick<ReadableContent, "blobs">, blob: BlobAddress, signal: AbortSignal | undefined): Attempt {
    const abort = new AbortController();
    const either = signal === undefined ? abort.signal : AbortSignal.any([signal, abort.signal]);
    const done = this.run(content, blob, either);
    done.catch(() => undefined); // whoever completes the download sees the failure; nobody may be waiting yet
    return { blob, abort, done };
  }

  private async run(
    content: Pick<ReadableContent, "blobs">,
    blob: BlobAddress,
    signal: AbortSignal,
  ): Promise<DownloadedModule> {
    const cached = await this.fromCache(blob, signal);
    if (cached !== undefined) return cached;
    const arriving = askedNow(content.blobs.get(blob, { signal }));
    this.entry = await this.cache?.begin(blob); // while the request is on its way
    return this.receive(arriving, blob, signal);
  }

  /** The blob out of the cache; undefined where it has none that is good. */
  private async fromCache(blob: BlobAddress, signal: AbortSignal): Promise<DownloadedModule | undefined> {
    const content = await this.cache?.open(blob);
    if (content === undefined) return undefined;
    const source = new WatchedSource(content);
    try {
      return await this.receive(source.read(), blob, signal);
    } catch (error) {
      if (!source.failed) throw error; // the output's failure, or an interruption: no other source would help
      await this.output.restart();
      return undefined;
    }
  }

  private async receive(
    content: AsyncIterable<Uint8Array>,
    blob: BlobAddress,
    signal: AbortSignal,
  ): Promise<DownloadedModule> {
    const sha512 = this.runtime.createHasher("sha512");
    const scanner = new TolerantScanner();
    let done = 0;
    for await (const chunk of content) {
      if (signal.aborted) throw new InterruptedError();
      sha512.update(chunk);
      scanner.push(chunk);
      await Promise.all([this.output.write(chunk), this.entry?.write(chunk)]);
      done += chunk.length;
      this.onProgress?.({ phase: "downloading", subject: blob.digest, done, total: blob.size });
    }
    return { digest: blob.digest, size: blob.size, sha512: hexEncode(sha512.digest()), scan: scanner.end() };
  }
}

/** Asks a source for its first piece now, long before it is read. A failure shows when it is. */
function askedNow(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const pieces = source[Symbol.asyncIterator]();
  const first = pieces.next();
  first.catch(() => undefined);
  let isFirst = true;
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        if (!isFirst) return pieces.next();
        isFirst = false;
        return first;
      },
      return: async () => (await pieces.return?.()) ?? { done: true, value: undefined },
    }),
  };
}

/** Tells a source that failed from a consumer that did. */
class WatchedSource {
  failed = false;
  private readonly content: AsyncIterable<Uint8Array>;

  constructor(content: AsyncIterable<Uint8Array>) {
    this.content = content;
  }

  async *read(): AsyncGenerator<Uint8Array> {
    try {
      yield* this.content;
    } catch (error) {
      this.failed = true;
      throw error;
    }
  }
}

/** Reads along. What cannot be read is no failure of the download: the digests decide, and whoever wants the facts. */
class TolerantScanner {
  private readonly scanner = new WasmScanner();
  private fault: FormatError | undefined;

  push(chunk: Uint8Array): void {
    if (this.fault === undefined) this.attempt(() => this.scanner.push(chunk));
  }

  end(): ModuleScan {
    const info = this.fault === undefined ? this.attempt(() => this.scanner.end()) : undefined;
    if (info !== undefined) return { info };
    if (this.fault === undefined) throw new InternalError("a scan gave neither facts nor a fault");
    return { info, fault: this.fault };
  }

  private attempt<T>(step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.fault = error;
      return undefined;
    }
  }
}

/** Collects a module in memory, for callers that want bytes. */
export class MemoryOutput implements ModuleOutput {
  private chunks: Uint8Array[] = [];
  private committed: Uint8Array[] | undefined;

  /** The module, after a pull that succeeded. */
  get bytes(): Uint8Array {
    if (this.committed === undefined) throw new InternalError("nothing was committed");
    return concatBytes(this.committed);
  }

  write(chunk: Uint8Array): Promise<void> {
    this.chunks.push(chunk.slice());
    return Promise.resolve();
  }

  restart(): Promise<void> {
    this.chunks = [];
    return Promise.resolve();
  }

  commit(): Promise<void> {
    this.committed = this.chunks;
    return Promise.resolve();
  }

  abort(): Promise<void> {
    this.chunks = [];
    return Promise.resolve();
  }
}
