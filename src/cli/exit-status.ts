/** One table: what kind of failure ends in which exit status. Statuses are part of the public interface. */
import { WasmToOciError, type ErrorKind } from "../base/errors.ts";

export const EXIT_STATUS: Readonly<Record<"ok" | ErrorKind, number>> = {
  ok: 0,
  failure: 1,
  usage: 2,
  "not-found": 3,
  denied: 4,
  network: 5,
  storage: 6,
  invalid: 7,
  conflict: 8,
  tampered: 10,
  unsigned: 11,
  untrusted: 12,
  expired: 13,
  "rolled-back": 14,
  refused: 15,
  interrupted: 130,
};

/** What each status means, for `--help` and the reference page. */
export const EXIT_MEANING: Readonly<Record<"ok" | ErrorKind, string>> = {
  ok: "done, and verified where verification was asked for",
  failure: "another failure, or a defect of this program",
  usage: "the command line has no meaning or lacks something",
  "not-found": "no such file, repository, tag or key",
  denied: "credentials, a key or its passphrase were refused",
  network: "a server could not be reached, failed or answered nonsense",
  storage: "this machine's files could not be read or written",
  invalid: "bytes that do not follow their format",
  conflict: "somebody else's change, or a fixed tag, is in the way",
  tampered: "content or metadata differs from what was signed",
  unsigned: "there is no signature for this name",
  untrusted: "signed, but not by keys that are trusted here",
  expired: "trust data is no longer fresh",
  "rolled-back": "trust data is older than what was seen before",
  refused: "signed and sound, but the policy here does not allow it",
  interrupted: "ended by a signal",
};

/** Gives the exit status for anything thrown. */
export function exitStatusOf(error: unknown): number {
  return error instanceof WasmToOciError ? EXIT_STATUS[error.kind] : EXIT_STATUS.failure;
}
