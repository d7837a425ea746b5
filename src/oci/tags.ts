/** A repository's tags. https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags */
import { FormatError, RegistryError } from "../base/errors.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";
import { repositoryScope } from "./auth.ts";
import { nextPage } from "./location.ts";
import type { RequestOptions } from "./manifests.ts";
import { isTag } from "./reference.ts";
import type { RegistryConnection } from "./request.ts";

/** What is asked for at once: the most that ECR and Docker Hub give. */
const PAGE_SIZE = 1_000;
/** Registries that ignore `n` send all tags at once: 50,000 of the longest fit. */
const MAX_PAGE_BYTES = 8 * 1024 * 1024;
const MAX_TAGS_PER_PAGE = 100_000;
/** A list that goes on longer is driven by somebody who wants it to. */
const MAX_PAGES = 1_000;

export class Tags {
  private readonly connection: RegistryConnection;
  private readonly name: string;
  private readonly repository: string;

  constructor(connection: RegistryConnection, repository: { name: string; path: string }) {
    this.connection = connection;
    this.name = repository.name;
    this.repository = repository.path;
  }

  /**
   * Lists the tags in the registry's order, page by page.
   *
   * @throws {RegistryError} REGISTRY_NOT_FOUND where the repository does not exist
   * @throws {FormatError} JSON_INVALID, LIMIT_EXCEEDED
   */
  async *list(options: RequestOptions = {}): AsyncGenerator<string> {
    const what = `the tags of ${this.name}`;
    let page: string | URL = `/v2/${this.repository}/tags/list?n=${PAGE_SIZE}`;
    for (let pages = 1; ; pages++) {
      if (pages > MAX_PAGES) {
        throw new FormatError("LIMIT_EXCEEDED", `${what} fill more than ${MAX_PAGES} pages`, {
          hint: "No honest registry needs as many; ask for single tags instead",
          details: { limit: MAX_PAGES },
        });
      }
      const response = await this.connection.read(
        {
          method: "GET",
          to: page,
          scope: repositoryScope(this.repository, "pull"),
          headers: { accept: "application/json" },
          signal: options.signal,
        },
        MAX_PAGE_BYTES,
        what,
      );
      if (response.status === 404) {
        throw new RegistryError("REGISTRY_NOT_FOUND", `there is no repository ${this.name}`, {
          status: 404,
          hint: "Check the name; a registry may also hide what the credentials may not see",
        });
      }
      yield* readTags(response.bytes, what);
      const next = nextPage(response.headers.get("link"), response.url);
      if (next === undefined) return;
      page = next;
    }
  }
}

function readTags(bytes: Uint8Array, what: string): string[] {
  const root = new JsonCursor(parseJson(bytes, { what }), formatFault("JSON_INVALID", what));
  const tags = root.object(["name", "tags"]).field("tags");
  if (tags.empty) return []; // some registries say null where there are none
  return tags.array(MAX_TAGS_PER_PAGE).map((tag) => {
    const text = tag.string();
    return isTag(text) ? text : tag.fail(`"${escapeUntrusted(text, 128)}" is not a tag`);
  });
}
