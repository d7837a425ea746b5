/** How the client talks to a server: round trips, rotation, publishes in between, failures, first use, freshness. */
import { beforeEach, describe, expect, it } from "vitest";
import { utf8Encode } from "../../src/base/bytes.ts";
import { TransportError } from "../../src/base/errors.ts";
import type { TransportResponse } from "../../src/base/http.ts";
import { NotaryApi } from "../../src/notary/api.ts";
import { NotaryClient } from "../../src/notary/client.ts";
import { findTarget } from "../../src/notary/lookup.ts";
import { memoryMetadataStore } from "../../src/notary/metadata-store.ts";
import { nobleHasher } from "../../src/base/hasher.ts";
import { createHarness, NO_RETRY, refusalOf, type Harness } from "../support/notary-harness.ts";
import {
  certifiedKey,
  GUN,
  notFound,
  NotaryRepository,
  NOW,
  plainKey,
  respond,
  SERVER,
} from "../support/notary-repository.ts";

const collection = { server: SERVER, gun: GUN };

let repository: NotaryRepository;
let harness: Harness;

beforeEach(async () => {
  repository = await NotaryRepository.create();
  harness = createHarness(repository);
});

/** Lets requests pass only once so many are waiting at the same time, and counts these rounds. */
function inRounds(...sizes: number[]): () => number {
  let rounds = 0;
  let waiting: (() => void)[] = [];
  repository.onRequest = () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      if (waiting.length < sizes[rounds]!) return;
      rounds++;
      for (const go of waiting) go();
      waiting = [];
    });
  return () => rounds;
}

describe("round trips", () => {
  it("takes one for a new collection: the four base documents side by side", async () => {
    const rounds = inRounds(4);
    await harness.update();
    expect(rounds()).toBe(1);
    expect(repository.requests.toSorted()).toEqual(["root.json", "snapshot.json", "targets.json", "timestamp.json"]);
  });

  it("takes one more for each level of delegations, whatever their number", async () => {
    for (const name of ["targets/a", "targets/b", "targets/c", "targets/a/x", "targets/b/y"])
      await repository.delegate(name);
    await repository.publish();
    const rounds = inRounds(4, 3, 2);
    const state = await harness.update();
    expect(rounds()).toBe(3);
    expect([...state.delegations.keys()]).toEqual([
      "targets/a",
      "targets/b",
      "targets/c",
      "targets/a/x",
      "targets/b/y",
    ]);
  });

  it("takes one where nothing changed, and looks for a next root in it", async () => {
    await repository.delegate("targets/releases");
    await repository.publish();
    await harness.update();
    repository.requests.length = 0;
    const rounds = inRounds(5);
    const state = await harness.update();
    expect(rounds()).toBe(1);
    expect(repository.requests).toContain("3.root.json");
    expect(state.snapshot.from).toBe("cache");
    expect(state.delegations.get("targets/releases")?.verified?.from).toBe("cache");
    expect(state.timestamp.from).toBe("network");
  });

  it("does not download a large document again that has not changed", async () => {
    for (let index = 0; index < 400; index++) await repository.addTarget(`target-${index}`, `content ${index}`);
    await repository.publish("targets");
    await harness.update();
    expect(repository.document("targets").length).toBeGreaterThan(64 * 1024);
    repository.requests.length = 0;
    await harness.update();
    expect(repository.requests).not.toContain("targets.json");
    await repository.publish("targets");
    await harness.update();
    expect(repository.requests.filter((file) => /^targets\.[0-9a-f]{64}\.json$/.test(file))).toHaveLength(1);
  });
});

describe("a publish in the middle of our reading", () => {
  it("is met by asking for the documents of one state by their hash", async () => {
    const old = { snapshot: repository.document("snapshot"), targets: repository.document("targets") };
    await repository.addTarget("v2", "module two");
    await repository.publish("targets");
    repository.files.set("snapshot.json", old.snapshot);
    repository.files.set("targets.json", old.targets);
    const state = await harness.update();
    expect(findTarget(state, "v2", "docker")).toBeDefined();
    expect(repository.requests.filter((file) => /\.[0-9a-f]{64}\.json$/.test(file))).toHaveLength(2);
  });

  it("that rotates root is met by one more look, past caches on the way", async () => {
    await harness.update();
    const before = repository.document("root");
    await repository.rotateRoot();
    repository.files.set("root.json", before);
    repository.files.delete("2.root.json");
    const caching: (string | undefined)[] = [];
    const rotated = repository.document("root");
    let looks = 0;
    repository.onRequest = (file, { headers }) => {
      if (file === "root.json") caching.push(headers?.["cache-control"]);
      if (file === "root.json" && ++looks === 2) {
        repository.files.set("root.json", rotated);
        repository.files.set("2.root.json", rotated);
      }
    };
    const state = await harness.update();
    expect(state.root.metadata.version).toBe(2);
    expect(caching).toEqual([undefined, "no-cache"]);
  });

  it("that never ends is an error after the second look", async () => {
    repository.files.set("timestamp.json", utf8Encode("{}"));
    repository.onRequest = async (file) => {
      if (file === "timestamp.json") await repository.publish("timestamp");
      if (file === "snapshot.json") repository.files.set("snapshot.json", utf8Encode("{}"));
    };
    for (const file of repository.files.keys()) if (/snapshot\./.test(file)) repository.answers.set(file, notFound);
    expect(await refusalOf(harness)).toMatchObject({ code: "TRUST_WITHHELD" });
    expect(repository.requests.filter((file) => file === "root.json")).toHaveLength(2);
  });
});

describe("root rotation", () => {
  beforeEach(async () => {
    await harness.update();
  });

  it("is walked version by version, however many there were", async () => {
    for (let rotation = 0; rotation < 20; rotation++) await repository.rotateRoot();
    const state = await harness.update();
    expect(state.root.metadata.version).toBe(21);
    expect(state.firstUse).toBe(false);
    expect((await harness.trust.read(collection))?.rootVersion).toBe(21);
  });

  it("goes over roots that have expired meanwhile, but not to one", async () => {
    repository.expires.set("root", "2026-05-01T00:00:00Z");
    await repository.rotateRoot({ key: await certifiedKey(GUN, { notAfter: new Date("2026-05-01T00:00:00Z") }) });
    repository.expires.clear();
    await repository.rotateRoot();
    await expect(harness.update()).resolves.toMatchObject({ root: { metadata: { version: 3 } } });
    repository.expires.set("root", "2026-05-01T00:00:00Z");
    await repository.rotateRoot();
    expect(await refusalOf(harness)).toMatchObject({ code: "METADATA_EXPIRED", role: "root" });
  });

  it("is noticed even where the server still serves the old root.json", async () => {
    const old = repository.document("root");
    await repository.rotateRoot();
    await repository.rotateRoot();
    repository.files.set("root.json", old);
    await expect(harness.update()).resolves.toMatchObject({ root: { metadata: { version: 3 } } });
  });

  it("refuses a step that the root before did not sign", async () => {
    await repository.rotateRoot();
    await repository.rotateRoot({ signWithOld: false });
    expect(await refusalOf(harness)).toMatchObject({ code: "ROOT_UNTRUSTED", details: { version: 2 } });
  });

  it("refuses a step that is signed by the old key only", async () => {
    const old = repository.roles.get("root")!.keys;
    repository.roles.set("root", { keys: [await certifiedKey(GUN)], threshold: 1 });
    repository.signers.set("root", old);
    repository.extraKeys.push(...old.map(({ listed }) => listed));
    await repository.publish("root");
    expect(await refusalOf(harness)).toMatchObject({ code: "SIGNATURE_THRESHOLD", role: "root" });
  });

  it("refuses to skip a version that the server withholds", async () => {
    await repository.rotateRoot();
    await repository.rotateRoot();
    repository.files.delete("2.root.json");
    expect(await refusalOf(harness)).toMatchObject({
      code: "TRUST_WITHHELD",
      details: { missing: "root of version 2" },
    });
  });

  it("refuses a root whose version jumps", async () => {
    repository.versions.set("root", 4);
    await repository.rotateRoot();
    for (const version of [2, 3, 4]) repository.files.set(`${version}.root.json`, repository.document("root"));
    expect(await refusalOf(harness)).toMatchObject({ code: "METADATA_TAMPERED", role: "root" });
  });

  it("refuses another root of the version that it trusts", async () => {
    repository.versions.set("root", 0);
    await repository.publish("root");
    expect(await refusalOf(harness)).toMatchObject({ code: "METADATA_TAMPERED", role: "root" });
  });

  it("gives up on a server that claims more rotations than anybody makes", async () => {
    repository.versions.set("root", 5000);
    await repository.rotateRoot();
    expect(await refusalOf(harness)).toMatchObject({ code: "LIMIT_EXCEEDED" });
    expect(repository.requests.length).toBeLessThan(20);
  });

  it("keeps the rollback floors where two clients share a store", async () => {
    const other = new NotaryClient({
      api: new NotaryApi({
        server: SERVER,
        runtime: { transport: repository.transport, createHasher: nobleHasher, now: () => NOW },
        retry: NO_RETRY,
      }),
      metadata: memoryMetadataStore(),
      trust: harness.trust,
      now: () => NOW,
    });
    await repository.rotateRoot();
    await other.update(GUN, { firstUse: "refuse" });
    const state = await harness.trust.read(collection);
    expect(state).toMatchObject({ rootVersion: 2, firstUse: true, since: NOW });
    expect(state?.versions.get("timestamp")).toBe(2);
  });
});

describe("failing closed", () => {
  const failures: [string, () => TransportResponse | Promise<TransportResponse>, string][] = [
    ["401", () => respond(401, "{}"), "TRUST_DENIED"],
    ["403", () => respond(403, "{}"), "TRUST_DENIED"],
    ["500", () => respond(500, "oops"), "TRUST_UNAVAILABLE"],
    ["502 with a page", () => respond(502, "<html>"), "TRUST_UNAVAILABLE"],
    ["429", () => respond(429, ""), "TRUST_UNAVAILABLE"],
    ["a 404 that is not Notary's", () => respond(404, "<html>not here</html>"), "TRUST_UNAVAILABLE"],
    ["its 404", notFound, "TRUST_WITHHELD"],
    ["a redirect", () => respond(302, "", { location: "https://evil.example/" }), "REDIRECT_REFUSED"],
    ["another success", () => respond(204, ""), "TRUST_REJECTED"],
    ["400", () => respond(400, '{"errors":[{"code":"INVALID_GUN","message":"no"}]}'), "TRUST_REJECTED"],
    ["no connection", () => Promise.reject(new TransportError("NETWORK", "refused")), "NETWORK"],
    ["bad TLS", () => Promise.reject(new TransportError("TLS", "wrong CA")), "TLS"],
    ["silence", () => Promise.reject(new TransportError("TIMEOUT", "idle")), "TIMEOUT"],
  ];
  for (const file of ["timestamp.json", "root.json"]) {
    it.each(failures)(`does not fall back to the cache when ${file} is answered by %s`, async (_, answer, code) => {
      await harness.update();
      repository.answers.set(file, answer);
      const error = await refusalOf(harness);
      expect(error).toMatchObject({ code });
      expect(error.code).not.toBe("TRUST_NOT_FOUND");
      repository.answers.clear();
      await expect(harness.update()).resolves.toBeDefined();
    });
  }

  it("says that there is no collection only where the server says so and nothing is known", async () => {
    repository.files.clear();
    expect(await refusalOf(harness)).toMatchObject({ code: "TRUST_NOT_FOUND", kind: "unsigned" });
    expect(await refusalOf(harness, { pin: { fingerprints: ["ab".repeat(32)] } })).toMatchObject({
      code: "TRUST_WITHHELD",
    });
    expect(await harness.client.isKnown(GUN)).toBe(false);
  });

  it("treats a collection that vanished as a failure, also without a cache", async () => {
    await harness.update();
    await harness.metadata.remove(collection);
    repository.files.clear();
    expect(await refusalOf(harness)).toMatchObject({ code: "TRUST_WITHHELD" });
    expect(await harness.client.isKnown(GUN)).toBe(true);
  });

  it("ends an endless answer at its limit", async () => {
    const chunk = new Uint8Array(64 * 1024);
    let sent = 0;
    let cancelled = false;
    repository.answers.set("timestamp.json", () => ({
      status: 200,
      headers: new Headers(),
      body: (async function* () {
        for (;;) {
          sent += chunk.length;
          yield chunk;
        }
      })(),
      cancel: async () => {
        cancelled = true;
      },
    }));
    expect(await refusalOf(harness)).toMatchObject({ code: "RESPONSE_TOO_LARGE" });
    expect(sent).toBeLessThan(3 * 1024 * 1024);
    expect(cancelled).toBe(true);
  });

  it("ends an answer that drips without end", async () => {
    const runtime = { transport: repository.transport, createHasher: nobleHasher, now: () => NOW };
    const api = new NotaryApi({ server: SERVER, runtime, retry: NO_RETRY, answerTimeoutMs: 50 });
    repository.answers.set("root.json", () => new Promise(() => {}));
    const { transport } = runtime;
    runtime.transport = (request) =>
      Promise.race([
        transport(request),
        new Promise<never>((_, reject) =>
          request.signal?.addEventListener("abort", () => reject(request.signal!.reason as Error)),
        ),
      ]);
    await expect(api.getDocument(GUN, "root.json", { limit: 10 })).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  it("asks for a document by hash with no more bytes than were signed for it", async () => {
    await repository.delegate("targets/releases");
    await repository.publish();
    for (const file of repository.files.keys()) {
      if (/^targets\/releases\.[0-9a-f]{64}/.test(file)) repository.files.set(file, new Uint8Array(100_000));
    }
    expect(await refusalOf(harness)).toMatchObject({
      code: "METADATA_TAMPERED",
      details: { expected: `${repository.document("targets/releases").length} bytes`, got: "more" },
    });
  });

  it("refuses a length that nobody may ask us to download", async () => {
    await harness.update();
    repository.edits.set("snapshot", (signed) => {
      const meta = signed["meta"] as Record<string, { length: number }>;
      meta["targets"]!.length = 2 ** 40;
    });
    await repository.publish("targets");
    expect(await refusalOf(harness)).toMatchObject({ code: "LIMIT_EXCEEDED", details: { role: "targets" } });
  });

  it("refuses delegations that are together more than a client may be made to hold", async () => {
    for (const name of ["a", "b", "c", "d"]) await repository.delegate(`targets/${name}`);
    repository.edits.set("snapshot", (signed) => {
      const meta = signed["meta"] as Record<string, { length: number }>;
      for (const name of ["a", "b", "c", "d"]) meta[`targets/${name}`]!.length = 90 * 1024 * 1024;
    });
    await repository.publish();
    expect(await refusalOf(harness)).toMatchObject({ code: "LIMIT_EXCEEDED" });
    expect(repository.requests.some((file) => file.startsWith("targets/"))).toBe(false);
  });

  it("stops where the caller stops it", async () => {
    const abort = new AbortController();
    repository.onRequest = () => abort.abort(new Error("enough"));
    await expect(harness.update({ signal: abort.signal })).rejects.toThrow("enough");
  });

  it("refuses a collection with more delegations than a client may be made to load", async () => {
    const key = await plainKey();
    for (let index = 0; index < 130; index++) {
      await repository.delegate(`targets/a${index}`, ["x"], [key]);
      await repository.delegate(`targets/a${index}/b`, ["x"], [key]);
    }
    await repository.publish();
    expect(await refusalOf(harness)).toMatchObject({ code: "LIMIT_EXCEEDED", details: { limit: 256 } });
  });
});
