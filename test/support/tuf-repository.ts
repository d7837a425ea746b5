/** A TUF repository in memory that publishes honestly, and lies wherever a test tells it to. */
import { utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { digestBytes, digestHex } from "../../src/base/digest.ts";
import { TransportError } from "../../src/base/errors.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { memoryTufStore, type TufStore } from "../../src/tuf/store.ts";
import { TufClient, type TufClientOptions } from "../../src/tuf/client.ts";
import { signMessage, tufKeyOf, type TufKey } from "../../src/tuf/keys.ts";
import { encodeMetadata, signedMessage } from "../../src/tuf/metadata.ts";
import { encodeName, metadataFile } from "../../src/tuf/names.ts";
import type { TufRepository } from "../../src/tuf/repository.ts";
import type {
  DelegatedRole,
  Delegations,
  MetaFile,
  RoleKeys,
  Root,
  Signature,
  Signed,
  Snapshot,
  SuccinctRoles,
  TargetFile,
  Targets,
  Timestamp,
} from "../../src/tuf/schema.ts";

export const NOW = new Date("2030-06-01T00:00:00Z");
export const LATER = new Date("2031-06-01T00:00:00Z");
export const PAST = new Date("2030-05-01T00:00:00Z");

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** A private key with its key object. */
export interface Pair {
  readonly key: TufKey;
  readonly signer: PrivateKey;
}

const COMMON = { version: 1, specVersion: "1.0.34", expires: LATER, extra: {} };

export async function newPair(): Promise<Pair> {
  const signer = await PrivateKey.generate("ed25519");
  return { signer, key: await tufKeyOf(signer.publicKey) };
}

export function roleKeys(pairs: readonly Pair[], threshold = 1): RoleKeys {
  return { keyIds: pairs.map(({ key }) => key.id), threshold, extra: {} };
}

export async function signAll(signed: Signed, pairs: readonly Pair[]): Promise<Signature[]> {
  const message = signedMessage(signed);
  return Promise.all(pairs.map(({ key, signer }) => signMessage(key, signer, message)));
}

export interface SimulatorOptions {
  readonly consistentSnapshot?: boolean;
  /** Whether snapshot and timestamp list lengths and hashes; they do unless told. */
  readonly hashes?: boolean;
}

export class TufSimulator {
  /** What is served below the metadata's base. */
  readonly files = new Map<string, Bytes>();
  /** What is served below the targets' base. */
  readonly targetFiles = new Map<string, Bytes>();
  /** Every metadata file asked for, in order. */
  readonly requests: string[] = [];
  /** Who signs, by role. */
  readonly signers = new Map<string, Pair[]>();
  root!: Mutable<Root>;
  timestamp!: Mutable<Timestamp>;
  snapshot!: Mutable<Snapshot>;
  /** `targets` and delegated roles. */
  readonly roles = new Map<string, Mutable<Targets>>();
  anchor!: Bytes;
  hashes = true;
  /** Called before each answer; may throw. */
  onRequest: (file: string) => void | Promise<void> = () => undefined;
  private previousRootSigners: Pair[] = [];

  static async create(options: SimulatorOptions = {}): Promise<TufSimulator> {
    const simulator = new TufSimulator();
    simulator.hashes = options.hashes ?? true;
    for (const role of ["root", "timestamp", "snapshot", "targets"]) simulator.signers.set(role, [await newPair()]);
    simulator.root = {
      type: "root",
      ...COMMON,
      consistentSnapshot: options.consistentSnapshot ?? true,
      keys: new Map(),
      roles: new Map(),
    };
    simulator.updateRootKeys();
    simulator.timestamp = { type: "timestamp", ...COMMON, snapshot: { version: 1, extra: {} } };
    simulator.snapshot = { type: "snapshot", ...COMMON, meta: new Map() };
    simulator.roles.set("targets", { type: "targets", ...COMMON, targets: new Map() });
    simulator.anchor = await simulator.serve("root", simulator.root, 1);
    await simulator.publishTargets("targets");
    await simulator.publishSnapshot();
    await simulator.publishTimestamp();
    return simulator;
  }

  get targets(): Mutable<Targets> {
    return this.roles.get("targets")!;
  }

  readonly repository: TufRepository = {
    location: "memory:",
    metadata: async ({ file, limit }) => {
      this.requests.push(file);
      await this.onRequest(file);
      const bytes = this.files.get(file);
      if (bytes === undefined || bytes.length <= limit) return bytes;
      throw new TransportError("RESPONSE_TOO_LARGE", `${file} is larger than the ${limit} bytes allowed for it`);
    },
    target: async ({ file }) => {
      const bytes = this.targetFiles.get(file);
      return bytes === undefined ? undefined : chunks(bytes);
    },
  };

  client(options: Partial<TufClientOptions> & { store?: TufStore } = {}): TufClient {
    return new TufClient({
      anchor: this.anchor,
      repository: this.repository,
      store: memoryTufStore(),
      now: () => NOW,
      ...options,
    });
  }

  /** Sets root's keys and roles from {@link signers}. */
  updateRootKeys(thresholds: Readonly<Record<string, number>> = {}): void {
    const roles = new Map(this.root.roles);
    const keys = new Map<string, TufKey>();
    for (const role of ["root", "timestamp", "snapshot", "targets"]) {
      const pairs = this.signers.get(role)!;
      for (const { key } of pairs) keys.set(key.id, key);
      roles.set(role, roleKeys(pairs, thresholds[role] ?? roles.get(role)?.threshold ?? 1));
    }
    this.root.keys = keys;
    this.root.roles = roles;
  }

  /** Replaces a top-level role's key; publish root to make it known. */
  async rotate(role: string): Promise<void> {
    if (role === "root") this.previousRootSigners = this.signers.get("root")!;
    this.signers.set(role, [await newPair()]);
    this.updateRootKeys();
  }

  async publishRoot(): Promise<Bytes> {
    this.root.version++;
    const pairs = [...new Set([...this.previousRootSigners, ...this.signers.get("root")!])];
    this.previousRootSigners = [];
    return this.serve("root", this.root, this.root.version, pairs);
  }

  /** Signs a targets role as it is and lists it in the snapshot. */
  async publishTargets(role: string): Promise<Bytes> {
    const bytes = await this.serve(role, this.roles.get(role)!, this.roles.get(role)!.version);
    this.list(role, await this.meta(this.roles.get(role)!.version, bytes));
    return bytes;
  }

  list(role: string, meta: MetaFile | undefined): void {
    const all = new Map(this.snapshot.meta);
    if (meta === undefined) all.delete(role);
    else all.set(role, meta);
    this.snapshot.meta = all;
  }

  async publishSnapshot(): Promise<Bytes> {
    const bytes = await this.serve("snapshot", this.snapshot, this.snapshot.version);
    this.timestamp.snapshot = await this.meta(this.snapshot.version, bytes);
    return bytes;
  }

  async publishTimestamp(): Promise<Bytes> {
    return this.serve("timestamp", this.timestamp, undefined);
  }

  /** Publishes new versions of targets roles, and so of snapshot and timestamp. */
  async publish(...roles: readonly string[]): Promise<void> {
    for (const role of roles) {
      this.roles.get(role)!.version++;
      await this.publishTargets(role);
    }
    this.snapshot.version++;
    await this.publishSnapshot();
    this.timestamp.version++;
    await this.publishTimestamp();
  }

  /** Signs a document and serves it under the name of a version, whatever it says itself. */
  async serve(
    role: string,
    signed: Signed,
    version: number | undefined,
    pairs = this.signers.get(role)!,
  ): Promise<Bytes> {
    const bytes = encodeMetadata(signed, await signAll(signed, pairs));
    this.put(role, version, bytes);
    return bytes;
  }

  put(role: string, version: number | undefined, bytes: Bytes): void {
    const versioned = role === "root" || (role !== "timestamp" && this.root.consistentSnapshot);
    this.files.set(metadataFile(role, versioned ? version : undefined), bytes);
  }

  async meta(version: number, bytes: Bytes): Promise<MetaFile> {
    if (!this.hashes) return { version, extra: {} };
    return { version, length: bytes.length, hashes: { sha256: digestHex(await digestBytes(bytes)) }, extra: {} };
  }

  /**
   * Remembers everything, and gives a function that makes the repository honest again: with versions above all that
   * its enemy used, and from the root that the enemy left where that one was accepted.
   */
  checkpoint(): (keepRoot: boolean) => Promise<void> {
    const { files, targetFiles, signers, roles } = this;
    const copy = {
      files: [...files],
      targetFiles: [...targetFiles],
      signers: [...signers],
      roles: [...roles].map(([name, role]) => [name, { ...role }] as const),
      root: { ...this.root },
      expires: this.timestamp.expires,
    };
    return async (keepRoot) => {
      const used = new Map([...this.snapshot.meta].map(([name, { version }]) => [name, version]));
      for (const [name, { version }] of roles) used.set(name, Math.max(version, used.get(name) ?? 0));
      const roots = [...files].filter(([file]) => file.endsWith(".root.json"));
      const topLevel = [...signers];
      refill(files, copy.files);
      refill(targetFiles, copy.targetFiles);
      refill(signers, copy.signers);
      refill(roles, copy.roles);
      this.onRequest = () => undefined;
      this.hashes = true;
      if (keepRoot) {
        for (const [file, bytes] of roots) files.set(file, bytes);
        for (const [role, pairs] of topLevel) if (this.root.roles.has(role)) signers.set(role, pairs);
      } else {
        this.root = copy.root;
      }
      this.snapshot.expires = copy.expires;
      this.timestamp.expires = copy.expires;
      for (const [name, role] of roles) role.version = used.get(name)!;
      this.snapshot.version = Math.max(this.snapshot.version, 10);
      this.timestamp.version = Math.max(this.timestamp.version, 10);
      this.timestamp.extra = {};
      await this.publish(...roles.keys());
    };
  }

  /** Adds a target to a role, and its file. */
  async addTarget(role: string, path: string, content: string): Promise<TargetFile> {
    const bytes = utf8Encode(content);
    const sha256 = digestHex(await digestBytes(bytes));
    const file: TargetFile = { length: bytes.length, hashes: { sha256 }, extra: {} };
    const targets = this.roles.get(role)!;
    targets.targets = new Map([...targets.targets, [path, file]]);
    const parts = path.split("/").map(encodeName);
    const last = parts.pop()!;
    this.targetFiles.set([...parts, this.root.consistentSnapshot ? `${sha256}.${last}` : last].join("/"), bytes);
    return file;
  }

  /** Delegates to a role, which is made where it is not there. Publish both to make it known. */
  async delegate(
    parent: string,
    name: string,
    terms: { paths?: string[]; pathHashPrefixes?: string[]; terminating?: boolean; pairs?: Pair[] } = {},
  ): Promise<void> {
    const { paths, pathHashPrefixes, terminating = false } = terms;
    const pairs = terms.pairs ?? this.signers.get(name) ?? [await newPair()];
    if (!this.signers.has(name)) this.signers.set(name, pairs);
    if (!this.roles.has(name)) this.roles.set(name, { type: "targets", ...COMMON, targets: new Map() });
    const matching = pathHashPrefixes === undefined ? { paths: paths ?? ["*"] } : { pathHashPrefixes };
    const role: DelegatedRole = { ...roleKeys(pairs), name, terminating, ...matching };
    this.changeDelegations(parent, ({ keys, roles, extra }) => ({
      keys: new Map([...keys, ...pairs.map(({ key }) => [key.id, key] as const)]),
      roles: [...roles, role],
      extra,
    }));
  }

  async delegateToBins(parent: string, bitLength: number, namePrefix: string, by?: Pair[]): Promise<void> {
    const pairs = by ?? [await newPair()];
    const succinct: SuccinctRoles = { ...roleKeys(pairs), bitLength, namePrefix };
    for (let bin = 0; bin < 2 ** bitLength; bin++) {
      const name = `${namePrefix}-${bin.toString(16).padStart(Math.ceil(bitLength / 4), "0")}`;
      this.signers.set(name, pairs);
      this.roles.set(name, { type: "targets", ...COMMON, targets: new Map() });
    }
    const keys = new Map(pairs.map(({ key }) => [key.id, key]));
    this.changeDelegations(parent, () => ({ keys, roles: [], succinct, extra: {} }));
  }

  changeDelegations(parent: string, change: (delegations: Delegations) => Delegations): void {
    const targets = this.roles.get(parent)!;
    targets.delegations = change(targets.delegations ?? { keys: new Map(), roles: [], extra: {} });
  }
}

function refill<T>(map: Map<string, T>, entries: Iterable<readonly [string, T]>): void {
  map.clear();
  for (const [name, value] of entries) map.set(name, value);
}

async function* chunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7);
}

/** Everything that a store holds, to compare it before and after an attack. */
export async function storeContent(store: TufStore, roles: readonly string[] = []): Promise<Record<string, unknown>> {
  const content: Record<string, unknown> = { record: await store.readRecord() };
  for (let version = 1; version <= 12; version++) content[`${version}.root`] = await store.readRoot(version);
  for (const role of ["timestamp", "snapshot", "targets", ...roles]) content[role] = await store.read(role);
  return content;
}
