/** wasm-to-oci/tuf: a TUF 1.0 client for programs that need no module, only verified targets. Runs everywhere. */
export { TufClient, type Freshness, type TufClientOptions } from "./client.ts";
export { httpRepository, type HttpRepositoryOptions } from "./http-repository.ts";
export type { TufLimits } from "./limits.ts";
export { findInMap, parseMapFile, type AgreedTarget, type MapFile } from "./map-file.ts";
export { decodeMetadata, encodeMetadata } from "./metadata.ts";
export type { TufRepository } from "./repository.ts";
export { memoryTufStore, type TufStore } from "./store.ts";
export { downloadTarget, isTarget, type TargetDownload } from "./target-download.ts";
export type { RefreshReport, VerifiedState } from "./verified-state.ts";
