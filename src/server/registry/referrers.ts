/** Referrers: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers */
import { MediaType } from "../../oci/types.ts";
import { readDigest, type Handler } from "./exchange.ts";
import { nextLink } from "./lists.ts";
import type { ReferrerDescriptor } from "./store.ts";

/** Characters of descriptors after which a page ends: with one more it stays below the 4 MiB that clients read. */
const PAGE_CHARACTERS = 1024 * 1024;
/** Descriptors looked at for one page, so that a filter which matches nothing cannot keep the disk busy. */
const PAGE_CANDIDATES = 2_000;

export const listReferrers: Handler = async ({ store, query, repository, item }) => {
  const subject = readDigest(item);
  const artifactType = query.get("artifactType");
  const page = await store.manifests.referrers(repository, subject, query.get("last") ?? "", PAGE_CANDIDATES);
  const manifests: ReferrerDescriptor[] = [];
  let characters = 0;
  let looked = 0;
  while (looked < page.names.length && characters < PAGE_CHARACTERS) {
    const descriptor = await store.manifests.referrer(repository, subject, page.names[looked]!);
    looked++;
    if (descriptor === undefined || (artifactType !== null && descriptor.artifactType !== artifactType)) continue;
    manifests.push(descriptor);
    characters += JSON.stringify(descriptor).length;
  }
  const headers = new Headers({ "content-type": MediaType.ociIndex });
  if (artifactType !== null) headers.set("oci-filters-applied", "artifactType");
  const last = page.names[looked - 1];
  if (last !== undefined && (page.more || looked < page.names.length)) {
    const filter = artifactType === null ? {} : { artifactType };
    const path = `/v2/${repository}/referrers/${subject}`;
    headers.set("link", nextLink(path, { ...filter, last }));
  }
  return new Response(JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests }), { headers });
};
