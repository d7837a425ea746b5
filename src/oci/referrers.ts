/**
 * What is attached to a manifest: the referrers API, and the tag that stands in for it in older registries.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
 */
import { utf8Encode } from "../base/bytes.ts";
import { digestAlgorithm, digestHex, type Digest } from "../base/digest.ts";
import { FormatError, RegistryError } from "../base/errors.ts";
import { isJsonObject, parseJson, type JsonValue } from "../base/json.ts";
import { repositoryScope } from "./auth.ts";
import { nextPage } from "./location.ts";
import { MAX_MANIFEST_BYTES, mediaTypeEssence, parseManifest } from "./manifest.ts";
import type { Manifests, RequestOptions } from "./manifests.ts";
import type { RegistryConnection } from "./request.ts";
import { MediaType, type Descriptor, type ReceivedManifest } from "./types.ts";

/** Referrers in all: a thousand of them on one manifest is already a flood. */
const MAX_REFERRERS = 10_000;
const MAX_PAGES = 100;
/** Writers of one list of referrers that may be faster than this one. */
const MAX_ATTEMPTS = 5;

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

  /**
   * Makes a manifest that was uploaded appear in the list of its subject. A registry with the referrers API does so by
   * itself; in others it is entered in the tag that stands in for it, which knows no locks: what another writer
   * dropped is entered again.
   *
   * @throws {RegistryError} REGISTRY_REFUSED where the entry does not stay
   */
  async attach(subject: Digest, referrer: Descriptor, options: RequestOptions = {}): Promise<void> {
    if ((await this.fromApi(subject, options)) !== undefined) return;
    const tag = referrersTag(subject);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const current = await this.manifests.get(tag, options);
      if (current !== undefined && entriesOf(current).some(({ digest }) => digest === referrer.digest)) return;
      await this.manifests.tag(withEntry(current, referrer), MediaType.ociIndex, tag, options);
    }
    throw new RegistryError(
      "REGISTRY_REFUSED",
      `${referrer.digest} does not stay in the list of what refers to ${subject}`,
      {
        hint: "Others write the same list at this moment; run the command again",
        details: { tag },
      },
    );
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
    const index = await this.manifests.get(referrersTag(digest), options);
    return index === undefined ? [] : entriesOf(index);
  }
}

/** The tag that stands in for the referrers API: tags have at most 128 characters. */
export function referrersTag(digest: Digest): string {
  return `${digestAlgorithm(digest)}-${digestHex(digest)}`.slice(0, 128);
}

/** The list with one more entry; the others stay as they are, whatever members they have. */
function withEntry(
  current: ReceivedManifest | undefined,
  { mediaType, digest, size, ...more }: Descriptor,
): Uint8Array {
  const former = current === undefined ? undefined : parseJson(current.bytes);
  const entries = isJsonObject(former) && Array.isArray(former["manifests"]) ? former["manifests"] : [];
  const { artifactType, annotations } = more;
  const entry: JsonValue = {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations: { ...annotations } }),
  };
  const base = isJsonObject(former) ? former : { schemaVersion: 2, mediaType: MediaType.ociIndex };
  const index = { ...base, manifests: [...entries, entry] };
  return utf8Encode(JSON.stringify(index));
}

function entriesOf(received: ReceivedManifest): readonly Descriptor[] & Descriptor[] {
  if (received.content.kind === "index") return [...received.content.manifests];
  throw new FormatError("MANIFEST_INVALID", "the list of referrers is a manifest instead of an index");
}
