/** A Notary trust source whose keys, cache and trust state live in a trust directory. */
import { readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { CredentialSource } from "../base/credentials.ts";
import { errorCode } from "../base/errors.ts";
import type { Transport } from "../base/http.ts";
import type { Runtime } from "../base/runtime.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { PassphraseProvider } from "../keys/signer.ts";
import { parseGun } from "../notary/gun.ts";
import { createNotarySource, type NotarySource } from "../trust/notary/source.ts";
import type { NotarySourceOptions } from "../trust/notary/source-options.ts";
import { dockerCredentials } from "./docker-credentials.ts";
import { nodeHasher } from "./hasher.ts";
import { openKeyDir } from "./key-dir.ts";
import { localAuthorities } from "./local-ca.ts";
import { openMetadataDir, openTrustStateDir } from "./metadata-dir.ts";
import { createNodeTransport } from "./transport.ts";

type Tuning = Pick<NotarySourceOptions, "freshness" | "newCollections" | "readGoNames" | "retry" | "searchOrder">;

export interface OpenNotarySourceOptions extends Tuning {
  /** Trust directory; `~/.wasm-to-oci` unless told. Those of `notary` and `docker trust` work too. */
  readonly dir?: string | undefined;
  /** Base URL of the trust server. */
  readonly server: string;
  /** PEM of the only authority to accept for the server. Unless given: the system's, and on this machine those of `serve`. */
  readonly ca?: string | undefined;
  /** Replaces the transport made from `ca`: it must accept the server's certificate. */
  readonly runtime?: Runtime | undefined;
  /** Asked for passphrases of keys; without one nothing can be signed. */
  readonly passphrases?: PassphraseProvider | undefined;
  /** The directory's own keys unless given. */
  readonly keyStore?: KeyStore | undefined;
  /** Docker's credentials unless given. */
  readonly credentials?: CredentialSource | undefined;
}

/**
 * Opens a Notary server as a trust source. Nothing is contacted and nothing is written yet.
 *
 * @throws {UsageError} USAGE where the server is no address
 * @example
 * ```ts
 * const source = openNotarySource({ server: "https://localhost:4443" });
 * const collection = await source.open("localhost:5000/app", { firstUse: "accept" });
 * ```
 */
export function openNotarySource(options: OpenNotarySourceOptions): NotarySource {
  const { dir = join(homedir(), ".wasm-to-oci") } = options;
  return createNotarySource({
    ...options,
    runtime: options.runtime ?? {
      transport: lazyTransport(dir, options.ca),
      createHasher: nodeHasher,
      now: () => new Date(),
    },
    metadata: openMetadataDir(dir),
    trust: openTrustStateDir(dir),
    keyStore: options.keyStore ?? openKeyDir(dir),
    keyLocation: join(dir, "private"),
    passphrases: options.passphrases ?? (async () => undefined),
    credentials: options.credentials ?? dockerCredentials(),
    stagedChanges: (gun) => countStagedChanges(dir, gun),
  });
}

/** Makes its transport with the first request, since authorities are read from files. Idle connections end by themselves. */
function lazyTransport(dir: string, ca: string | undefined): Transport {
  let made: Promise<Transport> | undefined;
  const make = async (): Promise<Transport> => {
    if (ca !== undefined) return createNodeTransport({ ca, onlyCa: true });
    return createNodeTransport({ ca: await localAuthorities(dir) });
  };
  return async (request) => {
    made ??= make();
    return (await made)(request);
  };
}

/** Changes that `notary add` and the like left in the directory for `notary publish`. */
async function countStagedChanges(dir: string, gun: string): Promise<number> {
  const folder = join(dir, "tuf", ...parseGun(gun).split("/"), "changelist");
  try {
    return (await readdir(folder)).filter((name) => name.endsWith(".change")).length;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return 0; // none, or none that can be seen: they are not ours
  }
}
