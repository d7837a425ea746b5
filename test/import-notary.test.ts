/** Imports from trust directories that the notary command left behind: captured files, with their keys. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { utf8Encode } from "../src/base/bytes.ts";
import { TransportError, type ErrorCode } from "../src/base/errors.ts";
import { importNotary, type ImportReport } from "../src/import-notary.ts";
import { memoryKeyStore } from "../src/keys/key-store.ts";
import type { PassphraseProvider } from "../src/keys/signer.ts";
import { openKeyDir } from "../src/node/key-dir.ts";
import { nodeRuntime } from "../src/node/runtime.ts";
import { listStoredCollections, readStoredNotary } from "../src/node/stored-notary.ts";
import { openTufPublisher } from "../src/node/tuf-publisher.ts";
import { RegistryClient } from "../src/oci/registry-client.ts";
import type { Transport } from "../src/base/http.ts";
import { FIXTURES, notaryPassphrase } from "./support/key-fixtures.ts";
import { failure } from "./support/use-case.ts";

const GUN = "localhost:5000/demo/hello";
const CAPTURED = new Date("2026-11-22T00:00:00Z");
const STALE = new Date("2027-01-01T00:00:00Z");
const PASSPHRASES: PassphraseProvider = async ({ role, isNew }) =>
  isNew ? "a new passphrase" : notaryPassphrase(role);

let dir: string;
let trust: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "import-notary-"));
  trust = join(dir, "docker-trust");
  await cp(join(FIXTURES, "notary-v1", "session1", "states", "28-nested", "trust"), trust, { recursive: true });
  await cp(join(FIXTURES, "notary-v1", "keys", "private"), join(trust, "private"), { recursive: true });
});

afterEach(() => rm(dir, { recursive: true, force: true }));

const nobody: Transport = () => Promise.reject(new TransportError("NETWORK", "no network here"));

function destination(now = CAPTURED) {
  const keyStore = memoryKeyStore();
  const runtime = { ...nodeRuntime(), transport: nobody, now: () => now };
  const opened = openTufPublisher({
    location: join(dir, "repository"),
    dir: join(dir, "trust"),
    keyStore,
    passphrases: PASSPHRASES,
    runtime,
  });
  return { ...opened, keyStore, runtime };
}

async function importFrom(
  there: ReturnType<typeof destination>,
  { acceptExpired = false, passphrases = PASSPHRASES } = {},
): Promise<ImportReport> {
  const { publisher, keyStore, runtime } = there;
  return importNotary({
    state: await readStoredNotary({ dir: trust, gun: GUN, now: runtime.now(), acceptExpired }),
    order: "docker",
    collection: "demo/hello",
    publisher,
    keyStore,
    oldKeys: openKeyDir(trust),
    passphrases,
    now: runtime.now,
    registry: new RegistryClient({ runtime, retry: { attempts: 1 } }),
    repository: { registry: "localhost:5000", repository: "demo/hello" },
  });
}

async function refused(code: ErrorCode, options: Parameters<typeof importFrom>[1] = {}, now = CAPTURED): Promise<void> {
  const there = destination(now);
  await failure(importFrom(there, options), code);
  expect(await readdir(join(dir, "repository")).catch(() => [])).toEqual([]);
  expect(await there.keyStore.list()).toEqual([]);
}

const documentPath = (role: string): string => join(trust, "tuf", ...GUN.split("/"), "metadata", `${role}.json`);

describe("a trust directory of the notary command", () => {
  it("lists its collections, and only those", async () => {
    await mkdir(join(trust, "tuf", "docker.io", "acme", "app", "metadata"), { recursive: true });
    await mkdir(join(trust, "tuf", "empty", "metadata"), { recursive: true });
    await writeFile(join(trust, "tuf", "docker.io", "acme", "app", "metadata", "root.json"), "{}");
    await symlink(join(trust, "tuf", "docker.io"), join(trust, "tuf", "linked"));
    expect(await listStoredCollections(trust)).toEqual(["docker.io/acme/app", GUN]);
    await failure(listStoredCollections(join(dir, "nowhere")), "FILE_NOT_FOUND");
  });

  it("is imported with names, custom data, delegations and keys", async () => {
    const there = destination();
    const report = await importFrom(there);
    expect(report.targets.map(({ name, role, oldRole, signs }) => [name, role, oldRole, signs])).toEqual([
      ["v1", "releases", "targets/releases", "unknown"],
      ["v2", "targets", "targets", "unknown"],
      ["we&ird<name>", "targets", "targets", "unknown"],
    ]);
    const opened = await there.source.open("demo/hello", { firstUse: "refuse" });
    expect(opened.find("we&ird<name>")?.custom).toEqual({ a: "xyz", b: 1, n: { k: [3, 2, 1], z: null } });
    expect(opened.find("v1")).toMatchObject({ role: "releases", length: 14 });
    expect(opened.find("v2")?.hashes.sha512).toMatch(/^[0-9a-f]{128}$/);
    const roles = (await there.keyStore.list()).map(({ role }) => role).toSorted();
    expect(roles).toContain("targets");
    expect(roles.filter((role) => role === "root")).toHaveLength(1);
  });

  it("is refused once its signatures have expired, unless that is accepted", async () => {
    await refused("METADATA_EXPIRED", {}, STALE);
    const there = destination(STALE);
    await importFrom(there, { acceptExpired: true });
    expect((await there.source.open("demo/hello", { firstUse: "refuse" })).list()).toHaveLength(3);
  });

  it("is refused with a wrong passphrase, and works with the right one", async () => {
    await refused("KEY_PASSPHRASE", { passphrases: async ({ role }) => (role === "root" ? "wrong" : "delegpass1") });
    await refused("PASSPHRASE_MISSING", { passphrases: async () => undefined });
    await importFrom(destination());
  });

  it("is refused where a document was changed, is missing, or belongs to another collection", async () => {
    const path = documentPath("targets");
    const good = await readFile(path);
    await writeFile(path, good.toString().replace('"length":14', '"length":15'));
    await refused("TRUST_UNAVAILABLE"); // no document is the one that the snapshot names
    await rm(path);
    await refused("TRUST_UNAVAILABLE");
    await writeFile(path, good);
    const root = await readFile(documentPath("root"));
    await writeFile(documentPath("root"), utf8Encode("{"));
    await refused("JSON_INVALID");
    await rm(documentPath("root"));
    await refused("TRUST_NOT_FOUND");
    await writeFile(documentPath("root"), root);
    await importFrom(destination());
  });

  it("does not answer for another name", async () => {
    const other = join(trust, "tuf", "localhost:5000", "demo", "other");
    await cp(join(trust, "tuf", ...GUN.split("/")), other, { recursive: true });
    const reading = { dir: trust, gun: "localhost:5000/demo/other", now: CAPTURED, acceptExpired: false };
    await failure(readStoredNotary(reading), "COLLECTION_MISMATCH");
    await failure(readStoredNotary({ ...reading, gun: "../../etc" }), "GUN_INVALID");
  });
});
