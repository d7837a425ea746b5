/**
 * Pins: which root keys a consumer accepts for a collection, in our own form and in Notary's `trust_pinning`.
 * Names are compared with regard to case everywhere; Notary's own program loses pins for names with capitals.
 */
import { TrustError, UsageError } from "../base/errors.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import { chainsTo } from "../keys/certificate-chain.ts";
import { parseCertificates } from "../keys/certificate.ts";
import type { ResolvedKey } from "./public-keys.ts";

/** Entries of a configuration file; people write them by hand. */
const MAX_ENTRIES = 10_000;

/** What a root must match. All forms that are given must hold; none given is no pin. */
export interface NotaryPin {
  /** Hex sha256 of SubjectPublicKeyInfo DER; `threshold` of them must have signed the root. */
  readonly fingerprints?: readonly string[];
  /** How many of `fingerprints` must have signed; 1 unless told. */
  readonly threshold?: number;
  /** Ids of root certificate keys as documents list them, or their canonical ids; only these may sign. */
  readonly certificateIds?: readonly string[];
  /** PEM certificates of authorities; only keys that one of them certified may sign. */
  readonly certificateAuthorities?: string;
  /** Another pin that must hold too. */
  readonly also?: NotaryPin | undefined;
}

/** Tells whether a pin demands anything. */
export function isPin(pin: NotaryPin | undefined): pin is NotaryPin {
  if (pin === undefined) return false;
  const { fingerprints = [], certificateIds = [], certificateAuthorities, also } = pin;
  return fingerprints.length > 0 || certificateIds.length > 0 || certificateAuthorities !== undefined || isPin(also);
}

/**
 * Keeps those root keys that a pin allows to sign at all.
 *
 * @throws {TrustError} PIN_MISMATCH where none is left
 */
export async function filterByPin(
  leaves: readonly ResolvedKey[],
  pin: NotaryPin,
  now: Date,
): Promise<readonly ResolvedKey[]> {
  const ids = pin.certificateIds ?? [];
  const listed = leaves.filter(
    ({ keyId, canonicalId }) =>
      ids.length === 0 || ids.includes(keyId) || (canonicalId !== undefined && ids.includes(canonicalId)),
  );
  const allowed = await certifiedBy(pin.certificateAuthorities, listed, now);
  if (allowed.length === 0) throw mismatch(leaves);
  return pin.also === undefined ? allowed : filterByPin(allowed, pin.also, now);
}

/** Checks that enough of the pinned fingerprints have signed. @throws {TrustError} PIN_MISMATCH */
export async function checkFingerprints(signers: readonly ResolvedKey[], pin: NotaryPin): Promise<void> {
  if (pin.also !== undefined) await checkFingerprints(signers, pin.also);
  const wanted = new Set((pin.fingerprints ?? []).map((fingerprint) => fingerprint.toLowerCase()));
  if (wanted.size === 0) return;
  const threshold = pin.threshold ?? 1;
  if (!Number.isSafeInteger(threshold) || threshold < 1 || threshold > wanted.size) {
    throw new UsageError("USAGE", `a pin of ${wanted.size} fingerprints cannot demand ${threshold} of them`);
  }
  const found = await Promise.all(
    signers.map(async ({ publicKey }) => wanted.has((await publicKey?.fingerprint()) ?? "")),
  );
  if (found.filter(Boolean).length < threshold) throw mismatch(signers);
}

function mismatch(keys: readonly ResolvedKey[]): TrustError {
  return new TrustError("PIN_MISMATCH", "the root is not signed by the keys that are pinned for this collection", {
    role: "root",
    hint: "Either somebody else answers for this name, or its publisher changed the root key; ask the publisher before changing the pin",
    details: { got: keys.map(({ canonicalId, keyId }) => canonicalId ?? keyId) },
  });
}

async function certifiedBy(
  authorities: string | undefined,
  keys: readonly ResolvedKey[],
  now: Date,
): Promise<readonly ResolvedKey[]> {
  if (authorities === undefined) return keys;
  const anchors = parseCertificates(authorities, "the pinned authorities");
  const verdicts = await Promise.all(
    keys.map(async ({ certificates: [leaf, ...bundle] }) => leaf !== undefined && chainsTo(leaf, bundle, anchors, now)),
  );
  return keys.filter((_, index) => verdicts[index] === true);
}

/** Notary's `trust_pinning`, as its configuration file has it. */
export interface TrustPinning {
  /** GUN, or a prefix that ends in `*`, → key ids of root certificates. */
  readonly certs: ReadonlyMap<string, readonly string[]>;
  /** Prefix of GUNs → path of a PEM file, relative to the configuration file. */
  readonly ca: ReadonlyMap<string, string>;
  readonly disableTofu: boolean;
}

/** Reads the `trust_pinning` of a Notary `config.json`; other settings are passed over. @throws {FormatError} CONFIG_INVALID */
export function parseTrustPinning(config: Uint8Array | string): TrustPinning {
  const what = "Notary's configuration";
  const at = new JsonCursor(parseJson(config, { what }), formatFault("CONFIG_INVALID", what)).object(["trust_pinning"]);
  const section = at.field("trust_pinning");
  if (section.empty) return { certs: new Map(), ca: new Map(), disableTofu: false };
  const pinning = section.object(["certs", "ca", "disable_tofu"]);
  const entries = (name: string) => (pinning.field(name).empty ? [] : pinning.field(name).entries(MAX_ENTRIES));
  const disable = pinning.field("disable_tofu");
  return {
    certs: new Map(entries("certs").map(([gun, ids]) => [gun, readIds(ids)])),
    ca: new Map(entries("ca").map(([prefix, path]) => [prefix, path.string()])),
    disableTofu: disable.empty ? false : disable.boolean(),
  };
}

/** Notary trusts nobody where the list is empty; to us an empty pin would be none, so it is refused aloud. */
function readIds(cursor: JsonCursor): string[] {
  const ids = cursor.array(MAX_ENTRIES).map((id) => id.string());
  return ids.length > 0 ? ids : cursor.fail("lists no key");
}

/** What Notary's configuration says about one collection. */
export type PinningRule =
  | { readonly kind: "certificates"; readonly certificateIds: readonly string[] }
  | { readonly kind: "authority"; readonly path: string }
  | { readonly kind: "first-use" }
  | { readonly kind: "refuse" };

/** Chooses as Notary does: the exact name, the longest prefix with `*`, the longest prefix of an authority, first use. */
export function pinningRule(pinning: TrustPinning, gun: string): PinningRule {
  const exact = pinning.certs.get(gun);
  if (exact !== undefined) return { kind: "certificates", certificateIds: exact };
  const wildcards = [...pinning.certs.keys()].filter((key) => key.endsWith("*") && gun.startsWith(key.slice(0, -1)));
  const wildcard = longest(wildcards);
  if (wildcard !== undefined) return { kind: "certificates", certificateIds: pinning.certs.get(wildcard)! };
  const prefix = longest([...pinning.ca.keys()].filter((key) => gun.startsWith(key)));
  if (prefix !== undefined) return { kind: "authority", path: pinning.ca.get(prefix)! };
  return { kind: pinning.disableTofu ? "refuse" : "first-use" };
}

function longest(texts: readonly string[]): string | undefined {
  let found: string | undefined;
  for (const text of texts) if (found === undefined || text.length > found.length) found = text;
  return found;
}
