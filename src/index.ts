/** wasm-to-oci: the library's entry. Runs in Node, browsers, Deno, Bun and workers; `wasm-to-oci/node` adds what needs Node. */
export { push, type PushOptions, type PushReport } from "./push.ts";
export { pull, type PullLock, type PullOptions } from "./pull.ts";
export { lock, type LockOptions, type LockReport } from "./lock.ts";
export type { CacheEntry, ContentCache } from "./content-cache.ts";
export { lockFloors } from "./trust/lock/comparison.ts";
export { encodeLockfile, parseLockfile, type LockedModule } from "./trust/lock/lockfile.ts";
export { verify, type VerifyOptions } from "./verify.ts";
export { sign, stageSignature, type SignOptions, type SignReport, type Stage } from "./sign.ts";
export { list, type ListedTag, type ListOptions, type ListReport, type TagState } from "./list.ts";
export type { DestinationRules } from "./admit-copy.ts";
export type { TagVerdict } from "./judge-tag.ts";
export { copy, type CopiedTag, type CopyOptions, type CopyReport, type RefusedTag } from "./copy.ts";
export { Bundle, type BundledTrust, type BundleFiles } from "./bundle.ts";
export { saveBundle, type BundleItem, type SaveBundleOptions } from "./bundle-save.ts";
export { diff, type DiffedModule, type DiffOptions, type DiffReport, type DiffSource } from "./diff.ts";
export { explain, type Explained, type ExplainOptions, type Explanation } from "./explain.ts";
export { fetchPolicy, type FetchedPolicy, type FetchPolicyOptions } from "./fetch-policy.ts";
export { importNotary, type ImportNotaryOptions, type ImportReport, type SignedThing } from "./import-notary.ts";
export { inspect, type Inspection, type InspectOptions } from "./inspect.ts";
export { pushPolicy, type PushPolicyOptions, type PushPolicyReport } from "./push-policy.ts";
export { moduleFromBytes, type ModuleSource } from "./read-module.ts";
export { MemoryOutput, type ModuleOutput } from "./download.ts";
export type { Approvals } from "./approve-contract.ts";
export type { Signing } from "./sign-target.ts";

export * from "./base/errors.ts";
export type { Digest, Hasher, CreateHasher } from "./base/digest.ts";
export type { Transport, TransportRequest, TransportResponse, StreamBody } from "./base/http.ts";
export type { OnProgress, Progress } from "./base/progress.ts";
export type { Clock, Runtime } from "./base/runtime.ts";
export { createFetchTransport } from "./base/fetch-transport.ts";
export { nobleHasher } from "./base/hasher.ts";

export { formatReference, parseReference, type Reference } from "./oci/reference.ts";
export { repositoryName, taggedReference, type TaggedReference } from "./oci/tagged-reference.ts";
export { RegistryClient, type RegistryClientOptions, type Repository } from "./oci/registry-client.ts";
export type {
  BlobStore,
  ContentStore,
  ContentStores,
  ManifestStore,
  ReferrerStore,
  TagStore,
} from "./oci/content-store.ts";
export { layoutStore, type LayoutFiles, type LayoutStoreOptions } from "./oci/layout-store.ts";
export type { Credentials, CredentialSource } from "./oci/auth.ts";

export { memoryKeyStore, type KeyStore, type StoredKey } from "./keys/key-store.ts";
export type { PassphraseProvider, Signer } from "./keys/signer.ts";

export { scanWasm, WasmScanner, type WasmInfo } from "./wasm/binary.ts";
export { buildArtifact, readArtifact, type ArtifactFormat, type WritableFormat } from "./wasm/artifact.ts";

export { createTufSource, type TufSourceOptions } from "./trust/tuf/source.ts";
export {
  memoryApprovalStore,
  readOnlyApprovals,
  type Approval,
  type ApprovalScope,
  type ApprovalStore,
  type ApprovalUse,
  type Approved,
} from "./trust/contract/approvals.ts";
export type { Administration, CollectionStatus, ReachOptions } from "./trust/administration.ts";
export type { NotaryState } from "./notary/state.ts";
export { matchPin, memoryPinStore, type PinEntry, type PinnedSource, type PinStore } from "./trust/pins.ts";
export type { TufPublisher } from "./trust/tuf/publisher.ts";
export { coverRepository, type CoverRequest } from "./trust/cover.ts";
export type { AppliedPolicy } from "./trust/policy/cover-policy.ts";
export type { Coverage } from "./trust/coverage.ts";
export { entryCollection } from "./trust/policy/cover-policy.ts";
export { PolicyIndex, type PolicyMatch } from "./trust/policy/match.ts";
export { parsePolicy, type Policy, type PolicyEntry } from "./trust/policy/policy.ts";
export type { TrustRules } from "./trust/policy/rules.ts";
export type { Pin } from "./trust/pin.ts";
export type { Check, Note, TrustReport, VerificationReport, Verified } from "./trust/report.ts";
export type {
  KeyReport,
  OpenOptions,
  PublishOptions,
  PublishResult,
  RoleReport,
  SignedTarget,
  TrustedCollection,
  TrustSource,
} from "./trust/source.ts";
