/**
 * References to artifacts, as Docker reads them: `[host[:port]/]path[:tag][@digest]`. What is left out is
 * filled in (`docker.io`, `library/`), so that one artifact has one spelling and a pin covers each way to type it.
 * Grammar: https://github.com/distribution/reference/blob/v0.6.0/reference.go
 */
import { isDigest, type Digest } from "../base/digest.ts";
import { UsageError } from "../base/errors.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";

export interface Reference {
  /** host[:port] in lower case, the host as URLs spell it; `docker.io` for Docker Hub. */
  readonly registry: string;
  /** The path below the registry, e.g. `library/hello`. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

/** Docker's limit for a repository's path. */
const MAX_REPOSITORY_LENGTH = 255;

/** Host (253), port, path, tag and a sha512 digest fit; anything longer is not worth a look. */
const MAX_REFERENCE_LENGTH = 1024;

const DOCKER_HUB = "docker.io";
const DOCKER_HUB_OLD = "index.docker.io";
/** Docker Hub's registry does not live at the name that references give it. */
const DOCKER_HUB_API = "registry-1.docker.io";
const DOCKER_HUB_OFFICIAL = "library";

const DOMAIN_NAME = /^(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])(?:\.(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9]))*$/i;
const IPV6 = /^\[[0-9a-f:.]+\]$/i;
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const IMAGE_ID = /^[0-9a-f]{64}$/;

/**
 * Reads a reference.
 *
 * @throws {UsageError} REFERENCE_INVALID
 * @example
 * ```ts
 * parseReference("ghcr.io/acme/app:v1"); // { registry: "ghcr.io", repository: "acme/app", tag: "v1" }
 * parseReference("hello"); // { registry: "docker.io", repository: "library/hello" }
 * ```
 */
export function parseReference(text: string): Reference {
  const fail = (reason: string, hint?: string): never => {
    const shown = escapeUntrusted(text.replace(/\/\/.*@/s, "//…@"), 128); // a password in a URL stays out of messages
    throw new UsageError("REFERENCE_INVALID", `"${shown}" is not a reference: ${reason}`, {
      hint: hint ?? "A reference looks like ghcr.io/acme/app:v1 or ghcr.io/acme/app@sha256:<64 hexadecimal digits>",
    });
  };
  if (text === "") return fail("it is empty");
  if (text.length > MAX_REFERENCE_LENGTH) return fail(`it is longer than ${MAX_REFERENCE_LENGTH} characters`);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return fail("it starts with a URL scheme", "Leave the scheme out");

  const at = text.indexOf("@");
  const digest = at === -1 ? undefined : text.slice(at + 1);
  const beforeDigest = at === -1 ? text : text.slice(0, at);
  const colon = beforeDigest.lastIndexOf(":");
  const tagged = colon > beforeDigest.lastIndexOf("/");
  const tag = tagged ? beforeDigest.slice(colon + 1) : undefined;
  const name = tagged ? beforeDigest.slice(0, colon) : beforeDigest;

  if (digest !== undefined && !isDigest(digest)) {
    return fail(
      "what follows the @ is not a digest",
      "A digest is sha256:<64 lower-case hexadecimal digits> (or sha512 with 128)",
    );
  }
  if (tag !== undefined && !isTag(tag)) {
    return fail(
      "the tag is not well formed",
      "A tag has 1 to 128 letters, digits, `_`, `.` and `-` and does not start with `.` or `-`",
    );
  }
  if (IMAGE_ID.test(name)) return fail("64 hexadecimal digits are an image's id, not a name");

  const [host, path] = splitHost(name);
  const registry = normaliseHost(host);
  if (registry === undefined) return fail(`"${escapeUntrusted(host, 64)}" is not a host`);
  if (!isHostText(registry)) {
    // Docker takes `Acme` for a host here; in lower case, as hosts are compared, it would be a path on Docker Hub.
    return fail(
      `"${escapeUntrusted(host, 64)}" has a capital letter`,
      "Write it in lower case, or a host with its domain",
    );
  }
  const repository = registry === DOCKER_HUB && !path.includes("/") ? `${DOCKER_HUB_OFFICIAL}/${path}` : path;
  if (repository.length > MAX_REPOSITORY_LENGTH) {
    return fail(`the repository's name is longer than ${MAX_REPOSITORY_LENGTH} characters`);
  }
  if (!isRepositoryName(repository)) {
    return isRepositoryName(repository.toLowerCase())
      ? fail(
          "a repository's name must be in lower case",
          `Try ${escapeUntrusted(text.replace(path, path.toLowerCase()))}`,
        )
      : fail(
          path === "" ? "the repository's name is missing" : "the repository's name is not well formed",
          "A name has parts of lower-case letters and digits, joined by `.`, `_`, `__` or `-`, with `/` between the parts",
        );
  }
  return {
    registry,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** Writes a reference in full; the inverse of {@link parseReference}. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  const digest = reference.digest === undefined ? "" : `@${reference.digest}`;
  return `${reference.registry}/${reference.repository}${tag}${digest}`;
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** Tells whether text is a repository's path in Docker's grammar. */
export function isRepositoryName(text: string): boolean {
  return text.length <= MAX_REPOSITORY_LENGTH && text.split("/").every((part) => PATH_COMPONENT.test(part));
}

/** The host[:port] where a registry's API is: its own name, except for Docker Hub. */
export function registryApiHost(registry: string): string {
  return registry === DOCKER_HUB ? DOCKER_HUB_API : registry;
}

/**
 * Docker's rule: what stands before the first slash is a host if it has a dot or a colon, is `localhost`, or
 * has a capital letter (which no path may have). Otherwise the whole is a path on Docker Hub.
 */
function splitHost(name: string): [host: string, path: string] {
  const slash = name.indexOf("/");
  const first = name.slice(0, slash);
  const isHost = slash !== -1 && (isHostText(first) || first !== first.toLowerCase());
  return isHost ? [first, name.slice(slash + 1)] : [DOCKER_HUB, name];
}

function isHostText(text: string): boolean {
  return /[.:]/.test(text) || text === "localhost";
}

/** Gives the one spelling of a host and port that URLs use, so that `127.1` cannot pose as something else. */
function normaliseHost(text: string): string | undefined {
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [, host = "", portText] = match;
  if (!DOMAIN_NAME.test(host) && !IPV6.test(host)) return undefined;
  const port = portText === undefined ? undefined : Number(portText);
  if (port !== undefined && (port < 1 || port > 65535)) return undefined;
  if (!URL.canParse(`https://${host}/`)) return undefined;
  const { hostname } = new URL(`https://${host}/`);
  if (hostname === DOCKER_HUB_OLD && port === undefined) return DOCKER_HUB;
  return port === undefined ? hostname : `${hostname}:${port}`;
}
