/** The signed contract of a reference beside what its module says itself: for showing, not for relying on it. */
import { digestHex, type Digest } from "./base/digest.ts";
import { InterruptedError, TrustError, WasmToOciError } from "./base/errors.ts";
import { formatTagged, type TaggedReference } from "./oci/tagged-reference.ts";
import { compareContract, type Contract } from "./trust/contract/contract.ts";
import { targetName, type Coverage } from "./trust/coverage.ts";
import type { Note } from "./trust/report.ts";
import { readBinding } from "./trust/target-custom.ts";
import type { WasmInfo } from "./wasm/binary.ts";

/** What the name's target says of the module. */
export interface SignedContract {
  readonly collection: string;
  /** The signed name. */
  readonly target: string;
  readonly role: string;
  /** Undefined where the target has none: it was signed by an older version or another tool. */
  readonly contract: Contract | undefined;
  /** Whether the binary was read and keeps to it. */
  readonly agreement: "kept" | "broken" | "not-compared" | "no-contract";
}

/**
 * Reads what is signed for a tag. Trust that fails is a note: an inspection shows, and relies on nothing.
 *
 * @param module what the registry has under the tag
 * @param info what that module says itself, where it was read
 */
export async function readSigned(
  { trust, signal }: { readonly trust?: Coverage | undefined; readonly signal?: AbortSignal | undefined },
  reference: TaggedReference,
  module: Digest,
  info?: WasmInfo,
): Promise<{ signed: { signed?: SignedContract }; notes: Note[] }> {
  if (trust === undefined || !reference.tagged) return { signed: {}, notes: [] };
  const name = targetName(trust, reference.tag);
  try {
    const collection = await trust.source.open(trust.collection, { ...trust, names: [name], signal });
    const target = collection.find(name);
    if (target === undefined) return { signed: {}, notes: [trustNote(`${formatTagged(reference)} is not signed`)] };
    const contract = readBinding(target.custom, name)?.contract;
    const isThis = target.hashes.sha256 === digestHex(module);
    const agreement = await agreementOf(contract, isThis ? info : undefined, name);
    const signed = { collection: collection.name, target: name, role: target.role, contract, agreement };
    const other = contract === undefined || isThis ? [] : [trustNote("another module is signed under this name")];
    return { signed: { signed }, notes: other };
  } catch (error) {
    if (!(error instanceof WasmToOciError) || error instanceof InterruptedError) throw error;
    return { signed: {}, notes: [trustNote(`what is signed is not known: ${error.code}: ${error.message}`)] };
  }
}

async function agreementOf(
  contract: Contract | undefined,
  info: WasmInfo | undefined,
  name: string,
): Promise<SignedContract["agreement"]> {
  if (contract === undefined) return "no-contract";
  if (info === undefined) return "not-compared";
  try {
    await compareContract(contract, info, name);
    return "kept";
  } catch (error) {
    if (!(error instanceof TrustError)) throw error;
    return "broken";
  }
}

function trustNote(message: string): Note {
  return { code: "trust-warning", message };
}
