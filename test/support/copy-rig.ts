/** Two registries, a publisher who signs in the first, and consumers who pin the same keys for the second. */
import type { Bytes } from "../../src/base/bytes.ts";
import type { Digest } from "../../src/base/digest.ts";
import { copy, type CopyOptions, type CopyReport } from "../../src/copy.ts";
import { MemoryOutput } from "../../src/download.ts";
import { nodeHasher } from "../../src/node/hasher.ts";
import type { NodeTransport } from "../../src/node/transport.ts";
import type { ContentStore } from "../../src/oci/content-store.ts";
import { RegistryClient } from "../../src/oci/registry-client.ts";
import { taggedReference } from "../../src/oci/tagged-reference.ts";
import { pull } from "../../src/pull.ts";
import { push, type PushOptions, type PushReport } from "../../src/push.ts";
import type { Coverage } from "../../src/trust/coverage.ts";
import { openOciTrust } from "../../src/trust/oci/trust.ts";
import type { Pin } from "../../src/trust/pin.ts";
import { filesRepository } from "../../src/trust/trust-files.ts";
import { createTufSource, type TufSource, type TufTrustStore } from "../../src/trust/tuf/source.ts";
import { startHostileRegistry, type HostileRegistry } from "./hostile-registry.ts";
import { always } from "./key-fixtures.ts";
import { COLLECTION, machine, memoryTrust, type Machine } from "./oci-trust.ts";
import { testTransport } from "./registry-rig.ts";
import { memoryStaging } from "./tuf-publishing.ts";
import { moduleSource, type Pulled } from "./use-case.ts";

export class CopyRig {
  readonly from: HostileRegistry;
  readonly to: HostileRegistry;
  readonly client: RegistryClient;
  readonly publisher: Machine;
  now = (): Date => new Date();
  private readonly transport: NodeTransport;
  private pin: Pin | undefined;

  private constructor(from: HostileRegistry, to: HostileRegistry) {
    this.from = from;
    this.to = to;
    this.transport = testTransport(2_000);
    this.client = new RegistryClient({ runtime: this.runtime, retry: { sleep: () => Promise.resolve(), attempts: 2 } });
    this.publisher = machine(from.host, this.transport);
  }

  static async start(): Promise<CopyRig> {
    return new CopyRig(await startHostileRegistry(), await startHostileRegistry());
  }

  async stop(): Promise<void> {
    this.transport.close();
    await this.from.stop();
    await this.to.stop();
  }

  get runtime() {
    return { transport: this.transport, createHasher: nodeHasher, now: () => this.now() };
  }

  get source(): ContentStore {
    return this.client.repository({ registry: this.from.host, repository: "acme/app" });
  }

  get destination(): ContentStore {
    return this.client.repository({ registry: this.to.host, repository: "mirror/app" });
  }

  /** Signed unless told. */
  async push(text: string, tag = "v1", signed = true, more: Partial<PushOptions> = {}): Promise<PushReport> {
    const sign = { source: this.publisher.source, collection: COLLECTION, firstUse: "refuse" } as const;
    const report = await push({
      runtime: this.runtime,
      registry: this.client,
      reference: `${this.from.host}/acme/app:${tag}`,
      module: moduleSource(text),
      ...(signed ? { sign } : {}),
      ...more,
    });
    const keys = report.signed?.collection.rootKeys;
    if (keys !== undefined) this.pin = { fingerprints: keys.map(({ fingerprint }) => fingerprint) };
    return report;
  }

  /** The publisher's root keys, as everybody has heard of them. */
  get keys(): Pin {
    if (this.pin === undefined) throw new Error("nothing was signed yet");
    return this.pin;
  }

  /** What a machine that knows the publisher's keys verifies a place against. */
  coverage(registry: HostileRegistry, repository: string, trust = memoryTrust()): Coverage {
    const { source } = openOciTrust({
      registry: this.client,
      repository: { registry: registry.host, repository },
      trust,
      staging: memoryStaging(),
      keyStore: this.publisher.keyStore,
      passphrases: always("none"),
      keyLocation: "nowhere",
      runtime: this.runtime,
    });
    return { source, collection: COLLECTION, prefix: "", reason: "pin", pin: this.keys, firstUse: "refuse" };
  }

  /** Verifies files of the source with what a machine trusts. */
  openState(trust: TufTrustStore): (files: ReadonlyMap<string, Bytes>) => TufSource {
    const location = `oci://${this.from.host}/acme/app`;
    const { runtime } = this;
    return (files) => createTufSource({ kind: "oci", repository: filesRepository(files, location), runtime, trust });
  }

  /** Copies `v1`, verified unless told. */
  copy(options: Partial<CopyOptions> = {}): Promise<CopyReport> {
    const { runtime, source, destination } = this;
    const trust = memoryTrust();
    const covered = "trust" in options ? {} : { trust: this.coverage(this.from, "acme/app", trust) };
    const openState = this.openState(trust);
    const reference = taggedReference(`${this.from.host}/acme/app:v1`);
    return copy({ runtime, source, destination, reference, openState, ...covered, ...options });
  }

  /** Pulls from the destination as somebody who has pinned it to the same name. */
  async pull(
    tag = "v1",
    place: { registry: HostileRegistry; repository: string } = { registry: this.to, repository: "mirror/app" },
  ): Promise<Pulled> {
    const output = new MemoryOutput();
    const report = await pull({
      runtime: this.runtime,
      registry: this.client,
      reference: `${place.registry.host}/${place.repository}:${tag}`,
      output,
      trust: this.coverage(place.registry, place.repository),
    });
    return { report, bytes: output.bytes };
  }

  /** Everything that the destination has, to compare. */
  contents(): string {
    const { blobs, manifests } = this.to;
    const named = [...manifests].map(([name, { bytes }]) => `${name} ${bytes.toString("base64")}`);
    return [...blobs.keys(), ...named].toSorted().join("\n");
  }

  digestAt(registry: HostileRegistry, name: string): Digest | undefined {
    const stored = registry.manifests.get(name);
    if (stored === undefined) return undefined;
    const repository = name.slice(0, name.lastIndexOf(":"));
    for (const [key, { bytes }] of registry.manifests) {
      if (key.startsWith(`${repository}@`) && bytes.equals(stored.bytes))
        return key.slice(repository.length + 1) as Digest;
    }
    return undefined;
  }
}
