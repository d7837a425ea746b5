import { describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { JsonCursor } from "../../src/base/json-cursor.ts";
import { FormatError } from "../../src/base/errors.ts";
import type { JsonObject, JsonValue } from "../../src/base/json.ts";
import { decodeMetadata, type MetadataType } from "../../src/tuf/metadata.ts";
import { readSignatures } from "../../src/tuf/read-metadata.ts";

const KEY = { keytype: "ed25519", scheme: "ed25519", keyval: { public: "00".repeat(32) } };
const ROLE = { keyids: ["k"], threshold: 1 };
const SHA256 = "ab".repeat(32);
const SHA512 = "cd".repeat(64);
const COMMON = { expires: "2040-01-01T00:00:00Z", spec_version: "1.0.34", version: 1 };

const SIGNED = {
  root: {
    _type: "root",
    ...COMMON,
    consistent_snapshot: true,
    keys: { k: KEY },
    roles: { root: ROLE, timestamp: ROLE, snapshot: ROLE, targets: ROLE },
  },
  timestamp: { _type: "timestamp", ...COMMON, meta: { "snapshot.json": { version: 1 } } },
  snapshot: { _type: "snapshot", ...COMMON, meta: { "targets.json": { version: 1 } } },
  targets: { _type: "targets", ...COMMON, targets: {} },
} as const satisfies Record<MetadataType, JsonObject>;

/** Reads a document whose `signed` has other members. */
function read<Type extends MetadataType>(type: Type, changes: JsonObject, signatures: JsonValue = []) {
  const signed = { ...SIGNED[type], ...changes };
  return decodeMetadata(utf8Encode(JSON.stringify({ signatures, signed })), type);
}

function delegating(roles: JsonValue, others: JsonObject = {}) {
  return read("targets", { delegations: { keys: { k: KEY }, roles, ...others } });
}

/** Expects a refusal that names the place and what is wrong there. */
function refuses(action: () => unknown, said: string | RegExp): void {
  const message = typeof said === "string" ? expect.stringContaining(said) : expect.stringMatching(said);
  expect(action).toThrow(expect.objectContaining({ code: "METADATA_INVALID", kind: "invalid", message }));
}

const numbered = (count: number, value: JsonValue): JsonObject =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`x${index}`, value]));

describe("what every document says", () => {
  it("is read into types", () => {
    const { signed } = read("timestamp", { version: 7, spec_version: "1.2.3" });
    expect(signed).toEqual({
      type: "timestamp",
      version: 7,
      specVersion: "1.2.3",
      expires: new Date("2040-01-01T00:00:00Z"),
      snapshot: { version: 1, extra: {} },
      extra: {},
    });
  });

  for (const version of ["1.0", "1.0.34", "1.999999999.0"]) {
    it(`may follow version ${version} of the specification`, () => {
      expect(read("timestamp", { spec_version: version }).signed.specVersion).toBe(version);
    });
  }
  for (const version of ["", "1", "2.0.0", "1.", "1.a", "1.0.", "1.0.0.0", "11.0", "x1.0", "1.0x", "1.0000000000"]) {
    it(`may not follow version ${JSON.stringify(version)} of the specification`, () => {
      refuses(
        () => read("timestamp", { spec_version: version }),
        "signed.spec_version: expected a version 1 of the TUF",
      );
    });
  }

  it("is refused in a document of another type, which is named shortly", () => {
    refuses(
      () => read("timestamp", { _type: "x".repeat(1000) }),
      new RegExp(`timestamp is not valid: signed._type: expected "timestamp", got "x{40}"$`),
    );
    for (const type of Object.keys(SIGNED) as MetadataType[]) {
      const other = type === "root" ? "targets" : "root";
      refuses(() => read(type, { _type: other }), `signed._type: expected "${type}", got "${other}"`);
    }
  });

  it("names the role and the place of a fault", () => {
    const bytes = utf8Encode(JSON.stringify({ signatures: [], signed: { ...SIGNED.targets, version: 0 } }));
    expect(() => decodeMetadata(bytes, "targets", "team/a")).toThrow(
      expect.objectContaining({
        message: "the metadata of team/a is not valid: signed.version: expected at least 1, got 0",
        details: { role: "team/a" },
      }),
    );
    refuses(() => read("timestamp", { expires: "soon" }), "signed.expires: expected a time such as");
  });

  for (const [type, known] of [
    ["root", "Consistent_snapshot"],
    ["timestamp", "Meta"],
    ["snapshot", "META"],
    ["targets", "Delegations"],
    ["targets", "Targets"],
    ["targets", "Expires"],
  ] as const) {
    it(`has no member ${known} in ${type}, which Go takes for the other`, () => {
      refuses(() => read(type, { [known]: {} }), "only by case");
    });
  }
});

describe("root", () => {
  it("is read with keys, roles and what is unknown", () => {
    const { signed } = read("root", { "x-new": 1, roles: { ...SIGNED.root.roles, mirrors: { ...ROLE, "x-role": 2 } } });
    expect([...signed.roles.keys()]).toEqual(["root", "timestamp", "snapshot", "targets", "mirrors"]);
    expect(signed.roles.get("mirrors")).toEqual({ keyIds: ["k"], threshold: 1, extra: { "x-role": 2 } });
    expect(signed.keys.get("k")).toMatchObject({ id: "k", keytype: "ed25519", scheme: "ed25519", json: KEY });
    expect([signed.type, signed.consistentSnapshot, signed.extra]).toEqual(["root", true, { "x-new": 1 }]);
  });

  it("has no consistent snapshots unless it says so", () => {
    const { consistent_snapshot: _, ...old } = SIGNED.root;
    const bytes = utf8Encode(JSON.stringify({ signatures: [], signed: old }));
    expect(decodeMetadata(bytes, "root").signed.consistentSnapshot).toBe(false);
    expect(read("root", { consistent_snapshot: false }).signed.consistentSnapshot).toBe(false);
    refuses(() => read("root", { consistent_snapshot: null }), "signed.consistent_snapshot: expected true or false");
  });

  for (const role of ["root", "timestamp", "snapshot", "targets"]) {
    it(`is refused without the role ${role}`, () => {
      const { [role]: _, ...roles } = SIGNED.root.roles as Record<string, typeof ROLE>;
      refuses(() => read("root", { roles }), `signed.roles: the role ${role} is missing`);
    });
  }

  it("says of roles and keys what is wrong with them", () => {
    const withRole = (role: JsonObject) => () => read("root", { roles: { ...SIGNED.root.roles, timestamp: role } });
    refuses(
      withRole({ ...ROLE, keyids: ["a", "b", "a"] }),
      'signed.roles["timestamp"].keyids[2]: a key id that is listed',
    );
    refuses(withRole({ ...ROLE, keyids: [""] }), 'signed.roles["timestamp"].keyids[0]: a key id has 1 to 1024');
    refuses(withRole({ ...ROLE, threshold: 0 }), 'signed.roles["timestamp"].threshold: expected at least 1, got 0');
    refuses(withRole({ ...ROLE, Keyids: [] }), "only by case");
    refuses(withRole({ ...ROLE, Threshold: 9 }), "only by case");
    const withKey = (key: JsonObject) => () => read("root", { keys: { k: key } });
    refuses(withKey({ ...KEY, Keyval: {} }), "only by case");
    refuses(withKey({ ...KEY, Scheme: "" }), "only by case");
    refuses(withKey({ ...KEY, Keytype: "" }), "only by case");
    refuses(withKey({ ...KEY, keyval: { ...KEY.keyval, Public: "" } }), "only by case");
    refuses(withKey({ ...KEY, keyval: { ...KEY.keyval, private: "x" } }), "keyval.private: a private key in public");
    for (const empty of ["", null]) {
      expect(withKey({ ...KEY, keyval: { ...KEY.keyval, private: empty } })().signed.keys.size).toBe(1);
    }
    refuses(withKey({ ...KEY, keyval: { ...KEY.keyval, private: 5 } }), "keyval.private: expected a string");
    refuses(withKey({ ...KEY, keyval: { ...KEY.keyval, Private: "x" } }), "only by case");
  });

  it("has key ids of up to 1024 characters, and no empty one", () => {
    const withId = (id: string) => read("root", { keys: { [id]: KEY } }).signed.keys.size;
    expect([withId("i"), withId("i".repeat(1024))]).toEqual([1, 1]);
    refuses(() => withId("i".repeat(1025)), "a key id has 1 to 1024 characters");
    refuses(() => withId(""), "a key id has 1 to 1024 characters");
  });

  it("has no more keys and roles than any root needs", () => {
    const keys = (count: number) => read("root", { keys: numbered(count, KEY) }).signed.keys.size;
    expect(keys(1024)).toBe(1024);
    refuses(() => keys(1025), "signed.keys: expected at most 1024");
    const roles = (count: number) => read("root", { roles: { ...SIGNED.root.roles, ...numbered(count, ROLE) } });
    expect(roles(252).signed.roles.size).toBe(256);
    refuses(() => roles(253), "signed.roles: expected at most 256");
    const ids = (count: number) => {
      const keyids = Object.keys(numbered(count, 0));
      return read("root", { roles: { ...SIGNED.root.roles, root: { keyids, threshold: 1 } } });
    };
    expect(ids(1024).signed.roles.get("root")!.keyIds).toHaveLength(1024);
    refuses(() => ids(1025), "keyids: expected at most 1024");
  });
});

describe("timestamp and snapshot", () => {
  it("list the snapshot, and nothing else", () => {
    refuses(() => read("timestamp", { meta: {} }), "signed.meta: the entry snapshot.json is missing");
    refuses(() => read("timestamp", { meta: { "targets.json": { version: 1 } } }), "expected snapshot.json only");
    const two = { "snapshot.json": { version: 1 }, "targets.json": { version: 1 } };
    refuses(() => read("timestamp", { meta: two }), "signed.meta: expected at most 1 members");
  });

  const full = { version: 2, length: 3, hashes: { sha256: SHA256, sha512: SHA512 } };
  const files: [string, JsonObject, object][] = [
    ["a version alone", { version: 2 }, { version: 2, extra: {} }],
    ["a length alone", { version: 2, length: 0 }, { version: 2, length: 0, extra: {} }],
    ["hashes alone", { version: 2, hashes: full.hashes }, { version: 2, hashes: full.hashes, extra: {} }],
    ["all of it", full, { ...full, extra: {} }],
    ["an unknown field", { ...full, x: 1 }, { ...full, extra: { x: 1 } }],
    [
      "an unknown algorithm",
      { version: 2, length: 3, hashes: { md5: "?" } },
      { version: 2, length: 3, hashes: { md5: "?" }, extra: {} },
    ],
  ];
  for (const [what, entry, file] of files) {
    it(`list files with ${what}`, () => {
      expect(read("timestamp", { meta: { "snapshot.json": entry } }).signed.snapshot).toEqual(file);
      const { type, meta } = read("snapshot", { meta: { "targets.json": entry, "team.json": entry } }).signed;
      expect(type).toBe("snapshot");
      expect([...meta]).toEqual([
        ["targets", file],
        ["team", file],
      ]);
    });
  }

  const wrong: [string, JsonValue, string][] = [
    ["no object", 1, ": expected an object"],
    ["no version", {}, ".version: missing"],
    ["version 0", { version: 0 }, ".version: expected at least 1"],
    ["a version in quotes", { version: "1" }, ".version: expected an integer"],
    ["a negative length", { ...full, length: -1 }, ".length: expected at least 0"],
    ["a length in quotes", { ...full, length: "1" }, ".length: expected an integer"],
    ["a length that is null", { ...full, length: null }, ".length: expected an integer"],
    ["no hash", { ...full, hashes: {} }, ".hashes: expected at least one hash"],
    ["hashes in a list", { ...full, hashes: [SHA256] }, ".hashes: expected an object"],
    ["a hash that is a number", { ...full, hashes: { sha256: 1 } }, '.hashes["sha256"]: expected a string'],
    ["half a hash", { ...full, hashes: { sha256: "ab" } }, '.hashes["sha256"]: expected sha256 in lower-case'],
    ["a hash that is too long", { ...full, hashes: { sha256: `${SHA256}0` } }, "expected sha256 in lower-case"],
    ["a hash with something before", { ...full, hashes: { sha256: ` ${SHA256.slice(1)}x` } }, "expected sha256 in"],
    ["sha512 as short as sha256", { ...full, hashes: { sha512: SHA256 } }, "expected sha512 in lower-case"],
    ["sha512 that is too long", { ...full, hashes: { sha512: `${SHA512}0` } }, "expected sha512 in lower-case"],
    [
      "sha512 that is too long in front",
      { ...full, hashes: { sha512: `0${SHA512}` } },
      "expected sha512 in lower-case",
    ],
    [
      "sha256 that is too long in front",
      { ...full, hashes: { sha256: `0${SHA256}` } },
      "expected sha256 in lower-case",
    ],
    ["a version in other case", { version: 1, Version: 1 }, "only by case"],
    ["a length in other case", { version: 1, Length: 1 }, "only by case"],
    ["hashes in other case", { version: 1, Hashes: 1 }, "only by case"],
    ["17 hashes", { version: 1, hashes: numbered(17, "x") }, ".hashes: expected at most 16"],
  ];
  for (const [what, entry, said] of wrong) {
    it(`are refused where a file has ${what}`, () => {
      refuses(() => read("timestamp", { meta: { "snapshot.json": entry } }), said);
      refuses(() => read("snapshot", { meta: { "targets.json": entry } }), said);
      // behind an entry that is as usual
      refuses(() => read("snapshot", { meta: { "targets.json": { version: 1 }, "team.json": entry } }), said);
    });
  }

  it("list up to 16 hashes of a file", () => {
    const hashes = numbered(16, "x");
    expect(read("timestamp", { meta: { "snapshot.json": { version: 1, hashes } } }).signed.snapshot.hashes).toEqual(
      hashes,
    );
  });

  it("are refused where a name does not end in .json, or targets is not there", () => {
    const team = { "targets.json": { version: 1 }, team: { version: 1 } };
    refuses(() => read("snapshot", { meta: team }), 'signed.meta["team"]: expected a name that ends in .json');
    refuses(() => read("snapshot", { meta: { "team.json": { version: 1 } } }), "the entry targets.json is missing");
    refuses(() => read("snapshot", { meta: [] }), "signed.meta: expected an object");
  });
});

describe("targets", () => {
  const plain = { length: 5, hashes: { sha256: SHA256 } };
  const files: [string, JsonObject, object][] = [
    ["a hash and a length", plain, { ...plain, extra: {} }],
    ["an empty file", { ...plain, length: 0 }, { ...plain, length: 0, extra: {} }],
    ["what applications say", { ...plain, custom: { a: 1 } }, { ...plain, custom: { a: 1 }, extra: {} }],
    ["null of applications", { ...plain, custom: null }, { ...plain, custom: null, extra: {} }],
    ["an unknown field", { ...plain, x: [1] }, { ...plain, extra: { x: [1] } }],
    ["both", { ...plain, x: 1, custom: false }, { ...plain, custom: false, extra: { x: 1 } }],
    ["an unknown algorithm", { length: 5, hashes: { md5: "?" } }, { length: 5, hashes: { md5: "?" }, extra: {} }],
  ];
  for (const [what, entry, file] of files) {
    it(`are read with ${what}`, () => {
      const { targets } = read("targets", { targets: { first: plain, app: entry, last: plain } }).signed;
      expect([...targets.keys()]).toEqual(["first", "app", "last"]);
      expect(targets.get("app")).toEqual(file);
      expect(Object.hasOwn(targets.get("app")!, "custom")).toBe(Object.hasOwn(entry, "custom"));
      expect(targets.get("last")).toEqual({ ...plain, extra: {} });
    });
  }

  const wrong: [string, JsonValue, string][] = [
    ["null", null, 'signed.targets["app"]: expected an object'],
    ["no length", { hashes: plain.hashes }, ".length: missing"],
    ["no length, but custom", { hashes: plain.hashes, custom: 1 }, ".length: missing"],
    ["a negative length", { ...plain, length: -1 }, ".length: expected at least 0"],
    ["a length in quotes", { ...plain, length: "5" }, ".length: expected an integer"],
    ["no hashes", { length: 5 }, ".hashes: missing"],
    ["no hash", { length: 5, hashes: {} }, ".hashes: expected at least one hash"],
    ["no hash, but custom", { length: 5, hashes: {}, custom: 1 }, ".hashes: expected at least one hash"],
    ["a hash that is null", { length: 5, hashes: { sha256: null } }, '.hashes["sha256"]: expected a string'],
    ["a second hash that is wrong", { length: 5, hashes: { sha256: SHA256, sha512: "" } }, "expected sha512"],
    ["a length in other case", { ...plain, Length: 1 }, "only by case"],
    ["hashes in other case", { ...plain, Hashes: {} }, "only by case"],
    ["custom in other case", { ...plain, Custom: {} }, "only by case"],
  ];
  for (const [what, entry, said] of wrong) {
    it(`are refused with ${what}`, () => {
      refuses(() => read("targets", { targets: { app: entry } }), said);
      refuses(() => read("targets", { targets: { first: plain, app: entry, last: plain } }), said);
    });
  }

  it("have names of 1 to 4096 characters", () => {
    const named = (name: string) => [...read("targets", { targets: { [name]: plain } }).signed.targets.keys()];
    expect(named("x".repeat(4096))).toEqual(["x".repeat(4096)]);
    for (const name of ["", "x".repeat(4097)]) refuses(() => named(name), "a target's name has 1 to 4096 characters");
  });
});

describe("delegations", () => {
  const role = { ...ROLE, name: "team", paths: ["team/*"], terminating: false };

  it("are read by paths, by prefixes of hashes and to bins", () => {
    const byHash = { ...ROLE, name: "hashed", path_hash_prefixes: ["0", "f".repeat(64)], terminating: true, x: 1 };
    const { delegations } = delegating([role, byHash], { "x-more": 1 }).signed;
    expect(delegations!.roles).toEqual([
      { keyIds: ["k"], threshold: 1, name: "team", paths: ["team/*"], terminating: false, extra: {} },
      {
        keyIds: ["k"],
        threshold: 1,
        name: "hashed",
        pathHashPrefixes: ["0", "f".repeat(64)],
        terminating: true,
        extra: { x: 1 },
      },
    ]);
    expect([delegations!.extra, delegations!.succinct]).toEqual([{ "x-more": 1 }, undefined]);
    const succinct_roles = { ...ROLE, bit_length: 32, name_prefix: "bin", x: 1 };
    const bins = read("targets", { delegations: { keys: { k: KEY }, succinct_roles } }).signed.delegations!;
    expect(bins).toMatchObject({
      roles: [],
      succinct: { keyIds: ["k"], threshold: 1, bitLength: 32, namePrefix: "bin", extra: { x: 1 } },
    });
    expect(read("targets", {}).signed).not.toHaveProperty("delegations");
    expect(read("targets", {}).signed.type).toBe("targets");
  });

  const wrong: [string, JsonObject, string][] = [
    ["an empty name", { ...role, name: "" }, ".name: a role's name has 1 to 512 characters"],
    ["a name that is too long", { ...role, name: "x".repeat(513) }, ".name: a role's name has 1 to 512 characters"],
    ...["root", "timestamp", "snapshot", "targets"].map((name): [string, JsonObject, string] => {
      return [`the name ${name}`, { ...role, name }, `.name: ${name} is no name for a delegation`];
    }),
    ["neither paths nor prefixes", { ...ROLE, name: "team", terminating: false }, "roles[0]: expected either paths or"],
    ["both", { ...role, path_hash_prefixes: ["0"] }, "roles[0]: expected either paths or path_hash_prefixes"],
    ["a path that is a number", { ...role, paths: ["a", 1] }, ".paths[1]: expected a string"],
    ["a key id twice", { ...role, keyids: ["k", "k"] }, ".keyids[1]: a key id that is listed twice"],
    ["a threshold of 0", { ...role, threshold: 0 }, ".threshold: expected at least 1"],
    ["nothing said of terminating", { ...ROLE, name: "team", paths: [] }, ".terminating: missing"],
    ...["Name", "Paths", "Terminating", "Threshold", "Keyids", "Path_hash_prefixes"].map(
      (key): [string, JsonObject, string] => [key, { ...role, [key]: 1 }, "only by case"],
    ),
  ];
  for (const [what, entry, said] of wrong) {
    it(`are refused with ${what}`, () => {
      refuses(() => delegating([entry]), said);
    });
  }

  it("are refused where a role is listed twice", () => {
    refuses(() => delegating([role, { ...role, name: "b" }, role]), 'roles[2]: the role "team" is listed twice');
    expect(delegating([{ ...role, name: "x".repeat(512) }]).signed.delegations!.roles).toHaveLength(1);
  });

  for (const prefix of ["", "g", "A", "0x", " 0", "0 ", "0".repeat(65)]) {
    it(`have no prefix ${JSON.stringify(prefix)}`, () => {
      const { paths: _, ...rest } = role;
      refuses(
        () => delegating([{ ...rest, path_hash_prefixes: ["0", prefix] }]),
        ".path_hash_prefixes[1]: expected 1 to 64",
      );
    });
  }

  const bins = { ...ROLE, bit_length: 1, name_prefix: "bin" };
  const wrongBins: [string, JsonObject, string][] = [
    ["33 bits", { ...bins, bit_length: 33 }, ".bit_length: expected at most 32, got 33"],
    ["no bits", { ...bins, bit_length: 0 }, ".bit_length: expected at least 1"],
    ["an empty prefix", { ...bins, name_prefix: "" }, ".name_prefix: a role's name has 1 to 512"],
    ["targets as prefix", { ...bins, name_prefix: "targets" }, ".name_prefix: targets is no name"],
    ["a threshold of 0", { ...bins, threshold: 0 }, ".threshold: expected at least 1"],
    ["no keys", { bit_length: 1, name_prefix: "bin", threshold: 1 }, ".keyids: missing"],
    ...["Bit_length", "Keyids", "Name_prefix", "Threshold"].map((key): [string, JsonObject, string] => [
      key,
      { ...bins, [key]: 1 },
      "only by case",
    ]),
  ];
  for (const [what, succinct_roles, said] of wrongBins) {
    it(`are refused to bins with ${what}`, () => {
      refuses(() => read("targets", { delegations: { keys: {}, succinct_roles } }), said);
    });
  }

  it("are either a list or bins", () => {
    refuses(
      () => delegating([], { succinct_roles: bins }),
      "signed.delegations: expected either roles or succinct_roles",
    );
    refuses(() => read("targets", { delegations: { keys: {} } }), "expected either roles or succinct_roles");
    for (const key of ["Keys", "Roles", "Succinct_roles"]) refuses(() => delegating([], { [key]: 1 }), "only by case");
    expect(delegating([]).signed.delegations).toMatchObject({ roles: [], keys: new Map([["k", expect.anything()]]) });
  });
});

describe("signatures", () => {
  const plain = [
    { keyid: "a", sig: "00" },
    { keyid: "b", sig: "11" },
  ];
  const signaturesOf = (value: JsonValue) => read("timestamp", {}, value).signatures;

  it("are read with what is unknown", () => {
    expect(signaturesOf([])).toEqual([]);
    expect(signaturesOf(plain)).toEqual([
      { keyId: "a", sig: "00", extra: {} },
      { keyId: "b", sig: "11", extra: {} },
    ]);
    expect(signaturesOf([...plain, { keyid: "", sig: "not hex", method: "ed25519" }])).toEqual([
      { keyId: "a", sig: "00", extra: {} },
      { keyId: "b", sig: "11", extra: {} },
      { keyId: "", sig: "not hex", extra: { method: "ed25519" } },
    ]);
  });

  const wrong: [string, JsonValue, string][] = [
    ["in an object", {}, "signatures: expected an array"],
    ["one of which is null", [...plain, null], "signatures[2]: expected an object"],
    ["one of which is a list", [[], ...plain], "signatures[0]: expected an object"],
    ["by nobody", [{ sig: "00" }], "signatures[0].keyid: missing"],
    ["by a number", [{ keyid: 1, sig: "00" }], "signatures[0].keyid: expected a string"],
    ["that are not there", [...plain, { keyid: "c" }], "signatures[2].sig: missing"],
    ["that are null", [{ keyid: "c", sig: null }], "signatures[0].sig: expected a string"],
    ["twice by one key", [...plain, plain[0]!], "signatures[2]: a second signature of the same key id"],
    ["twice by one, the second with more", [...plain, { ...plain[0]!, x: 1 }], "signatures[2]: a second signature"],
    ["with Keyid", [{ ...plain[0]!, Keyid: "x" }], "only by case"],
    ["with Sig", [{ ...plain[0]!, Sig: "x" }], "only by case"],
  ];
  for (const [what, value, said] of wrong) {
    it(`are refused ${what}`, () => {
      refuses(() => signaturesOf(value), said);
    });
  }

  it("are at most a million, and are not looked at where they are more", () => {
    const fault = (message: string) => new FormatError("METADATA_INVALID", message);
    const many = Array.from({ length: 1_000_001 }, () => plain[0]!);
    refuses(() => readSignatures(new JsonCursor(many, fault)), "expected at most 1000000 elements");
  });
});
