/**
 * Credentials where Docker and Podman keep them: `config.json` with its credential stores and helpers, and
 * Podman's `auth.json`. https://docs.docker.com/reference/cli/docker/login/ and containers-auth.json(5)
 */
import { mkdir, readFile, realpath } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { base64Decode, base64Encode, utf8Decode, utf8Encode } from "../base/bytes.ts";
import type { Credentials, CredentialSource } from "../base/credentials.ts";
import { errorCode, FormatError } from "../base/errors.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { isJsonObject, parseJson, type JsonObject } from "../base/json.ts";
import { credentialHelper, type CredentialHelper } from "./credential-helper.ts";
import { storageError, withLock, writeFileAtomic } from "./files.ts";
import type { Environment } from "./proxy.ts";

export interface DockerCredentialsOptions {
  /** DOCKER_CONFIG, REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR, and PATH for helpers; `process.env` unless told. */
  readonly env?: Environment | undefined;
  /** The home directory. */
  readonly home?: string | undefined;
  /** Longest time that a helper may take. */
  readonly helperTimeoutMs?: number | undefined;
}

export interface CredentialStore extends CredentialSource {
  /** Keeps credentials, in the configured helper or else in Docker's file. Says which. */
  store(registry: string, credentials: Credentials): Promise<string>;
  /** Removes credentials; false where there were none. */
  erase(registry: string): Promise<boolean>;
}

/** Real ones hold a few dozen registries. */
const MAX_CONFIG_BYTES = 1024 * 1024;
const MAX_ENTRIES = 10_000;
/** The file holds passwords. */
const PRIVATE = { file: 0o600, directory: 0o700 } as const;

const DOCKER_HUB = "docker.io";
/** The address under which Docker has always kept Docker Hub's credentials. */
const DOCKER_HUB_KEY = "https://index.docker.io/v1/";
const DOCKER_HUB_NAMES: ReadonlySet<string> = new Set(["docker.io", "index.docker.io", "registry-1.docker.io"]);

/**
 * Opens the credentials of this user. Files are read anew at each call, and missing ones hold nothing.
 *
 * Every method throws {@link FormatError} CONFIG_INVALID or JSON_INVALID for a file that cannot be understood,
 * `RegistryError` CREDENTIALS_INVALID for a helper that fails, and `StorageError` for the file system.
 */
export function dockerCredentials(options: DockerCredentialsOptions = {}): CredentialStore {
  const env = options.env ?? process.env;
  const home = options.home ?? homedir();
  const dockerFile = join(variable(env, "DOCKER_CONFIG") ?? join(home, ".docker"), "config.json");
  const helper = (name: string): CredentialHelper => credentialHelper(name, env, options.helperTimeoutMs);
  return {
    async get(registry, repository) {
      for (const path of credentialFiles(env, home, dockerFile)) {
        const config = await readConfig(path);
        const found = config && (await find(config, registry, repository, helper));
        if (found !== undefined) return found;
      }
      return undefined;
    },
    async store(registry, credentials) {
      const config = await readConfig(dockerFile);
      const name = config?.helperFor(registry);
      if (name === undefined) {
        await change(dockerFile, (auths) => replaceEntry(auths, registry, fileEntry(credentials)));
        return dockerFile;
      }
      await helper(name).store(serverKey(registry), credentials);
      // Docker lists what helpers hold by empty entries; an old one may still hold a secret.
      await change(dockerFile, (auths) => replaceEntry(auths, registry, Object.create(null) as JsonObject));
      return `docker-credential-${name}`;
    },
    async erase(registry) {
      const config = await readConfig(dockerFile);
      if (config === undefined) return false;
      const name = config.helperFor(registry);
      const held = name !== undefined && (await helper(name).get(serverKey(registry))) !== undefined;
      if (held) await helper(name).erase(serverKey(registry));
      const listed = config.keysOf(registry).length > 0;
      if (listed) await change(dockerFile, (auths) => replaceEntry(auths, registry, undefined));
      return held || listed;
    },
  };
}

/** A file that was named explicitly comes first; then Docker's, then Podman's own places. */
function credentialFiles(env: Environment, home: string, dockerFile: string): string[] {
  const explicit = variable(env, "REGISTRY_AUTH_FILE");
  const runtime = variable(env, "XDG_RUNTIME_DIR");
  const config = variable(env, "XDG_CONFIG_HOME") ?? join(home, ".config");
  return [
    ...(explicit === undefined ? [] : [explicit]),
    dockerFile,
    ...(runtime === undefined ? [] : [join(runtime, "containers", "auth.json")]),
    join(config, "containers", "auth.json"),
  ];
}

/** An empty variable is as good as none. */
function variable(env: Environment, name: string): string | undefined {
  return env[name] === "" ? undefined : env[name];
}

async function find(
  config: AuthConfig,
  registry: string,
  repository: string | undefined,
  helper: (name: string) => CredentialHelper,
): Promise<Credentials | undefined> {
  const name = config.helperFor(registry);
  if (name !== undefined) {
    const found = await helper(name).get(serverKey(registry));
    if (found !== undefined) return found;
  }
  return config.entry(registry, repository);
}

/** The name of a registry in a helper, and of a new entry. */
function serverKey(registry: string): string {
  return registry === DOCKER_HUB ? DOCKER_HUB_KEY : registry;
}

/** A key as a reference names it: `https://index.docker.io/v1/` is `docker.io`, `https://ghcr.io` is `ghcr.io`. */
function normaliseKey(key: string): string {
  const bare = key.replace(/^https?:\/\//i, "").replace(/\/+$/, "");
  const slash = bare.indexOf("/");
  const host = (slash === -1 ? bare : bare.slice(0, slash)).toLowerCase();
  const path = slash === -1 ? "" : bare.slice(slash).replace(/^\/v[12]$/, "");
  return `${DOCKER_HUB_NAMES.has(host) ? DOCKER_HUB : host}${path}`;
}

/** What a configuration file says, of what concerns us. */
class AuthConfig {
  private readonly auths: ReadonlyMap<string, readonly [key: string, entry: JsonCursor]>;
  private readonly helpers: ReadonlyMap<string, string>;
  private readonly defaultHelper: string | undefined;
  private readonly keys: readonly string[];

  constructor(root: JsonCursor) {
    const object = root.object(["auths", "credsStore", "credHelpers"]);
    const auths = new Map<string, readonly [string, JsonCursor]>();
    const entries = object.field("auths").empty ? [] : object.field("auths").entries(MAX_ENTRIES);
    for (const [key, entry] of entries) {
      const name = normaliseKey(key);
      if (!auths.has(name) || key === DOCKER_HUB_KEY || key === name) auths.set(name, [key, entry]);
    }
    const helpers = object.field("credHelpers").empty ? [] : object.field("credHelpers").entries(MAX_ENTRIES);
    const store = object.field("credsStore");
    this.auths = auths;
    this.keys = entries.map(([key]) => key);
    this.helpers = new Map(helpers.map(([key, name]) => [normaliseKey(key), name.string()]));
    this.defaultHelper = store.empty || store.string() === "" ? undefined : store.string();
  }

  helperFor(registry: string): string | undefined {
    const own = this.helpers.get(registry); // an empty one means the file, for this registry
    return own === undefined ? this.defaultHelper : own === "" ? undefined : own;
  }

  /** Every key that names the registry itself, in whatever spelling. */
  keysOf(registry: string): string[] {
    return this.keys.filter((key) => normaliseKey(key) === registry);
  }

  /** The entry with the longest path that covers the repository, as Podman looks it up. */
  entry(registry: string, repository: string | undefined): Credentials | undefined {
    const parts = repository === undefined ? [] : repository.split("/");
    for (let length = parts.length; length >= 0; length--) {
      const found = this.auths.get([registry, ...parts.slice(0, length)].join("/"));
      const credentials = found && readEntry(found[1]);
      if (credentials !== undefined) return credentials;
    }
    return undefined;
  }
}

function readEntry(cursor: JsonCursor): Credentials | undefined {
  const entry = cursor.object(["auth", "username", "password", "identitytoken", "registrytoken"]);
  const text = (key: string): string => (entry.field(key).empty ? "" : entry.field(key).string());
  if (text("registrytoken") !== "") return { kind: "registry-token", token: text("registrytoken") };
  if (text("identitytoken") !== "") return { kind: "identity-token", token: text("identitytoken") };
  if (text("auth") !== "") return readAuth(entry.field("auth"));
  if (text("username") === "") return undefined;
  return { kind: "basic", username: text("username"), password: text("password") };
}

/** base64 of `user:password`. Its faults are reported without its content. */
function readAuth(cursor: JsonCursor): Credentials {
  const bytes = base64Decode(cursor.string());
  if (bytes === undefined) return cursor.fail("expected base64; log in again to repair it");
  const text = utf8Decode(bytes, "a user name and password").replace(/\0+$/, ""); // old Docker versions padded with NUL
  const colon = text.indexOf(":");
  if (colon === -1) return cursor.fail("expected base64 of user:password; log in again to repair it");
  return { kind: "basic", username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function fileEntry(credentials: Credentials): JsonObject {
  const entry = Object.create(null) as JsonObject;
  if (credentials.kind === "identity-token") entry["identitytoken"] = credentials.token;
  else if (credentials.kind === "registry-token") entry["registrytoken"] = credentials.token;
  else entry["auth"] = base64Encode(utf8Encode(`${credentials.username}:${credentials.password}`));
  return entry;
}

/** Sets or removes the one entry of a registry, under whichever spellings it had. */
function replaceEntry(auths: JsonObject, registry: string, entry: JsonObject | undefined): void {
  for (const key of Object.keys(auths)) if (normaliseKey(key) === registry) delete auths[key];
  if (entry !== undefined) auths[serverKey(registry)] = entry;
}

async function readConfig(path: string): Promise<AuthConfig | undefined> {
  const document = await readDocument(path);
  return document && new AuthConfig(new JsonCursor(document, formatFault("CONFIG_INVALID", path)));
}

async function readDocument(path: string): Promise<JsonObject | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
    throw storageError(error, "read", path);
  }
  if (bytes.length > MAX_CONFIG_BYTES) {
    throw new FormatError(
      "LIMIT_EXCEEDED",
      `${path} has ${bytes.length} bytes, more than the ${MAX_CONFIG_BYTES} allowed`,
    );
  }
  if (bytes.length === 0) return undefined; // Docker takes an empty file for none
  const value = parseJson(bytes, { what: path });
  if (isJsonObject(value)) return value;
  throw new FormatError("CONFIG_INVALID", `${path} is not valid: expected an object`);
}

/** Changes `auths` in Docker's file; every other member stays as it is. */
async function change(path: string, edit: (auths: JsonObject) => void): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: PRIVATE.directory });
  } catch (error) {
    throw storageError(error, "make the directory", dirname(path));
  }
  const file = await realpath(path).catch(() => path); // people link it from a folder of dot files
  await withLock(`${file}.lock`, async () => {
    const document = (await readDocument(file)) ?? (Object.create(null) as JsonObject);
    const present = document["auths"];
    const auths = isJsonObject(present) ? present : (Object.create(null) as JsonObject);
    edit(auths);
    document["auths"] = auths;
    await writeFileAtomic(file, utf8Encode(`${JSON.stringify(document, undefined, "\t")}\n`), { mode: PRIVATE.file });
  });
}
