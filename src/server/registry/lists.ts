/** Lists of tags and repositories, page by page: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags */
import { compareUtf8 } from "../../base/bytes.ts";
import { RegistryFault } from "./errors.ts";
import type { Handler } from "./exchange.ts";

/** Names in one answer, whatever the client asks for: some 1 MiB. */
const MAX_PAGE = 10_000;

export const listTags: Handler = async ({ store, query, repository }) => {
  if (!(await store.has(repository))) throw new RegistryFault("NAME_UNKNOWN");
  const page = pageOf(await store.manifests.tags(repository), query);
  return listAnswer({ name: repository, tags: page.names }, `/v2/${repository}/tags/list`, page);
};

/** `_catalog`: not of the specification, and what tools use to list repositories. */
export const listRepositories: Handler = async (exchange) => {
  const visible: string[] = [];
  for (const repository of await exchange.store.repositories()) {
    if (await exchange.mayPull(repository)) visible.push(repository);
  }
  const page = pageOf(visible, exchange.query);
  return listAnswer({ repositories: page.names }, "/v2/_catalog", page);
};

interface Page {
  readonly names: readonly string[];
  /** Set where more follow. */
  readonly next: { readonly n: number; readonly last: string } | undefined;
}

/** @param sorted in the order of their bytes */
function pageOf(sorted: readonly string[], query: URLSearchParams): Page {
  const n = pageSize(query.get("n"));
  const after = query.get("last");
  const rest = after === null ? sorted : sorted.filter((name) => compareUtf8(name, after) > 0);
  const names = rest.slice(0, n);
  const last = names.at(-1);
  return { names, next: last === undefined || names.length === rest.length ? undefined : { n, last } };
}

function pageSize(text: string | null): number {
  if (text === null) return MAX_PAGE;
  if (/^\d+$/.test(text)) return Math.min(Number(text), MAX_PAGE);
  throw new RegistryFault("UNSUPPORTED", "n must be the number of names wanted", { status: 400 });
}

function listAnswer(body: object, path: string, { next }: Page): Response {
  const headers = new Headers({ "content-type": "application/json" });
  if (next !== undefined) headers.set("link", nextLink(path, { n: String(next.n), last: next.last }));
  return new Response(JSON.stringify(body), { headers });
}

/** The Link header (RFC 8288) to the following page. */
export function nextLink(path: string, query: Readonly<Record<string, string>>): string {
  return `<${path}?${new URLSearchParams(query).toString()}>; rel="next"`;
}
