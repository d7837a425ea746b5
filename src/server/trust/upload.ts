/** The files of a publish, as far as they can be judged without the collection that they are for. */
import { utf8Decode, type Bytes } from "../../base/bytes.ts";
import { isBaseRole, isDelegationRole } from "../../notary/roles.ts";
import { ApiError } from "./errors.ts";
import type { MultipartLimits, UploadedFile } from "./multipart.ts";
import { countValues, MAX_VALUES } from "./upload-cost.ts";

/**
 * Clients download at most 100 MiB of one role; 100,000 targets with their hashes and some custom data take about
 * 40 MiB. Roles beyond a thousand in one publish are many publishes of one by one.
 */
export const UPLOAD_LIMITS: MultipartLimits = {
  parts: 1024,
  partBytes: 64 * 1024 * 1024,
  totalBytes: 96 * 1024 * 1024,
};

export interface Upload {
  readonly role: string;
  /** Exactly as received. */
  readonly bytes: Bytes;
  /** `signed.version`, 0 where there is none. */
  readonly version: number;
  readonly hasSignatures: boolean;
  /** How many values it has, for what it costs. */
  readonly values: number;
}

/**
 * Reads roles and versions. A timestamp is ignored, as notary-server does: the server makes its own.
 *
 * @throws {ApiError} INVALID_ROLE, MALFORMED_JSON, MALFORMED_UPLOAD
 */
export function readUploads(files: readonly UploadedFile[]): ReadonlyMap<string, Upload> {
  const uploads = new Map<string, Upload>();
  let total = 0;
  for (const { filename, bytes } of files) {
    const role = filename.endsWith(".json") ? filename.slice(0, -".json".length) : filename;
    if (!isUploadRole(role)) throw new ApiError("INVALID_ROLE", role);
    if (uploads.has(role)) throw new ApiError("MALFORMED_UPLOAD", `the upload has two files for ${role}`);
    const values = countValues(bytes);
    total += values;
    if (total > MAX_VALUES)
      throw new ApiError("MALFORMED_JSON", "the upload is nested too deeply or has too many values");
    uploads.set(role, { role, bytes, values, ...glance(bytes) });
  }
  uploads.delete("timestamp");
  return uploads;
}

function isUploadRole(role: string): boolean {
  // A delegation with a part _trust would have the address of another collection's file.
  return isBaseRole(role) || (isDelegationRole(role) && !role.split("/").includes("_trust"));
}

/** Looks at what notary-server looks at before it validates; strict reading comes later, with better words. */
function glance(bytes: Bytes): Pick<Upload, "version" | "hasSignatures"> {
  let json: { signed?: { version?: unknown } | null; signatures?: unknown } | null;
  try {
    json = JSON.parse(utf8Decode(bytes)) as typeof json;
  } catch (cause) {
    throw new ApiError("MALFORMED_JSON", undefined, { cause });
  }
  const version = json?.signed?.version;
  const signatures = json?.signatures;
  return {
    version: typeof version === "number" ? version : 0,
    hasSignatures: Array.isArray(signatures) && signatures.length > 0,
  };
}
