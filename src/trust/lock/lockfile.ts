/**
 * The lockfile: what was verified for each reference, in a text that people review and merge. Every entry ends with a
 * comma, since the format's number comes last, so that adding one touches no line of another.
 */
import { utf8Encode, type Bytes } from "../../base/bytes.ts";
import { digestAlgorithm, parseDigest, type Digest } from "../../base/digest.ts";
import { FormatError, errorMessage } from "../../base/errors.ts";
import { JsonCursor, type ObjectCursor } from "../../base/json-cursor.ts";
import { parseJson } from "../../base/json.ts";
import { formatTagged, taggedReference, type TaggedReference } from "../../oci/tagged-reference.ts";
import type { Floors } from "./floors.ts";
import { formatPlace, parsePlace } from "../place.ts";
import type { PinnedSource } from "../pins.ts";

/** Another number is a newer program's. */
const FORMAT = 1;
/** The last member; no reference is without a slash. */
const FORMAT_KEY = "lockfileVersion";
/** More modules than any build has. */
const MAX_MODULES = 10_000;
/** Some 1.5 kB for each of them. */
export const MAX_LOCKFILE_BYTES = 32 * 1024 * 1024;
const MAX_KEYS = 64;
/** The base roles and the one delegated role that signed. */
const MAX_ROLES = 5;
const BASE_ROLES = ["root", "timestamp", "snapshot"];
const FINGERPRINT = /^[0-9a-f]{64}$/;

/** What is locked for one reference. */
export interface LockedModule {
  /** In full, e.g. `ghcr.io/acme/app:v1`. */
  readonly reference: string;
  /** The manifest that was signed. */
  readonly manifest: Digest;
  /** The layout of the artifact, e.g. `cncf-wasm-v0`. */
  readonly format: string;
  /** sha256 of the module. */
  readonly module: Digest;
  /** sha512 of the module, where it was signed too. */
  readonly sha512: Digest | undefined;
  /** Length of the module in bytes. */
  readonly size: number;
  /** Digest of the signed contract, where there is one. */
  readonly contract: Digest | undefined;
  /** Where the trust data was read. */
  readonly place: PinnedSource;
  readonly collection: string;
  /** The signed name. */
  readonly target: string;
  /** The role that signed it. */
  readonly role: string;
  /** Fingerprints of the root role's keys, sorted. */
  readonly rootKeys: readonly string[];
  /** Fingerprints of the keys that signed in the role, sorted. */
  readonly signedBy: readonly string[];
  /** What was seen of each role; lower versions are refused from then on. */
  readonly versions: Floors;
}

const ENTRY_KEYS = [
  "manifest",
  "format",
  "module",
  "sha512",
  "size",
  "contract",
  "server",
  "trust",
  "collection",
  "target",
  "role",
  "rootKeys",
  "signedBy",
  "versions",
];

/**
 * Reads a lockfile. What it does not know it refuses: a member that is passed over may be one that protects.
 *
 * @param name of the file, for messages
 * @throws {FormatError} LOCK_INVALID
 * @example
 * ```ts
 * const [app] = parseLockfile(await readFile("wasm-to-oci.lock"), "wasm-to-oci.lock");
 * console.log(app?.module);
 * ```
 */
export function parseLockfile(bytes: Uint8Array, name: string): LockedModule[] {
  const fault = (message: string): FormatError => lockInvalid(name, message);
  if (bytes.length > MAX_LOCKFILE_BYTES) {
    throw fault(`it has ${bytes.length} bytes, more than the ${MAX_LOCKFILE_BYTES} allowed`);
  }
  try {
    return readModules(new JsonCursor(parseJson(bytes, { what: "it", integersOnly: true }), fault));
  } catch (error) {
    if (!(error instanceof FormatError) || error.code === "LOCK_INVALID") throw error;
    throw lockInvalid(name, error.message, error);
  }
}

function readModules(cursor: JsonCursor): LockedModule[] {
  const file = cursor.object([FORMAT_KEY]);
  const format = file.field(FORMAT_KEY);
  if (format.integer() !== FORMAT) format.fail(`this program reads ${FORMAT}, a newer one wrote ${format.integer()}`);
  return cursor
    .entries(MAX_MODULES + 1)
    .filter(([key]) => key !== FORMAT_KEY)
    .map(([reference, member]) => readModule(reference, member))
    .toSorted(byReference);
}

function readModule(key: string, member: JsonCursor): LockedModule {
  const reference = readReference(key, member);
  refuseUnknown(member, ENTRY_KEYS);
  const entry = member.object(ENTRY_KEYS);
  const role = text(entry.field("role"));
  const sha512 = entry.field("sha512");
  const contract = entry.field("contract");
  const module: LockedModule = {
    reference: key,
    manifest: digest(entry.field("manifest")),
    format: text(entry.field("format")),
    module: digest(entry.field("module"), "sha256"),
    sha512: sha512.absent ? undefined : digest(sha512, "sha512"),
    size: entry.field("size").integer(1),
    contract: contract.absent ? undefined : digest(contract),
    place: readPlace(member, entry),
    collection: text(entry.field("collection")),
    target: text(entry.field("target")),
    role,
    rootKeys: fingerprints(entry.field("rootKeys")),
    signedBy: fingerprints(entry.field("signedBy")),
    versions: readVersions(entry.field("versions"), role),
  };
  checkConsistent(module, reference, member);
  return module;
}

/** The one spelling of a reference: two of them could be locked to two modules. */
function readReference(key: string, member: JsonCursor): TaggedReference {
  let reference: TaggedReference;
  try {
    reference = taggedReference(key);
  } catch (error) {
    return member.fail(errorMessage(error));
  }
  if (formatTagged(reference) !== key) member.fail(`write the reference in full: ${formatTagged(reference)}`);
  return reference;
}

/** Edits by hand that contradict each other. */
function checkConsistent(
  { manifest, target, place }: LockedModule,
  { tagged, tag, digest: named }: TaggedReference,
  member: JsonCursor,
): void {
  if (named !== undefined && named !== manifest) {
    member.fail(`the reference names ${named}, and the manifest is ${manifest}`);
  }
  if (tagged && place.kind !== "notary" && target !== tag && !target.endsWith(`/${tag}`)) {
    member.fail(`the target ${JSON.stringify(target)} is not one of the tag ${JSON.stringify(tag)}`);
  }
}

function readPlace(member: JsonCursor, entry: ObjectCursor): PinnedSource {
  const server = entry.field("server");
  const trust = entry.field("trust");
  if (server.absent === trust.absent) member.fail("expected either server or trust, which say where trust data is");
  if (trust.absent) return { kind: "notary", server: httpAddress(server) };
  const place = trust.string();
  try {
    return parsePlace(place);
  } catch (error) {
    return trust.fail(errorMessage(error));
  }
}

function httpAddress(cursor: JsonCursor): string {
  const address = cursor.string();
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === "") return address;
  return cursor.fail("expected the URL of a trust server");
}

function readVersions(cursor: JsonCursor, role: string): Floors {
  const versions = new Map(cursor.entries(MAX_ROLES).map(([name, version]) => [name, version.integer(1)]));
  for (const name of [...BASE_ROLES, role]) if (!versions.has(name)) cursor.fail(`no version of ${name}`);
  return versions;
}

function fingerprints(cursor: JsonCursor): string[] {
  const keys = cursor.array(MAX_KEYS).map((element) => {
    const key = element.string();
    return FINGERPRINT.test(key) ? key : element.fail("expected a sha256 in lower-case hexadecimal");
  });
  if (keys.length === 0) cursor.fail("lists no key");
  if (new Set(keys).size < keys.length) cursor.fail("lists a key twice");
  return keys;
}

function text(cursor: JsonCursor): string {
  const value = cursor.string();
  return value === "" ? cursor.fail("it is empty") : value;
}

function digest(cursor: JsonCursor, algorithm?: "sha256" | "sha512"): Digest {
  let value: Digest;
  try {
    value = parseDigest(cursor.string());
  } catch (error) {
    if (error instanceof FormatError && error.code === "DIGEST_INVALID") return cursor.fail(error.message);
    throw error;
  }
  if (algorithm !== undefined && digestAlgorithm(value) !== algorithm) cursor.fail(`expected a ${algorithm} digest`);
  return value;
}

function refuseUnknown(cursor: JsonCursor, known: readonly string[]): void {
  for (const [key] of cursor.entries(known.length + 1)) {
    if (!known.includes(key)) cursor.fail(`unknown member ${JSON.stringify(key)}`);
  }
}

/** Writes a lockfile; the same entries in any order give the same bytes. */
export function encodeLockfile(modules: readonly LockedModule[]): Bytes {
  const members = modules.toSorted(byReference).map((module) => [module.reference, entryOf(module)] as const);
  return utf8Encode(`${JSON.stringify({ ...Object.fromEntries(members), [FORMAT_KEY]: FORMAT }, undefined, 2)}\n`);
}

/** In the order of {@link ENTRY_KEYS}: what is delivered, then who vouches for it. */
function entryOf(locked: LockedModule): object {
  const { manifest, format, module, sha512, size, contract, place, collection, target, role } = locked;
  const where = place.kind === "notary" ? { server: place.server } : { trust: formatPlace(place) };
  const rootKeys = locked.rootKeys.toSorted();
  const signedBy = locked.signedBy.toSorted();
  const versions = Object.fromEntries(locked.versions);
  const delivered = { manifest, format, module, sha512, size, contract };
  return { ...delivered, ...where, collection, target, role, rootKeys, signedBy, versions };
}

function byReference(a: { readonly reference: string }, b: { readonly reference: string }): number {
  return a.reference < b.reference ? -1 : a.reference > b.reference ? 1 : 0;
}

function lockInvalid(name: string, message: string, cause?: unknown): FormatError {
  return new FormatError("LOCK_INVALID", `the lockfile ${name} cannot be used: ${message}`, {
    hint: "Restore it from version control; after a merge with conflicts, or without a bad entry, run `wasm-to-oci lock`",
    cause,
  });
}
