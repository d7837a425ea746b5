/** Options that several commands share, with one meaning everywhere. */
import { resolve } from "node:path";
import { UsageError } from "../base/errors.ts";
import { quoteAddress } from "../base/untrusted-text.ts";
import { parseGun } from "../notary/gun.ts";
import { parsePlace, parseReadablePlace } from "../trust/place.ts";
import { parseDuration } from "./duration.ts";
import { readFingerprint } from "./fingerprint.ts";
import { choice, flag, integer, list, nonEmpty, value } from "./options.ts";
import { parseSize } from "./size.ts";
import { LOG_LEVELS, OUTPUT_FORMATS } from "./output.ts";

const format = choice("--format FORMAT", "how results are printed", OUTPUT_FORMATS, { initial: "text" });

const log = choice("--log LEVEL", "how much is said on stderr", LOG_LEVELS, {
  initial: "info",
  env: "WASM_TO_OCI_LOG",
});

/** What every command takes. */
export const outputOptions = { format, log };

const timeout = value(
  "-t, --timeout DURATION",
  "give up after this long without any data; it bounds silence, not the whole transfer",
  parseDuration,
  { initialText: "1m", env: "WASM_TO_OCI_TIMEOUT" },
);

const insecure = flag(
  "--insecure",
  "do not check the registry's TLS certificate; anyone in between can read and change everything",
);

const useHttp = flag("--use-http", "reach the registry over plain http; loopback is always reached so");

/** For commands that talk to a registry. */
export const registryOptions = {
  insecure,
  useHttp,
  caFile: value("--ca-file FILE", "accept these authorities (PEM) for the registry, besides the system's", nonEmpty, {
    env: "WASM_TO_OCI_CA_FILE",
  }),
  certFile: value("--cert-file FILE", "client certificate (PEM) for the registry", nonEmpty),
  keyFile: value("--key-file FILE", "key of the registry's client certificate (PEM)", nonEmpty),
  timeout,
};

const server = value(
  "--server URL",
  "trust server (Notary v1); signs what is pushed, verifies what is pulled",
  parseServer,
  {
    env: "WASM_TO_OCI_SERVER",
  },
);

const tlscacert = value("--tlscacert FILE", "trust only these authorities (PEM) for the trust server", nonEmpty, {
  env: "WASM_TO_OCI_TLSCACERT",
});

const dir = value("-d, --dir DIR", "where keys, pins and trusted roots are kept", nonEmpty, {
  initialText: "~/.wasm-to-oci",
  env: "WASM_TO_OCI_DIR",
});

/** For commands that use the trust directory. */
export const directoryOptions = { dir };

const PLACES =
  "where trust data is: oci: (beside the module), oci://HOST/REPOSITORY, the URL of a TUF repository's metadata";

const trust = value(
  "--trust PLACE",
  `${PLACES}, or a directory`,
  (input) => parsePlace(input, (path) => resolve(path)),
  {
    env: "WASM_TO_OCI_TRUST",
  },
);

const readableTrust = value(
  "--trust PLACE",
  `${PLACES}, a directory, or bundle:FILE`,
  (input) => parseReadablePlace(input, (path) => resolve(path)),
  { env: "WASM_TO_OCI_TRUST" },
);

/** For commands that name a collection. */
export const collectionOptions = {
  gun: value("--gun, --collection NAME", "the collection's name, where it is not the repository's", parseGun),
};

/** For commands that read or write trust data. */
export const trustServerOptions = {
  server,
  trust,
  tlscacert,
  tlscert: value("--tlscert FILE", "client certificate (PEM) for the trust server", nonEmpty),
  tlskey: value("--tlskey FILE", "key of the client certificate (PEM)", nonEmpty),
  ...collectionOptions,
};

/** The same for commands that only read it, and remember no place. */
export const trustReadingOptions = { ...trustServerOptions, trust: readableTrust };

/** For commands that name root keys. */
export const rootKeyOptions = {
  rootFingerprint: list(
    "--root-fingerprint HEX",
    "accept only a root with this key: sha256 of its public key",
    readFingerprint,
  ),
  rootThreshold: value("--root-threshold N", "how many of the given root keys must have signed", integer(1, 100), {
    initialText: "1",
  }),
  rootCertificateId: list(
    "--root-certificate-id ID",
    "accept only this root certificate: its key id in Notary",
    (input) => {
      if (!/^[0-9a-f]{64}$/.test(input))
        throw new UsageError("USAGE", `${JSON.stringify(input)} is not a Notary key id`);
      return input;
    },
  ),
  rootCa: value("--root-ca FILE", "accept only a root certificate issued by these authorities (PEM)", nonEmpty),
};

/** For commands that a policy governs. */
export const policyOptions = {
  policy: value("--policy FILE", "policy that says what must be trusted and what is allowed", nonEmpty, {
    initialText: "policy.json in the trust directory, if there",
    env: "WASM_TO_OCI_POLICY",
  }),
};

/** For commands that decide whether a root is trusted. */
export const pinOptions = {
  ...rootKeyOptions,
  ...policyOptions,
  noTofu: flag(
    "--no-tofu",
    "refuse a collection that is neither pinned nor known, instead of trusting it on first use",
  ),
};

/** For commands that may create a collection. */
export const creatingOptions = {
  rootKey: value(
    "--root-key ID",
    "root key of a new collection; the only one here, or a new one, unless told",
    nonEmpty,
  ),
};

/** For commands that read signatures, which the 2019 tool put elsewhere. */
export const readingOptions = {
  legacyNames: flag(
    "--legacy-names",
    "look where the 2019 tool put signatures for a host with a port: target PORT/REPOSITORY of collection HOST",
  ),
};

/** For commands that can use what was verified and kept before. */
export const storedOptions = {
  offline: flag("--offline", "ask nobody: use stored trust data and the cache, and say how old the knowledge is"),
  cacheDir: value("--cache DIR", "where verified modules are kept, for all projects", nonEmpty, {
    initialText: "~/.cache/wasm-to-oci",
    env: "WASM_TO_OCI_CACHE",
  }),
  cacheSize: value("--cache-size SIZE", "the most to keep there, e.g. 500M or 2G; 0 is no cache", parseSize, {
    initialText: "1G",
    env: "WASM_TO_OCI_CACHE_SIZE",
  }),
};

/** For commands that use a lockfile. */
export const lockfileOptions = {
  lockfile: value("--lockfile, --file FILE", "the lockfile", nonEmpty, { initial: "wasm-to-oci.lock" }),
};

/** Options that the 2019 tool took before its command; so do we. */
export const leadingOptions = { format, log, timeout, insecure, useHttp, server, tlscacert, dir };

/** Browsers and proxies take no longer ones. */
const MAX_SERVER_LENGTH = 2048;

/** Reads the URL of a trust server. @throws {UsageError} USAGE */
export function parseServer(input: string): string {
  const url = input.length <= MAX_SERVER_LENGTH && URL.canParse(input) ? new URL(input) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:") || url.username !== "") {
    throw new UsageError("USAGE", `${quoteAddress(input)} is not the address of a trust server`, {
      hint: "Write a URL without user name, for example https://notary.example.com",
    });
  }
  return input.replace(/\/+$/, "");
}
