/** Reads what a reference's module imports and exports: from its signed contract, or from its own bytes. */
import type { Digest } from "./base/digest.ts";
import { RegistryError } from "./base/errors.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import { checkContract } from "./check-contract.ts";
import { checkModule } from "./check-module.ts";
import { findArtifact } from "./find-artifact.ts";
import type { Reference } from "./oci/reference.ts";
import type { RegistryClient } from "./oci/registry-client.ts";
import { formatTagged, taggedReference } from "./oci/tagged-reference.ts";
import { readModule } from "./read-module.ts";
import { bindTarget } from "./trust/binding.ts";
import { fullContract, type Contract } from "./trust/contract/contract.ts";
import { targetName, type Coverage } from "./trust/coverage.ts";
import type { Note } from "./trust/report.ts";
import { chooseTarget, knowledgeNotes, trustNotes } from "./trust/resolve.ts";
import { readBinding } from "./trust/target-custom.ts";
import type { WasmInfo } from "./wasm/binary.ts";

export interface ReadReferenceOptions {
  readonly runtime: Runtime;
  readonly registry: RegistryClient;
  readonly reference: string | Reference;
  /** What to verify against; without it, nothing is known of the publisher. */
  readonly trust?: Coverage | undefined;
  /** Reads the module itself, even where its contract is signed. */
  readonly deep?: boolean | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ReadReference {
  readonly subject: string;
  readonly module: { readonly digest: Digest; readonly size: number };
  readonly contract: Contract;
  /** Undefined where the signed contract was enough, and the module was not fetched. */
  readonly info: WasmInfo | undefined;
  /** The role that signed it; undefined where nothing was verified. */
  readonly role: string | undefined;
  readonly notes: readonly Note[];
}

/**
 * Reads a reference's contract, verified where `trust` is given.
 *
 * @throws {TrustError} as a pull does
 * @throws {RegistryError} REGISTRY_NOT_FOUND, DIGEST_MISMATCH, …
 * @throws {FormatError} MODULE_MISSING, MODULE_AMBIGUOUS, WASM_INVALID
 */
export async function readReference(options: ReadReferenceOptions): Promise<ReadReference> {
  const { runtime, registry, trust, signal, onProgress } = options;
  const reference = taggedReference(options.reference);
  const subject = formatTagged(reference);
  const repository = registry.repository(reference);
  const names = trust === undefined || !reference.tagged ? undefined : [targetName(trust, reference.tag)];
  const [opened, searched] = await Promise.allSettled([
    trust?.source.open(trust.collection, { ...trust, names, signal }),
    findArtifact(repository, reference.digest ?? reference.tag, signal),
  ]);
  if (opened.status === "rejected") throw opened.reason;
  if (searched.status === "rejected") throw searched.reason;
  const collection = opened.value;
  const found = searched.value;
  if (found === undefined && (collection === undefined || reference.digest !== undefined)) throw notFound(subject);
  const readBlob = async (blob: { readonly digest: Digest; readonly size: number }) =>
    readModule(
      { name: subject, body: { size: blob.size, open: () => repository.blobs.get(blob, { signal }) } },
      runtime,
      onProgress,
    );
  if (collection === undefined || trust === undefined) {
    if (found?.module === undefined) throw found?.fault ?? notFound(subject);
    const { digest, size, info } = await readBlob(found.module);
    const contract = await fullContract(info);
    return { subject, module: { digest, size }, contract, info, role: undefined, notes: [unverified(subject)] };
  }
  const target = chooseTarget(trust, collection, reference, found);
  const binding = bindTarget(target, found, subject);
  const notes = [...trustNotes(collection, runtime.now()), ...knowledgeNotes(trust, collection), ...binding.notes];
  const signed = readBinding(target.custom, target.name)?.contract;
  const { role } = target;
  if (signed !== undefined && options.deep !== true) {
    return { subject, module: binding.blob, contract: signed, info: undefined, role, notes };
  }
  const { digest, size, hashes, info } = await readBlob(binding.blob);
  checkModule(binding.module, { digest, size, sha512: hashes.sha512 }, subject, target);
  const checked = await checkContract(target, { info }, subject);
  const contract = await fullContract(info);
  return { subject, module: { digest, size }, contract, info, role, notes: [...notes, ...checked.notes] };
}

function unverified(subject: string): Note {
  return { code: "unverified", message: `${subject} was read unverified: nobody's signature was checked` };
}

function notFound(subject: string): RegistryError {
  return new RegistryError("REGISTRY_NOT_FOUND", `${subject} does not exist in the registry`, {
    status: 404,
    hint: "Check the spelling; `wasm-to-oci list` shows the tags of a repository",
  });
}
