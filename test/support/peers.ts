/**
 * The foreign programs that the interop tests run against: docker-registry, notary-server with notary-signer,
 * the notary and skopeo commands. All on loopback, on ports chosen by the system, in folders of their own.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { findProgram, runCommand, startServer, type CommandResult, type PeerServer } from "./peer-process.ts";
import { makeCertificates, type TestCertificates } from "./test-certificates.ts";
import { startTokenServer, type TokenServer } from "./token-server.ts";

export type { CommandResult } from "./peer-process.ts";

export type PeerName =
  | "docker-registry"
  | "notary"
  | "notary-server"
  | "notary-signer"
  | "skopeo"
  | "openssl"
  | "docker";

const PEERS: readonly PeerName[] = [
  "docker-registry",
  "notary",
  "notary-server",
  "notary-signer",
  "skopeo",
  "openssl",
  "docker",
];

/** The path of each program that is installed. */
export function findPeers(): Partial<Record<PeerName, string>> {
  const found: Partial<Record<PeerName, string>> = {};
  for (const name of PEERS) {
    const path = findProgram(name);
    if (path !== undefined) found[name] = path;
  }
  return found;
}

/**
 * `describe` for tests that need foreign programs: skipped, with the reason in the title, where one is absent;
 * failing instead where WASM_TO_OCI_PEERS=required.
 */
export function describeWithPeers(names: readonly PeerName[], title: string, body: () => void): void {
  const found = findPeers();
  const missing = names.filter((name) => found[name] === undefined);
  const skipped = missing.length > 0 && process.env["WASM_TO_OCI_PEERS"] !== "required";
  const suite = skipped ? describe.skip : describe; // where required, starting the absent program fails the suite
  suite(skipped ? `${title} (skipped: ${missing.join(", ")} not installed)` : title, { timeout: 120_000 }, body);
}

function peer(name: PeerName): string {
  const path = findPeers()[name];
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

/** Token authentication: users and their passwords. */
export interface PeerAuth {
  readonly users: Readonly<Record<string, string>>;
  /** Whether requests without credentials may pull; true unless told. */
  readonly anonymousPull?: boolean;
}

export interface DockerRegistry {
  /** `localhost:<port>`, as in references. */
  readonly host: string;
  readonly url: string;
  /** The registry's storage root, for tests that damage it. */
  readonly storageDir: string;
  /** The CA of its certificate; undefined over plain http. */
  readonly caFile: string | undefined;
  readonly tokens: TokenServer | undefined;
  log(): string;
  stop(): Promise<void>;
}

/** Starts docker-registry over an empty folder; plain http unless `tls`. */
export async function startDockerRegistry(
  options: { auth?: PeerAuth; tls?: boolean; env?: Readonly<Record<string, string>> } = {},
): Promise<DockerRegistry> {
  const dir = mkdtempSync(join(tmpdir(), "peer-registry-"));
  const storageDir = join(dir, "storage");
  mkdirSync(storageDir);
  const needCertificates = options.tls === true || options.auth !== undefined;
  const certificates = needCertificates ? await makeCertificates(["registry", "tokens"]) : undefined;
  const tokens = await maybeTokens(options.auth, certificates, options.tls === true);
  const server = await startServer(
    peer("docker-registry"),
    (port) => {
      const config: Record<string, unknown> = {
        version: "0.1",
        log: { level: "info" },
        storage: {
          filesystem: { rootdirectory: storageDir },
          delete: { enabled: true },
          cache: { blobdescriptor: "inmemory" },
        },
        http: {
          addr: `127.0.0.1:${port}`,
          ...(options.tls === true && certificates !== undefined
            ? {
                tls: {
                  certificate: join(certificates.dir, "registry.crt"),
                  key: join(certificates.dir, "registry.key"),
                },
              }
            : {}),
        },
        ...(tokens === undefined
          ? {}
          : {
              auth: {
                token: {
                  realm: tokens.realm,
                  service: tokens.service,
                  issuer: tokens.issuer,
                  rootcertbundle: certificates?.caFile,
                },
              },
            }),
      };
      const file = join(dir, "config.yml"); // JSON is YAML
      writeFileSync(file, JSON.stringify(config));
      return ["serve", file];
    },
    { PATH: "/usr/bin", HOME: dir, OTEL_TRACES_EXPORTER: "none", ...options.env },
  );
  return {
    host: `localhost:${server.port}`,
    url: `${options.tls === true ? "https" : "http"}://localhost:${server.port}`,
    storageDir,
    caFile: options.tls === true ? certificates?.caFile : undefined,
    tokens,
    log: () => server.log(),
    stop: () => stopAll([server, tokens], [dir], certificates),
  };
}

export interface NotaryServer {
  readonly url: string;
  readonly caFile: string;
  readonly caPem: string;
  readonly tokens: TokenServer | undefined;
  log(): string;
  stop(): Promise<void>;
}

/**
 * Starts notary-server over https with memory storage. With `remoteSigner` (the default) its keys are in a
 * notary-signer behind mutual TLS and are ECDSA; without, in its own memory and Ed25519, unless told.
 */
export async function startNotaryServer(
  options: { remoteSigner?: boolean; auth?: PeerAuth; keyAlgorithm?: "ecdsa" | "ed25519" } = {},
): Promise<NotaryServer> {
  const remote = options.remoteSigner ?? true;
  const dir = mkdtempSync(join(tmpdir(), "peer-notary-"));
  const certificates = await makeCertificates(["server", "signer", "signer-client", "tokens"]);
  const file = (name: string) => join(certificates.dir, name);
  const tokens = await maybeTokens(options.auth, certificates, true);
  let signer: PeerServer | undefined;
  if (remote) {
    signer = await startServer(
      peer("notary-signer"),
      (port) => {
        const config = {
          server: {
            grpc_addr: `127.0.0.1:${port}`,
            tls_cert_file: file("signer.crt"),
            tls_key_file: file("signer.key"),
            client_ca_file: certificates.caFile,
          },
          logging: { level: "info" },
          storage: { backend: "memory" },
        };
        writeFileSync(join(dir, "signer.json"), JSON.stringify(config));
        return ["-config", join(dir, "signer.json"), "-logf", "logfmt"];
      },
      { PATH: "/usr/bin", HOME: dir },
    );
  }
  const server = await startServer(
    peer("notary-server"),
    (port) => {
      const config = {
        server: { http_addr: `127.0.0.1:${port}`, tls_cert_file: file("server.crt"), tls_key_file: file("server.key") },
        trust_service:
          signer === undefined
            ? { type: "local", key_algorithm: options.keyAlgorithm ?? "ed25519" }
            : {
                type: "remote",
                hostname: "localhost",
                port: String(signer.port),
                key_algorithm: options.keyAlgorithm ?? "ecdsa",
                tls_ca_file: certificates.caFile,
                tls_client_cert: file("signer-client.crt"),
                tls_client_key: file("signer-client.key"),
              },
        logging: { level: "info" },
        storage: { backend: "memory" },
        ...(tokens === undefined
          ? {}
          : {
              auth: {
                type: "token",
                options: {
                  realm: tokens.realm,
                  service: tokens.service,
                  issuer: tokens.issuer,
                  rootcertbundle: certificates.caFile,
                },
              },
            }),
      };
      writeFileSync(join(dir, "server.json"), JSON.stringify(config));
      return ["-config", join(dir, "server.json"), "-logf", "logfmt"];
    },
    { PATH: "/usr/bin", HOME: dir },
  );
  return {
    url: `https://localhost:${server.port}`,
    caFile: certificates.caFile,
    caPem: certificates.caPem,
    tokens,
    log: () => `--- server\n${server.log()}${signer === undefined ? "" : `\n--- signer\n${signer.log()}`}`,
    stop: () => stopAll([server, signer, tokens], [dir], certificates),
  };
}

/** The passphrases that {@link notaryCli} gives for every role, for tests that open its keys. */
export const NOTARY_PASSPHRASES = {
  root: "root-passphrase",
  targets: "targets-passphrase",
  snapshot: "snapshot-passphrase",
  delegation: "delegation-passphrase",
} as const;

/**
 * Runs the notary command in a trust directory, e.g. `notaryCli(["list", gun], { dir, server: server.url, ca:
 * server.caFile })`. Passphrases come from {@link NOTARY_PASSPHRASES} unless `env` says otherwise.
 */
export function notaryCli(
  args: readonly string[],
  options: {
    dir: string;
    server: string;
    ca: string;
    env?: Readonly<Record<string, string>>;
    input?: string | Uint8Array;
  },
): Promise<CommandResult> {
  return runCommand(peer("notary"), ["-d", options.dir, "-s", options.server, "--tlscacert", options.ca, ...args], {
    ...(options.input === undefined ? {} : { input: options.input }),
    env: {
      PATH: "/usr/bin",
      HOME: options.dir,
      NOTARY_ROOT_PASSPHRASE: NOTARY_PASSPHRASES.root,
      NOTARY_TARGETS_PASSPHRASE: NOTARY_PASSPHRASES.targets,
      NOTARY_SNAPSHOT_PASSPHRASE: NOTARY_PASSPHRASES.snapshot,
      NOTARY_DELEGATION_PASSPHRASE: NOTARY_PASSPHRASES.delegation,
      ...options.env,
    },
  });
}

/** Runs skopeo without any policy or credentials of this machine. */
export async function skopeo(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const home = mkdtempSync(join(tmpdir(), "peer-skopeo-"));
  try {
    return await runCommand(peer("skopeo"), ["--insecure-policy", ...args], {
      env: { PATH: "/usr/bin", HOME: home, XDG_RUNTIME_DIR: home, ...env },
    });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function maybeTokens(
  auth: PeerAuth | undefined,
  certificates: TestCertificates | undefined,
  tls: boolean,
): Promise<TokenServer | undefined> {
  if (auth === undefined || certificates === undefined) return undefined;
  return startTokenServer({
    ...auth,
    tls,
    certificateFile: join(certificates.dir, "tokens.crt"),
    keyFile: join(certificates.dir, "tokens.key"),
  });
}

async function stopAll(
  servers: readonly ({ stop(): Promise<void> } | undefined)[],
  dirs: readonly string[],
  certificates: TestCertificates | undefined,
): Promise<void> {
  for (const server of servers) await server?.stop();
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
  certificates?.remove();
}
