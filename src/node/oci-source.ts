/** Trust data in a registry, with keys and what is trusted in a trust directory. */
import { homedir } from "node:os";
import { join } from "node:path";
import type { Runtime } from "../base/runtime.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { PassphraseProvider } from "../keys/signer.ts";
import { ociStaging } from "../trust/oci/staging.ts";
import { openOciTrust, trustPlace, type OciTrustOptions } from "../trust/oci/trust.ts";
import type { TufPublisher } from "../trust/tuf/publisher.ts";
import type { TufSource } from "../trust/tuf/source.ts";
import { openKeyDir } from "./key-dir.ts";
import { nodeRuntime } from "./runtime.ts";
import { openTufTrustDir } from "./tuf-source.ts";

export interface OpenOciSourceOptions extends Pick<
  OciTrustOptions,
  "registry" | "repository" | "tag" | "anchor" | "freshness" | "rootKeyId"
> {
  /** Trust directory with keys and what is trusted; `~/.wasm-to-oci` unless told. */
  readonly dir?: string | undefined;
  readonly runtime?: Runtime | undefined;
  /** Asked for passphrases of keys; without one nothing can be signed. */
  readonly passphrases?: PassphraseProvider | undefined;
  /** The trust directory's own keys unless given. */
  readonly keyStore?: KeyStore | undefined;
}

/**
 * Opens the trust data of a registry's repository as a trust source that can be published to, and the management of its
 * roles and keys. Nothing is read or written yet.
 *
 * @example
 * ```ts
 * const { source } = openOciSource({ registry, repository: parseReference("ghcr.io/acme/app"), passphrases });
 * const collection = await source.open("acme/app", { firstUse: "refuse", pin });
 * ```
 */
export function openOciSource(options: OpenOciSourceOptions): {
  readonly source: TufSource;
  readonly publisher: TufPublisher;
} {
  const { dir = join(homedir(), ".wasm-to-oci"), runtime = nodeRuntime() } = options;
  return openOciTrust({
    ...options,
    runtime,
    trust: openTufTrustDir(dir),
    staging: ociStaging(trustPlace(options)),
    keyStore: options.keyStore ?? openKeyDir(dir),
    passphrases: options.passphrases ?? (async () => undefined),
    keyLocation: join(dir, "private"),
  });
}
