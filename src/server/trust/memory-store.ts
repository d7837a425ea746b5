/** The trust store in memory: for tests, and for programs that embed the server and keep nothing. */
import { compareUtf8, type Bytes } from "../../base/bytes.ts";
import type { Digest } from "../../base/digest.ts";
import { versionConflict } from "./store.ts";
import type {
  Change,
  ChangeQuery,
  DocumentFacts,
  OnlineRole,
  SealedKey,
  StoredDocument,
  StoredKey,
  TrustStore,
  TrustUpdate,
} from "./store.ts";

/** Makes an empty store. It lives as long as the process. */
export function memoryTrustStore(): TrustStore {
  return new MemoryTrustStore();
}

class MemoryTrustStore implements TrustStore {
  /** By collection, then by role: every version, in ascending order. */
  private readonly collections = new Map<string, Map<string, StoredDocument[]>>();
  private readonly history: Change[] = [];
  private readonly settings = new Map<string, Bytes>();
  /** Oldest first. */
  private sealedKeys: StoredKey[] = [];

  private versions(gun: string, role: string): readonly StoredDocument[] {
    return this.collections.get(gun)?.get(role) ?? [];
  }

  async current(gun: string, role: string): Promise<StoredDocument | undefined> {
    return this.versions(gun, role).at(-1);
  }

  async listCurrent(gun: string): Promise<ReadonlyMap<string, DocumentFacts>> {
    const roles = this.collections.get(gun) ?? new Map<string, StoredDocument[]>();
    return new Map(
      [...roles].map(([role, versions]) => {
        const { version, digest, bytes } = versions.at(-1)!;
        return [role, { version, digest, size: bytes.length }];
      }),
    );
  }

  async byVersion(gun: string, role: string, version: number): Promise<StoredDocument | undefined> {
    return this.versions(gun, role).find((document) => document.version === version);
  }

  async byDigest(gun: string, role: string, digest: Digest): Promise<StoredDocument | undefined> {
    return this.versions(gun, role).find((document) => document.digest === digest);
  }

  async update(update: TrustUpdate): Promise<void> {
    const { gun, now } = update;
    for (const document of update.documents) {
      const newest = this.versions(gun, document.role).at(-1);
      if (newest !== undefined && document.version <= newest.version)
        throw versionConflict(gun, document, newest.version);
    }
    const roles = this.collections.get(gun) ?? new Map<string, StoredDocument[]>();
    this.collections.set(gun, roles);
    for (const document of update.documents) {
      const versions = roles.get(document.role) ?? [];
      roles.set(document.role, [...versions, { ...document, bytes: document.bytes.slice(), storedAt: now }]);
      if (document.role === "timestamp") this.record(gun, now, document.version, document.digest);
    }
    this.sealedKeys = this.sealedKeys.map((key) =>
      key.gun === gun && update.publishedKeyIds?.includes(key.keyId) === true ? { ...key, published: true } : key,
    );
  }

  async delete(gun: string, now: Date): Promise<void> {
    this.sealedKeys = this.sealedKeys.filter((key) => key.gun !== gun);
    if (this.collections.delete(gun)) this.record(gun, now, 0, undefined);
  }

  private record(gun: string, createdAt: Date, version: number, digest: Digest | undefined): void {
    const category = digest === undefined ? "deletion" : "update";
    this.history.push({ id: this.history.length + 1, createdAt, gun, version, digest, category });
  }

  async changes({ gun, limit, after, direction }: ChangeQuery): Promise<readonly Change[]> {
    const wanted = this.history.filter((change) => gun === undefined || change.gun === gun);
    if (direction === "forward") return wanted.filter((change) => change.id > (after ?? 0)).slice(0, limit);
    return wanted.filter((change) => after === undefined || change.id < after).slice(-limit);
  }

  async staleCollections(before: Date, after: string, limit: number): Promise<readonly string[]> {
    const stale = [...this.collections].filter(([gun, roles]) => {
      const timestamp = roles.get("timestamp")?.at(-1);
      return compareUtf8(gun, after) > 0 && timestamp !== undefined && timestamp.storedAt < before;
    });
    const names = stale.map(([gun]) => gun);
    names.sort(compareUtf8);
    return names.slice(0, limit);
  }

  async keys(gun: string, role: OnlineRole): Promise<readonly StoredKey[]> {
    const keys = this.sealedKeys.filter((key) => key.gun === gun && key.role === role);
    keys.reverse();
    return keys;
  }

  async addKey(key: SealedKey, limits: { keepPerRole: number; keepInAll: number }): Promise<void> {
    this.sealedKeys.push({ ...key, published: false });
    const ofRole = (kept: StoredKey): boolean => kept.gun === key.gun && kept.role === key.role;
    this.dropPending(ofRole, limits.keepPerRole);
    this.dropPending(() => true, limits.keepInAll);
  }

  private dropPending(among: (key: StoredKey) => boolean, keep: number): void {
    const pending = this.sealedKeys.filter((key) => !key.published && among(key));
    const dropped = new Set(pending.slice(0, Math.max(0, pending.length - keep)));
    this.sealedKeys = this.sealedKeys.filter((key) => !dropped.has(key));
  }

  async setting(name: string): Promise<Bytes | undefined> {
    return this.settings.get(name);
  }

  async initialiseSetting(name: string, value: Bytes): Promise<void> {
    if (!this.settings.has(name)) this.settings.set(name, value);
  }

  async check(): Promise<void> {}

  async close(): Promise<void> {}
}
