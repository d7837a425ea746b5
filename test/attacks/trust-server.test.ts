/** A trust server, or whoever stands in its place, against a consumer who has verified the collection once. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { ownBytes, utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import { startFaultyServer, type Fault } from "../support/faulty-server.ts";
import {
  makeAuthority,
  startHostileTrustServer,
  type Authority,
  type HostileTrustServer,
} from "../support/hostile-trust-server.ts";
import { certifiedKey, NotaryRepository, plainKey } from "../support/notary-repository.ts";
import { HONEST_MODULE, OUTPUT, SignedApp } from "../support/signed-app.ts";
import { moduleBytes } from "../support/use-case.ts";
import type { ErrorReport } from "../support/victim.ts";

const PAST = "2024-01-01T00:00:00Z";
const TOP_ROLES = ["root", "timestamp", "snapshot", "targets"] as const;
const ROLES = [...TOP_ROLES, "targets/releases"] as const;

let app: SignedApp;
let collection: NotaryRepository;

beforeAll(async () => {
  app = await SignedApp.start();
  collection = app.collection;
});

beforeEach(() => app.reset());

afterAll(() => app.stop());

/** A fault of a delegation concerns its names only; what is above it was verified. */
async function refusedFor(role: string, code: ErrorCode, status: number): Promise<ErrorReport> {
  if (role !== "targets/releases") return app.pullRefused(code, status);
  return app.pullRefusedLate(code, status, "r1");
}

function refusedSignature(role: string): ErrorCode {
  return role === "root" ? "ROOT_UNTRUSTED" : "SIGNATURE_THRESHOLD";
}

/** Bytes with one character inside the signed part replaced. */
function changed(bytes: Uint8Array): ReturnType<typeof utf8Encode> {
  return utf8Encode(utf8Decode(ownBytes(bytes)).replace("2030-01-01", "2031-01-01"));
}

describe.each(ROLES)("pull refuses metadata of %s", (role) => {
  it("that has expired", async () => {
    collection.expires.set(role, PAST);
    await collection.publish(role);
    const { details, message } = await refusedFor(role, "METADATA_EXPIRED", 13);
    expect(details).toMatchObject({ role });
    expect(message).toContain("2024-01-01");
  });

  it("that is older than what was seen before", async () => {
    if (role === "root") collection.files.set("root.json", collection.files.get("1.root.json")!);
    else {
      collection.versions.set(role, 0);
      await collection.publish(role);
    }
    const { details } = await refusedFor(role, "METADATA_ROLLED_BACK", 14);
    expect(details).toMatchObject({ role });
  });

  it("that nobody has signed", async () => {
    collection.forge.set(role, () => []);
    await collection.publish(role);
    const { details } = await refusedFor(role, refusedSignature(role), 12);
    expect(details).toMatchObject({ role });
  });

  it("that an unknown key has signed", async () => {
    collection.signers.set(role, [role === "root" ? await certifiedKey(collection.gun) : await plainKey()]);
    await collection.publish(role);
    expect((await refusedFor(role, refusedSignature(role), 12)).details).toMatchObject({ role });
  });

  it("that the key of another role has signed", async () => {
    collection.signers.set(role, collection.roles.get(role === "snapshot" ? "targets" : "snapshot")!.keys);
    await collection.publish(role);
    expect((await refusedFor(role, refusedSignature(role), 12)).details).toMatchObject({ role });
  });

  it("that was changed after it was signed", async () => {
    await collection.publish(role);
    collection.serve(role, changed(collection.document(role)));
    const code = role === "root" || role === "timestamp" ? refusedSignature(role) : "METADATA_TAMPERED";
    expect(await refusedFor(role, code, code === "METADATA_TAMPERED" ? 10 : 12)).toMatchObject({ code });
  });

  it("that has two readings", async () => {
    await collection.publish(role);
    const text = utf8Decode(collection.document(role));
    collection.serve(role, utf8Encode(text.replace('"signed"', '"SIGNED":{},"signed"')));
    const isBound = role !== "root" && role !== "timestamp";
    await refusedFor(role, isBound ? "METADATA_TAMPERED" : "METADATA_INVALID", isBound ? 10 : 7);
  });
});

describe("pull refuses", () => {
  it.each(["snapshot", "targets", "targets/releases"])("a %s of another moment", async (role) => {
    const old = collection.document(role);
    await collection.publish(...TOP_ROLES, "targets/releases");
    collection.serve(role, old);
    expect(await refusedFor(role, "METADATA_TAMPERED", 10)).toMatchObject({ code: "METADATA_TAMPERED" });
  });

  it("a server that goes back to an older state as a whole", async () => {
    const old = collection.snapshotOfServer();
    await collection.publish("targets");
    await app.victim.succeed(app.pullWords());
    await rm(join(app.victim.work, OUTPUT));
    old();
    expect(await app.pullRefused("METADATA_ROLLED_BACK", 14)).toMatchObject({ code: "METADATA_ROLLED_BACK" });
  });

  it("a new root that the old one has not signed", async () => {
    await collection.rotateRoot({ signWithOld: false });
    const { hint } = await app.pullRefused("ROOT_UNTRUSTED", 12);
    expect(hint).toMatch(/ask the owner/);
  });

  it("a new root that only claims the old one's signature", async () => {
    const forged = new Uint8Array(64).fill(1);
    collection.forge.set("root", (signatures) =>
      signatures.map((one, index) => (index === 0 ? one : { ...one, signature: forged })),
    );
    await collection.rotateRoot();
    expect(await app.pullRefused("ROOT_UNTRUSTED", 12)).toMatchObject({ code: "ROOT_UNTRUSTED" });
  });

  it("another collection's trust data, to somebody who knows this one", async () => {
    const other = await NotaryRepository.create(`${app.registry.host}/team/other`);
    await replaceBy(other);
    expect(await app.pullRefused("COLLECTION_MISMATCH", 12)).toMatchObject({ code: "COLLECTION_MISMATCH" });
  });

  it("another collection's trust data, to somebody who comes for the first time", async () => {
    const other = await NotaryRepository.create(`${app.registry.host}/team/other`);
    await replaceBy(other);
    await app.victim.forget();
    await app.victim.refused(app.pullWords("v1", "--server", app.trust.url), "COLLECTION_MISMATCH", 12);
    expect(await app.pullHonestly("--server", app.trust.url)).toEqual(HONEST_MODULE);
  });

  it("a root that is not the pinned one", async () => {
    await app.victim.forget();
    const pinned = ["--server", app.trust.url, "--root-fingerprint", "ab".repeat(32)];
    const { hint } = await app.victim.refused(app.pullWords("v1", ...pinned), "PIN_MISMATCH", 12);
    expect(hint).toMatch(/publisher|pin/);
    expect(await app.pullHonestly("--server", app.trust.url)).toEqual(HONEST_MODULE);
  });

  it("a collection that was never seen, where first use is ruled out", async () => {
    await app.victim.forget();
    const words = app.pullWords("v1", "--server", app.trust.url, "--no-tofu");
    await app.victim.refused(words, "FIRST_USE_REFUSED", 12);
    expect(await app.pullHonestly("--server", app.trust.url)).toEqual(HONEST_MODULE);
  });

  it("a name that is not signed", async () => {
    app.push(moduleBytes("unsigned"), "v9");
    expect(await app.pullRefusedLate("TARGET_NOT_FOUND", 11, "v9")).toMatchObject({ code: "TARGET_NOT_FOUND" });
  });
});

const ROOT = /\/tuf\/root\.json$/;
const HTML = { headers: { "content-type": "text/html" }, body: "<!doctype html><title>Sign in</title>" };
const ENDLESS = { status: 200, endless: Buffer.alloc(65_536, "[") };
const NOT_THERE = JSON.stringify({ errors: [{ code: "METADATA_NOT_FOUND", message: "none", detail: {} }] });

/** What a server can answer instead of metadata, to somebody who knows the collection. */
const ANSWERS: readonly (readonly [string, Fault, ErrorCode, number])[] = [
  ["401 without saying how to log in", { status: 401, body: "{}" }, "TRUST_DENIED", 4],
  ["401 to credentials", { status: 401, headers: { "www-authenticate": "Basic realm=x" } }, "TRUST_DENIED", 4],
  ["403", { status: 403, body: "{}" }, "TRUST_DENIED", 4],
  ["404 in Notary's words, as if nothing was ever signed", { status: 404, body: NOT_THERE }, "TRUST_WITHHELD", 12],
  ["404 of some web server", { status: 404, ...HTML }, "TRUST_UNAVAILABLE", 5],
  ["400", { status: 400, body: "{}" }, "TRUST_REJECTED", 1],
  ["429 for an hour", { status: 429, headers: { "retry-after": "3600" } }, "TRUST_UNAVAILABLE", 5],
  ["500", { status: 500, body: "no" }, "TRUST_UNAVAILABLE", 5],
  ["503", { status: 503, ...HTML }, "TRUST_UNAVAILABLE", 5],
  [
    "a redirect elsewhere",
    { status: 302, headers: { location: "https://evil.test/root.json" } },
    "REDIRECT_REFUSED",
    5,
  ],
  ["a web page", { status: 200, ...HTML }, "JSON_INVALID", 7],
  ["nothing", { status: 200 }, "JSON_INVALID", 7],
  ["a list", { status: 200, body: "[]" }, "METADATA_INVALID", 7],
  ["very deep JSON", { status: 200, body: "[".repeat(100_000) }, "JSON_INVALID", 7],
  ["a body without end", ENDLESS, "RESPONSE_TOO_LARGE", 5],
  ["a body that stops", { alter: (honest) => honest, stallAfter: 100 }, "TIMEOUT", 5],
  ["silence", { hang: true }, "TIMEOUT", 5],
  ["a body that is cut", { alter: (honest) => honest, cutAfter: 100 }, "NETWORK", 5],
];

describe("pull refuses a trust server that answers", () => {
  it.each(ANSWERS)("%s", async (_, fault, code, status) => {
    app.trust.setFault(({ path }) => (ROOT.test(path) ? fault : undefined));
    expect(await app.pullRefused(code, status)).toMatchObject({ code });
  });

  it.each(ANSWERS.filter(([name]) => /^(404 in|500|a body|a web)/.test(name)))(
    "%s for the timestamp only",
    async (_, fault, code, status) => {
      app.trust.setFault(({ path }) => (path.endsWith("/timestamp.json") ? fault : undefined));
      expect(await app.pullRefused(code, status)).toMatchObject({ code });
    },
  );

  it("404 to somebody who has pinned the collection and never seen it", async () => {
    const fingerprint = await rootFingerprint();
    await app.victim.forget();
    app.trust.setFault(() => ({ status: 404, body: NOT_THERE }));
    const words = app.pullWords("v1", "--server", app.trust.url, "--root-fingerprint", fingerprint);
    await app.victim.refused(words, "TRUST_WITHHELD", 12);
    expect(await app.pullHonestly("--server", app.trust.url, "--root-fingerprint", fingerprint)).toEqual(HONEST_MODULE);
  });

  it("404 to somebody who comes for the first time", async () => {
    await app.victim.forget();
    app.trust.setFault(() => ({ status: 404, body: NOT_THERE }));
    await app.victim.refused(app.pullWords("v1", "--server", app.trust.url), "TRUST_NOT_FOUND", 11);
    expect(await app.pullHonestly("--server", app.trust.url)).toEqual(HONEST_MODULE);
  });

  it("nothing, being down", async () => {
    const up = await app.trust.goDown();
    await app.victim.refused(app.pullWords(), "NETWORK", 5);
    await up();
    expect(await app.pullHonestly()).toEqual(HONEST_MODULE);
  });

  it("with our own credentials and terminal escapes in its error", async () => {
    app.trust.setFault(({ headers }) => ({
      status: 403,
      body: JSON.stringify({
        errors: [
          { code: "DENIED\u001b[31m", message: `\u001b[2J\u202e${headers["authorization"] ?? ""}`, detail: "\u0007" },
        ],
      }),
    }));
    expect(await app.pullRefused("TRUST_DENIED", 4)).toMatchObject({ code: "TRUST_DENIED" });
  });
});

describe("pull refuses a trust server whose certificate", () => {
  it("comes from an unknown authority", async () => {
    const authority = await makeAuthority(await folder("unknown"));
    const words = app.pullWords("v1", "--tlscacert", authority.caFile);
    const { hint } = await app.victim.refused(words, "TLS", 5);
    expect(hint).toContain("--tlscacert");
    expect(await app.pullHonestly()).toEqual(HONEST_MODULE);
  });

  it("has expired", async () => {
    const server = await serverOf(await makeAuthority(await folder("expired"), new Date("2024-01-01")));
    const { message, hint } = await app.victim.refused(pullFrom(server), "TLS", 5);
    expect(`${message}; ${hint}`).toMatch(/expired.*clock/);
    expect(await app.pullHonestly()).toEqual(HONEST_MODULE);
  });

  it("is not valid yet", async () => {
    const server = await serverOf(await makeAuthority(await folder("early"), new Date(Date.now() + 7 * 86_400_000)));
    await app.victim.refused(pullFrom(server), "TLS", 5);
    expect(await app.pullHonestly()).toEqual(HONEST_MODULE);
  });

  it("is none, because it speaks plain http", async () => {
    const plain = await startFaultyServer(() => ({ status: 200, headers: {}, body: Buffer.alloc(0) }));
    onTestFinished(() => plain.stop());
    await app.victim.refused(app.pullWords("v1", "--server", plain.url.replace("http:", "https:")), "TLS", 5);
    expect(await app.pullHonestly()).toEqual(HONEST_MODULE);
  });
});

/** Serves another collection under this one's name. */
async function replaceBy(other: NotaryRepository): Promise<void> {
  for (let version = 1; version < 4; version++) await other.publish(); // newer than what is known, in every role
  collection.files.clear();
  for (const [file, bytes] of other.files) collection.files.set(file, bytes);
}

async function rootFingerprint(): Promise<string> {
  const { stdout } = await app.victim.succeed(["trust", "pin", "--format", "json"]);
  return /[0-9a-f]{64}/.exec(stdout)![0];
}

async function folder(name: string): Promise<string> {
  const path = join(app.folder, name);
  await mkdir(path, { recursive: true });
  return path;
}

async function serverOf(authority: Authority): Promise<HostileTrustServer> {
  const server = await startHostileTrustServer(authority, collection.transport);
  onTestFinished(() => server.stop());
  return server;
}

function pullFrom(server: HostileTrustServer): string[] {
  return app.pullWords("v1", "--server", server.url, "--tlscacert", server.caFile);
}
