/** Lists of tags and repositories, page by page: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags */
import { RegistryFault } from "./errors.ts";
import type { Handler } from "./exchange.ts";
import type { NamePage } from "./store.ts";

/** Names in one answer, whatever the client asks for: some 1 MiB. */
const MAX_PAGE = 10_000;

export const listTags: Handler = async ({ store, query, repository }) => {
  if (!(await store.has(repository))) throw new RegistryFault("NAME_UNKNOWN");
  const n = pageSize(query.get("n"));
  const page = await store.manifests.tags(repository, query.get("last") ?? "", n);
  return listAnswer({ name: repository, tags: page.names }, `/v2/${repository}/tags/list`, page, n);
};

/** `_catalog`: not of the specification, and what tools use to list repositories. */
export const listRepositories: Handler = async (exchange) => {
  const n = pageSize(exchange.query.get("n"));
  const after = exchange.query.get("last") ?? "";
  const names: string[] = [];
  for (const repository of await exchange.store.repositories()) {
    if (names.length > n) break;
    if (repository > after && (await exchange.mayPull(repository))) names.push(repository);
  }
  const page = { names: names.slice(0, n), more: names.length > n };
  return listAnswer({ repositories: page.names }, "/v2/_catalog", page, n);
};

function pageSize(text: string | null): number {
  if (text === null) return MAX_PAGE;
  if (/^\d+$/.test(text)) return Math.min(Number(text), MAX_PAGE);
  throw new RegistryFault("UNSUPPORTED", "n must be the number of names wanted", { status: 400 });
}

function listAnswer(body: object, path: string, { names, more }: NamePage<string>, n: number): Response {
  const headers = new Headers({ "content-type": "application/json" });
  const last = names.at(-1);
  if (more && last !== undefined) headers.set("link", nextLink(path, { n: String(n), last }));
  return new Response(JSON.stringify(body), { headers });
}

/** The Link header (RFC 8288) to the following page. */
export function nextLink(path: string, query: Readonly<Record<string, string>>): string {
  return `<${path}?${new URLSearchParams(query).toString()}>; rel="next"`;
}
