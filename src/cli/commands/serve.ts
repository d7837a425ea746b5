import { join } from "node:path";
import { UsageError } from "../../base/errors.ts";
import type { KeptFresh } from "../../server/freshness/keep-fresh.ts";
import { isStoredRepository } from "../../server/registry/file-names.ts";
import { createLog, type LogLevel as ServerLogLevel } from "../../server/log.ts";
import { serve } from "../../server/serve.ts";
import { defineCommand } from "../command.ts";
import { readFingerprint } from "../fingerprint.ts";
import { integer, list, nonEmpty, value } from "../options.ts";
import type { LogLevel } from "../output.ts";
import { directoryOptions, outputOptions } from "../shared-options.ts";
import { trustDirectory } from "../trust-directory.ts";

const port = integer(0, 65_535);

export const serveCommand = defineCommand({
  arguments: {},
  options: {
    data: value("--data DIR", "everything that the servers keep; made at first start", nonEmpty, {
      initialText: "server below the trust directory",
    }),
    host: value(
      "--host ADDRESS",
      "address to listen on; only loopback is allowed, for there is no access control",
      nonEmpty,
      {
        initial: "127.0.0.1",
      },
    ),
    registryPort: value("--registry-port PORT", "port of the registry; 0 chooses one", port, { initial: 5000 }),
    trustPort: value("--trust-port PORT", "port of the trust server; 0 chooses one", port, { initial: 4443 }),
    keepFresh: list(
      "--keep-fresh REPOSITORY[=FINGERPRINT]",
      "sign timestamps of the collection in this repository again in time; only of a root with this key, where given",
      keptFresh,
    ),
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Runs an OCI registry over http and a trust server with the API of Notary v1 over https, until Ctrl-C or SIGTERM. The certificate of the trust server comes from an authority that is made at first start; the client trusts it for this machine, so that no --tlscacert is needed here.",
    "With --keep-fresh the server makes a timestamp key for a collection that lies in its registry. It does nothing before a root lists that key: add it with `wasm-to-oci trust threshold REPOSITORY timestamp 1 --add FILE --stage`, which the server signs to show that it has the key, and then `wasm-to-oci trust sign REPOSITORY`.",
    "The addresses go to stdout once both servers take requests, the log to stderr.",
  ],
  examples: [["wasm-to-oci serve", "serve on ports 5000 and 4443 of this machine"]],
  json: "serve",
  async run(context, _, options) {
    const { out, signal } = context;
    const trustDir = trustDirectory(context, options.dir);
    const dataDir = options.data ?? join(trustDir, "server");
    const servers = await serve({
      dataDir,
      trustDir,
      host: options.host,
      registryPort: options.registryPort,
      trustPort: options.trustPort,
      keepFresh: mergedFresh(options.keepFresh),
      log: createLog({ level: serverLevel(out.level) }),
    });
    try {
      const { registryUrl, trustUrl, caPem, timestampKeys } = servers;
      if (out.format === "json") {
        await out.json({ registry: registryUrl, trust: trustUrl, dataDir, ca: caPem, timestampKeys });
      } else await out.lines([`registry: ${registryUrl}`, `trust server: ${trustUrl}`]);
      const reference = `localhost:${new URL(registryUrl).port}/hello-wasm:v1`;
      const server = `https://localhost:${new URL(trustUrl).port}`;
      for (const { repository, fingerprint, publicFile } of timestampKeys) {
        out.info(`Timestamp key of ${repository}: ${publicFile} (${fingerprint})`);
      }
      out.info("Try, in another terminal:");
      out.info(`  wasm-to-oci push hello.wasm ${reference} --server ${server}`);
      out.info(`  wasm-to-oci pull ${reference} --server ${server} --output pulled.wasm`);
      await aborted(signal);
      out.info("Stopping");
    } finally {
      await servers.close();
    }
  },
});

/** Reads `acme/app`, or with the fingerprint of a root key behind `=`. */
function keptFresh(text: string): KeptFresh {
  const [repository = "", ...rest] = text.split("=");
  if (!isStoredRepository(repository)) {
    throw new UsageError("USAGE", `${JSON.stringify(repository)} is no repository of this registry`, {
      hint: "Give its name without the host, e.g. acme/app",
    });
  }
  return { repository, fingerprints: rest.length === 0 ? [] : [readFingerprint(rest.join("="))] };
}

/** One collection may be given several times, with another root key each. */
function mergedFresh(given: readonly KeptFresh[]): KeptFresh[] {
  const merged = new Map<string, readonly string[]>();
  for (const { repository, fingerprints } of given) {
    merged.set(repository, [...(merged.get(repository) ?? []), ...fingerprints]);
  }
  return Array.from(merged, ([repository, fingerprints]) => ({ repository, fingerprints }));
}

function serverLevel(level: LogLevel): ServerLogLevel | "silent" {
  return level === "fatal" ? "silent" : level;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
