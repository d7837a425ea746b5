/** Makes and publishes Notary documents, with everything about them in the test's hands. */
import { utf8Encode, type Bytes } from "../../../src/base/bytes.ts";
import type { JsonValue } from "../../../src/base/json.ts";
import { hashBytes } from "../../../src/base/digest.ts";
import { createSelfSignedCertificate } from "../../../src/keys/certificate.ts";
import { PrivateKey } from "../../../src/keys/private-key.ts";
import { PublicKey } from "../../../src/keys/public-key.ts";
import { formatGoTime } from "../../../src/notary/go-time.ts";
import {
  writeRoot,
  writeSnapshot,
  writeTargets,
  type Delegation,
  type FileMeta,
  type NotaryKey,
} from "../../../src/notary/metadata.ts";
import { writeMultipart } from "../../../src/notary/multipart.ts";
import { keyIdOf, methodFor, toNotaryKey } from "../../../src/notary/public-keys.ts";
import { encodeDocument } from "../../../src/notary/wire.ts";

const DAY_MS = 86_400_000;

/** The part of a Hono app, or of a real server, that is needed. */
export interface Server {
  request(path: string, init?: RequestInit): Response | Promise<Response>;
}

/** A private key and how documents list it. */
export interface Identity {
  readonly key: PrivateKey;
  readonly listed: NotaryKey;
  readonly keyId: string;
}

export async function plainIdentity(): Promise<Identity> {
  const key = await PrivateKey.generate("ecdsa-p256");
  const listed = toNotaryKey(key.publicKey);
  return { key, listed, keyId: await keyIdOf(listed) };
}

export async function rootIdentity(
  commonName: string,
  now: Date,
  options: { key?: PrivateKey; days?: number } = {},
): Promise<Identity> {
  const key = options.key ?? (await PrivateKey.generate("ecdsa-p256"));
  const notAfter = new Date(now.getTime() + (options.days ?? 3650) * DAY_MS);
  const notBefore = new Date(now.getTime() - DAY_MS);
  const pem = await createSelfSignedCertificate({ commonName, signer: key, notBefore, notAfter });
  const listed: NotaryKey = { keytype: "ecdsa-x509", public: utf8Encode(pem) };
  return { key, listed, keyId: await keyIdOf(listed) };
}

export async function sign(canonical: string, signers: readonly Identity[]): Promise<Bytes> {
  const message = utf8Encode(canonical);
  const signatures = await Promise.all(
    signers.map(async ({ key, keyId }) => {
      return { keyId, method: methodFor(key.publicKey), signature: await key.sign(message) };
    }),
  );
  return encodeDocument(canonical, signatures);
}

export interface RootContent {
  version: number;
  expires: Date;
  root: readonly Identity[];
  targets: readonly { listed: NotaryKey; keyId: string }[];
  snapshot: { listed: NotaryKey; keyId: string };
  timestamp: { listed: NotaryKey; keyId: string };
  signers?: readonly Identity[];
  threshold?: number;
}

async function rootBytes(content: RootContent): Promise<Bytes> {
  const { root, targets, snapshot, timestamp, version, expires } = content;
  const role = (keys: readonly { keyId: string }[], threshold = 1) => {
    return { keyIds: keys.map(({ keyId }) => keyId), threshold };
  };
  const canonical = writeRoot({
    consistentSnapshot: false,
    expires: formatGoTime(expires),
    keys: new Map([...root, ...targets, snapshot, timestamp].map(({ keyId, listed }) => [keyId, listed])),
    roles: new Map([
      ["root", role(root, content.threshold)],
      ["targets", role(targets)],
      ["snapshot", role([snapshot])],
      ["timestamp", role([timestamp])],
    ]),
    version,
  });
  return sign(canonical, content.signers ?? root);
}

export interface TargetsContent {
  version: number;
  expires: Date;
  signers: readonly Identity[];
  targets?: Readonly<Record<string, FileMeta>>;
  delegations?: readonly (Omit<Delegation, "keyIds" | "threshold"> & { keys: readonly Identity[] })[];
}

async function targetsBytes(content: TargetsContent): Promise<Bytes> {
  const delegations = content.delegations ?? [];
  const canonical = writeTargets({
    delegations: {
      keys: new Map(delegations.flatMap(({ keys }) => keys.map(({ keyId, listed }) => [keyId, listed] as const))),
      roles: delegations.map(({ keys, name, paths }) => {
        return { name, paths, keyIds: keys.map(({ keyId }) => keyId), threshold: 1 };
      }),
    },
    expires: formatGoTime(content.expires),
    targets: new Map(Object.entries(content.targets ?? {})),
    version: content.version,
  });
  return sign(canonical, content.signers);
}

async function snapshotBytes(content: {
  version: number;
  expires: Date;
  signers: readonly Identity[];
  files: Readonly<Record<string, Uint8Array>>;
}): Promise<Bytes> {
  const meta = new Map<string, FileMeta>();
  for (const [role, bytes] of Object.entries(content.files)) meta.set(role, await metaOf(bytes));
  return sign(
    writeSnapshot({ expires: formatGoTime(content.expires), meta, version: content.version }),
    content.signers,
  );
}

export async function metaOf(bytes: Uint8Array): Promise<FileMeta> {
  const [sha256, sha512] = await Promise.all([hashBytes("sha256", bytes), hashBytes("sha512", bytes)]);
  return { length: bytes.length, hashes: new Map(Object.entries({ sha256, sha512 })) };
}

export async function post(
  server: Server,
  gun: string,
  files: Readonly<Record<string, Uint8Array>>,
): Promise<Response> {
  const parts = Object.entries(files).map(([role, bytes]) => ({ role, bytes }));
  const { contentType, bytes } = writeMultipart(parts);
  const headers = { "content-type": contentType };
  return server.request(`/v2/${gun}/_trust/tuf/`, { method: "POST", body: bytes, headers });
}

export async function serverKey(
  server: Server,
  gun: string,
  role: "snapshot" | "timestamp",
  method: "GET" | "POST" = "GET",
): Promise<{ listed: NotaryKey; keyId: string }> {
  const answer = await server.request(`/v2/${gun}/_trust/tuf/${role}.key`, { method });
  const json = (await answer.json()) as { keytype: string; keyval: { public: string } };
  const bytes = new Uint8Array(Buffer.from(json.keyval.public, "base64"));
  const listed = toNotaryKey(json.keytype === "ed25519" ? PublicKey.fromEd25519(bytes) : PublicKey.fromSpki(bytes));
  return { listed, keyId: await keyIdOf(listed) };
}

/** What an error answer says. */
export interface ApiFault {
  readonly code: string;
  readonly detail?: JsonValue;
}

export async function faultOf(answer: Response): Promise<ApiFault> {
  const { errors } = (await answer.json()) as { errors: [{ code: string; detail?: JsonValue }] };
  return errors[0];
}

/** A collection with one root and one targets key, published step by step. */
export class Publisher {
  readonly gun: string;
  private readonly server: Server;
  private readonly now: () => Date;
  root!: Identity;
  targets!: Identity;
  timestamp!: { listed: NotaryKey; keyId: string };
  /** The server's key, or ours. */
  snapshot!: { listed: NotaryKey; keyId: string; key?: PrivateKey };
  /** The newest bytes of each role that was accepted. */
  readonly files: Record<string, Bytes> = {};

  private constructor(server: Server, gun: string, now: () => Date) {
    this.server = server;
    this.gun = gun;
    this.now = now;
  }

  /** Makes keys; publishes nothing. */
  static async create(
    server: Server,
    gun: string,
    options: { now?: () => Date; snapshot?: "server" | "client" } = {},
  ): Promise<Publisher> {
    const publisher = new Publisher(server, gun, options.now ?? (() => new Date()));
    publisher.root = await rootIdentity(gun, publisher.now());
    publisher.targets = await plainIdentity();
    publisher.timestamp = await serverKey(server, gun, "timestamp");
    publisher.snapshot =
      options.snapshot === "client" ? await plainIdentity() : await serverKey(server, gun, "snapshot");
    return publisher;
  }

  expires(days = 365): Date {
    return new Date(this.now().getTime() + days * DAY_MS);
  }

  rootBytes(change: Partial<RootContent> = {}): Promise<Bytes> {
    const { root, targets, snapshot, timestamp } = this;
    const keys = { root: [root], targets: [targets], snapshot, timestamp };
    return rootBytes({ version: 1, expires: this.expires(), ...keys, ...change });
  }

  targetsBytes(change: Partial<TargetsContent> = {}): Promise<Bytes> {
    return targetsBytes({ version: 1, expires: this.expires(), signers: [this.targets], ...change });
  }

  /** Over the accepted files and these. */
  snapshotBytes(
    version: number,
    files: Readonly<Record<string, Uint8Array>>,
    expires = this.expires(),
  ): Promise<Bytes> {
    const { key } = this.snapshot;
    if (key === undefined) throw new Error("the server holds this key");
    const { snapshot: _, ...before } = this.files;
    const signers = [{ ...this.snapshot, key }];
    return snapshotBytes({ version, expires, signers, files: { ...before, ...files } });
  }

  async post(files: Readonly<Record<string, Bytes>>): Promise<Response> {
    const answer = await post(this.server, this.gun, files);
    if (answer.status === 200) Object.assign(this.files, files);
    return answer;
  }

  /** Publishes, with a snapshot of ours where we hold its key. @throws where it is refused */
  async publish(files: Readonly<Record<string, Bytes>>, snapshotVersion = 1): Promise<void> {
    const isOurs = this.snapshot.key !== undefined;
    const all = isOurs ? { ...files, snapshot: await this.snapshotBytes(snapshotVersion, files) } : files;
    const answer = await this.post(all);
    if (answer.status !== 200) throw new Error(`refused: ${answer.status} ${await answer.text()}`);
  }

  /** The first publish: root and empty targets, both version 1. */
  async initialise(change: Partial<TargetsContent> = {}): Promise<this> {
    await this.publish({ root: await this.rootBytes(), targets: await this.targetsBytes(change) });
    return this;
  }

  async get(file: string): Promise<Response> {
    return this.server.request(`/v2/${this.gun}/_trust/tuf/${file}`);
  }

  async bytes(file: string): Promise<Bytes> {
    const answer = await this.get(file);
    if (answer.status !== 200) throw new Error(`${file}: ${answer.status} ${await answer.text()}`);
    return new Uint8Array(await answer.arrayBuffer());
  }
}
