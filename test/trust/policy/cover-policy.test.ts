import { describe, expect, it } from "vitest";
import { TrustError } from "../../../src/base/errors.ts";
import { coverRepository, type CoverRequest } from "../../../src/trust/cover.ts";
import type { Coverage } from "../../../src/trust/coverage.ts";
import { pinParts, type Pin } from "../../../src/trust/pin.ts";
import type { PinEntry, PinnedSource } from "../../../src/trust/pins.ts";
import { formatPlace } from "../../../src/trust/place.ts";
import { PolicyIndex } from "../../../src/trust/policy/match.ts";
import { parsePolicy } from "../../../src/trust/policy/policy.ts";
import type { TrustSource } from "../../../src/trust/source.ts";

const A = { fingerprints: ["aa".repeat(32)] };
const B = { fingerprints: ["bb".repeat(32)] };
const C = { fingerprints: ["cc".repeat(32)] };
const REPOSITORY = "ghcr.io/acme/team/app";

const open = (place: PinnedSource): TrustSource => {
  const location = place.kind === "notary" ? place.server : formatPlace(place);
  return { kind: place.kind, location } as unknown as TrustSource;
};

interface Situation extends Partial<Omit<CoverRequest, "policy">> {
  /** Members of the policy's entry. */
  readonly entry?: Record<string, unknown>;
  readonly roots?: Pin;
}

function cover({ entry = {}, roots, ...request }: Situation): Coverage {
  const document = { version: 1, entries: [{ pattern: "ghcr.io/acme/{rest}", ...entry }] };
  const match = new PolicyIndex(parsePolicy(JSON.stringify(document), { origin: "policy.json" })).match(REPOSITORY)!;
  return coverRepository({
    repository: REPOSITORY,
    pins: [],
    allowFirstUse: true,
    openSource: open,
    policy: { ...match, roots },
    ...request,
  })!;
}

function pin(overrides: Partial<PinEntry> = {}): PinEntry {
  const source = { kind: "notary", server: "https://pinned.test" } as const;
  return {
    pattern: REPOSITORY,
    collection: "acme/app",
    source,
    pin: A,
    firstUse: false,
    added: new Date(0),
    ...overrides,
  };
}

const keys = (coverage: Coverage): unknown[] => pinParts(coverage.pin).map(({ fingerprints }) => fingerprints);

function refused(situation: Situation): TrustError {
  try {
    cover(situation);
  } catch (error) {
    expect(error).toBeInstanceOf(TrustError);
    expect(error).toMatchObject({ code: "POLICY_REFUSED", details: { policy: "policy.json:1" } });
    return error as TrustError;
  }
  throw new Error("it was allowed");
}

describe("a policy alone", () => {
  it("says collection, place, keys, freshness and rules", () => {
    const covered = cover({
      entry: {
        collection: "acme/{rest}",
        sources: [{ trust: "oci://ghcr.io/acme/trust" }],
        freshness: "online",
        roles: ["x"],
      },
      roots: A,
    });
    expect(covered).toMatchObject({
      source: { kind: "oci", location: "oci://ghcr.io/acme/trust" },
      collection: "acme/team/app",
      prefix: "",
      reason: "policy",
      firstUse: "refuse",
      freshness: { mode: "online" },
      rules: { roles: ["x"], missing: "reject" },
    });
    expect(keys(covered)).toEqual([A.fingerprints]);
  });

  it("looks beside the module where it names no place, and takes the repository's own name", () => {
    expect(cover({})).toMatchObject({ source: { kind: "oci", location: "oci:" }, collection: "acme/team/app" });
    const server = { entry: { sources: [{ server: "https://notary.test" }] } };
    expect(cover(server)).toMatchObject({ collection: REPOSITORY, prefix: undefined });
  });

  it("gives names in a collection of many what {rest} stands for", () => {
    expect(cover({ entry: { collection: "acme" } })).toMatchObject({ collection: "acme", prefix: "team/app/" });
  });

  it("trusts the first root only where it says so, no key is named and no flag forbids it", () => {
    const entry = { firstUse: "accept" };
    expect(cover({}).firstUse).toBe("refuse");
    expect(cover({ entry }).firstUse).toBe("accept");
    expect(cover({ entry, allowFirstUse: false }).firstUse).toBe("refuse");
    expect(cover({ entry, pin: C }).firstUse).toBe("refuse");
    expect(cover({ entry, pins: [pin({ collection: "acme/team/app" })] }).firstUse).toBe("refuse");
  });
});

describe("a policy with pins and flags", () => {
  it("wants every key that is named anywhere", () => {
    const all = cover({ roots: B, pins: [pin({ collection: "acme/team/app" })], pin: C });
    expect(keys(all)).toEqual([B.fingerprints, A.fingerprints, C.fingerprints]);
  });

  it("lets a flag name another place where keys say whose trust data counts", () => {
    const source = open({ kind: "tuf", location: "https://mirror.test/" });
    const entry = { sources: [{ trust: "https://tuf.test/" }] };
    expect(cover({ entry, roots: A, source }).source.location).toBe("https://mirror.test/");
    expect(keys(cover({ entry, roots: A, source }))).toEqual([A.fingerprints]);
    const pinned = cover({
      entry: { ...entry, firstUse: "accept" },
      pins: [pin({ collection: "acme/team/app" })],
      source,
    });
    expect(pinned.source.location).toBe("https://mirror.test/");
  });

  it("lets no flag name another place where the place is all that is known, not even with a key of its own", () => {
    const source = open({ kind: "tuf", location: "https://evil.test/" });
    const entry = { sources: [{ trust: "https://tuf.test/" }], firstUse: "accept" };
    refused({ entry, source });
    refused({ entry, source, pin: C });
    expect(cover({ entry, source: open({ kind: "tuf", location: "https://tuf.test/" }) }).firstUse).toBe("accept");
  });

  it("refuses a flag or a pin that names another collection", () => {
    const entry = { collection: "acme/{rest}" };
    expect(refused({ entry, roots: A, collection: "acme/other" }).message).toContain("a flag names another one");
    expect(refused({ entry, roots: A, pins: [pin()] }).message).toContain("the pin");
    expect(cover({ entry, roots: A, collection: "acme/team/app" }).collection).toBe("acme/team/app");
  });

  it("takes the name of a pin, or of a flag, where it names none", () => {
    expect(cover({ pins: [pin()] }).collection).toBe("acme/app");
    expect(cover({ collection: "acme/own" }).collection).toBe("acme/own");
  });

  it("lets flags make trust data fresher, never older", () => {
    const half = { freshness: { maxAge: "12h" } };
    expect(cover({ entry: half, freshness: { mode: "online" } }).freshness).toEqual({ mode: "online" });
    const hour = { mode: "max-age", seconds: 3600 } as const;
    expect(cover({ entry: half, freshness: hour }).freshness).toEqual(hour);
    refused({ entry: half, freshness: { mode: "max-age", seconds: 86_400 } });
    refused({ entry: half, freshness: { mode: "offline" } });
    refused({ entry: { freshness: "online" }, freshness: { mode: "offline" } });
    expect(cover({ freshness: { mode: "offline" } }).freshness).toEqual({ mode: "offline" });
    expect(cover({ entry: { freshness: "offline" }, freshness: { mode: "offline" } }).freshness).toEqual({
      mode: "offline",
    });
  });

  it("takes missing trust data for a failure where a pin or a flag says that it must be there", () => {
    const entry = { missing: "accept" };
    expect(cover({ entry }).rules?.missing).toBe("accept");
    expect(cover({ entry, pins: [pin({ collection: "acme/team/app" })] }).rules?.missing).toBe("reject");
    const seen = pin({ collection: "acme/team/app", firstUse: true });
    expect(cover({ entry, pins: [seen] }).rules?.missing).toBe("reject");
    expect(cover({ entry, source: open({ kind: "oci" }) }).rules?.missing).toBe("reject");
    expect(cover({ entry, fallback: { kind: "oci" } }).rules?.missing).toBe("reject");
  });
});
