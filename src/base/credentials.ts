/** What authenticates us to a registry or a trust server, and where it is kept. */

export type Credentials =
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token, which Docker calls identity token: it is exchanged for access tokens. */
  | { readonly kind: "identity-token"; readonly token: string }
  /** A finished bearer token, sent as it is. */
  | { readonly kind: "registry-token"; readonly token: string };

/**
 * Finds credentials.
 *
 * Obligations: never logs or throws a secret; undefined means "go on anonymously", a source that is broken throws.
 */
export interface CredentialSource {
  /**
   * @param registry host[:port] as in a reference; `docker.io` for Docker Hub
   * @param repository narrows the search where a source keeps credentials per path, as Podman's does
   */
  get(registry: string, repository?: string): Promise<Credentials | undefined>;
}
