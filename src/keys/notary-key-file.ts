/**
 * Private keys as text: PEM with the headers of Notary's key files (`role`, `gun`, and in exports `path`). What is
 * written here `notary` and `docker trust` open; what is read also comes from OpenSSL.
 */
import { utf8Encode, type Bytes } from "../base/bytes.ts";
import { errorCode, FormatError } from "../base/errors.ts";
import { encryptPkcs8, decryptPkcs8, isNotaryEncryption, wrongPassphrase } from "./encrypted-pkcs8.ts";
import { formatPem, parsePem, type PemBlock } from "./pem.ts";
import { readNotaryEd25519, readPkcs1, readPkcs8, readSec1, type PrivateKeyParts } from "./pkcs8.ts";
import { PrivateKey } from "./private-key.ts";

/** What a key is for, as its file says. */
export interface KeyOwner {
  /** `root`, `targets`, `snapshot`, or the name of a delegation or a user. */
  readonly role: string;
  /** The collection; only targets, snapshot and timestamp keys belong to one. */
  readonly gun?: string | undefined;
}

export interface KeyBlock {
  readonly role: string | undefined;
  readonly gun: string | undefined;
  /** The id that an export gives; a claim until the key is open. */
  readonly id: string | undefined;
  readonly encrypted: boolean;
  readonly pem: PemBlock;
}

/** Decrypts a block with `Proc-Type: 4,ENCRYPTED`; needs MD5, which only Node has. @throws KEY_PASSPHRASE */
export type DecryptLegacyPem = (block: PemBlock, passphrase: string) => Bytes;

/** Roles whose keys belong to one collection. */
const ROLES_OF_COLLECTION: ReadonlySet<string> = new Set(["targets", "snapshot", "timestamp"]);
/** A role or GUN in a header; Notary limits neither, 5 kB names are an attack. */
const MAX_HEADER_VALUE_OCTETS = 1024;

const KEY_ID = /^[0-9a-f]{64}$/;

/** Contents of the unencrypted labels, and of the same ones when they carry Proc-Type. */
const READERS: Readonly<Record<string, (der: Bytes) => PrivateKeyParts>> = {
  "PRIVATE KEY": readPkcs8,
  "EC PRIVATE KEY": (der) => readSec1(der),
  "RSA PRIVATE KEY": readPkcs1,
  "ED25519 PRIVATE KEY": readNotaryEd25519,
};

/** Tells texts that are ids of keys. */
export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}

/**
 * Finds the private keys of a text, in order; certificates, public keys and EC parameters are passed over.
 *
 * @throws {FormatError} KEY_INVALID; LIMIT_EXCEEDED
 */
export function parseKeyBlocks(text: string, what: string): KeyBlock[] {
  return parsePem(text, what).flatMap((pem) => {
    if (!pem.label.endsWith("PRIVATE KEY")) return [];
    const encrypted = pem.label === "ENCRYPTED PRIVATE KEY" || pem.headers.has("Proc-Type");
    if (pem.label !== "ENCRYPTED PRIVATE KEY" && !Object.hasOwn(READERS, pem.label)) {
      throw new FormatError("KEY_INVALID", `${what} holds a key in the format ${pem.label}, which is not known`, {
        hint: "Convert it to PKCS#8 first: openssl pkcs8 -topk8",
      });
    }
    return [{ ...readPath(pem, what), encrypted, pem }];
  });
}

/**
 * Opens a block. The passphrase is not looked at where the block is not encrypted.
 *
 * @param decryptLegacy undefined where old OpenSSL encryption cannot be read
 * @throws {TrustError} KEY_PASSPHRASE
 * @throws {FormatError} KEY_INVALID; LIMIT_EXCEEDED
 */
export async function openKeyBlock(
  { pem, encrypted }: KeyBlock,
  passphrase: string,
  decryptLegacy?: DecryptLegacyPem,
): Promise<PrivateKey> {
  if (pem.label === "ENCRYPTED PRIVATE KEY") return PrivateKey.fromPkcs8(await decryptPkcs8(pem.bytes, passphrase));
  const read = READERS[pem.label]!;
  if (!encrypted) return PrivateKey.fromParts(read(pem.bytes));
  if (decryptLegacy === undefined) {
    throw new FormatError("KEY_INVALID", "the key is encrypted in OpenSSL's old form, which cannot be read here", {
      hint: "Convert it first: openssl pkcs8 -topk8",
    });
  }
  const plain = decryptLegacy(pem, passphrase);
  let parts: PrivateKeyParts;
  try {
    parts = read(plain);
  } catch (error) {
    // one wrong passphrase in 256 leaves padding that looks right
    throw errorCode(error) === "KEY_INVALID" ? wrongPassphrase() : error;
  }
  return PrivateKey.fromParts(parts);
}

/**
 * Writes a key file as Notary does; an empty passphrase leaves the key unencrypted.
 *
 * @throws {FormatError} KEY_INVALID where role or GUN cannot stand in a header
 */
export async function formatKey(key: PrivateKey, owner: KeyOwner, passphrase: string): Promise<string> {
  const info = key.toNotaryPkcs8();
  const headers = ownerHeaders(owner);
  if (passphrase === "") return formatPem({ label: "PRIVATE KEY", headers, bytes: info });
  return formatPem({ label: "ENCRYPTED PRIVATE KEY", headers, bytes: await encryptPkcs8(info, passphrase) });
}

/** Writes a block that stays encrypted as it is under the headers of a key file. */
export function formatEncryptedKey(block: KeyBlock, owner: KeyOwner): string {
  return formatPem({ ...block.pem, headers: ownerHeaders(owner) });
}

/** Writes a stored block for an export: as it is, with its id as `path`, which `notary key import` needs. */
export function formatExport(block: KeyBlock, { id, role, gun }: Partial<KeyOwner> & { readonly id: string }): string {
  const headers = new Map([...block.pem.headers, ["path", id]]);
  if (role !== undefined) headers.set("role", role);
  if (gun !== undefined) headers.set("gun", gun);
  return formatPem({ ...block.pem, headers });
}

/** Tells whether Notary could open a block that stays as it is. @throws {FormatError} */
export function isNotaryBlock({ pem }: KeyBlock): boolean {
  return pem.label === "ENCRYPTED PRIVATE KEY" && isNotaryEncryption(pem.bytes);
}

/** Tells whether keys of a role belong to one collection. */
export function belongsToCollection(role: string): boolean {
  return ROLES_OF_COLLECTION.has(role);
}

function ownerHeaders({ role, gun }: KeyOwner): Map<string, string> {
  const headers = new Map([["role", role]]);
  if (gun !== undefined && belongsToCollection(role)) headers.set("gun", gun);
  for (const [name, value] of headers) checkHeader(name, value, "the new key");
  return headers;
}

function readPath({ headers }: PemBlock, what: string): Pick<KeyBlock, "role" | "gun" | "id"> {
  for (const name of ["role", "gun", "path"]) {
    const value = headers.get(name);
    if (value !== undefined) checkHeader(name, value, what);
  }
  const segments = headers.get("path")?.split("/") ?? [];
  const id = segments.at(-1);
  // before Notary 0.4: tuf_keys/<gun>/<id>
  const gun = segments[0] === "tuf_keys" && segments.length > 2 ? segments.slice(1, -1).join("/") : undefined;
  return {
    role: headers.get("role"),
    gun: headers.get("gun") ?? gun,
    id: id !== undefined && isKeyId(id) ? id : undefined,
  };
}

function checkHeader(name: string, value: string, what: string): void {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (value === "" || /[\u0000-\u001f\u007f]/.test(value) || utf8Encode(value).length > MAX_HEADER_VALUE_OCTETS) {
    throw new FormatError("KEY_INVALID", `${what} has a ${name} header that is empty, too long or not plain text`);
  }
}
