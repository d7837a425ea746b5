import { describe, expect, it } from "vitest";
import { utf8Decode, utf8Encode } from "../../../src/base/bytes.ts";
import { writeMultipart } from "../../../src/notary/multipart.ts";
import { faultOf, plainIdentity, rootIdentity, type Publisher } from "./publisher.ts";
import { collection, GUN, START, stateOf } from "./trust-server.ts";

describe("an upload is refused", () => {
  type Files = Record<string, Uint8Array<ArrayBuffer>>;
  type Case = [
    what: string,
    name: string,
    message: string,
    upload: (publisher: Publisher) => Promise<Files>,
    options?: { snapshot?: "client" },
  ];

  const cases: Case[] = [
    [
      "targets signed by another key",
      "ErrBadTargets",
      "valid signatures did not meet threshold for targets",
      async (p) => {
        return { targets: await p.targetsBytes({ version: 2, signers: [await plainIdentity()] }) };
      },
    ],
    [
      "targets whose content was changed after signing",
      "ErrBadTargets",
      "valid signatures did not meet threshold",
      async (p) => {
        const text = utf8Decode(await p.targetsBytes({ version: 2 }));
        return { targets: utf8Encode(text.replace('"version":2', '"version":3')) };
      },
    ],
    [
      "expired targets",
      "ErrBadTargets",
      "expired",
      async (p) => {
        return { targets: await p.targetsBytes({ version: 2, expires: p.expires(-1) }) };
      },
    ],
    [
      "targets without signatures",
      "ErrBadTargets",
      "tuf: data has no signatures",
      async (p) => {
        return { targets: await p.targetsBytes({ version: 2, signers: [] }) };
      },
    ],
    [
      "an expired root",
      "ErrBadRoot",
      "expired",
      async (p) => {
        return { root: await p.rootBytes({ version: 2, expires: p.expires(-1) }) };
      },
    ],
    [
      "a root that skips a version",
      "ErrBadRoot",
      "Current 1, new 3",
      async (p) => {
        return { root: await p.rootBytes({ version: 3 }) };
      },
    ],
    [
      "a root with an expired certificate",
      "ErrBadRoot",
      "unable to retrieve valid leaf certificates",
      async (p) => {
        const old = await rootIdentity(GUN, new Date(START.getTime() - 40 * 86_400_000), { days: 10 });
        return { root: await p.rootBytes({ version: 2, root: [old], signers: [old, p.root] }) };
      },
    ],
    [
      "a root of another collection",
      "ErrBadRoot",
      "unable to retrieve valid leaf certificates",
      async (p) => {
        const other = await rootIdentity("localhost:5000/acme/other", START);
        return { root: await p.rootBytes({ version: 2, root: [other], signers: [other, p.root] }) };
      },
    ],
    [
      "a root whose threshold its signers do not meet",
      "ErrBadRoot",
      "failed to validate integrity of roots",
      async (p) => {
        const second = await rootIdentity(GUN, START);
        return { root: await p.rootBytes({ version: 2, root: [p.root, second], threshold: 2, signers: [p.root] }) };
      },
    ],
    [
      "a root with one private key in two certificates, for a threshold of two",
      "ErrBadRoot",
      "integrity of roots",
      async (p) => {
        const twin = await rootIdentity(GUN, START, { key: p.root.key });
        return { root: await p.rootBytes({ version: 2, root: [p.root, twin], threshold: 2 }) };
      },
    ],
    [
      "a root that takes the timestamp key away from the server",
      "ErrBadRoot",
      "no timestamp keys exist on the server",
      async (p) => {
        return { root: await p.rootBytes({ version: 2, timestamp: await plainIdentity() }) };
      },
    ],
    [
      "a root that replaces the targets key, without targets signed by the new one",
      "ErrBadTargets",
      "threshold for targets",
      async (p) => {
        return { root: await p.rootBytes({ version: 2, targets: [await plainIdentity()] }) };
      },
    ],
    [
      "a delegation that its parent does not have",
      "ErrBadTargets",
      "targets/x is not a delegation of targets",
      async (p) => {
        return { "targets/x": await p.targetsBytes({ signers: [p.targets] }) };
      },
    ],
    [
      "a delegation whose parent is nowhere",
      "ErrBadHierarchy",
      "targets/x is neither",
      async (p) => {
        return { "targets/x/y": await p.targetsBytes({ signers: [p.targets] }) };
      },
    ],
    [
      "a delegation signed by the key of its parent",
      "ErrBadTargets",
      "threshold for targets/x",
      async (p) => {
        const delegations = [{ name: "targets/x", paths: [""], keys: [await plainIdentity()] }];
        return { targets: await p.targetsBytes({ version: 2, delegations }), "targets/x": await p.targetsBytes() };
      },
    ],
    [
      "a delegation that is not directly below its parent",
      "ErrBadTargets",
      "delegations.roles[0].name",
      async (p) => {
        const delegations = [{ name: "targets/x/y", paths: [""], keys: [await plainIdentity()] }];
        return { targets: await p.targetsBytes({ version: 2, delegations }) };
      },
    ],
    [
      "a target whose hash has the wrong length",
      "ErrBadTargets",
      "sha256 has 32 bytes",
      async (p) => {
        const hashes = new Map([["sha256", new Uint8Array(48)]]);
        return { targets: await p.targetsBytes({ version: 2, targets: { v1: { length: 1, hashes } } }) };
      },
    ],
    [
      "a snapshot by a key that root does not name",
      "ErrBadSnapshot",
      "threshold for snapshot",
      async (p) => {
        p.snapshot = await plainIdentity();
        return { snapshot: await p.snapshotBytes(2, {}) };
      },
    ],
    [
      "an expired snapshot",
      "ErrBadSnapshot",
      "expired",
      async (p) => {
        return { snapshot: await p.snapshotBytes(2, {}, p.expires(-1)) };
      },
      { snapshot: "client" },
    ],
    [
      "a snapshot with another hash of new targets",
      "ErrBadSnapshot",
      "hash or length of targets",
      async (p) => {
        const targets = await p.targetsBytes({ version: 2 });
        return { targets, snapshot: await p.snapshotBytes(2, { targets: await p.targetsBytes({ version: 2 }) }) };
      },
      { snapshot: "client" },
    ],
    [
      "a snapshot that names the stored targets, with new ones",
      "ErrBadSnapshot",
      "hash or length of targets",
      async (p) => {
        return { targets: await p.targetsBytes({ version: 2 }), snapshot: await p.snapshotBytes(2, {}) };
      },
      { snapshot: "client" },
    ],
    [
      "a snapshot with another root",
      "ErrBadSnapshot",
      "hash or length of root",
      async (p) => {
        return { snapshot: await p.snapshotBytes(2, { root: utf8Encode("{}") }) };
      },
      { snapshot: "client" },
    ],
    [
      "a snapshot that names a delegation which nobody has",
      "ErrBadSnapshot",
      "targets/x, which the server does not have",
      async (p) => {
        return { snapshot: await p.snapshotBytes(2, { "targets/x": utf8Encode("{}") }) };
      },
      { snapshot: "client" },
    ],
    [
      "a snapshot that names what is no role",
      "ErrBadSnapshot",
      "timestamp, which the server does not have",
      async (p) => {
        return { snapshot: await p.snapshotBytes(2, { timestamp: utf8Encode("{}") }) };
      },
      { snapshot: "client" },
    ],
  ];

  it.each(cases)("where it has %s", async (_, name, message, upload, options = {}) => {
    const { publisher, ...server } = await collection(options);
    await publisher.initialise();
    const before = await stateOf(server);
    const honestSnapshot = publisher.snapshot;
    const answer = await publisher.post(await upload(publisher));
    expect(answer.status).toBe(400);
    const text = await answer.text();
    expect(Buffer.byteLength(text)).toBeLessThan(1024);
    expect(JSON.parse(text)).toMatchObject({
      errors: [{ code: "INVALID_UPDATE", detail: { Name: name, Error: { Msg: expect.stringContaining(message) } } }],
    });
    expect(await stateOf(server)).toEqual(before);
    publisher.snapshot = honestSnapshot;
    await publisher.publish({ targets: await publisher.targetsBytes({ version: 5 }) }, 2);
  });

  it("where a snapshot names a wrong hash for a delegation that is not in the upload, which notary-server accepts", async () => {
    const { publisher, ...server } = await collection({ snapshot: "client" });
    const alice = await plainIdentity();
    const delegations = [{ name: "targets/a", paths: [""], keys: [alice] }];
    await publisher.initialise({ delegations });
    await publisher.publish({ "targets/a": await publisher.targetsBytes({ signers: [alice] }) }, 2);
    const before = await stateOf(server);
    const wrong = await publisher.snapshotBytes(3, { "targets/a": utf8Encode("{}") });
    expect(await faultOf(await publisher.post({ snapshot: wrong }))).toMatchObject({
      detail: { Name: "ErrBadSnapshot", Error: { Msg: expect.stringContaining("targets/a") } },
    });
    const stale = await publisher.targetsBytes({ version: 2, signers: [alice] });
    const half = { "targets/a": stale, snapshot: await publisher.snapshotBytes(3, {}) };
    expect((await publisher.post(half)).status).toBe(400);
    expect(await stateOf(server)).toEqual(before);
    await publisher.publish({ "targets/a": stale }, 3);
  });

  it("where a snapshot leaves out a delegation of the same upload", async () => {
    const { publisher } = await collection({ snapshot: "client" });
    const alice = await plainIdentity();
    await publisher.initialise({ delegations: [{ name: "targets/a", paths: [""], keys: [alice] }] });
    const snapshot = await publisher.snapshotBytes(2, {});
    const upload = { "targets/a": await publisher.targetsBytes({ signers: [alice] }), snapshot };
    expect(await faultOf(await publisher.post(upload))).toMatchObject({ detail: { Name: "ErrBadSnapshot" } });
  });

  it.each(["root", "targets", "snapshot"])("with VERSION where %s is not newer than what is stored", async (role) => {
    const { publisher, ...server } = await collection({ snapshot: "client" });
    await publisher.initialise();
    const before = await stateOf(server);
    const same = { [role]: publisher.files[role]! };
    const snapshot = role === "snapshot" ? {} : { snapshot: await publisher.snapshotBytes(2, same) };
    const answer = await publisher.post({ ...same, ...snapshot });
    expect(answer.status).toBe(400);
    expect(await faultOf(answer)).toMatchObject({ code: "VERSION", detail: {} });
    expect(await stateOf(server)).toEqual(before);
  });

  it("where nothing is there and no root comes, or no targets", async () => {
    const { publisher } = await collection();
    expect(await faultOf(await publisher.post({ targets: await publisher.targetsBytes() }))).toMatchObject({
      detail: { Name: "ErrValidation" },
    });
    expect(await faultOf(await publisher.post({ root: await publisher.rootBytes() }))).toMatchObject({
      detail: { Name: "ErrBadHierarchy", Error: { Missing: "targets" } },
    });
  });

  it("where it has two files for a role, or one below the server's own addresses", async () => {
    const { publisher, app } = await collection();
    await publisher.initialise();
    const { contentType, bytes } = writeMultipart([
      { role: "targets", bytes: await publisher.targetsBytes({ version: 2 }) },
      { role: "targets", bytes: await publisher.targetsBytes({ version: 3 }) },
    ]);
    const init = { method: "POST", body: bytes, headers: { "content-type": contentType } };
    expect(await faultOf(await app.request(`/v2/${GUN}/_trust/tuf/`, init))).toMatchObject({
      code: "MALFORMED_UPLOAD",
    });
    const role = "targets/_trust/tuf/root";
    expect(await faultOf(await publisher.post({ [role]: utf8Encode("{}") }))).toEqual(
      expect.objectContaining({ code: "INVALID_ROLE", detail: role }),
    );
  });

  it.each(["a/_trust/tuf/b", "a".repeat(256), "a b", "a\u0001", "a%2fb%00"])(
    "with INVALID_GUN for the collection name %j",
    async (gun) => {
      const { app, publisher } = await collection();
      const path = `/v2/${encodeURI(gun)}/_trust/tuf/`;
      const { contentType, bytes } = writeMultipart([{ role: "root", bytes: await publisher.rootBytes() }]);
      const answer = await app.request(path, { method: "POST", body: bytes, headers: { "content-type": contentType } });
      expect(await faultOf(answer)).toMatchObject({ code: "INVALID_GUN" });
      expect((await app.request(`${path}timestamp.key`)).status).toBe(404);
    },
  );
});
