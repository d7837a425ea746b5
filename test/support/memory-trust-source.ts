import { TrustError } from "../../src/base/errors.ts";
import type {
  EditTargets,
  OpenOptions,
  PublishOptions,
  PublishResult,
  RoleReport,
  SignedTarget,
  TrustedCollection,
  TrustSource,
} from "../../src/trust/source.ts";

const KEY = { keyId: "c0ffee".repeat(10), fingerprint: "ab".repeat(32) };
const YEAR_MS = 365 * 24 * 60 * 60 * 1000;

/** A trust source without cryptography: what the use cases see of one, with switches for its misfortunes. */
export class MemoryTrustSource implements TrustSource {
  readonly kind = "notary";
  readonly location: string = "memory:";
  readonly now = new Date("2026-11-22T12:00:00Z");
  readonly collections = new Map<string, Map<string, SignedTarget>>();
  version = 0;
  /** Thrown by the next open or publish. */
  failOpen: Error | undefined;
  failPublish: Error | undefined;
  /** Runs between reading and publishing: another publisher who is faster, once. */
  beforePublish: (() => void) | undefined;

  sign(collection: string, target: Omit<SignedTarget, "role"> & { role?: string }): void {
    const targets = this.collections.get(collection) ?? new Map<string, SignedTarget>();
    targets.set(target.name, { role: "targets", ...target });
    this.collections.set(collection, targets);
    this.version++;
  }

  async open(collection: string, _options: OpenOptions): Promise<TrustedCollection> {
    await Promise.resolve();
    if (this.failOpen !== undefined) throw this.failOpen;
    const targets = this.collections.get(collection);
    if (targets === undefined) throw new TrustError("TRUST_NOT_FOUND", `no trust data for ${collection}`);
    return this.view(collection, targets);
  }

  isKnown(collection: string): Promise<boolean> {
    return Promise.resolve(this.collections.has(collection));
  }

  async publish(collection: string, edit: EditTargets, options: PublishOptions): Promise<PublishResult> {
    await Promise.resolve();
    if (this.failPublish !== undefined) throw this.failPublish;
    const created = !this.collections.has(collection);
    let edits = edit(created ? undefined : this.view(collection, this.collections.get(collection)!));
    if (this.beforePublish !== undefined) {
      const raced = this.beforePublish;
      this.beforePublish = undefined;
      raced();
      edits = edit(this.view(collection, this.collections.get(collection) ?? new Map()));
    }
    const targets = new Map(this.collections.get(collection));
    for (const change of edits) {
      if (change.action === "remove") targets.delete(change.name);
      else {
        const { name, length, hashes, custom } = change;
        targets.set(name, { name, length, hashes, custom, role: options.roles?.[0] ?? "targets" });
      }
    }
    this.collections.set(collection, targets);
    if (edits.length > 0) this.version++;
    const view = this.view(collection, targets);
    return { created, collection: view, freshUntil: view.roles[0]!.expires };
  }

  private view(name: string, targets: ReadonlyMap<string, SignedTarget>): TrustedCollection {
    const copy = new Map(targets);
    const expires = new Date(this.now.getTime() + YEAR_MS);
    const role = (text: string): RoleReport => ({
      role: text,
      version: this.version,
      expires,
      threshold: 1,
      signedBy: [KEY],
      from: "network",
    });
    return {
      name,
      roles: ["root", "timestamp", "snapshot", "targets"].map(role),
      rootKeys: [KEY],
      firstUse: false,
      warnings: [],
      find: (target) => copy.get(target),
      authorities: () => Promise.resolve([]),
      list: () => [...copy.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    };
  }
}
