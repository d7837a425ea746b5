/** Metadata between a repository, a store and one run of the workflow: what to ask for, and what to keep. */
import { equalBytes, type Bytes } from "../base/bytes.ts";
import { errorCode, FormatError, StorageError, TrustError } from "../base/errors.ts";
import type { TufLimits } from "./limits.ts";
import { decodeMetadata } from "./metadata.ts";
import { metadataFile } from "./names.ts";
import type { TufRepository } from "./repository.ts";
import type { MetadataType, MetaFile } from "./schema.ts";
import type { TufStore } from "./store.ts";

export interface DocumentIoOptions {
  readonly repository: TufRepository;
  readonly store: TufStore;
  readonly limits: TufLimits;
  /** Offline, the repository is asked for nothing until {@link DocumentIo.goOnline}. */
  readonly online: boolean;
  readonly signal: AbortSignal | undefined;
}

export class DocumentIo {
  readonly store: TufStore;
  readonly limits: TufLimits;
  /** What is not a failure and should be known: a store that cannot be written. */
  readonly warnings: string[] = [];
  /** Writes under way, each with what went wrong. */
  private readonly writes: Promise<{ readonly error: unknown } | undefined>[] = [];
  private readonly repository: TufRepository;
  private readonly signal: AbortSignal | undefined;
  private mayAsk: boolean;

  constructor({ repository, store, limits, online, signal }: DocumentIoOptions) {
    this.repository = repository;
    this.store = store;
    this.limits = limits;
    this.mayAsk = online;
    this.signal = signal;
  }

  /** Whether the repository may be asked. */
  get online(): boolean {
    return this.mayAsk;
  }

  /** From here on the repository may be asked for what is not stored. */
  goOnline(): void {
    this.mayAsk = true;
  }

  /** A file of the repository; undefined where it says that it has none. */
  fetch(role: string, version: number | undefined, limit: number): Promise<Bytes | undefined> {
    return this.repository.metadata({ file: metadataFile(role, version), limit, signal: this.signal });
  }

  /**
   * A document that other metadata lists.
   *
   * @param consistent whether its file is named after its version
   * @param usual limit, where no length was signed
   * @throws {TrustError} TRUST_WITHHELD; TRUST_UNAVAILABLE offline
   */
  async fetchExpected(role: string, expected: MetaFile, consistent: boolean, usual: number): Promise<Bytes> {
    if (!this.online) {
      throw new TrustError("TRUST_UNAVAILABLE", `the metadata of ${role} is not stored, and this is offline`, {
        role,
        hint: "Verify online once",
      });
    }
    const read = (limit: number) => this.fetch(role, consistent ? expected.version : undefined, limit);
    return (await readExpected(role, expected, { usual, most: this.limits.signedLength }, read)) ?? withheld(role);
  }

  /** Tries a stored document; offline its fault is the answer, online the repository may have a better one. */
  async usable(use: () => Promise<unknown>): Promise<boolean> {
    if (!this.online) {
      await use();
      return true;
    }
    return (await ignoringFaults(async () => (await use(), true))) ?? false;
  }

  /** Keeps a root. Nothing waits for what is kept before {@link settled}; it is written in the order of the calls. */
  keepRoot(version: number, bytes: Bytes): void {
    this.keep(() => this.store.writeRoot(version, bytes));
  }

  /** Keeps a document, unless another run has kept a newer one since this one looked. */
  keepRole(role: string, bytes: Bytes, seen: Bytes | undefined): void {
    this.keep(() =>
      this.store.update(role, (current) => {
        const same = current === undefined || (seen !== undefined && equalBytes(current, seen));
        return same || versionOf(current, role) <= versionOf(bytes, role) ? bytes : undefined;
      }),
    );
  }

  /** Notes that the repository's newest state was verified. */
  keepCheck(checkedAt: Date): void {
    this.keep(() => this.store.writeRecord({ checkedAt }));
  }

  /** Waits until everything that was verified is kept, or it is known that it cannot be. */
  async settled(): Promise<void> {
    for (const fault of await Promise.all(this.writes.splice(0))) if (fault !== undefined) throw fault.error;
  }

  private keep(write: () => Promise<void>): void {
    this.writes.push(this.tryKeeping(write));
  }

  /** A place that cannot be written must not stop a verification: the floors stay where they were, and it is said. */
  private async tryKeeping(write: () => Promise<void>): Promise<{ readonly error: unknown } | undefined> {
    try {
      await write();
    } catch (error) {
      if (!(error instanceof StorageError)) return { error };
      this.warnings.push(
        `what was verified could not be stored, so the next run starts from older metadata: ${error.message}`,
      );
    }
    return undefined;
  }
}

/** Runs with stored bytes, whose faults only mean that they are of no use. */
export async function ignoringFaults<T>(use: () => Promise<T>): Promise<T | undefined> {
  try {
    return await use();
  } catch (error) {
    if (error instanceof TrustError || error instanceof FormatError) return undefined;
    throw error;
  }
}

/**
 * Reads a document of as many bytes as were signed for it, or else as are usual. More than were signed are not what was
 * signed, as fewer are: no fault of the connection, and perhaps those of a publish this very moment.
 *
 * @throws {TrustError} METADATA_TAMPERED
 */
export async function readExpected(
  role: string,
  { length }: MetaFile,
  { usual, most }: { readonly usual: number; readonly most: number },
  read: (limit: number) => Promise<Bytes | undefined>,
): Promise<Bytes | undefined> {
  const limit = length === undefined ? usual : Math.min(length, most);
  try {
    return await read(limit);
  } catch (cause) {
    if (limit !== length || errorCode(cause) !== "RESPONSE_TOO_LARGE") throw cause;
    throw new TrustError(
      "METADATA_TAMPERED",
      `the metadata of ${role} is not what was signed for it: expected ${length} bytes, got more`,
      {
        role,
        cause,
        hint: "Somebody mixes metadata of different moments, or changed it; it was not used",
        details: { expected: `${length} bytes`, got: "more" },
      },
    );
  }
}

export function withheld(role: string): never {
  throw new TrustError("TRUST_WITHHELD", `the repository does not have the metadata of ${role} that it must have`, {
    role,
    hint: "It is being published this very moment, damaged, or withheld; try again, and tell the publisher",
  });
}

/** Stored bytes may be anything: what cannot be read has no version to defend. */
function versionOf(bytes: Bytes, role: string): number {
  const type: MetadataType = role === "timestamp" || role === "snapshot" ? role : "targets";
  try {
    return decodeMetadata(bytes, type, role).signed.version;
  } catch (error) {
    /* v8 ignore else -- @preserve: only a defect of this program gets there, and is passed on */
    if (error instanceof FormatError) return 0;
    throw error;
  }
}
