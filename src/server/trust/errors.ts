/** The error answers of the Notary v1 API, as notary-server words them: clients read code, status and detail. */
import { utf8Encode } from "../../base/bytes.ts";
import type { JsonValue } from "../../base/json.ts";

/** Code → status and message; `handlers/errors.go` of Notary. */
const API_ERRORS = {
  METADATA_NOT_FOUND: [404, "You have requested metadata that does not exist."],
  MALFORMED_UPLOAD: [400, "The body of your request is malformed."],
  NO_FILENAME: [400, "No file/role name provided."],
  INVALID_ROLE: [400, "The role you are attempting to operate on is invalid."],
  MALFORMED_JSON: [400, "JSON sent by the client could not be parsed by the server"],
  INVALID_UPDATE: [400, "Update sent by the client is invalid."],
  VERSION: [400, "A newer version of metadata is already available."],
  UPDATING: [500, "An error has occurred while updating the TUF repository."],
  INVALID_GUN: [400, "The server does not support actions on images of this name."],
  INVALID_PARAMETERS: [400, "The parameters provided are not valid."],
  UNKNOWN: [500, "unknown error"],
} as const satisfies Record<string, readonly [number, string]>;

export type ApiErrorCode = keyof typeof API_ERRORS;

/** Go's client reads one KiB of an error's body and shows nothing of a longer one. */
const MAX_BODY_BYTES = 1000;

/** Why an upload is invalid: the names of Notary's validation errors. */
export type UpdateFaultName = "ErrValidation" | "ErrBadHierarchy" | "ErrBadRoot" | "ErrBadTargets" | "ErrBadSnapshot";

/** A request that is answered with an error of the API. */
export class ApiError extends Error {
  readonly code: ApiErrorCode;
  readonly detail: JsonValue | undefined;

  constructor(code: ApiErrorCode, detail?: JsonValue, options?: ErrorOptions) {
    super(`${code}: ${API_ERRORS[code][1]}`, options);
    this.name = "ApiError";
    this.code = code;
    this.detail = detail;
  }

  get status(): number {
    return API_ERRORS[this.code][0];
  }

  /** The body: one line of JSON, short enough for Go's client; a detail's long text is cut, never left out. */
  body(): string {
    const whole = this.render(this.detail);
    const excess = utf8Encode(whole).length - MAX_BODY_BYTES;
    return excess <= 0 ? whole : this.render(shorten(this.detail, excess));
  }

  private render(detail: JsonValue | undefined): string {
    const message = API_ERRORS[this.code][1];
    const error = { code: this.code, message, ...(detail === undefined ? {} : { detail }) };
    return `${JSON.stringify({ errors: [error] })}\n`;
  }
}

/** An upload that is refused. Go's clients print `message` to the user. */
export function updateFault(name: UpdateFaultName, message: string, cause?: unknown): ApiError {
  const options = cause === undefined ? undefined : { cause };
  return new ApiError("INVALID_UPDATE", { Name: name, Error: { Msg: message } }, options);
}

/** An upload without a role that it must have. */
export function missingRole(role: string, message: string): ApiError {
  return new ApiError("INVALID_UPDATE", { Name: "ErrBadHierarchy", Error: { Missing: role, Msg: message } });
}

/** Metadata that the storage does not have; requests that no route takes have no detail. */
export function notFound(): ApiError {
  return new ApiError("METADATA_NOT_FOUND", {});
}

/** Shortens every text of a detail by so many bytes. A detail has one long text at most. */
function shorten(detail: JsonValue | undefined, excess: number): JsonValue | undefined {
  if (typeof detail === "string") return cut(detail, excess);
  if (typeof detail !== "object" || detail === null || Array.isArray(detail)) return detail;
  return Object.fromEntries(Object.entries(detail).map(([key, value]) => [key, shorten(value, excess)!]));
}

/** Leaves short texts, e.g. names of faults, as they are. */
function cut(text: string, excess: number): string {
  const units = Array.from(text);
  // Characters may need up to 12 bytes in JSON (a surrogate pair as two escapes), so only what is left is counted.
  while (units.length > 0 && excess > 0) excess -= utf8Encode(JSON.stringify(units.pop())).length - 2;
  return `${units.join("")}…`;
}
