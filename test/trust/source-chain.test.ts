import { beforeEach, describe, expect, it } from "vitest";
import { TransportError, TrustError } from "../../src/base/errors.ts";
import { chainSources } from "../../src/trust/source-chain.ts";
import { MemoryTrustSource } from "../support/memory-trust-source.ts";

const NAME = "acme/app";
const refuse = { firstUse: "refuse" } as const;
const target = { name: "v1", length: 3, hashes: { sha256: "ab".repeat(32) }, custom: undefined };

class Place extends MemoryTrustSource {
  override readonly location: string;
  opened = 0;

  constructor(location: string) {
    super();
    this.location = location;
    this.sign(NAME, target);
  }

  override async open(...args: Parameters<MemoryTrustSource["open"]>) {
    this.opened++;
    return super.open(...args);
  }
}

let first: Place;
let mirror: Place;

beforeEach(() => {
  first = new Place("https://first.test");
  mirror = new Place("https://mirror.test");
});

describe("several places of one collection", () => {
  it("are one place where only one is given", () => {
    expect(chainSources(first)).toBe(first);
  });

  it("are not asked after the first one has answered", async () => {
    const chain = chainSources(first, mirror);
    const opened = await chain.open(NAME, refuse);
    expect(opened.find("v1")).toBeDefined();
    expect(opened.warnings).toEqual([]);
    expect([chain.location, mirror.opened]).toEqual(["https://first.test", 0]);
  });

  it.each([
    new TransportError("NETWORK", "no route"),
    new TransportError("TIMEOUT", "silence"),
    new TrustError("TRUST_UNAVAILABLE", "503"),
  ])("are asked in order where one cannot be reached: $code, which is said", async (failure) => {
    first.failOpen = failure;
    const chain = chainSources(first, mirror);
    const opened = await chain.open(NAME, refuse);
    expect(opened.find("v1")).toBeDefined();
    expect(opened.list()).toHaveLength(1);
    expect(opened.warnings).toEqual([expect.stringContaining("https://first.test could not be reached")]);
    expect(chain.location).toBe("https://mirror.test");
  });

  it.each([
    "METADATA_TAMPERED",
    "METADATA_ROLLED_BACK",
    "METADATA_EXPIRED",
    "TRUST_NOT_FOUND",
    "TRUST_WITHHELD",
    "PIN_MISMATCH",
  ] as const)("are not asked where one answers with %s: nobody sends a consumer to an older mirror", async (code) => {
    first.failOpen = new TrustError(code, "no");
    await expect(chainSources(first, mirror).open(NAME, refuse)).rejects.toMatchObject({ code });
    expect(mirror.opened).toBe(0);
  });

  it("do not pass for empty where a mirror is and the first one could not be asked", async () => {
    first.failOpen = new TransportError("NETWORK", "no route");
    mirror.collections.clear();
    await expect(chainSources(first, mirror).open(NAME, refuse)).rejects.toMatchObject({ code: "NETWORK" });
  });

  it("fail as the first one did where none can be reached", async () => {
    first.failOpen = new TransportError("TIMEOUT", "silence");
    mirror.failOpen = new TransportError("NETWORK", "no route");
    await expect(chainSources(first, mirror).open(NAME, refuse)).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  it("know a collection that any of them knows, and publish to the first one only", async () => {
    const chain = chainSources(first, mirror);
    first.collections.clear();
    expect(await chain.isKnown(NAME)).toBe(true);
    expect(await chain.isKnown("acme/other")).toBe(false);
    first.failPublish = new TransportError("NETWORK", "no route");
    await expect(chain.publish(NAME, () => [], refuse)).rejects.toMatchObject({ code: "NETWORK" });
    expect(mirror.version).toBe(1);
  });
});
