/**
 * A Notary collection in memory that signs whatever it is told to, honest or not, and serves it through a
 * Transport. Knows no rules: that is what makes it an enemy.
 */
import { hexEncode, ownBytes, utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { hashBytes } from "../../src/base/digest.ts";
import type { Transport, TransportRequest, TransportResponse } from "../../src/base/http.ts";
import { parseJson, type JsonObject } from "../../src/base/json.ts";
import { createSelfSignedCertificate } from "../../src/keys/certificate.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import {
  writeRoot,
  writeSnapshot,
  writeTargets,
  writeTimestamp,
  type Delegation,
  type FileMeta,
  type NotaryKey,
} from "../../src/notary/metadata.ts";
import { keyIdOf, methodFor, toNotaryKey } from "../../src/notary/public-keys.ts";
import { encodeDocument, type NotarySignature } from "../../src/notary/wire.ts";
import { canonicalJson } from "../../src/tuf/canonical-json.ts";

/** A key and the form in which documents list it. */
export interface RoleKey {
  readonly signer: PrivateKey;
  readonly listed: NotaryKey;
}

export interface RoleSigners {
  keys: RoleKey[];
  threshold: number;
}

interface DelegationState extends RoleSigners {
  readonly name: string;
  readonly paths: readonly string[];
}

export const NOW = new Date("2026-06-01T12:00:00Z");
export const GUN = "registry.example:5000/acme/app";
export const SERVER = "https://notary.example";
const FAR = "2030-01-01T00:00:00Z";

/** A plain key. */
export async function plainKey(algorithm: "ecdsa-p256" | "ecdsa-p384" | "ed25519" = "ecdsa-p256"): Promise<RoleKey> {
  const signer = await PrivateKey.generate(algorithm);
  return { signer, listed: toNotaryKey(signer.publicKey) };
}

/** A key in a certificate, as root keys are; valid for some years around NOW. */
export async function certifiedKey(commonName: string, options: CertificateOptions = {}): Promise<RoleKey> {
  const signer = options.signer ?? (await PrivateKey.generate("ecdsa-p256"));
  const pem = await createSelfSignedCertificate({
    commonName,
    signer,
    notBefore: options.notBefore ?? new Date("2020-01-01T00:00:00Z"),
    notAfter: options.notAfter ?? new Date("2035-01-01T00:00:00Z"),
  });
  return { signer, listed: { keytype: `${signer.publicKey.type}-x509`, public: utf8Encode(pem) } };
}

interface CertificateOptions {
  signer?: PrivateKey;
  notBefore?: Date;
  notAfter?: Date;
}

export class NotaryRepository {
  readonly gun: string;
  readonly roles = new Map<string, RoleSigners>();
  readonly versions = new Map<string, number>();
  /** Expiry of a role, where it is not the far one. */
  readonly expires = new Map<string, string>();
  readonly targets = new Map<string, Map<string, FileMeta>>([["targets", new Map()]]);
  readonly delegations: DelegationState[] = [];
  /** Keys that root lists besides those of its roles. */
  readonly extraKeys: NotaryKey[] = [];
  /** Changes the signed part of a role before it is signed. */
  readonly edits = new Map<string, (signed: JsonObject) => void>();
  /** Signs a role with these instead of its own keys. */
  readonly signers = new Map<string, RoleKey[]>();
  /** Changes a role's signatures after they are made. */
  readonly forge = new Map<string, (signatures: NotarySignature[]) => NotarySignature[]>();
  /** Roles that the snapshot leaves out. */
  readonly unlisted = new Set<string>();
  /** What is served, by file name. */
  readonly files = new Map<string, Bytes>();
  /** Answers in the place of a file. */
  readonly answers = new Map<string, () => TransportResponse | Promise<TransportResponse>>();
  /** Called with the name of every file asked for. */
  onRequest: ((file: string, request: TransportRequest) => void | Promise<void>) | undefined;
  readonly requests: string[] = [];
  private readonly documents = new Map<string, Bytes>();

  private constructor(gun: string) {
    this.gun = gun;
  }

  /** A collection with one key per role, published once, with one target `v1`. */
  static async create(gun = GUN): Promise<NotaryRepository> {
    const repository = new NotaryRepository(gun);
    repository.roles.set("root", { keys: [await certifiedKey(gun)], threshold: 1 });
    for (const role of ["targets", "snapshot", "timestamp"]) {
      repository.roles.set(role, { keys: [await plainKey()], threshold: 1 });
    }
    await repository.addTarget("v1", "module one");
    await repository.publish();
    return repository;
  }

  async addTarget(name: string, content: string, role = "targets"): Promise<void> {
    const targets = this.targets.get(role) ?? new Map<string, FileMeta>();
    targets.set(name, await fileMeta(utf8Encode(content)));
    this.targets.set(role, targets);
  }

  async delegate(name: string, paths: readonly string[] = [""], keys?: RoleKey[], threshold = 1): Promise<void> {
    this.delegations.push({ name, paths, keys: keys ?? [await plainKey()], threshold });
    this.targets.set(name, new Map());
  }

  delegation(name: string): DelegationState {
    return this.delegations.find((delegation) => delegation.name === name)!;
  }

  /** Signs these roles anew and serves them, with all that depends on them. */
  async publish(...roles: string[]): Promise<void> {
    const all = roles.length === 0;
    if (all || roles.includes("root")) await this.publishRoot();
    for (const role of this.targets.keys()) {
      if (all || roles.includes(role)) await this.publishTargets(role);
    }
    if (all || !roles.every((role) => role === "timestamp")) await this.publishSnapshot();
    await this.publishTimestamp();
  }

  /** A new root key, signed for by the old ones unless told otherwise. */
  async rotateRoot(options: { signWithOld?: boolean; key?: RoleKey } = {}): Promise<void> {
    const old = this.roles.get("root")!.keys;
    const key = options.key ?? (await certifiedKey(this.gun));
    this.roles.set("root", { keys: [key], threshold: 1 });
    if (options.signWithOld !== false) this.signers.set("root", [key, ...old]);
    this.extraKeys.push(...old.map(({ listed }) => listed));
    await this.publish("root");
    this.signers.delete("root");
  }

  /** The bytes that were last made for a role. */
  document(role: string): Bytes {
    return this.documents.get(role)!;
  }

  /** Serves other bytes for a role, under all its names, without signing anything above it anew. */
  serve(role: string, bytes: Bytes): void {
    for (const [file, current] of this.files) if (current === this.documents.get(role)) this.files.set(file, bytes);
    this.documents.set(role, bytes);
  }

  /** Everything that is served now, to be served again later. */
  snapshotOfServer(): () => void {
    const files = new Map(this.files);
    return () => {
      this.files.clear();
      for (const [file, bytes] of files) this.files.set(file, bytes);
    };
  }

  /** Remembers keys, content and what is served; gives the way back, which also ends every attack. */
  checkpoint(): () => void {
    const copyOf = <V>(map: ReadonlyMap<string, V>): (() => Map<string, V>) => {
      const copy = copyEntries(map);
      return () => copyEntries(copy);
    };
    const maps = [this.roles, this.versions, this.expires, this.targets, this.files, this.documents].map(
      (map) => [map as Map<string, unknown>, copyOf(map as Map<string, unknown>)] as const,
    );
    const lists = [this.delegations, this.extraKeys].map((list) => [list as unknown[], [...list]] as const);
    return () => {
      for (const attack of [this.edits, this.signers, this.forge, this.answers, this.unlisted]) attack.clear();
      for (const [map, saved] of maps) {
        map.clear();
        for (const [key, value] of saved()) map.set(key, value);
      }
      for (const [list, saved] of lists) list.splice(0, list.length, ...saved);
    };
  }

  readonly transport: Transport = async (request) => {
    const prefix = `/v2/${this.gun}/_trust/tuf/`;
    const path = decodeURI(new URL(request.url).pathname);
    const file = path.startsWith(prefix) ? path.slice(prefix.length) : path;
    this.requests.push(file);
    await this.onRequest?.(file, request);
    request.signal?.throwIfAborted();
    const answer = this.answers.get(file);
    if (answer !== undefined) return answer();
    const bytes = this.files.get(file);
    return bytes === undefined ? notFound() : respond(200, bytes);
  };

  private async publishRoot(): Promise<void> {
    const keys: NotaryKey[] = [...this.extraKeys];
    const roles = new Map<string, { keyIds: string[]; threshold: number }>();
    for (const [role, { keys: own, threshold }] of this.roles) {
      keys.push(...own.map(({ listed }) => listed));
      roles.set(role, { keyIds: await ids(own), threshold });
    }
    const version = this.bump("root");
    const root = { consistentSnapshot: false, expires: this.expiry("root"), keys: await keyMap(keys), roles, version };
    const bytes = await this.sign("root", writeRoot(root));
    await this.put("root", bytes);
    this.files.set(`${version}.root.json`, bytes);
  }

  private async publishTargets(role: string): Promise<void> {
    const below = this.delegations.filter(({ name }) => name.slice(0, name.lastIndexOf("/")) === role);
    const roles: Delegation[] = [];
    for (const { name, paths, keys, threshold } of below)
      roles.push({ name, paths, keyIds: await ids(keys), threshold });
    const keys = await keyMap(below.flatMap((delegation) => delegation.keys.map(({ listed }) => listed)));
    const targets = this.targets.get(role)!;
    const version = this.bump(role);
    const canonical = writeTargets({ delegations: { keys, roles }, expires: this.expiry(role), targets, version });
    await this.put(role, await this.sign(role, canonical));
  }

  private async publishSnapshot(): Promise<void> {
    const meta = new Map<string, FileMeta>();
    for (const [role, bytes] of this.documents) {
      const isListed = role !== "snapshot" && role !== "timestamp" && !this.unlisted.has(role);
      if (isListed) meta.set(role, await fileMeta(bytes));
    }
    const canonical = writeSnapshot({ expires: this.expiry("snapshot"), meta, version: this.bump("snapshot") });
    await this.put("snapshot", await this.sign("snapshot", canonical));
  }

  private async publishTimestamp(): Promise<void> {
    const meta = new Map([["snapshot", await fileMeta(this.document("snapshot"))]]);
    const canonical = writeTimestamp({ expires: this.expiry("timestamp"), meta, version: this.bump("timestamp") });
    await this.put("timestamp", await this.sign("timestamp", canonical));
  }

  private async sign(role: string, canonical: string): Promise<Bytes> {
    let text = canonical;
    const edit = this.edits.get(role);
    if (edit !== undefined) {
      const signed = parseJson(canonical) as JsonObject;
      edit(signed);
      text = canonicalJson(signed);
    }
    const keys = this.signers.get(role) ?? this.roles.get(role)?.keys ?? this.delegation(role).keys;
    const signatures = await Promise.all(
      keys.map(async ({ signer, listed }) => ({
        keyId: await keyIdOf(listed),
        method: methodFor(signer.publicKey),
        signature: await signer.sign(utf8Encode(text)),
      })),
    );
    return encodeDocument(text, this.forge.get(role)?.(signatures) ?? signatures);
  }

  private bump(role: string): number {
    const version = (this.versions.get(role) ?? 0) + 1;
    this.versions.set(role, version);
    return version;
  }

  private expiry(role: string): string {
    return this.expires.get(role) ?? FAR;
  }

  private async put(role: string, bytes: Bytes): Promise<void> {
    this.documents.set(role, bytes);
    this.files.set(`${role}.json`, bytes);
    this.files.set(`${role}.${hexEncode(await hashBytes("sha256", bytes))}.json`, bytes);
  }
}

/** A copy down to the maps and signers inside, which tests replace or change in place. */
function copyEntries<V>(map: ReadonlyMap<string, V>): Map<string, V> {
  return new Map(
    Array.from(map, ([key, value]) => {
      if (value instanceof Map) return [key, new Map(value) as V];
      if (value instanceof Uint8Array || typeof value !== "object") return [key, value];
      return [key, { ...value }];
    }),
  );
}

export function respond(
  status: number,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
): TransportResponse {
  const bytes = typeof body === "string" ? utf8Encode(body) : ownBytes(body);
  return {
    status,
    headers: new Headers({ "content-length": String(bytes.length), ...headers }),
    body: (async function* () {
      yield bytes;
    })(),
    cancel: async () => {},
  };
}

/** What a Notary server says when it has nothing. */
export function notFound(): TransportResponse {
  const error = { code: "METADATA_NOT_FOUND", message: "You have requested metadata that does not exist.", detail: {} };
  return respond(404, `${JSON.stringify({ errors: [error] })}\n`);
}

export async function fileMeta(bytes: Bytes): Promise<FileMeta> {
  const hashes = new Map([
    ["sha256", await hashBytes("sha256", bytes)],
    ["sha512", await hashBytes("sha512", bytes)],
  ]);
  return { length: bytes.length, hashes };
}

async function ids(keys: readonly RoleKey[]): Promise<string[]> {
  return Promise.all(keys.map(({ listed }) => keyIdOf(listed)));
}

async function keyMap(keys: readonly NotaryKey[]): Promise<Map<string, NotaryKey>> {
  return new Map(await Promise.all(keys.map(async (key) => [await keyIdOf(key), key] as const)));
}
