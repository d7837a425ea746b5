/** Spreads the targets of a role over hash bins before its document grows too large for a publish to upload it each time. */
import { binName, pathHash } from "../../tuf/delegations.ts";
import type { TufDraft } from "../../tuf/draft.ts";
import { applyChanges } from "../../tuf/editor.ts";
import type { Targets } from "../../tuf/schema.ts";
import { canSign, listedKeys, type SigningKeys } from "../../tuf/signing-keys.ts";
import { signedMessage } from "../../tuf/metadata.ts";

/** A document that grows beyond is spread: some 250 names. */
const MAX_FLAT_BYTES = 96 * 1024;
/** A bin that grows beyond makes for four times as many: some 100 names. */
const MAX_BIN_BYTES = 40 * 1024;
/** 64 bins: one or two in each pack of the manifest. */
const FIRST_BITS = 6;
const MORE_BITS = 2;
/** 16,384 bins, as many as the editor takes. */
const MAX_BITS = 14;
/** Fewer names never need measuring. */
const FEW = 64;

/** Where roles that were changed have grown too large and their keys are at hand, spreads them. */
export async function spreadWhereLarge(draft: TufDraft, signing: SigningKeys): Promise<void> {
  const dirty = Array.from(draft.dirty); // spreading adds to it
  for (const role of dirty) {
    const document = draft.changed.get(role);
    if (document === undefined) continue;
    const delegator = spreaderOf(draft, role);
    const { delegations } = delegator === undefined ? document : await draft.document(delegator);
    const succinct = delegator === undefined ? undefined : delegations?.succinct;
    const limit = delegator === undefined ? MAX_FLAT_BYTES : MAX_BIN_BYTES;
    if (document.targets.size < FEW || signedMessage(document).length <= limit) continue;
    const bits = succinct === undefined ? FIRST_BITS : succinct.bitLength + MORE_BITS;
    if (await spread(draft, delegator ?? role, bits, signing)) return;
  }
}

async function spread(draft: TufDraft, role: string, bitLength: number, signing: SigningKeys): Promise<boolean> {
  const { delegations } = await draft.document(role);
  const [keyed, other] = draft.keyedRoles(role);
  // bins leave no room for roles by name; and who shares a role with others is asked by them, not by its size
  if ((delegations?.roles.length ?? 0) > 0 || keyed === undefined || other !== undefined) return false;
  if (bitLength > MAX_BITS || !(await canSign(keyed, signing))) return false;
  const namePrefix = delegations?.succinct?.namePrefix ?? `${role}-bin`;
  const keys = listedKeys(keyed);
  const { threshold } = keyed.roleKeys;
  await applyChanges(draft, [{ action: "bins", delegator: role, namePrefix, bitLength, keys, threshold }]);
  return true;
}

/** The role whose hash bin a role is. */
function spreaderOf(draft: TufDraft, role: string): string | undefined {
  for (const [name, { delegations }] of draft.documents()) {
    const { succinct } = delegations ?? {};
    if (succinct !== undefined && role.startsWith(`${succinct.namePrefix}-`)) return name;
  }
  return undefined;
}

/** The document that a name falls in. */
export async function holderOf(draft: TufDraft, role: string, name: string): Promise<string> {
  const { delegations }: Pick<Targets, "delegations"> = await draft.document(role);
  return delegations?.succinct === undefined ? role : binName(delegations.succinct, await pathHash(name));
}
