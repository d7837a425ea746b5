/**
 * Holds a policy's rules against what is about to be copied: those for the place that it comes from, and those for the
 * place that it goes to. Nothing is written yet, so that what a policy refuses never arrives anywhere.
 */
import { requireAllowedModule } from "./apply-rules.ts";
import type { Digest } from "./base/digest.ts";
import { FormatError, TrustError } from "./base/errors.ts";
import type { OnProgress } from "./base/progress.ts";
import type { Runtime } from "./base/runtime.ts";
import { checkContract } from "./check-contract.ts";
import { DISCARD } from "./discard-output.ts";
import { Download, type BlobAddress, type DownloadedModule } from "./download.ts";
import { findArtifact } from "./find-artifact.ts";
import type { ContentStore } from "./oci/content-store.ts";
import { formatTagged, type TaggedReference } from "./oci/tagged-reference.ts";
import type { Binding, FoundArtifact } from "./trust/binding.ts";
import type { Contract } from "./trust/contract/contract.ts";
import type { Coverage } from "./trust/coverage.ts";
import { checkTargetRules, type TrustRules } from "./trust/policy/rules.ts";
import type { Verified } from "./trust/report.ts";
import type { SignedTarget } from "./trust/source.ts";
import { readBinding } from "./trust/target-custom.ts";

/** What a policy says of the repository that a copy goes to. */
export interface DestinationRules {
  /** Registry and repository, e.g. `mirror.example/app`. */
  readonly repository: string;
  readonly rules: TrustRules;
  /** The collection that whoever pulls from there will expect; undefined where the policy names none. */
  readonly collection?: string | undefined;
}

export interface AdmissionOptions {
  readonly runtime: Runtime;
  readonly source: ContentStore;
  readonly trust?: Pick<Coverage, "rules"> | undefined;
  /** Undefined where no policy has anything to say of it. */
  readonly destinationRules?: DestinationRules | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One reference of the source, and what was found out about it. */
export interface Candidate {
  readonly reference: TaggedReference;
  /** At the destination; undefined where only a digest is copied. */
  readonly tag: string | undefined;
  /** What the destination's tag will name. */
  readonly manifest: Digest;
  /** What the source's tag names. */
  readonly found: FoundArtifact | undefined;
  readonly verified: Verified;
  /** Undefined where nothing was verified. */
  readonly signed?: { readonly target: SignedTarget; readonly binding: Binding } | undefined;
}

/** One end's rules, and what messages call the module there. */
interface End {
  readonly name: string;
  readonly rules: TrustRules;
}

/** Decides what may be copied. A module is read once, however many tags name it. */
export class Admission {
  private readonly options: AdmissionOptions;
  private readonly read = new Map<Digest, Promise<DownloadedModule>>();

  constructor(options: AdmissionOptions) {
    this.options = options;
  }

  /**
   * @throws {TrustError} POLICY_REFUSED, and CONTRACT_MISMATCH where a module that had to be read is not what its contract says
   * @throws {FormatError} MODULE_MISSING, MODULE_AMBIGUOUS where rules are for a module and there is none
   */
  async admit(candidate: Candidate): Promise<void> {
    const ends = this.endsOf(candidate);
    if (ends.length === 0) return;
    const artifact = await this.artifactOf(candidate);
    const size = candidate.signed?.binding.module.length ?? artifact?.module?.size;
    for (const { rules, name } of ends) {
      if (size === undefined && rules.maxSize !== undefined) throw noModule(artifact);
      if (candidate.signed === undefined && rules.missing === "reject") throw unsigned(rules, name);
      checkTargetRules(rules, {
        reference: name,
        role: candidate.signed?.target.role,
        home: candidate.signed?.target.home,
        size,
        format: artifact?.format,
        verified: candidate.verified === "none" ? undefined : candidate.verified,
        contract: contractOf(candidate),
      });
    }
    const strict = ends.filter(({ rules }) => rules.kinds !== undefined || rules.imports !== undefined);
    if (strict.length === 0) return;
    const module = await this.moduleOf(candidate, artifact);
    if (candidate.signed !== undefined) {
      await checkContract(candidate.signed.target, module.scan, formatTagged(candidate.reference));
    }
    for (const { rules, name } of strict) await requireAllowedModule(rules, name, module);
  }

  /** @throws {TrustError} COLLECTION_MISMATCH where the trust data is not the one that the destination must have */
  admitCollection(name: string | undefined): void {
    const { destinationRules } = this.options;
    if (destinationRules?.collection === undefined || name === undefined) return;
    const { collection, repository, rules } = destinationRules;
    if (name === collection) return;
    throw new TrustError(
      "COLLECTION_MISMATCH",
      `the trust data is that of ${name}, and ${rules.origin} wants ${collection} at ${repository}`,
      {
        role: "root",
        hint: "Copy to a repository that the policy has for this collection, or have the policy changed",
        details: { expected: collection, got: name, policy: rules.origin },
      },
    );
  }

  private endsOf({ reference, tag }: Candidate): End[] {
    const { trust, destinationRules } = this.options;
    const ends: End[] = [];
    if (trust?.rules !== undefined) ends.push({ name: formatTagged(reference), rules: trust.rules });
    if (destinationRules !== undefined) {
      const { repository, rules } = destinationRules;
      ends.push({ name: tag === undefined ? repository : `${repository}:${tag}`, rules });
    }
    return ends;
  }

  /** The artifact that will be found at the destination: while a publish is under way, the source's tag names another. */
  private async artifactOf({ manifest, found }: Candidate): Promise<FoundArtifact | undefined> {
    if (found?.digest === manifest) return found;
    return findArtifact(this.options.source, manifest, this.options.signal);
  }

  private async moduleOf({ signed }: Candidate, artifact: FoundArtifact | undefined): Promise<DownloadedModule> {
    const blob: BlobAddress | undefined = signed?.binding.blob ?? artifact?.module;
    if (blob === undefined) throw noModule(artifact);
    const { runtime, onProgress, source, signal } = this.options;
    const known = this.read.get(blob.digest);
    const reading = known ?? new Download(runtime, DISCARD, onProgress).complete(source, blob, signal);
    this.read.set(blob.digest, reading);
    return reading;
  }
}

function noModule(artifact: FoundArtifact | undefined): FormatError {
  return artifact?.fault ?? new FormatError("MODULE_MISSING", "there is no module to hold the policy's rules against");
}

function contractOf({ signed }: Candidate): Contract | undefined {
  return signed && readBinding(signed.target.custom, signed.target.name)?.contract;
}

function unsigned({ origin }: TrustRules, name: string): TrustError {
  return new TrustError("POLICY_REFUSED", `${name} is not allowed by ${origin}: nobody's signature vouches for it`, {
    hint: "Say what the source is verified against (a pin, --sign, --collection with --root-fingerprint), or have the policy changed",
    details: { policy: origin, rule: "missing", expected: "signed", got: null },
  });
}
