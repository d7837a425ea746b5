/** A registry over an empty folder, and what tests do with it most. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { Hono } from "hono";
import { expect } from "vitest";
import { digestBytes, type Digest, type HashAlgorithm } from "../../../src/base/digest.ts";
import type { Log, LogFields } from "../../../src/server/log.ts";
import { createRegistryApp, type RegistryAppOptions } from "../../../src/server/registry/app.ts";
import { openRegistryStore, type RegistryStoreOptions } from "../../../src/server/registry/file-store.ts";
import type { RegistryStore } from "../../../src/server/registry/store.ts";

export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
export const EMPTY_CONFIG = new TextEncoder().encode("{}");

export interface TestRegistry {
  readonly dir: string;
  readonly store: RegistryStore;
  readonly app: Hono;
  /** What was logged as an error. */
  readonly errors: LogFields[];
  request(
    method: string,
    path: string,
    options?: { body?: BodyInit; headers?: Record<string, string> },
  ): Promise<Response>;
  /** Pushes a blob in one POST and returns its digest. */
  pushBlob(repository: string, bytes: Uint8Array, algorithm?: HashAlgorithm): Promise<Digest>;
  /** Pushes a manifest whose blobs are pushed first, and returns its digest. */
  pushImage(repository: string, reference: string | undefined, extra?: Record<string, unknown>): Promise<Digest>;
  /** The same folder in the hands of a new process: closes the store, opens another. */
  reopen(options?: RegistryStoreOptions): Promise<TestRegistry>;
  /** Every file and its content, to prove that nothing changed. */
  snapshot(): Record<string, string>;
  close(): Promise<void>;
}

export async function openTestRegistry(
  options: RegistryStoreOptions & Pick<RegistryAppOptions, "readOnly" | "access"> & { dir?: string } = {},
): Promise<TestRegistry> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), "registry-"));
  const store = await openRegistryStore(dir, options);
  const errors: LogFields[] = [];
  const log: Log = { debug() {}, info() {}, warn() {}, error: (fields) => void errors.push(fields) };
  const app = createRegistryApp({
    store,
    log,
    ...(options.readOnly === undefined ? {} : { readOnly: options.readOnly }),
    ...(options.access === undefined ? {} : { access: options.access }),
  });
  const registry: TestRegistry = {
    dir,
    store,
    app,
    errors,
    async request(method, path, { body, headers } = {}) {
      return app.request(path, { method, ...(body === undefined ? {} : { body }), ...(headers && { headers }) });
    },
    async pushBlob(repository, bytes, algorithm = "sha256") {
      const digest = await digestBytes(bytes, algorithm);
      const answer = await registry.request("POST", `/v2/${repository}/blobs/uploads/?digest=${digest}`, {
        body: new Uint8Array(bytes),
      });
      expect(answer.status).toBe(201);
      return digest;
    },
    async pushImage(repository, reference, extra = {}) {
      const config = await registry.pushBlob(repository, EMPTY_CONFIG);
      const bytes = imageManifest(config, extra);
      const digest = await digestBytes(bytes);
      const answer = await registry.request("PUT", `/v2/${repository}/manifests/${reference ?? digest}`, {
        body: bytes,
        headers: { "content-type": OCI_MANIFEST },
      });
      expect(answer.status).toBe(201);
      return digest;
    },
    async reopen(again = {}) {
      await store.close();
      return openTestRegistry({ ...options, ...again, dir });
    },
    snapshot: () => filesOf(dir),
    async close() {
      await store.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return registry;
}

/** An image manifest around the config `{}`. */
export function imageManifest(config: Digest, extra: Record<string, unknown> = {}): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: "application/vnd.test.config+json", digest: config, size: EMPTY_CONFIG.length },
      layers: [],
      ...extra,
    }),
  );
}

/** Asserts a refusal with the code that the specification gives it. */
export async function expectFault(answer: Response, status: number, code: string): Promise<void> {
  const text = await answer.text();
  expect({ status: answer.status, body: text }).toEqual({ status, body: expect.stringContaining(`"code":"${code}"`) });
  expect(answer.headers.get("content-type")).toBe("application/json");
  expect(JSON.parse(text)).toEqual({ errors: [expect.objectContaining({ code, message: expect.any(String) })] });
}

export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function filesOf(dir: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const entry of readdirSync(dir, { recursive: true, encoding: "utf8" })) {
    const path = join(dir, entry);
    if (statSync(path).isFile()) files[relative(dir, path)] = readFileSync(path, "latin1");
  }
  return files;
}
