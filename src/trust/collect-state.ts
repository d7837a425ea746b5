/** Collects every file of a plain TUF repository's newest state, to carry it elsewhere. Nothing is verified here. */
import type { Bytes } from "../base/bytes.ts";
import { FormatError, TrustError } from "../base/errors.ts";
import { DEFAULT_TUF_LIMITS } from "../tuf/limits.ts";
import { decodeMetadata } from "../tuf/metadata.ts";
import { metadataFile } from "../tuf/names.ts";
import type { TufRepository } from "../tuf/repository.ts";
import { MAX_STATE_BYTES } from "./oci/state.ts";

/** As many as a state in a registry may have. */
const MAX_FILES = 20_000;
/** Roles of one repository that are read at once. */
const PARALLEL = 8;

/**
 * Reads all roots, and what the newest timestamp leads to.
 *
 * @throws {TrustError} TRUST_WITHHELD where a file is missing
 * @throws {FormatError} METADATA_INVALID, LIMIT_EXCEEDED
 */
export async function collectState(repository: TufRepository, signal?: AbortSignal): Promise<Map<string, Bytes>> {
  const view = repository.view?.() ?? repository;
  const files = new Map<string, Bytes>();
  let total = 0;
  const read = async (file: string, limit: number): Promise<Bytes | undefined> => {
    const bytes = await view.metadata({ file, limit, signal });
    if (bytes !== undefined) files.set(file, bytes);
    total += bytes?.length ?? 0;
    if (files.size > MAX_FILES || total > MAX_STATE_BYTES) throw tooMany();
    return bytes;
  };
  const required = async (file: string, limit: number): Promise<Bytes> =>
    (await read(file, limit)) ?? withheld(file, repository);
  const { root, timestamp, snapshot, signedLength } = DEFAULT_TUF_LIMITS;
  let version = 1;
  while ((await read(metadataFile("root", version), root)) !== undefined) version++;
  const newest = files.get(metadataFile("root", version - 1)) ?? (await required(metadataFile("root"), root));
  const { consistentSnapshot } = decodeMetadata(newest, "root").signed;
  const numbered = (role: string, of: number): string => metadataFile(role, consistentSnapshot ? of : undefined);
  const first = decodeMetadata(await required(metadataFile("timestamp"), timestamp), "timestamp").signed;
  const snapshotBytes = await required(numbered("snapshot", first.snapshot.version), first.snapshot.length ?? snapshot);
  const roles = [...decodeMetadata(snapshotBytes, "snapshot").signed.meta];
  if (roles.length > MAX_FILES) throw tooMany();
  for (let at = 0; at < roles.length; at += PARALLEL) {
    await Promise.all(
      roles
        .slice(at, at + PARALLEL)
        .map(([role, meta]) =>
          required(numbered(role, meta.version), Math.min(meta.length ?? signedLength, signedLength)),
        ),
    );
  }
  return files;
}

function withheld(file: string, { location }: TufRepository): never {
  throw new TrustError("TRUST_WITHHELD", `${location} does not have ${file}, which it must have`, {
    hint: "It is being published this very moment, damaged, or withheld; try again, and tell the publisher",
    details: { file },
  });
}

function tooMany(): FormatError {
  return new FormatError(
    "LIMIT_EXCEEDED",
    `the repository has more than ${MAX_FILES} files, or ${MAX_STATE_BYTES} bytes`,
    {
      details: { limit: MAX_FILES },
    },
  );
}
