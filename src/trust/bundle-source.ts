/** Trust data in a bundle: what verifies it is the client of its kind; what differs is that nothing newer can be asked for. */
import { UsageError } from "../base/errors.ts";
import type { OpenOptions, TrustedCollection, TrustSource } from "./source.ts";

/**
 * Makes the trust source of a bundle.
 *
 * @param inner reads the bundle's files
 * @param location for people, e.g. `bundle:app.tar`
 */
export function bundleSource(inner: Pick<TrustSource, "isKnown" | "open">, location: string): TrustSource {
  return {
    kind: "bundle",
    location,
    // it is read as a repository is: "offline" would mean what is stored on this machine
    open: (collection: string, options: OpenOptions): Promise<TrustedCollection> =>
      inner.open(collection, { ...options, freshness: undefined }),
    isKnown: (collection) => inner.isKnown(collection),
    publish: () =>
      Promise.reject(
        new UsageError("USAGE", `${location} can be read here, not written`, {
          hint: "Save the bundle again from its source",
        }),
      ),
  };
}
