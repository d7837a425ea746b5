import { describe, expect, it } from "vitest";
import { utf8Decode, utf8Encode } from "../../../src/base/bytes.ts";
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
});
