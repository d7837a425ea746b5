/** Turns what Node says about a broken exchange into our errors, with what to do about it. */
import { errorCode, errorMessage, TransportError, WasmToOciError } from "../base/errors.ts";

const UNKNOWN_AUTHORITY =
  "If you trust its operator, give the authority's certificate: --ca-file FILE for a registry, --tlscacert FILE for a trust server";

/** Node's and OpenSSL's codes for a certificate that we do not accept, and what helps. */
const CERTIFICATE_FAULTS: Readonly<Record<string, readonly [problem: string, hint: string]>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: ["its certificate is self-signed and not known here", UNKNOWN_AUTHORITY],
  SELF_SIGNED_CERT_IN_CHAIN: ["its certificate comes from an unknown authority", UNKNOWN_AUTHORITY],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ["its certificate comes from an unknown authority", UNKNOWN_AUTHORITY],
  UNABLE_TO_GET_ISSUER_CERT: ["its certificate comes from an unknown authority", UNKNOWN_AUTHORITY],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ["its certificate comes from an unknown authority", UNKNOWN_AUTHORITY],
  CERT_SIGNATURE_FAILURE: ["its certificate was not signed by the authority that it names", UNKNOWN_AUTHORITY],
  INVALID_CA: ["its certificate was issued by something that is no authority", UNKNOWN_AUTHORITY],
  CERT_HAS_EXPIRED: ["its certificate has expired", "The server's operator must renew it; check this machine's clock"],
  CERT_NOT_YET_VALID: ["its certificate is not valid yet", "Check this machine's clock"],
  CERT_REVOKED: ["its certificate was revoked", "The server's operator must replace it"],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    "its certificate is for another name",
    "Use a name that the certificate has, or ask the server's operator for one that has this name",
  ],
};

const NETWORK_FAULTS: Readonly<Record<string, readonly [problem: string, hint: string]>> = {
  ECONNREFUSED: ["nothing listens there", "Check host and port, and that the server runs"],
  ENOTFOUND: ["there is no host of that name", "Check the name for a typing error"],
  EAI_AGAIN: ["the name could not be looked up", "Check the network connection"],
  EHOSTUNREACH: ["there is no way to that host", "Check the network connection"],
  ENETUNREACH: ["there is no way to that network", "Check the network connection"],
  ETIMEDOUT: ["the connection timed out", "Check the network connection, or raise --timeout"],
  ECONNRESET: ["the connection was cut", "Try again; if it stays so, look at the server's log"],
  EPIPE: ["the connection was cut while sending", "Try again; if it stays so, look at the server's log"],
  ERR_STREAM_PREMATURE_CLOSE: ["the connection was cut", "Try again; if it stays so, look at the server's log"],
};

/**
 * @param error what Node threw or emitted; ours pass through
 * @param doing what was done, e.g. `GET http://localhost:5000/v2/`, without query or secrets
 */
export function toTransportError(error: unknown, url: URL, doing: string): WasmToOciError {
  if (error instanceof WasmToOciError) return error;
  const reason = errorCode(error) ?? "UNKNOWN";
  const options = (hint: string) => ({ cause: error, hint, details: { host: url.host, reason } });
  const certificate = CERTIFICATE_FAULTS[reason];
  if (certificate !== undefined) {
    return new TransportError("TLS", `${url.host} cannot be trusted: ${certificate[0]}`, options(certificate[1]));
  }
  if (reason === "EPROTO" || reason.startsWith("ERR_SSL_") || reason.startsWith("ERR_TLS_")) {
    return tlsError(error, url, options);
  }
  if (reason.startsWith("HPE_")) {
    return new TransportError(
      "RESPONSE_INVALID",
      `${doing}: the answer is not HTTP that can be used (${reason})`,
      options("Check that the address is that of a registry or trust server"),
    );
  }
  const known = NETWORK_FAULTS[reason];
  return new TransportError(
    "NETWORK",
    `${doing} failed: ${known?.[0] ?? errorMessage(error)}`,
    options(known?.[1] ?? "Check the network connection and the server"),
  );
}

function tlsError(
  error: unknown,
  url: URL,
  options: (hint: string) => ConstructorParameters<typeof TransportError>[2],
): TransportError {
  const text = errorMessage(error);
  if (/wrong version number|packet length too long|http request/i.test(text)) {
    return new TransportError(
      "TLS",
      `${url.host} does not speak TLS`,
      options("If it is a plain http server that you trust, add --use-http"),
    );
  }
  if (/certificate required|handshake failure|bad certificate/i.test(text)) {
    return new TransportError(
      "TLS",
      `${url.host} refused the TLS handshake`,
      options(
        "It may ask for a client certificate: --cert-file and --key-file for a registry, --tlscert and --tlskey for a trust server",
      ),
    );
  }
  return new TransportError("TLS", `the TLS handshake with ${url.host} failed`, options("Look at the server's log"));
}
