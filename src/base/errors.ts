/**
 * Every error that this project throws on purpose: one class per party at fault, one stable code per
 * cause, one kind per code. The kind decides the exit status of the command line; callers match on `code`.
 */

/** What a caller can do about an error; the command line has one exit status per kind. */
export type ErrorKind =
  | "failure"
  | "usage"
  | "not-found"
  | "denied"
  | "network"
  | "storage"
  | "invalid"
  | "conflict"
  | "interrupted"
  | "tampered"
  | "unsigned"
  | "untrusted"
  | "expired"
  | "rolled-back"
  | "refused";

/** The caller asked for something that has no meaning, or left something out. */
const USAGE_CODES = {
  USAGE: "usage",
  REFERENCE_INVALID: "usage",
  GUN_INVALID: "usage",
  TARGET_NAME_INVALID: "usage",
  TARGET_INVALID: "usage",
  ROLE_INVALID: "usage",
  PASSPHRASE_MISSING: "usage",
  TRUST_SOURCE_MISSING: "usage",
  LISTEN_REFUSED: "usage",
} as const satisfies Record<string, ErrorKind>;

/** Bytes that we were given, by whomever, do not follow their format. */
const FORMAT_CODES = {
  JSON_INVALID: "invalid",
  DIGEST_INVALID: "invalid",
  LIMIT_EXCEEDED: "invalid",
  WASM_INVALID: "invalid",
  MANIFEST_INVALID: "invalid",
  LAYOUT_INVALID: "invalid",
  MODULE_AMBIGUOUS: "invalid",
  MODULE_MISSING: "invalid",
  METADATA_INVALID: "invalid",
  KEY_INVALID: "invalid",
  CERTIFICATE_INVALID: "invalid",
  CONFIG_INVALID: "invalid",
  LOCK_INVALID: "invalid",
  POLICY_INVALID: "invalid",
  POLICY_AMBIGUOUS: "invalid",
} as const satisfies Record<string, ErrorKind>;

/** The network between us and a server, or what came over it. */
const TRANSPORT_CODES = {
  NETWORK: "network",
  TLS: "network",
  TIMEOUT: "network",
  RESPONSE_INVALID: "network",
  RESPONSE_TOO_LARGE: "network",
  REDIRECT_REFUSED: "network",
  OFFLINE_MISSING: "network",
  ADDRESS_IN_USE: "conflict",
  LISTEN_FAILED: "network",
} as const satisfies Record<string, ErrorKind>;

/** An OCI registry answered, and not with what was asked for. */
const REGISTRY_CODES = {
  REGISTRY_DENIED: "denied",
  REGISTRY_NOT_FOUND: "not-found",
  REGISTRY_REFUSED: "failure",
  REGISTRY_UNAVAILABLE: "network",
  CREDENTIALS_INVALID: "denied",
  DIGEST_MISMATCH: "tampered",
  TAG_REFUSED: "conflict",
} as const satisfies Record<string, ErrorKind>;

/** Trust data is missing, wrong, old or not what was expected, or a trust server refused. */
const TRUST_CODES = {
  TRUST_DENIED: "denied",
  TRUST_NOT_FOUND: "unsigned",
  TRUST_WITHHELD: "untrusted",
  TRUST_UNAVAILABLE: "network",
  TRUST_REJECTED: "failure",
  TRUST_CONFLICT: "conflict",
  TRUST_EXISTS: "conflict",
  TARGET_NOT_FOUND: "unsigned",
  TARGET_MISMATCH: "tampered",
  TAG_MISMATCH: "tampered",
  CONTRACT_MISMATCH: "tampered",
  CONTRACT_WIDENED: "untrusted",
  METADATA_TAMPERED: "tampered",
  METADATA_EXPIRED: "expired",
  METADATA_ROLLED_BACK: "rolled-back",
  CLOCK_BEHIND: "expired",
  SIGNATURE_THRESHOLD: "untrusted",
  ROOT_UNTRUSTED: "untrusted",
  PIN_MISMATCH: "untrusted",
  FIRST_USE_REFUSED: "untrusted",
  COLLECTION_MISMATCH: "untrusted",
  LOCK_MISMATCH: "conflict",
  LOCK_MISSING: "not-found",
  KEY_MISSING: "denied",
  KEY_PASSPHRASE: "denied",
  DELEGATION_REFUSED: "denied",
  PUBLISH_REFUSED: "failure",
  PUBLISH_UNREADABLE: "failure",
  COPY_DESTINATION_NEWER: "conflict",
  COPY_OTHER_COLLECTION: "conflict",
  POLICY_REFUSED: "refused",
  POLICY_TEST_FAILED: "failure",
} as const satisfies Record<string, ErrorKind>;

/** This machine's files. */
const STORAGE_CODES = {
  FILE_NOT_FOUND: "not-found",
  FILE_UNREADABLE: "storage",
  FILE_CHANGED: "storage",
  OUTPUT_REFUSED: "storage",
  STORAGE_DENIED: "storage",
  STORAGE_FULL: "storage",
  STORAGE_FAILED: "storage",
  STATE_INVALID: "storage",
  LOCKED: "storage",
} as const satisfies Record<string, ErrorKind>;

/** Ended from outside, or a defect of ours. */
const PROGRAM_CODES = {
  INTERRUPTED: "interrupted",
  INTERNAL: "failure",
} as const satisfies Record<string, ErrorKind>;

/** The kind of every code. */
export const KIND_OF_CODE = {
  ...USAGE_CODES,
  ...FORMAT_CODES,
  ...TRANSPORT_CODES,
  ...REGISTRY_CODES,
  ...TRUST_CODES,
  ...STORAGE_CODES,
  ...PROGRAM_CODES,
} as const satisfies Record<string, ErrorKind>;

/** Every code, e.g. `"TARGET_MISMATCH"`. Codes are part of the public interface and never change meaning. */
export type ErrorCode = keyof typeof KIND_OF_CODE;

/** Facts about a failure for programs: role, versions, digests, file names. Never secrets. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly string[] | null>>;

export interface ErrorOptions {
  /** What to do next, one sentence, for a person. */
  hint?: string;
  /** The facts that the message names, for programs. */
  details?: ErrorDetails;
  /** The error that led to this one. */
  cause?: unknown;
}

/**
 * The base of every deliberate error.
 *
 * @example
 * ```ts
 * try {
 *   await pull(options);
 * } catch (error) {
 *   if (error instanceof WasmToOciError && error.kind === "tampered") quarantine(error.details);
 *   else throw error;
 * }
 * ```
 */
export class WasmToOciError<Code extends ErrorCode = ErrorCode> extends Error {
  readonly code: Code;
  readonly hint: string | undefined;
  readonly details: ErrorDetails;

  constructor(code: Code, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }

  get kind(): ErrorKind {
    return KIND_OF_CODE[this.code];
  }
}

/** The caller's words. */
export class UsageError extends WasmToOciError<keyof typeof USAGE_CODES> {}

/** Bytes that do not follow their format. */
export class FormatError extends WasmToOciError<keyof typeof FORMAT_CODES> {}

/** The network, TLS, or an answer that is no HTTP we can use. */
export class TransportError extends WasmToOciError<keyof typeof TRANSPORT_CODES> {}

/** An OCI registry's answer. */
export class RegistryError extends WasmToOciError<keyof typeof REGISTRY_CODES> {
  /** HTTP status, or undefined where the answer was fine and its content was not. */
  readonly status: number | undefined;

  constructor(code: keyof typeof REGISTRY_CODES, message: string, options: ErrorOptions & { status?: number } = {}) {
    super(code, message, options);
    this.status = options.status;
  }
}

/** Trust data or a trust server's answer. */
export class TrustError extends WasmToOciError<keyof typeof TRUST_CODES> {
  /** The role whose metadata is at fault, where one is. */
  readonly role: string | undefined;

  constructor(code: keyof typeof TRUST_CODES, message: string, options: ErrorOptions & { role?: string } = {}) {
    super(
      code,
      message,
      options.role === undefined ? options : { ...options, details: { role: options.role, ...options.details } },
    );
    this.role = options.role;
  }
}

/** This machine's files and directories. */
export class StorageError extends WasmToOciError<keyof typeof STORAGE_CODES> {}

/** Ends a run on request (Ctrl-C, an AbortSignal). */
export class InterruptedError extends WasmToOciError<"INTERRUPTED"> {
  constructor(message = "interrupted", options?: ErrorOptions) {
    super("INTERRUPTED", message, options);
  }
}

/** A defect of this program: state that must not occur. */
export class InternalError extends WasmToOciError<"INTERNAL"> {
  constructor(message: string, options?: ErrorOptions) {
    super("INTERNAL", message, options);
  }
}

/** Gives the text of anything thrown, without a stack. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Gives the code of anything thrown: ours, or Node's (`ENOENT`), or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
