/**
 * A certificate authority for one machine: `serve` makes it at its first start, so that https works with no set-up.
 * Clients trust it for loopback hosts only, and only where it was registered in their trust directory.
 */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { domainToASCII } from "node:url";
import { hexDecode, hexEncode, utf8Encode, type Bytes } from "../base/bytes.ts";
import { hashBytes } from "../base/digest.ts";
import { errorCode, StorageError, UsageError, WasmToOciError } from "../base/errors.ts";
import { isLoopbackHost } from "../base/http.ts";
import type { Clock } from "../base/runtime.ts";
import { createCaCertificate, createServerCertificate, type ServerNames } from "../keys/certificate-template.ts";
import { Certificate, parseCertificates } from "../keys/certificate.ts";
import { openKeyBlock, parseKeyBlocks } from "../keys/notary-key-file.ts";
import { formatPem } from "../keys/pem.ts";
import { PrivateKey } from "../keys/private-key.ts";
import { storageError, withLock, writeFileAtomic } from "./files.ts";
import { removeStaleTemporaries } from "./stale-files.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const CA_LIFETIME_MS = 3650 * DAY_MS;
/** The authority gets a new certificate for its old key this long before the old one expires. */
const CA_RENEWAL_MS = 365 * DAY_MS;
/** Made anew at every start and when it is due; the longest life that strict TLS clients accept. */
const SERVER_LIFETIME_MS = 397 * DAY_MS;
/** A server should ask for another certificate this long before the end. */
const SERVER_RENEWAL_MS = 30 * DAY_MS;
/** For clients whose clock is a little behind. */
const BACKDATE_MS = 60 * 60 * 1000;

/** Names that every server certificate is good for. */
const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "::1"] as const;
/** Registered authorities of one trust directory; one per data directory of `serve` is the use. */
const MAX_REGISTERED = 100;

const FOLDER = "local-ca";
const KEY_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

interface ServerCertificate {
  /** PEM: the server's certificate, then the authority's. */
  readonly cert: string;
  /** PEM, unencrypted: it is never stored. */
  readonly key: string;
  /** When to ask for the next one. */
  readonly renewAt: Date;
}

export interface LocalCa {
  readonly caPem: string;
  /** Lower-case hex sha256 of the certificate. */
  readonly caFingerprint: string;
  /**
   * Makes a key and a certificate for a TLS server on this machine.
   *
   * @param names DNS names and addresses besides `localhost`, `127.0.0.1` and `::1`
   * @throws {UsageError} USAGE where a name is neither
   */
  serverCertificate(names?: readonly string[]): Promise<ServerCertificate>;
}

/**
 * Opens the authority in a directory; makes it where there is none.
 *
 * @throws {StorageError} STATE_INVALID where its key is gone or does not fit its certificate
 *
 * @example
 * ```ts
 * const ca = await openLocalCa(join(dataDir, "ca"));
 * const { cert, key } = await ca.serverCertificate();
 * https.createServer({ cert, key });
 * ```
 */
export async function openLocalCa(dir: string, now: Clock = () => new Date()): Promise<LocalCa> {
  try {
    await mkdir(dir, { recursive: true, mode: DIRECTORY_MODE });
  } catch (error) {
    throw storageError(error, "make the directory", dir);
  }
  removeStaleTemporaries(dir);
  const { key, pem } = await withLock(join(dir, "ca.lock"), () => openOrCreate(dir, now()));
  const [certificate] = parseCertificates(pem, join(dir, "ca.pem"));
  const { commonName, notAfter } = certificate!;
  return {
    caPem: pem,
    caFingerprint: await fingerprint(certificate!),
    async serverCertificate(names = []) {
      const serverKey = await PrivateKey.generate("ecdsa-p256");
      const made = now();
      const end = new Date(Math.min(made.getTime() + SERVER_LIFETIME_MS, notAfter.getTime()));
      const cert = await createServerCertificate({
        commonName: "wasm-to-oci server",
        notBefore: new Date(made.getTime() - BACKDATE_MS),
        notAfter: end,
        publicKey: serverKey.publicKey,
        names: serverNames([...LOOPBACK_NAMES, ...names]),
        issuer: commonName,
        signer: key,
      });
      return { cert: cert + pem, key: keyPem(serverKey), renewAt: new Date(end.getTime() - SERVER_RENEWAL_MS) };
    },
  };
}

/**
 * Lets the clients that use a trust directory trust an authority, for loopback hosts.
 *
 * @throws {FormatError} CERTIFICATE_INVALID
 */
export async function registerLocalCa(trustDir: string, caPem: string): Promise<void> {
  const [certificate] = parseCertificates(caPem, "the local authority");
  const folder = join(trustDir, FOLDER);
  const path = join(folder, `${await fingerprint(certificate!)}.pem`);
  try {
    await mkdir(folder, { recursive: true, mode: DIRECTORY_MODE });
  } catch (error) {
    throw storageError(error, "make the directory", folder);
  }
  if ((await readIfThere(path)) !== caPem) await writeFileAtomic(path, utf8Encode(caPem));
}

/**
 * The registered authorities, as PEM. A file that is damaged, or not named after what it holds, is no authority:
 * it is passed over.
 */
export async function loadLocalCas(trustDir: string): Promise<string[]> {
  const folder = join(trustDir, FOLDER);
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return [];
    throw storageError(error, "read the directory", folder);
  }
  const registered: string[] = [];
  for (const name of names.slice(0, MAX_REGISTERED)) {
    const pem = await readIfThere(join(folder, name));
    if (pem !== undefined && (await isNamedAfter(pem, name))) registered.push(pem);
  }
  return registered;
}

/**
 * The registered authorities as a transport takes them: for this machine's own hosts. Whoever has their key, or can
 * write to the trust directory, could otherwise speak for every server.
 */
export async function localAuthorities(trustDir: string): Promise<(hostname: string) => readonly string[] | undefined> {
  const registered = await loadLocalCas(trustDir);
  return (hostname) => (isLoopbackHost(hostname) ? registered : undefined);
}

async function isNamedAfter(pem: string, name: string): Promise<boolean> {
  try {
    const [certificate, ...more] = parseCertificates(pem);
    return more.length === 0 && certificate!.isCa && name === `${await fingerprint(certificate!)}.pem`;
  } catch (error) {
    if (error instanceof WasmToOciError) return false;
    throw error;
  }
}

async function openOrCreate(dir: string, now: Date): Promise<{ key: PrivateKey; pem: string }> {
  const keyPath = join(dir, "ca.key");
  const certificatePath = join(dir, "ca.pem");
  const keyText = await readIfThere(keyPath);
  const pem = await readIfThere(certificatePath);
  if (keyText === undefined && pem !== undefined) throw doesNotFit(dir, "its key is gone");
  const key = keyText === undefined ? await PrivateKey.generate("ecdsa-p256") : await readKey(keyText, keyPath);
  // the key first: a crash between the two leaves a key without a certificate, which is completed below
  if (keyText === undefined) await writeFileAtomic(keyPath, utf8Encode(keyPem(key)), { mode: KEY_MODE });
  if (pem !== undefined) {
    const [certificate] = parseCertificates(pem, certificatePath);
    if (hexEncode(certificate!.publicKey.spki) !== hexEncode(key.publicKey.spki)) {
      throw doesNotFit(dir, "its key does not belong to its certificate");
    }
    if (certificate!.notAfter.getTime() - now.getTime() > CA_RENEWAL_MS) return { key, pem };
  }
  const made = await createCaCertificate({
    commonName: `wasm-to-oci local CA ${(await key.publicKey.fingerprint()).slice(0, 16)}`,
    notBefore: new Date(now.getTime() - BACKDATE_MS),
    notAfter: new Date(now.getTime() + CA_LIFETIME_MS),
    signer: key,
  });
  await writeFileAtomic(certificatePath, utf8Encode(made));
  return { key, pem: made };
}

async function readKey(text: string, path: string): Promise<PrivateKey> {
  const [block] = parseKeyBlocks(text, path);
  if (block === undefined || block.encrypted) throw doesNotFit(path, "it holds no key");
  return openKeyBlock(block, "");
}

function keyPem(key: PrivateKey): string {
  return formatPem({ label: "PRIVATE KEY", headers: new Map(), bytes: key.toPkcs8() });
}

async function fingerprint(certificate: Certificate): Promise<string> {
  return hexEncode(await hashBytes("sha256", certificate.bytes));
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw storageError(error, "read", path);
  }
}

function serverNames(names: readonly string[]): ServerNames {
  const dnsNames = new Set<string>();
  const addresses = new Map<string, Bytes>();
  for (const name of names) {
    const bare = name.replace(/^\[|\]$/g, "");
    if (isIP(bare) !== 0) {
      const address = addressBytes(bare);
      addresses.set(hexEncode(address), address);
      continue;
    }
    // the URL parser behind it cuts at a slash and reads 0x7f.1 as an address
    const ascii = /\P{ASCII}/u.test(bare) && !/[/?#@\\:%\s]/.test(bare) ? domainToASCII(bare) : bare.toLowerCase();
    if (!/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/.test(ascii)) {
      throw new UsageError("USAGE", `${JSON.stringify(name)} is neither a host name nor an address`, {
        hint: "Give names like registry.internal or addresses like 10.0.0.7",
      });
    }
    dnsNames.add(ascii);
  }
  return { dnsNames: [...dnsNames], ipAddresses: [...addresses.values()] };
}

/** The octets of an address that `isIP` has accepted. */
function addressBytes(address: string): Bytes {
  if (isIP(address) === 4) return Uint8Array.from(address.split(".").map(Number));
  // the URL parser writes IPv6 in one form, an IPv4 tail included
  const [head = "", tail] = new URL(`http://[${address.replace(/%.*$/, "")}]`).hostname.slice(1, -1).split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [left, right] = [groups(head), groups(tail ?? "")];
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => "0"), ...right];
  return hexDecode(all.map((group) => group.padStart(4, "0")).join(""))!;
}

function doesNotFit(where: string, what: string): StorageError {
  return new StorageError("STATE_INVALID", `the local certificate authority in ${where} cannot be used: ${what}`, {
    hint: "Restore it from a backup. Or remove ca.key and ca.pem there: a new one is made, and clients must trust it anew",
    details: { path: where },
  });
}
