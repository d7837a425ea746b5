/**
 * A signed application between a registry and a trust server that can both be made hostile, and a victim who has
 * pulled it once and so knows its trust root.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { ownBytes } from "../../src/base/bytes.ts";
import type { Digest } from "../../src/base/digest.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import { withBinding } from "../../src/trust/target-custom.ts";
import { startHostileRegistry, type HostileRegistry } from "./hostile-registry.ts";
import { makeAuthority, startHostileTrustServer, type HostileTrustServer } from "./hostile-trust-server.ts";
import { fileMeta, NotaryRepository } from "./notary-repository.ts";
import { moduleBytes } from "./use-case.ts";
import { Victim, type ErrorReport } from "./victim.ts";

export const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
export const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
export const NAME = "team/app";
export const OUTPUT = "app.wasm";

/** What `v1` is. */
export const HONEST_MODULE = new Uint8Array(moduleBytes("one"));

/** Bounds what a silent server costs a test. */
const PATIENCE = ["--timeout", "1s"];

export class SignedApp {
  readonly registry: HostileRegistry;
  readonly trust: HostileTrustServer;
  readonly collection: NotaryRepository;
  readonly victim: Victim;
  /** For certificates. */
  readonly folder: string;
  private restore: () => void = () => undefined;

  private constructor(parts: Pick<SignedApp, "registry" | "trust" | "collection" | "victim" | "folder">) {
    this.registry = parts.registry;
    this.trust = parts.trust;
    this.collection = parts.collection;
    this.victim = parts.victim;
    this.folder = parts.folder;
  }

  /**
   * Tags, all of the collection's own modules: `v1`, signed as this project does it, with its manifest; `v0`, signed
   * as the 2019 tool did it, module only; `r1`, signed by the delegation `targets/releases`.
   */
  static async start(): Promise<SignedApp> {
    const folder = await mkdtemp(join(tmpdir(), "wasm-to-oci-authority-"));
    const registry = await startHostileRegistry();
    const collection = await NotaryRepository.create(`${registry.host}/${NAME}`);
    const trust = await startHostileTrustServer(await makeAuthority(folder), collection.transport);
    const victim = await Victim.create({ WASM_TO_OCI_TLSCACERT: trust.caFile });
    await victim.logIn(registry.host, trust.host);
    const app = new SignedApp({ registry, trust, collection, victim, folder });
    await collection.delegate("targets/releases");
    await app.release("v1", "one");
    await app.release("r1", "one of the releases", { role: "targets/releases" });
    await app.release("v0", "zero", { bound: false });
    await collection.publish();
    await collection.publish("targets/releases"); // so that every role has an older version to go back to
    await victim.succeed(["pull", app.reference(), "--server", trust.url, "-o", OUTPUT]);
    await victim.save();
    const { blobs, manifests } = registry;
    const content = [new Map(blobs), new Map(manifests)] as const;
    const back = collection.checkpoint();
    app.restore = () => {
      back();
      registry.setFault(undefined);
      trust.setFault(undefined);
      refill(blobs, content[0]);
      refill(manifests, content[1]);
    };
    return app;
  }

  reference(tag = "v1"): string {
    return `${this.registry.host}/${NAME}:${tag}`;
  }

  /** Pushes a module under a tag and lists it in a role; signed with the next publish. Gives the manifest's digest. */
  async release(
    tag: string,
    text: string,
    options: { role?: string; bound?: boolean; replaces?: string } = {},
  ): Promise<string> {
    const bytes = moduleBytes(text);
    const digest = this.push(bytes, tag);
    const meta = await fileMeta(ownBytes(bytes));
    const replaces = options.replaces as Digest | undefined;
    const custom = withBinding(undefined, { manifests: [digest as Digest], replaces });
    const role = options.role ?? "targets";
    this.collection.targets.get(role)!.set(tag, options.bound === false ? meta : { ...meta, custom });
    return digest;
  }

  /** Puts a module into the registry, signed or not. Gives the manifest's digest. */
  push(bytes: Uint8Array, tag?: string): string {
    return this.registry.addManifest(NAME, this.manifestOf(bytes), MANIFEST_TYPE, tag);
  }

  /** The manifest of a module, whose blobs are then in the registry. */
  manifestOf(bytes: Uint8Array): Record<string, unknown> {
    const layer = this.registry.addBlob(NAME, bytes);
    const config = this.registry.addBlob(NAME, Buffer.from("{}"));
    return {
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: { mediaType: "application/vnd.wasm.config.v1+json", digest: config, size: 2 },
      layers: [{ mediaType: "application/vnd.wasm.content.layer.v1+wasm", digest: layer, size: bytes.length }],
    };
  }

  pullWords(tag = "v1", ...more: string[]): string[] {
    return ["pull", this.reference(tag), "-o", OUTPUT, ...PATIENCE, ...more];
  }

  /** Everything honest and the victim as it was after its first pull. */
  async reset(): Promise<void> {
    this.restore();
    await this.victim.reset();
  }

  /** A pull that must be refused; afterwards an honest one must work. */
  async pullRefused(code: ErrorCode, status: number, tag = "v1", ...more: string[]): Promise<ErrorReport> {
    const report = await this.victim.refused(this.pullWords(tag, ...more), code, status);
    expect(await this.pullHonestly()).toEqual(HONEST_MODULE);
    return report;
  }

  /** The same where the collection is verified before something else is wrong: that it was may be remembered. */
  async pullRefusedLate(code: ErrorCode, status: number, tag = "v1", ...more: string[]): Promise<ErrorReport> {
    const report = await this.victim.refused(this.pullWords(tag, ...more), code, status, { mayAdvance: true });
    expect(await this.pullHonestly()).toEqual(HONEST_MODULE);
    return report;
  }

  /** Ends every attack, publishes anew as the owner would, and pulls; gives what came. */
  async pullHonestly(...more: string[]): Promise<Uint8Array> {
    const reached = new Map(this.collection.versions);
    this.restore();
    const { versions } = this.collection;
    for (const [role, version] of reached) {
      if (role !== "root") versions.set(role, Math.max(version, versions.get(role) ?? 0));
    }
    await this.collection.publish("targets", "targets/releases");
    await this.victim.succeed(this.pullWords("v1", ...more));
    return new Uint8Array(await readFile(join(this.victim.work, OUTPUT)));
  }

  async stop(): Promise<void> {
    await this.registry.stop();
    await this.trust.stop();
    await this.victim.remove();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function refill<V>(map: Map<string, V>, content: ReadonlyMap<string, V>): void {
  map.clear();
  for (const [key, value] of content) map.set(key, value);
}
