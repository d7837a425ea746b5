/** A TUF repository in memory that can be published to, and people with keys who do. */
import { expect } from "vitest";
import { equalBytes, type Bytes } from "../../src/base/bytes.ts";
import { TrustError } from "../../src/base/errors.ts";
import { PrivateKey, type KeyAlgorithmName } from "../../src/keys/private-key.ts";
import type { TufChange } from "../../src/tuf/changes.ts";
import { TufClient } from "../../src/tuf/client.ts";
import { newCollection, type NewCollection } from "../../src/tuf/create.ts";
import { tufKeyOf, type TufKey } from "../../src/tuf/keys.ts";
import { metadataFile } from "../../src/tuf/names.ts";
import type { MetadataFile } from "../../src/tuf/publish-files.ts";
import { publishChanges, publishNew, type PublishAccess, type PublishEnvironment } from "../../src/tuf/publish.ts";
import type { PublishedBase, StagingStore, TufPublisherStore } from "../../src/tuf/publisher-store.ts";
import { openSigningKeys } from "../../src/tuf/signing-keys.ts";
import { memoryTufStore, type TufStore } from "../../src/tuf/store.ts";
import { codeOf } from "./error-code.ts";

export const NOW = new Date("2030-01-01T12:00:00Z");
export const DAY = 86_400_000;

/** Files in a map; writes are recorded in order. */
export class MemoryPublisherStore implements TufPublisherStore {
  readonly location = "memory";
  readonly files = new Map<string, Bytes>();
  readonly written: string[] = [];
  /** Runs before the next publish takes place, once. */
  beforePublish: (() => Promise<void>) | undefined;

  async metadata({ file }: { readonly file: string }): Promise<Bytes | undefined> {
    return this.files.get(file);
  }

  async target(): Promise<undefined> {
    return undefined;
  }

  async publish(files: readonly MetadataFile[], base: PublishedBase | undefined): Promise<void> {
    const before = this.beforePublish;
    this.beforePublish = undefined;
    await before?.();
    const timestamp = this.files.get("timestamp.json");
    const same =
      base === undefined ? timestamp === undefined : timestamp !== undefined && equalBytes(timestamp, base.timestamp);
    if (!same || this.files.has(metadataFile("root", (base?.root ?? 0) + 1))) {
      throw new TrustError("TRUST_CONFLICT", "somebody was faster");
    }
    for (const { file } of files) {
      if (file !== "timestamp.json" && this.files.has(file)) throw new Error(`${file} would be overwritten`);
    }
    for (const { file, bytes } of files) {
      this.files.set(file, bytes);
      this.written.push(file);
    }
  }

  private turn: Promise<unknown> = Promise.resolve();

  async inTurn<T>(action: () => Promise<T>): Promise<T> {
    const mine = this.turn.then(action);
    this.turn = mine.catch(() => undefined);
    return mine;
  }

  /** What is published, to compare with later. */
  snapshot(): ReadonlyMap<string, Bytes> {
    return new Map(this.files);
  }
}

export function memoryStaging(): StagingStore & { content: Bytes | undefined } {
  return {
    location: "memory:staged",
    content: undefined,
    async read() {
      return this.content;
    },
    async update(change) {
      this.content = await change(this.content);
    },
  };
}

export interface Person {
  readonly key: TufKey;
  readonly signer: PrivateKey;
}

export async function person(algorithm: KeyAlgorithmName = "ed25519"): Promise<Person> {
  const signer = await PrivateKey.generate(algorithm);
  return { signer, key: await tufKeyOf(signer.publicKey) };
}

export function people(count: number): Promise<Person[]> {
  return Promise.all(Array.from({ length: count }, () => person()));
}

export function environment(signers: readonly Person[], now = NOW): PublishEnvironment {
  return { signing: openSigningKeys(signers.map(({ signer }) => signer)), now: () => now };
}

/** One collection with one key per role, and everything that tests do with it. */
export class Rig {
  readonly store = new MemoryPublisherStore();
  readonly root: Person;
  readonly targets: Person;
  readonly online: Person;
  anchor: Bytes | undefined;
  now = NOW;

  private constructor([root, targets, online]: readonly Person[]) {
    this.root = root!;
    this.targets = targets!;
    this.online = online!;
  }

  static async make(collection: Partial<NewCollection["roles"]> = {}, more: readonly Person[] = []): Promise<Rig> {
    const rig = new Rig(await people(3));
    await publishNew(rig.access, rig.draft(collection), environment([...rig.all, ...more]));
    rig.anchor = rig.store.files.get("1.root.json");
    return rig;
  }

  draft(roles: Partial<NewCollection["roles"]> = {}) {
    const { root, targets, online } = this;
    return newCollection({
      roles: {
        root: { keys: [root.key] },
        targets: { keys: [targets.key] },
        snapshot: { keys: [online.key] },
        timestamp: { keys: [online.key] },
        ...roles,
      },
    });
  }

  get all(): Person[] {
    return [this.root, this.targets, this.online];
  }

  get access(): PublishAccess {
    return { store: this.store, anchor: this.anchor };
  }

  publish(changes: readonly TufChange[], keys: readonly Person[] = this.all) {
    return publishChanges(this.access, () => changes, environment(keys, this.now));
  }

  client(store: TufStore = memoryTufStore(), now = this.now): TufClient {
    return new TufClient({ anchor: this.anchor!, repository: this.store, store, now: () => now });
  }

  /** What a new client finds. */
  async find(name: string) {
    const client = this.client();
    await client.refresh();
    return client.find(name);
  }
}

function content(text: string) {
  return { length: text.length, hashes: { sha256: text.padEnd(64, "0").replaceAll(/[^0-9a-f]/g, "a") } };
}

export function add(name: string, role = "targets", text = name): TufChange {
  return { action: "add", role, name, content: content(text) };
}

/** A publish is refused with a code, writes nothing, and the next honest one goes through. */
export async function expectRefusal(rig: Rig, code: string, action: () => Promise<unknown>): Promise<void> {
  const before = rig.store.snapshot();
  expect(await codeOf(action)).toBe(code);
  expect(rig.store.snapshot()).toEqual(before);
  await rig.publish([add("honest/v1")]);
  expect((await rig.find("honest/v1"))?.role).toBe("targets");
}
