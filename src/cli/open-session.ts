/** Opens a session: the registry, the trust source and what covers a reference, as policy, pins and flags have them. */
import { join } from "node:path";
import { FormatError, TransportError, UsageError } from "../base/errors.ts";
import type { Transport } from "../base/http.ts";
import { fetchPolicy, type FetchedPolicy } from "../fetch-policy.ts";
import { parseCertificates } from "../keys/certificate.ts";
import { openBundleSource } from "../node/bundle-source.ts";
import { dockerCredentials } from "../node/docker-credentials.ts";
import { nodeHasher } from "../node/hasher.ts";
import { openKeyDir } from "../node/key-dir.ts";
import { localAuthorities } from "../node/local-ca.ts";
import { defaultCacheDir, openModuleCache } from "../node/module-cache.ts";
import { withNotaryPins } from "../node/notary-config.ts";
import { openPinFile } from "../node/pin-file.ts";
import type { LoadedPolicy } from "../node/policy-file.ts";
import { createNodeTransport, type NodeTransport, type NodeTransportOptions } from "../node/transport.ts";
import { parseReference, registryApiHost, type Reference } from "../oci/reference.ts";
import { RegistryClient } from "../oci/registry-client.ts";
import { repositoryName } from "../oci/tagged-reference.ts";
import { entryCollection, type AppliedPolicy } from "../trust/policy/cover-policy.ts";
import type { BundleSource } from "../trust/bundle-source.ts";
import { coverRepository } from "../trust/cover.ts";
import type { Coverage } from "../trust/coverage.ts";
import type { Pin } from "../trust/pin.ts";
import { matchPin, type PinEntry, type PinnedSource } from "../trust/pins.ts";
import { placeOf, type BundlePlace } from "../trust/place.ts";
import { MAX_POLICY_BYTES } from "../trust/policy/policy.ts";
import type { TrustSource } from "../trust/source.ts";
import type { ContentCache } from "../content-cache.ts";
import type { Context } from "./command.ts";
import { readTextFile } from "./input-file.ts";
import { findKey } from "./key-directory.ts";
import { TrustOpener } from "./open-trust.ts";
import { passphrases } from "./passphrases.ts";
import { plainHttp } from "./plain-http.ts";
import { openPolicy } from "./policy-choice.ts";
import { progressLine } from "./progress.ts";
import type { Session, SessionOptions } from "./session.ts";
import { trustDirectory } from "./trust-directory.ts";
import { programVersion } from "./version.ts";

/** The newest policy, a few before it, and room for one of the largest, which may take a quarter. */
const MAX_KEPT_POLICIES_BYTES = 4 * MAX_POLICY_BYTES;

/** Runs work with what the flags come to, and closes every connection afterwards. */
export async function runSession<T>(
  context: Context,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const transports: NodeTransport[] = [];
  const open = (more: NodeTransportOptions): Transport => {
    const transport = createNodeTransport({
      idleTimeoutMs: options.timeout,
      userAgent: `wasm-to-oci/${programVersion()}`,
      env: context.env,
      ...more,
    });
    transports.push(transport);
    return logged(transport, context);
  };
  try {
    return await work(await createSession(context, options, open));
  } finally {
    for (const transport of transports) transport.close();
  }
}

async function createSession(
  context: Context,
  options: SessionOptions,
  open: (more: NodeTransportOptions) => Transport,
): Promise<Session> {
  const dir = trustDirectory(context, options.dir);
  const { now } = context;
  const offline = options.offline === true;
  const registryTransport = offline ? refuseNetwork : open(await registryTls(context, options));
  const runtime = { transport: registryTransport, createHasher: nodeHasher, now };
  const trustTransport = offline ? refuseNetwork : open(await trustServerTls(options, dir));
  const trustRuntime = { ...runtime, transport: trustTransport };
  const credentials = dockerCredentials({ env: context.env });
  const pins = openPinFile(dir);
  const keys = openKeyDir(dir);
  const pin = await readPin(options);
  const rootKeyId = options.rootKey === undefined ? undefined : (await findKey(keys, options.rootKey)).id;
  const registry = new RegistryClient({ runtime, credentials, plainHttp: () => plainHttp(options) });
  const { place, bundle } = namedPlace(options);
  const opener = new TrustOpener({
    dir,
    runtime: trustRuntime,
    registry,
    registryRuntime: runtime,
    keyStore: keys,
    passphrases: passphrases(context),
    credentials,
    legacyNames: options.legacyNames,
    rootKeyId,
  });

  const freshness = offline ? ({ mode: "offline" } as const) : undefined;
  /** A policy that is fetched is verified as its own file says, by pins too, and by no flag. */
  const fetchSigned = async (text: string, applied: AppliedPolicy): Promise<FetchedPolicy> => {
    const reference = parseReference(text);
    const covered = coverRepository({
      repository: repositoryName(reference),
      pins: await pins.list(),
      policy: applied,
      allowFirstUse: false,
      freshness,
      openSource: (wanted) => opener.open(wanted, reference).source,
    });
    if (covered === undefined) throw noTrustSource();
    const cache = openModuleCache({ dir: join(dir, "policies"), maxBytes: MAX_KEPT_POLICIES_BYTES });
    const content = registry.repository(reference);
    try {
      return await fetchPolicy({ reference: text, trust: covered, content, cache, signal: context.signal });
    } catch (error) {
      // or what follows would be read as news of the module
      context.out.warn(`the policy ${text} that governs this run cannot be had, so nothing is decided without it:`);
      throw error;
    }
  };
  let opening: Promise<LoadedPolicy | undefined> | undefined;
  const policy = (): Promise<LoadedPolicy | undefined> => (opening ??= openPolicy(dir, options.policy, fetchSigned));
  const bundles = new Map<TrustSource, BundleSource>();
  /** A bundle never vouches for itself, and what it has is as old as it is. */
  const fromBundle = async (path: string, reference: Reference, known: readonly PinEntry[]) => {
    const repository = repositoryName(reference);
    const pinned = matchPin(known, repository)?.entry.source;
    const server = pinned?.kind === "notary" ? pinned.server : undefined;
    const opened = await openBundleSource({ path, repository: reference, dir, runtime, server, keyStore: keys });
    bundles.set(opened.source, opened.source);
    const isUnnamed = opened.kind === "notary" && pinned === undefined;
    const collection = options.gun ?? (isUnnamed ? repository : undefined);
    return { source: opened.source, collection, allowFirstUse: false, freshness: { mode: "offline" } as const };
  };
  const coverage = async (reference: Reference): Promise<Coverage | undefined> => {
    const openSource = (wanted: PinnedSource): TrustSource => opener.open(wanted, reference).source;
    const known = await pins.list();
    const covered = coverRepository({
      repository: repositoryName(reference),
      pins: known,
      policy: await (await policy())?.apply(repositoryName(reference)),
      source: place && openSource(place),
      pin,
      collection: options.gun,
      fallback: options.sign === true ? { kind: "oci" } : undefined,
      allowFirstUse: options.noTofu !== true,
      freshness,
      openSource,
      ...(bundle === undefined ? {} : await fromBundle(bundle.path, reference, known)),
    });
    if (covered === undefined && pin !== undefined) throw noTrustSource();
    return covered && withNotaryPins(covered, dir);
  };
  const requiredCoverage = async (reference: Reference): Promise<Coverage> => {
    const covered = await coverage(reference);
    if (covered === undefined) throw noTrustSource();
    return covered;
  };
  return {
    runtime,
    trustRuntime,
    registry,
    cache: openCache(context, options),
    offline,
    pins,
    keys,
    onProgress: progressLine(context.out),
    pin,
    place,
    policy,
    openTrust: (wanted, reference) => opener.open(wanted, reference),
    async destinationRules(reference) {
      const repository = repositoryName(reference);
      const match = (await policy())?.index.match(repository);
      return match && { repository, rules: match.entry.rules, collection: entryCollection(match) };
    },
    coverage,
    requiredCoverage,
    statusIn({ source }, reference) {
      const from = bundles.get(source);
      if (from !== undefined) return from;
      const where = placeOf(source, repositoryName(reference));
      const opened = where && opener.open(where, reference);
      return opened?.kind === "notary" ? opened.source : opened?.administration;
    },
    async signing(reference) {
      if (options.sign !== true && place === undefined) return undefined;
      const covered = await requiredCoverage(reference);
      // a pin's keys say so themselves; a record of a first use has none
      return { ...covered, mustExist: covered.reason === "first-use-record", signal: context.signal };
    },
  };
}

/** Commands that have no use for a cache do not take its options either. */
function openCache({ env }: Context, { cacheDir, cacheSize, offline }: SessionOptions): ContentCache | undefined {
  if (offline === undefined || cacheSize === 0) return undefined;
  return openModuleCache({ dir: cacheDir ?? defaultCacheDir(env), maxBytes: cacheSize });
}

/** What `--offline` promises, whatever a part of this program may try. */
const refuseNetwork: Transport = ({ url }) => {
  const { host } = new URL(url);
  return Promise.reject(
    new TransportError("OFFLINE_MISSING", `${host} would have to be asked, which --offline forbids`, {
      hint: "Run the command once without --offline",
      details: { host },
    }),
  );
};

/** What is said about TLS is said about the registry itself, not about hosts that it names (CVE-2019-10214). */
async function registryTls(context: Context, options: SessionOptions): Promise<NodeTransportOptions> {
  const { insecure, caFile, certFile, keyFile, reference } = options;
  if (insecure === true) context.out.warn("--insecure: the registry's TLS certificate is not checked");
  const isRegistry = (host: string): boolean => reference !== undefined && host === urlHost(reference.registry);
  return {
    ...(caFile === undefined ? {} : { ca: await readAuthorities(caFile) }),
    ...(await clientCertificate("--cert-file", certFile, "--key-file", keyFile)),
    showCertificate: isRegistry,
    insecure: (host) => insecure === true && isRegistry(host),
  };
}

/** A registry's host and port as https URLs have them: without the port that goes without saying. */
function urlHost(registry: string): string {
  return new URL(`https://${registryApiHost(registry)}/`).host;
}

async function clientCertificate(
  certOption: string,
  cert: string | undefined,
  keyOption: string,
  key: string | undefined,
): Promise<Pick<NodeTransportOptions, "cert" | "key">> {
  if (cert !== undefined && key !== undefined) return { cert: await readTextFile(cert), key: await readTextFile(key) };
  if (cert === key) return {};
  throw new UsageError("USAGE", `${certOption} and ${keyOption} belong together: a certificate needs its key`);
}

/** Without `--tlscacert`, a trust server on this machine may have a certificate of `wasm-to-oci serve`. */
async function trustServerTls(options: SessionOptions, dir: string): Promise<NodeTransportOptions> {
  const { tlscacert, tlscert, tlskey } = options;
  const client = await clientCertificate("--tlscert", tlscert, "--tlskey", tlskey);
  if (tlscacert !== undefined) return { ca: await readAuthorities(tlscacert), onlyCa: true, ...client };
  return { ca: await localAuthorities(dir), ...client };
}

/** Reads authorities. A file without any would mean to trust nobody, which is never what was meant. */
async function readAuthorities(path: string): Promise<string> {
  const pem = await readTextFile(path);
  if (parseCertificates(pem, path).length > 0) return pem;
  throw new FormatError("CERTIFICATE_INVALID", `${path} holds no certificate`, {
    hint: "Give a PEM file with BEGIN CERTIFICATE lines",
  });
}

/** The root keys that flags name. */
async function readPin(options: SessionOptions): Promise<Pin | undefined> {
  const { rootFingerprint = [], rootCertificateId = [], rootCa, rootThreshold } = options;
  if (rootThreshold !== undefined && rootThreshold > rootFingerprint.length) {
    throw new UsageError("USAGE", `--root-threshold ${rootThreshold} needs as many --root-fingerprint options`);
  }
  const pin: Pin = {
    ...(rootFingerprint.length === 0 ? {} : { fingerprints: rootFingerprint }),
    ...(rootThreshold === undefined ? {} : { threshold: rootThreshold }),
    ...(rootCertificateId.length === 0 ? {} : { certificateIds: rootCertificateId }),
    ...(rootCa === undefined ? {} : { certificateAuthorities: await readAuthorities(rootCa) }),
  };
  return Object.keys(pin).length === 0 ? undefined : pin;
}

/** The place that flags name. @throws {UsageError} USAGE where they name two */
function namedPlace({ server, trust }: SessionOptions): {
  readonly place?: PinnedSource | undefined;
  readonly bundle?: BundlePlace;
} {
  if (server !== undefined && trust !== undefined) {
    throw new UsageError("USAGE", "--server and --trust (or WASM_TO_OCI_SERVER and _TRUST) name two places", {
      hint: "Name the one that has the collection",
    });
  }
  if (trust?.kind === "bundle") return { bundle: trust };
  return { place: server === undefined ? trust : { kind: "notary", server } };
}

function noTrustSource(): UsageError {
  return new UsageError("TRUST_SOURCE_MISSING", "nothing says where the trust data is, and no pin covers it", {
    hint: "Add --sign for trust data in the registry itself, --server URL for a Notary server, or --trust PLACE",
  });
}

/** Says at `--log debug` which requests are made: no queries, headers or bodies, which may hold secrets. */
function logged(transport: Transport, { out }: Context): Transport {
  return async (request) => {
    const { origin, pathname } = new URL(request.url);
    const line = `${request.method} ${origin}${pathname}`;
    try {
      const response = await transport(request);
      out.debug(`${line}: ${response.status}`);
      return response;
    } catch (error) {
      out.debug(`${line}: ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
  };
}
