import { describe, expect, test } from "vitest";
import { utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import { formatTime } from "../../src/tuf/time.ts";
import { decodeMetadata } from "../../src/tuf/metadata.ts";
import { ownedKey } from "../../src/tuf/requirement-text.ts";
import { openSigningKeys } from "../../src/tuf/signing-keys.ts";
import { dropStaged, publishStaged, reviewStaged, signStaged, stageChanges } from "../../src/tuf/staged.ts";
import { memoryTufStore } from "../../src/tuf/store.ts";
import { codeOf } from "../support/error-code.ts";
import {
  add,
  DAY,
  environment,
  memoryStaging,
  NOW,
  people,
  person,
  Rig,
  type Person,
} from "../support/tuf-publishing.ts";

async function quorum(count: number, threshold: number) {
  const holders = await people(count);
  const rig = await Rig.make({ root: { keys: holders.map(({ key }) => key), threshold } }, holders);
  return { holders, rig, staging: memoryStaging() };
}

const signAs = async (rig: Rig, staging: ReturnType<typeof memoryStaging>, ...who: Person[]) => {
  const review = await reviewStaged(rig.access, staging, environment([]));
  return signStaged(rig.access, staging, review!.digest, environment(who));
};

describe("staged changes", () => {
  test("collect signatures of several people over days, and say who still has to sign", async () => {
    const { holders, rig, staging } = await quorum(3, 2);
    const returning = memoryTufStore();
    await rig.client(returning).refresh();
    const [a, b, c] = holders as [Person, Person, Person];
    const fresh = await person();
    const changes = [{ action: "keys", role: "root", add: [fresh.key], remove: [c.key.id] }] as const;
    const first = await stageChanges(rig.access, staging, () => changes, environment([a]));
    expect(first.documents[0]?.differences.map(({ kind, text }) => `${kind} ${text}`)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^changed version 1 → 2$/),
        expect.stringMatching(/^added key ed25519 [0-9a-f]{64}$/),
        expect.stringMatching(/^removed role "root" signer ed25519 [0-9a-f]{64}$/),
      ]),
    );
    expect(first.missing).toHaveLength(3); // one more old key, one more new one, and the new key itself
    expect(await codeOf(() => publishStaged(rig.access, staging, environment([rig.online])))).toBe(
      "SIGNATURE_THRESHOLD",
    );
    const second = await signAs(rig, staging, fresh);
    expect(second.missing).toEqual([expect.stringMatching(/^root, by the keys of the root before: 1 more of /)]);
    expect((await signAs(rig, staging, b)).missing).toEqual([]);
    await publishStaged(rig.access, staging, environment([rig.online]));
    expect(staging.content).toBeUndefined();
    await rig.client(returning).refresh();
    expect(decodeMetadata(rig.store.files.get("2.root.json")!, "root").signed.version).toBe(2);
  });

  test("make a collection whose root keys are with different people", async () => {
    const holders = await people(2);
    const rig = await Rig.make();
    const draft = rig.draft({ root: { keys: holders.map(({ key }) => key), threshold: 2 } });
    rig.store.files.clear();
    rig.anchor = undefined;
    const staging = memoryStaging();
    await stageChanges(rig.access, staging, draft, environment([rig.targets, rig.online]));
    await signAs(rig, staging, holders[0]!);
    await signAs(rig, staging, holders[1]!);
    await publishStaged(rig.access, staging, environment([rig.online]));
    rig.anchor = rig.store.files.get("1.root.json");
    expect((await rig.client().refresh()).roles[0]?.signedBy).toHaveLength(2);
  });

  test("let an invited person show their key, and sign their own first document, before anything is published", async () => {
    const rig = await Rig.make();
    const staging = memoryStaging();
    const ada = await person();
    const change = {
      action: "delegate",
      delegator: "targets",
      role: "ada",
      keys: [ada.key],
      paths: ["ada/*"],
    } as const;
    const review = await stageChanges(rig.access, staging, () => [change], environment(rig.all));
    expect(review.missing.map((line) => line.split(":")[0])).toEqual(["targets", "ada"]);
    expect((await signAs(rig, staging, ada)).missing).toEqual([]);
    await publishStaged(rig.access, staging, environment([rig.online]));
    await rig.publish([add("ada/x", "ada")], [ada, rig.online]);
    expect((await rig.find("ada/x"))?.role).toBe("ada");
  });

  test("are cleared when a publish was cut short just before that", async () => {
    const { holders, rig, staging } = await quorum(2, 2);
    await stageChanges(rig.access, staging, () => [{ action: "renew", role: "root" }], environment(holders));
    const content = staging.content;
    await publishStaged(rig.access, staging, environment([rig.online]));
    staging.content = content;
    expect((await publishStaged(rig.access, staging, environment([]))).files).toEqual([]);
    expect(staging.content).toBeUndefined();
  });

  test("show every kind of change to targets and delegations, made harmless", async () => {
    const rig = await Rig.make();
    const ada = await person();
    await rig.publish(
      [
        add("kept"),
        add("gone"),
        add("moved", "targets", "a"),
        { action: "delegate", delegator: "targets", role: "ada", keys: [ada.key], paths: ["ada/*", "a/*"] },
      ],
      [...rig.all, ada],
    );
    const staging = memoryStaging();
    const { documents } = await stageChanges(
      rig.access,
      staging,
      () => [
        add("new"),
        add("moved", "targets", "b"),
        { action: "remove", role: "targets", name: "gone" },
        { action: "undelegate", delegator: "targets", role: "ada", paths: ["a/*"] },
      ],
      environment(rig.all),
    );
    const lines = documents[0]!.differences.map(({ kind, text }) => `${kind} ${text}`);
    expect(lines.slice(1)).toEqual([
      expect.stringMatching(/^changed target "moved" 1 bytes sha256:a0+ → 1 bytes sha256:b0+$/),
      expect.stringMatching(/^added target "new" 3 bytes sha256:/),
      expect.stringMatching(/^removed target "gone" 4 bytes sha256:/),
      'removed delegation "ada" path "a/*"',
    ]);
  });

  test("are not published by who has only the former key of the timestamp", async () => {
    const rig = await Rig.make();
    const [fresh] = (await people(1)) as [Person];
    const staging = memoryStaging();
    const rotation = { action: "keys", role: "timestamp", add: [fresh.key], remove: [rig.online.key.id] } as const;
    await stageChanges(rig.access, staging, () => [rotation], environment([]));
    expect((await signAs(rig, staging, rig.root, fresh)).missing).toEqual([]);
    const [before, staged] = [rig.store.snapshot(), staging.content];
    await expect(publishStaged(rig.access, staging, environment([rig.online]))).rejects.toMatchObject({
      code: "KEY_MISSING",
      details: { missing: [fresh.key.id] },
    });
    expect([rig.store.snapshot(), staging.content]).toEqual([before, staged]);
    await publishStaged(rig.access, staging, environment([rig.online, fresh]));
    await rig.client().refresh();
  });

  test("can be dropped", async () => {
    const { rig, staging } = await quorum(2, 2);
    await stageChanges(rig.access, staging, () => [{ action: "renew", role: "root" }], environment([]));
    await dropStaged(staging);
    expect(await reviewStaged(rig.access, staging, environment([]))).toBeUndefined();
  });
});

describe("attacks on staged changes (A16)", () => {
  test("refuses to sign anything but what was reviewed", async () => {
    const { holders, rig, staging } = await quorum(2, 2);
    await stageChanges(rig.access, staging, () => [{ action: "renew", role: "root" }], environment([]));
    const review = await reviewStaged(rig.access, staging, environment([]));
    staging.content = utf8Encode(
      utf8Decode(staging.content!).replace('"consistent_snapshot":true', '"consistent_snapshot":true,"x":1'),
    );
    const before = staging.content;
    expect(await codeOf(() => signStaged(rig.access, staging, review!.digest, environment(holders)))).toBe(
      "TRUST_CONFLICT",
    );
    expect(staging.content).toEqual(before);
  });

  test("refuses a staged document that does not follow the published one", async () => {
    const { holders, rig, staging } = await quorum(1, 1);
    await stageChanges(rig.access, staging, () => [{ action: "renew", role: "root" }], environment([]));
    await rig.publish(
      [{ action: "periods", role: "root", periods: { expiry: 100, signing: 10 } }],
      [...rig.all, ...holders],
    );
    expect(await codeOf(() => reviewStaged(rig.access, staging, environment([])))).toBe("TRUST_CONFLICT");
    expect(await codeOf(() => publishStaged(rig.access, staging, environment(rig.all)))).toBe("TRUST_CONFLICT");
    expect(rig.store.files.has("3.root.json")).toBe(false);
  });

  test("refuses a version that skips one", async () => {
    const { holders, rig, staging } = await quorum(1, 1);
    await stageChanges(rig.access, staging, () => [{ action: "renew", role: "root" }], environment([]));
    staging.content = utf8Encode(utf8Decode(staging.content!).replace('"version":2', '"version":3'));
    for (const action of [
      () => reviewStaged(rig.access, staging, environment([])),
      () => signStaged(rig.access, staging, "", environment(holders)),
    ]) {
      expect(await codeOf(action)).toBe("TRUST_CONFLICT");
    }
  });

  test("refuses an expiry in the past", async () => {
    const { holders, rig, staging } = await quorum(1, 1);
    await stageChanges(rig.access, staging, () => [{ action: "renew", role: "root" }], environment([]));
    const good = formatTime(new Date(NOW.getTime() + 365 * DAY));
    staging.content = utf8Encode(utf8Decode(staging.content!).replace(good, "2029-01-01T00:00:00Z"));
    expect(await codeOf(() => reviewStaged(rig.access, staging, environment(holders)))).toBe("USAGE");
  });

  test("refuses a threshold that nobody can meet, however it got there", async () => {
    const { rig, staging } = await quorum(2, 2);
    await stageChanges(rig.access, staging, () => [{ action: "renew", role: "root" }], environment([]));
    staging.content = utf8Encode(utf8Decode(staging.content!).replaceAll('"threshold":2', '"threshold":3'));
    expect(await codeOf(() => reviewStaged(rig.access, staging, environment([])))).toBe("USAGE");
  });

  test("counts no signature that is not the key's, and lets the key sign over it", async () => {
    const { holders, rig, staging } = await quorum(1, 1);
    await stageChanges(rig.access, staging, () => [{ action: "renew", role: "root" }], environment(holders));
    staging.content = utf8Encode(utf8Decode(staging.content!).replace(/"sig":"[0-9a-f]{4}/, '"sig":"0000'));
    expect((await reviewStaged(rig.access, staging, environment([])))?.missing).toHaveLength(1);
    expect(await codeOf(() => publishStaged(rig.access, staging, environment(rig.all)))).toBe("SIGNATURE_THRESHOLD");
    expect((await signAs(rig, staging, holders[0]!)).missing).toEqual([]);
    await publishStaged(rig.access, staging, environment([rig.online]));
  });

  test("refuses a key that nobody asked for, and one that has signed already", async () => {
    const { holders, rig, staging } = await quorum(2, 2);
    await stageChanges(rig.access, staging, () => [{ action: "renew", role: "root" }], environment([holders[0]!]));
    const stranger = await person();
    expect(await codeOf(() => signAs(rig, staging, stranger))).toBe("KEY_MISSING");
    expect(await codeOf(() => signAs(rig, staging, holders[0]!))).toBe("KEY_MISSING");
  });

  test("refuses a document that nobody delegates to, and one that makes a circle", async () => {
    const ada = await person();
    const rig = await Rig.make();
    const staging = memoryStaging();
    const delegate = { action: "delegate", delegator: "targets", role: "ada", keys: [ada.key], paths: ["a"] } as const;
    await stageChanges(rig.access, staging, () => [delegate], environment([...rig.all, ada]));
    const staged = utf8Decode(staging.content!);
    staging.content = utf8Encode(staged.replaceAll('"name":"ada"', '"name":"bob"'));
    expect(await codeOf(() => publishStaged(rig.access, staging, environment(rig.all)))).toBe("DELEGATION_REFUSED");
    const delegations = /"delegations":(\{.*?\]\}),"expires"/.exec(staged)![1]!;
    const circle = staged.replace(/("signed":\{"_type":"targets",)("expires")/, `$1"delegations":${delegations},$2`);
    expect(circle).not.toBe(staged);
    staging.content = utf8Encode(circle);
    expect(await codeOf(() => reviewStaged(rig.access, staging, environment([])))).toBe("ROLE_INVALID");
    expect(rig.store.files.has("1.ada.json")).toBe(false);
    staging.content = utf8Encode(staged);
    await publishStaged(rig.access, staging, environment(rig.all));
  });

  test("names the owner of a key that has to sign", async () => {
    const ada = await person();
    const rig = await Rig.make();
    const staging = memoryStaging();
    const key = ownedKey(ada.key, "@ada");
    const changes = [{ action: "keys", role: "targets", add: [key] }] as const;
    const { missing } = await stageChanges(rig.access, staging, () => changes, environment(rig.all));
    expect(missing).toEqual([expect.stringMatching(/^root: ed25519 [0-9a-f]{64} of "@ada" must sign to show/)]);
    await signAs(rig, staging, ada);
    await publishStaged(rig.access, staging, environment(rig.all));
    const { signed } = decodeMetadata(rig.store.files.get("2.root.json")!, "root");
    expect(signed.keys.get(ada.key.id)?.json["x-tuf-on-ci-keyowner"]).toBe("@ada");
  });

  test("keeps one staged change from replacing another", async () => {
    const { rig, staging } = await quorum(2, 2);
    await stageChanges(rig.access, staging, () => [{ action: "renew", role: "root" }], environment([]));
    const before = staging.content;
    expect(await codeOf(() => stageChanges(rig.access, staging, () => [add("x")], environment(rig.all)))).toBe(
      "TRUST_CONFLICT",
    );
    expect(staging.content).toBe(before);
  });

  test("merges the signatures of two people who sign at the same moment", async () => {
    const { holders, rig, staging } = await quorum(3, 3);
    const { digest } = await stageChanges(
      rig.access,
      staging,
      () => [{ action: "renew", role: "root" }],
      environment([]),
    );
    for (const holder of holders) await signStaged(rig.access, staging, digest, environment([holder]));
    expect((await reviewStaged(rig.access, staging, environment([])))?.missing).toEqual([]);
  });

  test.each([
    ["a snapshot", (text: string) => text.replace('"targets":', '"snapshot":'), "METADATA_INVALID"],
    ["a timestamp", (text: string) => text.replace('"targets":', '"timestamp":'), "METADATA_INVALID"],
    ["a second list", (text: string) => text.replace("{", '{"Documents":{},'), "METADATA_INVALID"],
    ["a second reset", (text: string) => text.replace("{", '{"Reset":[],'), "METADATA_INVALID"],
    ["a fraction", (text: string) => text.replace('"version":2', '"version":2.5'), "JSON_INVALID"],
  ])("refuses %s in a staged file, and signs what was there", async (_, tamper, code) => {
    const { rig, staging } = await quorum(1, 1);
    await stageChanges(rig.access, staging, () => [add("x")], environment([]));
    const whole = staging.content!;
    const tampered = tamper(utf8Decode(whole));
    expect(tampered).not.toBe(utf8Decode(whole));
    staging.content = utf8Encode(tampered);
    expect(await codeOf(() => reviewStaged(rig.access, staging, environment([])))).toBe(code);
    staging.content = whole;
    expect((await signAs(rig, staging, rig.targets)).missing).toEqual([]);
  });

  test.each([
    "",
    "{}",
    '{"documents":{}}',
    '{"documents":{"root":null}}',
    '{"documents":{"snapshot":{}}}',
    '{"documents":[]}',
    "null",
    '{"documents":{"root":{"signed":{},"signatures":[]}}}',
  ])("refuses the staged file %j without a defect", async (text) => {
    const { rig, staging } = await quorum(1, 1);
    staging.content = utf8Encode(text);
    expect(await codeOf(() => reviewStaged(rig.access, staging, environment([])))).toMatch(
      /^(?:JSON_INVALID|METADATA_INVALID)$/,
    );
  });

  test("shows control characters in a staged document as text", async () => {
    const rig = await Rig.make();
    const staging = memoryStaging();
    await stageChanges(rig.access, staging, () => [{ action: "renew", role: "targets" }], {
      ...environment([]),
      signing: openSigningKeys([]),
    });
    staging.content = utf8Encode(
      utf8Decode(staging.content!).replace('"spec_version"', '"x-\\u001b[2K":"\\u202e","spec_version"'),
    );
    const review = await reviewStaged(rig.access, staging, environment([]));
    const texts = review!.documents[0]!.differences.map(({ text }) => text).join("\n");
    expect(texts).toContain("x-\\\\u{1b}[2K");
    expect(texts).not.toContain("\u001b");
    expect(texts).not.toContain("\u202e");
  });
});
