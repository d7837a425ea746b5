/** A Transport of the tests, a NotaryRepository or a fake Notary server, as a real https server that can be made hostile. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Transport } from "../../src/base/http.ts";
import { readBody } from "../../src/base/http.ts";
import { openLocalCa } from "../../src/node/local-ca.ts";
import {
  startFaultyServer,
  type FaultyServer,
  type HonestAnswer,
  type SeenRequest,
  type TlsIdentity,
} from "./faulty-server.ts";

export interface Authority extends TlsIdentity {
  /** PEM file of the certificate's issuer. */
  readonly caFile: string;
}

export interface HostileTrustServer extends FaultyServer {
  readonly caFile: string;
}

/** Makes an authority in a folder and a certificate of it for this machine, as of a moment. */
export async function makeAuthority(folder: string, now: Date = new Date()): Promise<Authority> {
  const ca = await openLocalCa(folder, () => now);
  const { cert, key } = await ca.serverCertificate();
  const caFile = join(folder, "authority.pem");
  await writeFile(caFile, ca.caPem);
  return { cert, key, caFile };
}

/** Serves what a transport answers. */
export async function startHostileTrustServer(tls: Authority, transport: Transport): Promise<HostileTrustServer> {
  const server = await startFaultyServer((request) => exchange(transport, request), { tls });
  return Object.assign(server, { caFile: tls.caFile });
}

/** Far above every document of the tests. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

async function exchange(transport: Transport, request: SeenRequest): Promise<HonestAnswer> {
  const { method, path, body } = request;
  const contentType = request.headers["content-type"];
  const response = await transport({
    method,
    url: `https://notary.test${path}`,
    headers: contentType === undefined ? {} : { "content-type": contentType },
    ...(method === "POST" ? { body: new Uint8Array(body) } : {}),
  });
  const bytes = await readBody(response, MAX_ANSWER_BYTES, path);
  return { status: response.status, headers: { "content-type": "application/json" }, body: Buffer.from(bytes) };
}
