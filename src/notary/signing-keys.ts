/** Private keys for signing documents: found by the ids that documents list, opened once, asked for by role. */
import { utf8Encode } from "../base/bytes.ts";
import { TrustError } from "../base/errors.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { PassphraseProvider } from "../keys/signer.ts";
import type { KeyRole, NotaryKeys } from "./metadata.ts";
import { methodFor, resolveKeys, type ResolvedKey } from "./public-keys.ts";
import type { NotarySignature } from "./wire.ts";

/** Keys that one role may be signed with, as a document lists them. */
export interface RoleKeys {
  /** Names the role in messages and passphrase prompts. */
  readonly role: string;
  readonly threshold: number;
  readonly keys: readonly ResolvedKey[];
}

/** Looks up a role's keys in the document that lists them. */
export async function roleKeys(role: string, lister: KeyRole, keys: NotaryKeys, what: string): Promise<RoleKeys> {
  const own = new Map([...keys].filter(([id]) => lister.keyIds.includes(id)));
  const resolved = await resolveKeys(own, what);
  return { role, threshold: lister.threshold, keys: lister.keyIds.flatMap((id) => resolved.get(id) ?? []) };
}

export class SigningKeys {
  readonly store: KeyStore;
  readonly passphrases: PassphraseProvider;
  /** Where the store is, for people. */
  readonly location: string;

  constructor(store: KeyStore, passphrases: PassphraseProvider, location: string) {
    this.store = store;
    this.passphrases = passphrases;
    this.location = location;
  }

  /** Canonical ids of every key at hand. Opens none. */
  async held(): Promise<ReadonlySet<string>> {
    return new Set((await this.store.list()).map(({ id }) => id));
  }

  /** How many distinct keys of a role are at hand. */
  async heldOf(role: RoleKeys): Promise<number> {
    const held = await this.held();
    return new Set(
      role.keys.flatMap(({ canonicalId }) => (canonicalId !== undefined && held.has(canonicalId) ? canonicalId : [])),
    ).size;
  }

  /** Tells whether enough of a role's keys are at hand and open. */
  async canOpen(role: RoleKeys): Promise<boolean> {
    if ((await this.heldOf(role)) < role.threshold) return false;
    const opened = new Set<string>();
    for (const { canonicalId } of role.keys) {
      if (canonicalId === undefined) continue;
      try {
        if ((await this.store.open(canonicalId, this.passphrases)) !== undefined) opened.add(canonicalId);
      } catch {
        // counts as not at hand
      }
    }
    return opened.size >= role.threshold;
  }

  /**
   * Signs with every key of the role that is at hand.
   *
   * @param canonical the text to sign
   * @throws {TrustError} KEY_MISSING where fewer keys than the threshold are at hand, KEY_PASSPHRASE where too few open
   */
  async sign(canonical: string, role: RoleKeys): Promise<NotarySignature[]> {
    const held = await this.held();
    const candidates = role.keys.filter(({ canonicalId }) => canonicalId !== undefined && held.has(canonicalId));
    const distinct = new Set(candidates.map(({ canonicalId }) => canonicalId));
    if (distinct.size < role.threshold) throw (await this.damaged(role, held)) ?? this.missing(role, held);
    const message = utf8Encode(canonical);
    const signatures: NotarySignature[] = [];
    const signedBy = new Set<string>();
    let failure: unknown;
    for (const key of candidates) {
      try {
        const signer = await this.store.open(key.canonicalId!, this.passphrases);
        if (signer === undefined) continue; // removed since it was listed
        signatures.push({
          keyId: key.keyId,
          method: methodFor(signer.publicKey),
          signature: await signer.sign(message),
        });
        signedBy.add(key.canonicalId!);
      } catch (error) {
        failure ??= error; // another key of the role may do
      }
    }
    if (signedBy.size < role.threshold) throw failure ?? this.missing(role, signedBy);
    return signatures;
  }

  /** Why a key of the role that lies among the keys cannot be used: better news than that it is missing. */
  private async damaged(role: RoleKeys, held: ReadonlySet<string>): Promise<unknown> {
    for (const { canonicalId } of role.keys) {
      if (canonicalId === undefined || held.has(canonicalId)) continue;
      try {
        await this.store.open(canonicalId, this.passphrases);
      } catch (error) {
        return error;
      }
    }
    return undefined;
  }

  private missing(role: RoleKeys, held: ReadonlySet<string>): TrustError {
    const ids = role.keys.flatMap(({ canonicalId }) => canonicalId ?? []);
    const absent = ids.filter((id) => !held.has(id));
    const needed = role.threshold === 1 ? "one of" : `${role.threshold} of`;
    return new TrustError(
      "KEY_MISSING",
      `signing as ${role.role} needs ${needed} the private keys ${ids.join(", ")}; ` +
        `${ids.length - absent.length} of them found in ${this.location}, missing: ${absent.join(", ")}`,
      {
        role: role.role,
        hint: `Bring the key with \`wasm-to-oci key import\`, or ask whoever holds it to sign`,
        details: { missing: absent, threshold: role.threshold, location: this.location },
      },
    );
  }
}
