import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatBytes, equalBytes, utf8Decode, utf8Encode } from "../../../src/base/bytes.ts";
import { writeTargets } from "../../../src/notary/metadata.ts";
import { matchesBytes } from "../../../src/tuf/checks.ts";
import { faultOf, metaOf, sign } from "./publisher.ts";
import { collection, snapshotMeta, stateOf } from "./trust-server.ts";

describe("bytes that a Go server would print differently", () => {
  // The rows of byte-exactness-probe.txt: each was accepted by notary-server and made the collection unreadable.
  const changes: [string, (text: string) => string][] = [
    ["pretty printing", (text) => JSON.stringify(JSON.parse(text), null, 2)],
    ["a line end at the end", (text) => `${text}\n`],
    [
      "signatures before signed",
      (text) => {
        const { signed, signatures } = JSON.parse(text) as { signed: unknown; signatures: unknown };
        return JSON.stringify({ signatures, signed });
      },
    ],
    ["an unknown member beside signed", (text) => text.replace(/\}$/, ',"x":1}')],
    ["an upper-case method", (text) => text.replace('"ecdsa"', '"ECDSA"')],
    ["a needless escape in a key id", (text) => text.replace('"keyid":"', '"\\u006beyid":"')],
    ["an unescaped <", (text) => text.replace(String.raw`\u003c`, "<")],
    ["a duplicate member", (text) => text.replace('{"signed"', '{"signed":{},"signed"')],
  ];

  it.each(changes)("are refused: %s", async (_, change) => {
    const { publisher, ...server } = await collection();
    await publisher.initialise();
    const before = await stateOf(server);
    const content = { version: 2, targets: { "a<b": await metaOf(utf8Encode("x")) } };
    const text = utf8Decode(await publisher.targetsBytes(content));
    expect(change(text)).not.toBe(text);
    const answer = await publisher.post({ targets: utf8Encode(change(text)) });
    expect(await faultOf(answer)).toMatchObject({ code: "INVALID_UPDATE", detail: { Name: "ErrBadTargets" } });
    expect(await stateOf(server)).toEqual(before);
    await publisher.publish({ targets: utf8Encode(text) });
  });

  const signedChanges: [string, (canonical: string) => string][] = [
    ["an unknown member within signed", (text) => text.replace(/\}$/, ',"x":1}')],
    ["no delegations", (text) => text.replace(/"delegations":\{"keys":\{\},"roles":\[\]\},/, "")],
    ["a time with .000", (text) => text.replace(/"expires":"([^"]*?)(\.\d+)?Z"/, '"expires":"$1.000Z"')],
    ["a time with a trailing zero", (text) => text.replace(/"expires":"([^"]*?)(\.\d+)?Z"/, '"expires":"$1.120Z"')],
    ["a time with +00:00", (text) => text.replace(/"expires":"([^"]*?)Z"/, '"expires":"$1+00:00"')],
  ];

  it.each(signedChanges)("are refused though signed: %s", async (_, change) => {
    const { publisher, ...server } = await collection();
    await publisher.initialise();
    const before = await stateOf(server);
    const expires = "2027-11-22T12:00:00.5Z";
    const empty = { delegations: { keys: new Map(), roles: [] }, expires, targets: new Map(), version: 2 };
    const canonical = writeTargets(empty);
    expect(change(canonical)).not.toBe(canonical);
    const answer = await publisher.post({ targets: await sign(change(canonical), [publisher.targets]) });
    expect(await faultOf(answer)).toMatchObject({ code: "INVALID_UPDATE", detail: { Name: "ErrBadTargets" } });
    expect(await stateOf(server)).toEqual(before);
    await publisher.publish({ targets: await sign(canonical, [publisher.targets]) });
  });

  it.each<[string, (canonical: string) => string]>([
    ["whole seconds", (text) => text.replace(".5Z", "Z")],
    ["another offset", (text) => text.replace(".5Z", "+02:00")],
    ["null delegations", (text) => text.replace('"roles":[]', '"roles":null')],
  ])("are not these: %s", async (_, change) => {
    const { publisher } = await collection();
    await publisher.initialise();
    const expires = "2027-11-22T12:00:00.5Z";
    const canonical = writeTargets({
      delegations: { keys: new Map(), roles: [] },
      expires,
      targets: new Map(),
      version: 2,
    });
    const targets = await sign(change(canonical), [publisher.targets]);
    await publisher.publish({ targets });
    expect(await publisher.bytes("targets.json")).toEqual(targets);
    expect(await matchesBytes(targets, (await snapshotMeta(publisher)).get("targets")!)).toBe(true);
  });

  // The rows of canonical-probe.txt that notary-server refuses, or that lock its own command line out afterwards.
  it.each([
    ["unsorted members", '{"b":1,"a":2}'],
    ["white space", '{"a":2, "b":1}'],
    ["duplicate members", '{"a":2,"a":2,"b":1}'],
    ["a fraction", '{"a":2.5,"b":1}'],
    ["an integer with a fraction", '{"a":2.0,"b":1}'],
    ["an exponent", '{"a":2e0,"b":1}'],
    ["a negative zero", '{"a":-0,"b":1}'],
    ["an integer beyond 2^53", '{"a":9007199254740993,"b":1}'],
    ["a needless escape", String.raw`{"\u0061":2,"b":1}`],
    ["an escaped slash", String.raw`{"a":"\/","b":1}`],
    ["an escaped line end", String.raw`{"a":"\n","b":1}`],
    ["an unescaped U+2028", '{"a":"\u2028","b":1}'],
  ])("are refused in custom data too: %s", async (_, custom) => {
    const { publisher, ...server } = await collection();
    await publisher.initialise();
    const before = await stateOf(server);
    const meta = { ...(await metaOf(utf8Encode("x"))), custom: { a: 2, b: 1 } };
    const text = utf8Decode(await publisher.targetsBytes({ version: 2, targets: { v1: meta } }));
    const changed = text.replace('{"a":2,"b":1}', () => custom);
    expect(changed).not.toBe(text);
    const answer = await publisher.post({ targets: utf8Encode(changed) });
    expect(await faultOf(answer)).toMatchObject({ code: "INVALID_UPDATE", detail: { Name: "ErrBadTargets" } });
    expect(await stateOf(server)).toEqual(before);
    await publisher.publish({ targets: utf8Encode(text) });
  });

  it("are whatever else differs from what was signed: one changed byte anywhere, and nothing is stored", async () => {
    const { publisher, ...server } = await collection({ snapshot: "client" });
    await publisher.initialise({ targets: { v1: await metaOf(utf8Encode("x")) } });
    const before = await stateOf(server);
    const root = await publisher.rootBytes({ version: 2 });
    const targets = await publisher.targetsBytes({ version: 2 });
    const honest = { root, targets, snapshot: await publisher.snapshotBytes(2, { root, targets }) };
    const change = fc.record({
      role: fc.constantFrom("root", "targets", "snapshot"),
      at: fc.nat(),
      removed: fc.integer({ min: 0, max: 3 }),
      added: fc.uint8Array({ maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(change, async ({ role, at, removed, added }) => {
        const bytes = honest[role];
        const start = at % bytes.length;
        const changed = concatBytes([bytes.subarray(0, start), added, bytes.subarray(start + removed)]);
        fc.pre(!equalBytes(changed, bytes));
        const answer = await publisher.post({ ...honest, [role]: changed });
        expect(answer.status).toBe(400);
        expect((await answer.text()).length).toBeLessThan(1024);
        expect(await stateOf(server)).toEqual(before);
      }),
      { numRuns: 200 },
    );
    expect((await publisher.post(honest)).status).toBe(200);
  });
});
