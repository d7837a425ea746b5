/**
 * Several places of one collection, asked in order: the next one only where one cannot be reached. What a place that
 * answers says is final, so that nobody can send a consumer to an older mirror by answering badly.
 */
import { WasmToOciError } from "../base/errors.ts";
import type {
  EditTargets,
  OpenOptions,
  PublishOptions,
  PublishResult,
  TrustedCollection,
  TrustSource,
} from "./source.ts";

/** Makes one source of several; publishing goes to the first. */
export function chainSources(first: TrustSource, ...mirrors: readonly TrustSource[]): TrustSource {
  return mirrors.length === 0 ? first : new SourceChain([first, ...mirrors]);
}

class SourceChain implements TrustSource {
  private readonly sources: readonly TrustSource[];
  private current: TrustSource;

  constructor(sources: readonly [TrustSource, ...TrustSource[]]) {
    this.sources = sources;
    this.current = sources[0];
  }

  /** Of the place that answered last; of the first one until then. */
  get kind(): TrustSource["kind"] {
    return this.current.kind;
  }

  get location(): string {
    return this.current.location;
  }

  async open(collection: string, options: OpenOptions): Promise<TrustedCollection> {
    const warnings: string[] = [];
    let first: unknown;
    for (const source of this.sources) {
      try {
        const opened = await source.open(collection, options);
        this.current = source;
        return warnings.length === 0 ? opened : withWarnings(opened, warnings);
      } catch (error) {
        if (!(error instanceof WasmToOciError) || error.kind !== "network")
          throw isAbsence(error) ? (first ?? error) : error;
        first ??= error;
        warnings.push(`${source.location} could not be reached, so another place was asked: ${error.message}`);
      }
    }
    throw first;
  }

  async isKnown(collection: string): Promise<boolean> {
    const known = await Promise.all(this.sources.map((source) => source.isKnown(collection)));
    return known.includes(true);
  }

  publish(collection: string, edit: EditTargets, options: PublishOptions): Promise<PublishResult> {
    return this.sources[0]!.publish(collection, edit, options);
  }
}

/** That a mirror has nothing does not say that there is nothing: the place before it could not be asked. */
function isAbsence(error: unknown): boolean {
  return error instanceof WasmToOciError && (error.code === "TRUST_NOT_FOUND" || error.code === "TRUST_WITHHELD");
}

function withWarnings(opened: TrustedCollection, warnings: readonly string[]): TrustedCollection {
  const { name, roles, rootKeys, firstUse, checkedAt } = opened;
  return {
    name,
    roles,
    rootKeys,
    firstUse,
    checkedAt,
    warnings: [...warnings, ...opened.warnings],
    find: (target) => opened.find(target),
    list: () => opened.list(),
    authorities: (target) => opened.authorities(target),
  };
}
