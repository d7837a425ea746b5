/** Trust data in a bundle: what verifies it is the client of its kind; what differs is that nothing newer can be asked for. */
import { UsageError } from "../base/errors.ts";
import type { Administration } from "./administration.ts";
import type { OpenOptions, TrustedCollection, TrustSource } from "./source.ts";

/** A bundle as a trust source, and what its roles are like, past their expiry too. */
export interface BundleSource extends TrustSource {
  readonly kind: "bundle";
  readonly status: Administration["status"];
}

/**
 * Makes the trust source of a bundle.
 *
 * @param inner reads the bundle's files
 * @param location for people, e.g. `bundle:app.tar`
 */
export function bundleSource(
  inner: Pick<TrustSource, "isKnown" | "open"> & Pick<Administration, "status">,
  location: string,
): BundleSource {
  return {
    kind: "bundle",
    location,
    // it is read as a repository is: "offline" would mean what is stored on this machine
    open: (collection: string, options: OpenOptions): Promise<TrustedCollection> =>
      inner.open(collection, { ...options, freshness: undefined }),
    isKnown: (collection) => inner.isKnown(collection),
    status: async (collection, options) => ({
      ...(await inner.status(collection, options)),
      source: "bundle",
      location,
    }),
    publish: () =>
      Promise.reject(
        new UsageError("USAGE", `${location} can be read here, not written`, {
          hint: "Save the bundle again from its source",
        }),
      ),
  };
}
