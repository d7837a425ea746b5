/** Finding a root to start from in a repository of which only root keys are known, or nothing. */
import type { Bytes } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { DEFAULT_TUF_LIMITS } from "./limits.ts";
import { metadataFile } from "./names.ts";
import type { TufRepository } from "./repository.ts";
import type { Root } from "./schema.ts";
import { TrustedSet, type VerifiedRole } from "./trusted-set.ts";

export interface BootstrapOptions {
  readonly repository: TufRepository;
  /** Decides whether a root, which its own keys and those of the one before have signed, is one to trust. */
  readonly accepts: (root: VerifiedRole<Root>) => Promise<boolean>;
  readonly signal?: AbortSignal | undefined;
}

/** `absent`: the repository says that it has no root at all; `refused`: it has, and none that is accepted. */
export type Bootstrap = { readonly anchor: Bytes } | "absent" | "refused";

/**
 * Walks along a repository's roots, from the first one on, to one that the caller accepts. Nothing is trusted on the
 * way: a repository may lead anybody anywhere, and only acceptance counts.
 *
 * @throws {FormatError} JSON_INVALID, METADATA_INVALID, LIMIT_EXCEEDED
 * @throws {TrustError} where a root is not signed as it must be
 */
export async function findAnchor({ accepts, signal, ...options }: BootstrapOptions): Promise<Bootstrap> {
  const repository = options.repository.view?.() ?? options.repository;
  const { root: limit, rootRotations } = DEFAULT_TUF_LIMITS;
  const fetch = (version?: number): Promise<Bytes | undefined> =>
    repository.metadata({ file: metadataFile("root", version), limit, signal });
  const first = (await fetch(1)) ?? (await fetch());
  if (first === undefined) return "absent";
  const set = new TrustedSet({ now: new Date(0) }); // expiry is not looked at before a root is settled on
  await set.startFrom(first);
  for (let followed = 0; ; followed++) {
    if (await accepts(set.root)) return { anchor: set.root.document.bytes };
    const next = await fetch(set.root.document.signed.version + 1);
    if (next === undefined) return "refused";
    if (followed === rootRotations) {
      throw new FormatError("LIMIT_EXCEEDED", `none of the repository's first ${followed} roots is one to trust`, {
        hint: "Give a newer root file as trust anchor",
        details: { role: "root", limit: followed },
      });
    }
    await set.advanceRoot(next, "network");
  }
}
