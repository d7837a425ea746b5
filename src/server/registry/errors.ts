/**
 * The errors of the distribution specification as a table: each code with its HTTP status and text.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
 */
const ERRORS = {
  BLOB_UNKNOWN: [404, "blob unknown to registry"],
  BLOB_UPLOAD_INVALID: [400, "blob upload invalid"],
  BLOB_UPLOAD_UNKNOWN: [404, "blob upload unknown to registry"],
  DIGEST_INVALID: [400, "provided digest did not match uploaded content"],
  MANIFEST_BLOB_UNKNOWN: [404, "manifest references a manifest or blob unknown to registry"],
  MANIFEST_INVALID: [400, "manifest invalid"],
  MANIFEST_UNKNOWN: [404, "manifest unknown to registry"],
  NAME_INVALID: [400, "invalid repository name"],
  NAME_UNKNOWN: [404, "repository name not known to registry"],
  SIZE_INVALID: [400, "provided length did not match content length"],
  UNAUTHORIZED: [401, "authentication required"],
  DENIED: [403, "requested access to the resource is denied"],
  UNSUPPORTED: [405, "the operation is unsupported"],
  TOOMANYREQUESTS: [429, "too many requests"],
  /** Not of the specification, which has no code for a registry's own failures; docker-registry's word. */
  UNKNOWN: [500, "the registry failed"],
} as const satisfies Record<string, readonly [number, string]>;

export type OciErrorCode = keyof typeof ERRORS;

export interface FaultOptions {
  /** Where the situation has a more exact status than its code. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** What the code is about, e.g. `{ digest }`. */
  readonly detail?: Readonly<Record<string, string | number>>;
  readonly cause?: unknown;
}

/** A refusal that is answered to the client as the specification says. */
export class RegistryFault extends Error {
  readonly code: OciErrorCode;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly detail: Readonly<Record<string, string | number>> | undefined;

  /** @param reason what exactly is wrong, after the code's own text */
  constructor(code: OciErrorCode, reason?: string, options: FaultOptions = {}) {
    const [status, text] = ERRORS[code];
    super(reason === undefined ? text : `${text}: ${reason}`, { cause: options.cause });
    this.name = "RegistryFault";
    this.code = code;
    this.status = options.status ?? status;
    this.headers = options.headers ?? {};
    this.detail = options.detail;
  }

  toResponse(): Response {
    const error = { code: this.code, message: this.message, ...(this.detail && { detail: this.detail }) };
    return new Response(JSON.stringify({ errors: [error] }), {
      status: this.status,
      headers: { "content-type": "application/json", ...this.headers },
    });
  }
}

/** The client went away, or its connection broke, before its request was complete. Mostly nobody reads the answer. */
export class BrokenBody extends RegistryFault {
  constructor(cause: unknown) {
    super("BLOB_UPLOAD_INVALID", "the connection ended in the middle", { cause });
  }
}

/** A digest in a path or query that follows no grammar, or an algorithm that is not supported. */
export function digestFault(text: string): RegistryFault {
  return new RegistryFault("DIGEST_INVALID", "expected sha256:<64 hexadecimal digits> or sha512:<128>, lower case", {
    detail: { digest: text.slice(0, 200) },
  });
}
