/** The server that `login` and `logout` mean. */
import { parseReference } from "../oci/reference.ts";
import { UsageError } from "../base/errors.ts";
import { quoteAddress } from "../base/untrusted-text.ts";
import { parseServer } from "./shared-options.ts";

export interface ServerAddress {
  /** host[:port], under which credentials are kept. */
  readonly host: string;
  /** Given for a trust server. */
  readonly url: URL | undefined;
}

/**
 * Reads a server in the one spelling under which its credentials are looked up later.
 *
 * @throws {UsageError} USAGE, REFERENCE_INVALID
 */
export function serverAddress(given = "docker.io"): ServerAddress {
  if (/^https?:\/\//i.test(given)) {
    const url = new URL(parseServer(given));
    return { host: url.host, url };
  }
  const reference = given.includes("/") ? undefined : parseReference(`${given}/x`);
  // without a dot or port, what stands there would be read as a repository of Docker Hub
  const named = reference?.repository === "x" || reference?.repository === "library/x";
  if (reference !== undefined && named) return { host: reference.registry, url: undefined };
  throw new UsageError("USAGE", `${quoteAddress(given)} is not a server`, {
    hint: "Name a registry as HOST[:PORT] with a dot or a port in it, or a trust server by its URL",
  });
}
