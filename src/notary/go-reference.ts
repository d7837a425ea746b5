/**
 * Where the Go wasm-to-oci of 2019 put its signatures. It split references at every colon: `localhost:5000/x:v1` was
 * signed in the collection `localhost` as the target `5000/x`. Registry, repository and tag share that one name, so
 * whoever may sign for a host there may sign for every repository of it: read only where the user asks for it.
 */

export interface GoLocation {
  readonly gun: string;
  /** The target that stands for every tag of the repository; undefined where tags were signed as they should be. */
  readonly target: string | undefined;
}

/** @param collection `host[:port]/repository` */
export function goLocation(collection: string): GoLocation {
  const colon = collection.indexOf(":");
  if (colon === -1) return { gun: collection, target: undefined };
  return { gun: collection.slice(0, colon), target: collection.slice(colon + 1) };
}
