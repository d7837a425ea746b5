/** What the tests of the registry client have in common: a client that neither sleeps nor rolls dice. */
import type { CredentialSource } from "../../src/base/credentials.ts";
import type { Transport } from "../../src/base/http.ts";
import { createNodeTransport, type NodeTransport } from "../../src/node/transport.ts";
import { nodeHasher } from "../../src/node/hasher.ts";
import { RegistryClient, type RegistryClientOptions, type Repository } from "../../src/oci/registry-client.ts";

export interface RegistryRig {
  readonly client: RegistryClient;
  readonly repository: Repository;
  /** Every pause in milliseconds that the client would have made. */
  readonly pauses: number[];
}

/** A client for `acme/app` of a registry. */
export function registryRig(
  registry: string,
  transport: Transport,
  options: Partial<RegistryClientOptions> = {},
): RegistryRig {
  const pauses: number[] = [];
  const client = new RegistryClient({
    runtime: { transport, createHasher: nodeHasher, now: () => new Date() },
    retry: {
      random: () => 0.5,
      sleep: (milliseconds) => {
        pauses.push(milliseconds);
        return Promise.resolve();
      },
    },
    ...options,
  });
  return { client, repository: client.repository({ registry, repository: "acme/app" }), pauses };
}

/** A transport of Node without proxies and with little patience. */
export function testTransport(idleTimeoutMs = 5_000): NodeTransport {
  return createNodeTransport({ env: {}, idleTimeoutMs });
}

/** The same credentials for every registry. */
export function fixedCredentials(username: string, password: string): CredentialSource {
  return { get: () => Promise.resolve({ kind: "basic", username, password }) };
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk.slice());
  return Buffer.concat(all);
}
