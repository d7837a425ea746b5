/**
 * Turns a registry's refusal into an error.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
 */
import { shellWord } from "../base/shell-word.ts";
import { RegistryError, WasmToOciError } from "../base/errors.ts";
import { readBody, type TransportResponse } from "../base/http.ts";
import { isJsonObject, parseJson } from "../base/json.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";

/** Enough for any explanation; the rest of an error page is not read. */
const MAX_ERROR_BYTES = 16 * 1024;
const MAX_SHOWN_MESSAGE = 300;

export interface RefusalContext {
  /** What was done, e.g. `reading the manifest v1 of ghcr.io/acme/app`. */
  readonly doing: string;
  /** Whose answer it is: a registry's, or that of the storage that it redirected to. */
  readonly host: string;
  /** Takes secrets out of what the registry says. */
  readonly redact: (text: string) => string;
}

/** Reads the rest of a response that refuses something and says what it means. */
export async function refusalOf(response: TransportResponse, context: RefusalContext): Promise<RegistryError> {
  const { status } = response;
  const { code, message } = await readRefusal(response);
  const words = [code, message].filter((part) => part !== undefined).join(": ");
  const said = words === "" ? "" : `: ${escapeUntrusted(context.redact(words), MAX_SHOWN_MESSAGE)}`;
  return new RegistryError(codeFor(status), `${context.doing} failed: ${context.host} answered ${status}${said}`, {
    status,
    hint: hintFor(status, context.host),
    details: {
      host: context.host,
      status,
      ...(code === undefined ? {} : { reason: escapeUntrusted(context.redact(code), 64) }),
    },
  });
}

function codeFor(
  status: number,
): "REGISTRY_DENIED" | "REGISTRY_NOT_FOUND" | "REGISTRY_UNAVAILABLE" | "REGISTRY_REFUSED" {
  if (status === 401 || status === 403) return "REGISTRY_DENIED";
  if (status === 404) return "REGISTRY_NOT_FOUND";
  return status === 429 || status >= 500 ? "REGISTRY_UNAVAILABLE" : "REGISTRY_REFUSED";
}

function hintFor(status: number, host: string): string {
  if (status === 401)
    return `Log in with \`wasm-to-oci login ${shellWord(host)}\`, or check the name: it may not exist`;
  if (status === 403) return "The credentials are known and lack this right; ask the repository's owner";
  if (status === 404) return "Check the name; a registry may also hide what the credentials may not see";
  if (status === 429) return "The registry limits the rate of requests; wait, or log in for a higher limit";
  if (status >= 500) return "The registry has a problem; try again later";
  return "The registry does not accept this; its message says why";
}

/** Takes the first error of the specification's format; anything else, such as a proxy's page, says nothing. */
async function readRefusal(response: TransportResponse): Promise<{ code?: string; message?: string }> {
  try {
    const bytes = await readBody(response, MAX_ERROR_BYTES, "the registry's error message");
    const value = parseJson(bytes);
    const errors = isJsonObject(value) ? value["errors"] : undefined;
    const first = Array.isArray(errors) ? errors[0] : undefined;
    if (!isJsonObject(first)) return {};
    const { code, message } = first;
    return {
      ...(typeof code === "string" && code !== "" ? { code } : {}),
      ...(typeof message === "string" && message !== "" ? { message } : {}),
    };
  } catch (error) {
    if (error instanceof WasmToOciError && error.code !== "INTERRUPTED") return {}; // the status is what counts
    throw error;
  }
}
