/**
 * What is attached to a manifest: the referrers API, and the tag that stands in for it in older registries.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
 */
import { digestAlgorithm, digestHex, type Digest } from "../base/digest.ts";
import { FormatError } from "../base/errors.ts";
import { repositoryScope } from "./auth.ts";
import { nextPage } from "./location.ts";
import { MAX_MANIFEST_BYTES, mediaTypeEssence, parseManifest } from "./manifest.ts";
import type { Manifests, RequestOptions } from "./manifests.ts";
import type { RegistryConnection } from "./request.ts";
import { MediaType, type Descriptor, type ReceivedManifest } from "./types.ts";

/** Referrers in all: a thousand of them on one manifest is already a flood. */
const MAX_REFERRERS = 10_000;
const MAX_PAGES = 100;

export interface ReferrersOptions extends RequestOptions {
  /** Only those of this type. */
  readonly artifactType?: string | undefined;
}

export class Referrers {
  private readonly connection: RegistryConnection;
  private readonly manifests: Manifests;
  private readonly name: string;
  private readonly repository: string;

  constructor(connection: RegistryConnection, manifests: Manifests, repository: { name: string; path: string }) {
    this.connection = connection;
    this.manifests = manifests;
    this.name = repository.name;
    this.repository = repository.path;
  }

  /**
   * Lists the descriptors of manifests whose `subject` is the given one. The list is a registry's claim.
   *
   * @throws {FormatError} MANIFEST_INVALID, LIMIT_EXCEEDED
   */
  async list(digest: Digest, options: ReferrersOptions = {}): Promise<readonly Descriptor[]> {
    const found = (await this.fromApi(digest, options)) ?? (await this.fromTag(digest, options));
    const { artifactType } = options;
    return artifactType === undefined ? found : found.filter((entry) => entry.artifactType === artifactType);
  }

  /** Undefined where the registry has no referrers API. */
  private async fromApi(digest: Digest, options: ReferrersOptions): Promise<Descriptor[] | undefined> {
    const { artifactType, signal } = options;
    const what = `the referrers of ${this.name}@${digest}`;
    const query = artifactType === undefined ? "" : `?${new URLSearchParams({ artifactType }).toString()}`;
    const found: Descriptor[] = [];
    let page: string | URL = `/v2/${this.repository}/referrers/${digest}${query}`;
    for (let pages = 1; pages <= MAX_PAGES; pages++) {
      const response = await this.connection.read(
        {
          method: "GET",
          to: page,
          scope: repositoryScope(this.repository, "pull"),
          headers: { accept: MediaType.ociIndex },
          signal,
        },
        MAX_MANIFEST_BYTES,
        what,
      );
      const contentType = response.headers.get("content-type");
      // Some registries answer any unknown path with 200 and a page for people.
      if (response.status === 404 || mediaTypeEssence(contentType ?? "") !== MediaType.ociIndex) return undefined;
      found.push(...entriesOf(await parseManifest(response.bytes, MediaType.ociIndex)));
      const next = nextPage(response.headers.get("link"), response.url);
      if (next === undefined && found.length <= MAX_REFERRERS) return found;
      if (next === undefined || found.length > MAX_REFERRERS) break;
      page = next;
    }
    throw new FormatError("LIMIT_EXCEEDED", `${what} are more than ${MAX_REFERRERS}`, {
      hint: "Somebody floods this artifact with attachments; its owner must clean up",
      details: { limit: MAX_REFERRERS },
    });
  }

  private async fromTag(digest: Digest, options: RequestOptions): Promise<Descriptor[]> {
    const index = await this.manifests.get(`${digestAlgorithm(digest)}-${digestHex(digest)}`.slice(0, 128), options);
    return index === undefined ? [] : entriesOf(index);
  }
}

function entriesOf(received: ReceivedManifest): readonly Descriptor[] & Descriptor[] {
  if (received.content.kind === "index") return [...received.content.manifests];
  throw new FormatError("MANIFEST_INVALID", "the list of referrers is a manifest instead of an index");
}
