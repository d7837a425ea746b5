import { describe, expect, it } from "vitest";
import { utf8Encode } from "../../../src/base/bytes.ts";
import { digestBytes, digestHex } from "../../../src/base/digest.ts";
import { readTimestamp } from "../../../src/notary/metadata.ts";
import { keyIdOf } from "../../../src/notary/public-keys.ts";
import { decodeDocument } from "../../../src/notary/wire.ts";
import { matchesBytes } from "../../../src/tuf/checks.ts";
import { faultOf, metaOf, plainIdentity, rootIdentity } from "./publisher.ts";
import { collection, GUN, snapshotMeta, START, stateOf } from "./trust-server.ts";

describe("a publish", () => {
  it("serves what was uploaded byte for byte, by name, version and hash, under a snapshot and timestamp of the server", async () => {
    const { publisher } = await collection();
    await publisher.initialise({ targets: { v1: await metaOf(utf8Encode("<module>")) } });
    for (const role of ["root", "targets"]) {
      const expected = publisher.files[role]!;
      const hex = digestHex(await digestBytes(expected));
      for (const name of [`${role}.json`, `1.${role}.json`, `${role}.${hex}.json`]) {
        expect(await publisher.bytes(name)).toEqual(expected);
      }
    }
    const meta = await snapshotMeta(publisher);
    for (const role of ["root", "targets"]) {
      expect(await matchesBytes(publisher.files[role]!, meta.get(role)!)).toBe(true);
    }
    const timestamp = readTimestamp(decodeDocument(await publisher.bytes("timestamp.json"), "timestamp").signed);
    expect(await matchesBytes(await publisher.bytes("snapshot.json"), timestamp.meta.get("snapshot")!)).toBe(true);
    expect(timestamp.expires).toBe("2026-12-06T12:00:00.5Z");
  });

  it("counts snapshot and timestamp up by one each time, also where nothing is uploaded", async () => {
    const { publisher } = await collection();
    await publisher.initialise();
    await publisher.publish({ targets: await publisher.targetsBytes({ version: 12 }) });
    await publisher.publish({});
    expect(await publisher.bytes("3.snapshot.json")).toEqual(await publisher.bytes("snapshot.json"));
    expect(await publisher.bytes("3.timestamp.json")).toEqual(await publisher.bytes("timestamp.json"));
    expect((await publisher.get("4.timestamp.json")).status).toBe(404);
  });

  it("takes a first root of version 1 or 2, and no other", async () => {
    for (const [version, status] of [
      [0, 400],
      [1, 200],
      [2, 200],
      [3, 400],
    ] as const) {
      const { publisher, ...server } = await collection();
      const bytes = await publisher.rootBytes({ version: Math.max(version, 1) });
      const root = version === 0 ? utf8Encode("{}") : bytes;
      const answer = await publisher.post({ root, targets: await publisher.targetsBytes() });
      expect(answer.status).toBe(status);
      if (status === 400) expect(await stateOf(server)).toEqual({});
    }
  });

  it("takes a snapshot of the client's key, and none without it", async () => {
    const { publisher, ...server } = await collection({ snapshot: "client" });
    const files = { root: await publisher.rootBytes(), targets: await publisher.targetsBytes() };
    const refused = await publisher.post(files);
    expect(await faultOf(refused)).toMatchObject({
      code: "INVALID_UPDATE",
      detail: { Name: "ErrBadHierarchy", Error: { Missing: "snapshot" } },
    });
    expect(await stateOf(server)).toEqual({});
    await publisher.publish(files);
    expect(await publisher.bytes("snapshot.json")).toEqual(publisher.files["snapshot"]);
  });

  it("takes a root rotation signed by the old root, and refuses others' at any version", async () => {
    const { publisher, ...server } = await collection();
    await publisher.initialise();
    const before = await stateOf(server);
    const thief = await rootIdentity(GUN, START);
    for (const version of [1, 2]) {
      const root = await publisher.rootBytes({ version, root: [thief] });
      expect(await faultOf(await publisher.post({ root }))).toMatchObject({
        code: "INVALID_UPDATE",
        detail: { Name: "ErrBadRoot", Error: { Msg: expect.stringContaining("could not rotate trust") } },
      });
    }
    expect(await stateOf(server)).toEqual(before);
    const next = await rootIdentity(GUN, START);
    await publisher.publish({
      root: await publisher.rootBytes({ version: 2, root: [next], signers: [next, publisher.root] }),
    });
    expect(await publisher.bytes("1.root.json")).not.toEqual(await publisher.bytes("root.json"));
  });

  it("moves the snapshot key to the client and back to a new one of the server", async () => {
    const { publisher } = await collection();
    await publisher.initialise();
    const first = publisher.snapshot;
    publisher.snapshot = await plainIdentity();
    await publisher.publish({ root: await publisher.rootBytes({ version: 2 }) }, 2);
    const again = await (await publisher.get("snapshot.key")).json();
    expect(JSON.stringify(again)).not.toContain(Buffer.from(first.listed.public).toString("base64"));
    const publicKey = new Uint8Array(Buffer.from((again as { keyval: { public: string } }).keyval.public, "base64"));
    const listed = { keytype: "ecdsa", public: publicKey };
    publisher.snapshot = { listed, keyId: await keyIdOf(listed) };
    await publisher.publish({ root: await publisher.rootBytes({ version: 3 }) });
    expect(await publisher.bytes("3.snapshot.json")).toEqual(await publisher.bytes("snapshot.json"));
  });

  it("takes delegations with their parents, in whatever order they come, and lets a deleted one go on from its last version", async () => {
    const { publisher } = await collection();
    await publisher.initialise();
    const [alice, bob] = [await plainIdentity(), await plainIdentity()];
    const delegate = (name: string, keys: typeof alice) => ({ name, paths: [""], keys: [keys] });
    await publisher.publish({
      "targets/a/b": await publisher.targetsBytes({ signers: [bob] }),
      "targets/a": await publisher.targetsBytes({ signers: [alice], delegations: [delegate("targets/a/b", bob)] }),
      targets: await publisher.targetsBytes({ version: 2, delegations: [delegate("targets/a", alice)] }),
    });
    expect(await publisher.bytes("targets/a/b.json")).toEqual(publisher.files["targets/a/b"]);
    await publisher.publish({ "targets/a/b": await publisher.targetsBytes({ version: 2, signers: [bob] }) });
    expect([...(await snapshotMeta(publisher)).keys()]).toEqual(["root", "targets", "targets/a", "targets/a/b"]);
    await publisher.publish({ targets: await publisher.targetsBytes({ version: 3 }) });
    const refused = await publisher.post({
      "targets/a": await publisher.targetsBytes({ version: 2, signers: [alice] }),
    });
    expect(await faultOf(refused)).toMatchObject({ code: "INVALID_UPDATE", detail: { Name: "ErrBadTargets" } });
    expect([...(await snapshotMeta(publisher)).keys()]).toContain("targets/a");
    await publisher.publish({
      targets: await publisher.targetsBytes({ version: 4, delegations: [delegate("targets/a", alice)] }),
      "targets/a": await publisher.targetsBytes({ version: 2, signers: [alice] }),
    });
    expect(await publisher.bytes("targets/a.json")).toEqual(publisher.files["targets/a"]);
  });
});
