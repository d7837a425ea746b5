/** Who still has to sign, in words: key ids say nothing to people, names and fingerprints do. */
import { escapeUntrusted } from "../base/untrusted-text.ts";
import { TufKey } from "./keys.ts";
import type { Requirement } from "./pending.ts";

/** The field in which tuf-on-ci keeps a key's owner. */
const OWNER = "x-tuf-on-ci-keyowner";
/** Hex digits of a fingerprint that are enough to tell the keys of one collection apart. */
const SHORT = 12;

/** The person or machine that a key says it belongs to. */
export function ownerOf({ json }: TufKey): string | undefined {
  const owner = json[OWNER];
  return typeof owner === "string" && owner !== "" ? escapeUntrusted(owner, 80) : undefined;
}

/** The same key with an owner's name on it. */
export function ownedKey(key: TufKey, owner: string): TufKey {
  const { public: text } = key.json["keyval"] as { readonly public: string };
  return new TufKey(key.id, { keytype: key.keytype, scheme: key.scheme, text }, { ...key.json, [OWNER]: owner });
}

/** A key for people who know the keys of their collection, e.g. `@ada (ed25519 1f0c…)`. */
export async function describeKey(key: TufKey): Promise<string> {
  const fingerprint = await key.publicKey?.fingerprint();
  const what = `${escapeUntrusted(key.keytype, 40)} ${fingerprint?.slice(0, SHORT) ?? `id ${escapeUntrusted(key.id, SHORT)}`}`;
  const owner = ownerOf(key);
  return owner === undefined ? what : `${owner} (${what})`;
}

/**
 * A key for people who decide upon it, e.g. `ed25519 1f0c… of "@ada"`. With the whole fingerprint, since keys whose
 * first digits are another one's can be made; and before the owner, which anybody may write as they like.
 */
export async function identifyKey(key: TufKey): Promise<string> {
  const fingerprint = await key.publicKey?.fingerprint();
  const what =
    fingerprint === undefined
      ? `${quoted(key.id)} of the unknown kind ${quoted(key.keytype)}`
      : `${key.keytype} ${fingerprint}`;
  const owner = ownerOf(key);
  return owner === undefined ? what : `${what} of ${JSON.stringify(owner)}`;
}

function quoted(text: string): string {
  return JSON.stringify(escapeUntrusted(text, 128));
}

/** One line per requirement that is not fulfilled yet. */
export async function describeRequirements(requirements: readonly Requirement[]): Promise<string[]> {
  return Promise.all(
    requirements.map(async ({ role, reason, threshold, keys, signedBy }) => {
      const open = keys.filter((key) => !signedBy.includes(key));
      const isNew = reason === "possession";
      const names = (await Promise.all(open.map(isNew ? identifyKey : describeKey))).join(", ");
      const shown = escapeUntrusted(role, 80);
      if (isNew) return `${shown}: ${names} must sign to show that its private key exists`;
      const who = reason === "former-root" ? `${shown}, by the keys of the root before` : shown;
      return `${who}: ${threshold - signedBy.length} more of ${names}`;
    }),
  );
}
