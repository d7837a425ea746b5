/** What Node's file errors mean to a person. */
import { errorCode, errorMessage, StorageError, WasmToOciError } from "../base/errors.ts";

type StorageCode = ConstructorParameters<typeof StorageError>[0];

const MEANING: Readonly<Record<string, { code: StorageCode; reason: string; hint: string }>> = {
  ENOSPC: { code: "STORAGE_FULL", reason: "the disk is full", hint: "Free some space and run the command again" },
  EDQUOT: { code: "STORAGE_FULL", reason: "the quota is used up", hint: "Free some space and run the command again" },
  EFBIG: { code: "STORAGE_FULL", reason: "the file would be too large", hint: "Choose another file system" },
  EACCES: {
    code: "STORAGE_DENIED",
    reason: "permission denied",
    hint: "Check the permissions, or choose another place",
  },
  EPERM: { code: "STORAGE_DENIED", reason: "not permitted", hint: "Check the permissions, or choose another place" },
  EROFS: { code: "STORAGE_DENIED", reason: "the file system is read-only", hint: "Choose another place" },
  EISDIR: { code: "OUTPUT_REFUSED", reason: "it is a directory", hint: "Name a file" },
  ELOOP: { code: "OUTPUT_REFUSED", reason: "it is a symbolic link", hint: "Name the file itself" },
  ENOENT: { code: "FILE_NOT_FOUND", reason: "it does not exist", hint: "Check the path" },
  ENOTDIR: { code: "FILE_NOT_FOUND", reason: "a part of its path is not a directory", hint: "Check the path" },
  ENAMETOOLONG: { code: "STORAGE_FAILED", reason: "its name is too long", hint: "Choose a shorter path" },
  EMFILE: { code: "STORAGE_FAILED", reason: "too many files are open", hint: "Raise the limit: ulimit -n" },
};

/**
 * Makes the error to throw for a failed file operation. Errors of ours pass through as they are.
 *
 * @param action what was tried, e.g. `write`
 * @param subject to what, e.g. a path
 */
export function storageError(cause: unknown, action: string, subject: string): WasmToOciError {
  if (cause instanceof WasmToOciError) return cause;
  const errno = errorCode(cause) ?? "";
  const meaning = Object.hasOwn(MEANING, errno) ? MEANING[errno] : undefined;
  const { code, reason, hint } = meaning ?? {
    code: "STORAGE_FAILED" as const,
    reason: errorMessage(cause),
    hint: "Check the disk and the file system",
  };
  return new StorageError(code, `cannot ${action} ${subject}: ${reason}`, {
    hint,
    details: { path: subject, errno },
    cause,
  });
}
