/** Reads a module once: recognises it and computes every digest that registry and signature want. */
import { formatDigest, type Digest } from "./base/digest.ts";
import { hexEncode, type Bytes } from "./base/bytes.ts";
import { FormatError } from "./base/errors.ts";
import type { StreamBody } from "./base/http.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import { WasmScanner, type WasmInfo } from "./wasm/binary.ts";

/** A module to push or compare: a name for messages and its bytes. */
export interface ModuleSource {
  /** The path as typed, or any name; becomes the artifact's title. */
  readonly name: string;
  readonly body: StreamBody;
}

export interface ReadModule {
  readonly digest: Digest;
  /** Length in bytes. */
  readonly size: number;
  /** Lower-case hex. */
  readonly hashes: { readonly sha256: string; readonly sha512: string };
  readonly info: WasmInfo;
}

/** Gives bytes in memory the shape of a source. */
export function moduleFromBytes(name: string, bytes: Uint8Array): ModuleSource {
  return {
    name,
    body: {
      size: bytes.length,
      async *open(offset = 0) {
        yield await Promise.resolve(bytes.subarray(offset));
      },
    },
  };
}

/** @throws {FormatError} WASM_INVALID, LIMIT_EXCEEDED, with the module's name; {StorageError} from the source */
export async function readModule(source: ModuleSource, runtime: Runtime, onProgress?: OnProgress): Promise<ReadModule> {
  const scanner = new WasmScanner();
  const sha256 = runtime.createHasher("sha256");
  const sha512 = runtime.createHasher("sha512");
  let size = 0;
  for await (const chunk of source.body.open()) {
    named(source.name, () => scanner.push(chunk));
    sha256.update(chunk);
    sha512.update(chunk);
    size += chunk.length;
    onProgress?.({ phase: "hashing", subject: source.name, done: size, total: source.body.size });
  }
  const info = named(source.name, () => scanner.end());
  const hash: Bytes = sha256.digest();
  return {
    digest: formatDigest("sha256", hash),
    size,
    hashes: { sha256: hexEncode(hash), sha512: hexEncode(sha512.digest()) },
    info,
  };
}

/** Of several files that a command reads, people want to know which one is no module. */
function named<T>(name: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const { code, message, hint, details } = error;
    throw new FormatError(code, `${name}: ${message}`, {
      ...(hint === undefined ? {} : { hint }),
      details,
      cause: error,
    });
  }
}
