import { describe, expect, it } from "vitest";
import { trustNotes } from "../../src/trust/resolve.ts";
import { MemoryTrustSource } from "../support/memory-trust-source.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

async function notesAt(daysBeforeExpiry: number): Promise<string[]> {
  const source = new MemoryTrustSource();
  source.sign("acme/app", { name: "v1", length: 1, hashes: { sha256: "ab" }, custom: undefined });
  const collection = await source.open("acme/app", { firstUse: "refuse" });
  const now = new Date(collection.roles[0]!.expires.getTime() - daysBeforeExpiry * DAY_MS);
  return trustNotes(collection, now).map(({ code, message }) => `${code} ${message.split(" ")[0]}`);
}

describe("trustNotes", () => {
  it("warns of every role that its key holder must sign again within a month, once", async () => {
    expect(await notesAt(29)).toEqual(["near-expiry root", "near-expiry snapshot", "near-expiry targets"]);
  });

  it("warns when the publisher's own time to sign again has come, of timestamps too, and not before", async () => {
    const source = new MemoryTrustSource();
    source.sign("acme/app", { name: "v1", length: 1, hashes: { sha256: "ab" }, custom: undefined });
    const collection = await source.open("acme/app", { firstUse: "refuse" });
    const expires = new Date("2026-12-22T00:00:00Z");
    const signAgainFrom = new Date("2026-12-12T00:00:00Z");
    const role = { ...collection.roles[1]!, role: "timestamp", expires, signAgainFrom };
    const noted = (now: Date): string[] => trustNotes({ ...collection, roles: [role] }, now).map(({ code }) => code);
    expect(noted(new Date("2026-12-11T23:59:59Z"))).toEqual([]);
    expect(noted(signAgainFrom)).toEqual(["near-expiry"]);
  });

  it("says nothing while there is time, and nothing of timestamps, which servers renew", async () => {
    expect(await notesAt(31)).toEqual([]);
  });
});
