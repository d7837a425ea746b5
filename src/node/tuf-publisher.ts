/** A TUF repository in a directory, to read and to publish to, with keys and trust in a trust directory. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { Bytes } from "../base/bytes.ts";
import type { Runtime } from "../base/runtime.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { PassphraseProvider } from "../keys/signer.ts";
import { TufPublisher } from "../trust/tuf/publisher.ts";
import { createTufSource, type TufSource, type TufSourceOptions } from "../trust/tuf/source.ts";
import { openKeyDir } from "./key-dir.ts";
import { nodeRuntime } from "./runtime.ts";
import { openTufDirectory } from "./tuf-directory-publisher.ts";
import { openTufTrustDir } from "./tuf-source.ts";

export interface OpenTufPublisherOptions extends Pick<TufSourceOptions, "freshness" | "limits"> {
  /** The directory that a web server serves, or will. */
  readonly location: string;
  /** Trust directory with keys and what is trusted; `~/.wasm-to-oci` unless told. */
  readonly dir?: string | undefined;
  /** A root file that the caller trusts; it goes before anything that is stored. */
  readonly anchor?: Bytes | undefined;
  readonly runtime?: Runtime | undefined;
  /** Asked for passphrases of keys; without one nothing can be signed. */
  readonly passphrases?: PassphraseProvider | undefined;
  /** Root key of new collections; the only one at hand, or a new one, unless told. */
  readonly rootKeyId?: string | undefined;
  /** The trust directory's own keys unless given. */
  readonly keyStore?: KeyStore | undefined;
}

/**
 * Opens a directory as a trust source that can be published to, and the management of its roles and keys. Nothing is
 * read or written yet.
 *
 * @example
 * ```ts
 * const { source, publisher } = openTufPublisher({ location: "/srv/tuf", passphrases });
 * await source.publish("acme/app", () => [{ action: "add", name: "v1", length, hashes }], { firstUse: "refuse" });
 * await publisher.status("acme/app");
 * ```
 */
export function openTufPublisher(options: OpenTufPublisherOptions): {
  readonly source: TufSource;
  readonly publisher: TufPublisher;
} {
  const { dir = join(homedir(), ".wasm-to-oci"), runtime = nodeRuntime(), anchor } = options;
  const store = openTufDirectory(resolve(options.location));
  const trust = openTufTrustDir(dir);
  const publisher = new TufPublisher({
    store,
    staging: store.staging,
    trust,
    anchor,
    keyStore: options.keyStore ?? openKeyDir(dir),
    passphrases: options.passphrases ?? (async () => undefined),
    keyLocation: join(dir, "private"),
    now: runtime.now,
    rootKeyId: options.rootKeyId,
  });
  const { freshness, limits } = options;
  const { publish } = publisher;
  return {
    publisher,
    source: createTufSource({ repository: store, runtime, trust, anchor, freshness, limits, publish }),
  };
}
