/** How registries authenticate us: the token protocol of `base/token-auth.ts` with OCI's scopes and errors. */
import type { CredentialSource } from "../base/credentials.ts";
import { RegistryError } from "../base/errors.ts";
import type { RetryPolicy } from "../base/retry.ts";
import type { Runtime } from "../base/runtime.ts";
import { Authenticator } from "../base/token-auth.ts";

export type { Credentials, CredentialSource } from "../base/credentials.ts";

export type Actions = "pull" | "pull,push" | "delete";

/** The scope of a repository, https://distribution.github.io/distribution/spec/auth/scope/ */
export function repositoryScope(repository: string, actions: Actions): string {
  return `repository:${repository}:${actions}`;
}

export interface RegistryAuthOptions {
  readonly runtime: Runtime;
  readonly retry: RetryPolicy;
  readonly credentials?: CredentialSource | undefined;
  /** Accepts a token server of another domain, by host[:port] of registry and token server. */
  readonly allowRealm?: ((registry: string, realm: string) => boolean) | undefined;
}

/**
 * Authenticates to one registry.
 *
 * @param registry the name in references, under which credentials are kept
 * @param server where its API is
 */
export function createRegistryAuth(
  options: RegistryAuthOptions,
  registry: string,
  server: URL,
  repository: string | undefined,
): Authenticator {
  return new Authenticator({
    transport: options.runtime.transport,
    now: options.runtime.now,
    retry: options.retry,
    server,
    credentials: async () => options.credentials?.get(registry, repository),
    faults: {
      denied: (message, details) => new RegistryError("REGISTRY_DENIED", message, details),
      unavailable: (message, details) => new RegistryError("REGISTRY_UNAVAILABLE", message, details),
    },
    allowRealm: options.allowRealm,
  });
}
