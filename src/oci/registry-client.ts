/**
 * The client of OCI registries: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 * A client gives repositories, a repository its blobs, manifests, tags and referrers.
 */
import { UsageError } from "../base/errors.ts";
import { isLoopbackHost } from "../base/http.ts";
import { DEFAULT_RETRY, type RetryPolicy } from "../base/retry.ts";
import type { Runtime } from "../base/runtime.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";
import { createRegistryAuth, type CredentialSource } from "./auth.ts";
import { Blobs } from "./blobs.ts";
import type { ContentStore, ContentStores } from "./content-store.ts";
import { Manifests, type RequestOptions } from "./manifests.ts";
import { isRepositoryName, registryApiHost, type Reference } from "./reference.ts";
import { Referrers } from "./referrers.ts";
import { RegistryConnection } from "./request.ts";
import { Tags } from "./tags.ts";

export interface RegistryClientOptions {
  readonly runtime: Runtime;
  /** Where credentials are found; without it every request is anonymous. */
  readonly credentials?: CredentialSource | undefined;
  /**
   * Whether a registry, by `host[:port]`, is spoken to in plain http. Undefined, or without this option: plain
   * http for loopback hosts, https for all others.
   */
  readonly plainHttp?: ((registry: string) => boolean | undefined) | undefined;
  /** Accepts a token server of another domain; by host[:port] of registry and token server. */
  readonly allowRealm?: ((registry: string, realm: string) => boolean) | undefined;
  readonly retry?: Partial<RetryPolicy> | undefined;
}

/** One repository of one registry; its name is registry and path, e.g. `ghcr.io/acme/app`. */
export type Repository = ContentStore;

/**
 * @example
 * ```ts
 * const client = new RegistryClient({ runtime, credentials });
 * const repository = client.repository(parseReference("ghcr.io/acme/app:v1"));
 * const manifest = await repository.manifests.get("v1");
 * ```
 */
export class RegistryClient implements ContentStores {
  private readonly options: RegistryClientOptions;
  private readonly retry: RetryPolicy;
  private readonly connections = new Map<string, RegistryConnection>();

  constructor(options: RegistryClientOptions) {
    this.options = options;
    this.retry = { ...DEFAULT_RETRY, ...options.retry };
  }

  /** @throws {UsageError} REFERENCE_INVALID for what `parseReference` would not give */
  repository(reference: Pick<Reference, "registry" | "repository">): Repository {
    const { registry, repository: path } = reference;
    if (!isRepositoryName(path)) throw invalid(path);
    const connection = this.connection(registry, path);
    const repository = { name: `${registry}/${path}`, path };
    const manifests = new Manifests(connection, repository);
    return {
      name: repository.name,
      blobs: new Blobs(connection, repository),
      manifests,
      tags: new Tags(connection, repository),
      referrers: new Referrers(connection, manifests, repository),
    };
  }

  /**
   * Asks a registry whether it is one and accepts the credentials that there are.
   *
   * @throws {RegistryError} REGISTRY_DENIED, REGISTRY_NOT_FOUND where no registry is there, REGISTRY_UNAVAILABLE
   */
  async ping(registry: string, options: RequestOptions = {}): Promise<void> {
    const connection = this.connection(registry, undefined);
    const response = await connection.send({ method: "GET", to: "/v2/", scope: "", signal: options.signal });
    if (response.status !== 200) throw await connection.refusal(response, `asking ${registry} for its API`);
    await response.cancel();
  }

  /** One connection per repository: tokens and some credentials are per repository. */
  private connection(registry: string, path: string | undefined): RegistryConnection {
    const key = `${registry} ${path ?? ""}`;
    let connection = this.connections.get(key);
    if (connection === undefined) {
      const server = this.serverOf(registry);
      const auth = createRegistryAuth({ ...this.options, retry: this.retry }, registry, server, path);
      connection = new RegistryConnection({ runtime: this.options.runtime, retry: this.retry, server, auth });
      this.connections.set(key, connection);
    }
    return connection;
  }

  private serverOf(registry: string): URL {
    const host = registryApiHost(registry);
    if (!/^[a-z0-9.-]+(?::\d+)?$|^\[[0-9a-f:]+\](?::\d+)?$/i.test(host) || !URL.canParse(`https://${host}/`)) {
      throw invalid(registry);
    }
    const plain = this.options.plainHttp?.(registry) ?? isLoopbackHost(new URL(`https://${host}/`).hostname);
    return new URL(`${plain ? "http" : "https"}://${host}/`);
  }
}

function invalid(text: string): UsageError {
  return new UsageError("REFERENCE_INVALID", `"${escapeUntrusted(text, 128)}" does not name a registry or repository`, {
    hint: "Read references with parseReference()",
  });
}
