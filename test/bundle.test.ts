import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Bytes } from "../src/base/bytes.ts";
import type { ErrorCode } from "../src/base/errors.ts";
import { saveBundle } from "../src/bundle-save.ts";
import { Bundle } from "../src/bundle.ts";
import { copy } from "../src/copy.ts";
import { MemoryOutput } from "../src/download.ts";
import { openBundleTrust } from "../src/node/bundle-trust.ts";
import { nodeHasher } from "../src/node/hasher.ts";
import { createLayoutArchive } from "../src/node/layout-archive-output.ts";
import { openLayoutArchive } from "../src/node/layout-archive.ts";
import { openStateSource } from "../src/node/state-source.ts";
import { taggedReference } from "../src/oci/tagged-reference.ts";
import { pull } from "../src/pull.ts";
import type { Coverage } from "../src/trust/coverage.ts";
import type { Pin } from "../src/trust/pin.ts";
import { CopyRig } from "./support/copy-rig.ts";
import { readTar, writeTar, type TarEntry } from "./support/tar-writer.ts";
import { failure, moduleBytes } from "./support/use-case.ts";

let rig: CopyRig;
let dir: string;
let reference: string;
/** Version 1 of the collection, and version 2, each as saved. */
let older: Buffer;
let newer: Buffer;
let keys: Pin;
let names = 0;

beforeAll(async () => {
  rig = await CopyRig.start();
  dir = await mkdtemp(join(tmpdir(), "bundle-"));
  reference = `${rig.from.host}/acme/app:v1`;
  await rig.push("app");
  older = await readFile(await save());
  await rig.push("newer");
  newer = await readFile(await save());
  keys = rig.keys;
});
afterAll(async () => {
  await rig.stop();
  await rm(dir, { recursive: true });
});

async function save(references: readonly string[] = [reference], policy?: Bytes): Promise<string> {
  const path = join(dir, `${++names}.tar`);
  const archive = await createLayoutArchive(path, { fresh: true });
  const trust = rig.coverage(rig.from, "acme/app");
  const openState = (files: ReadonlyMap<string, Bytes>) =>
    openStateSource({
      dir: join(dir, `publisher-${names}`),
      files,
      location: trust.source.location,
      runtime: rig.runtime,
    });
  const items = references.map((name) => ({ reference: taggedReference(name), trust, openState }));
  await saveBundle({ runtime: rig.runtime, registry: rig.client, files: archive.files, items, policy });
  await archive.commit();
  return path;
}

async function file(bytes: Uint8Array): Promise<string> {
  const path = join(dir, `${++names}.tar`);
  await writeFile(path, bytes);
  return path;
}

interface Consumer {
  readonly home: string;
  readonly pin?: Pin;
  readonly asOf?: Date;
}

let consumer: Consumer;
beforeEach(async () => {
  consumer = { home: await mkdtemp(join(dir, "consumer-")) };
});

async function withBundle<T>(path: string, work: (bundle: Bundle) => Promise<T>): Promise<T> {
  const archive = await openLayoutArchive(path);
  try {
    return await work(await Bundle.open(archive, nodeHasher));
  } finally {
    await archive.close();
  }
}

async function coverageOf(bundle: Bundle, { home, pin = keys, asOf }: Consumer): Promise<Coverage> {
  const trust = await bundle.trustOf(taggedReference(reference));
  const source = await openBundleTrust({ dir: home, trust: trust!, location: bundle.location, runtime: offline, asOf });
  return { source, collection: "acme/app", prefix: "", reason: "pin", pin, firstUse: "refuse" };
}

const offline = {
  transport: () => Promise.reject(new Error("there is no network")),
  createHasher: nodeHasher,
  now: () => new Date(),
};

/** Takes the module out, verified, as somebody without a network. */
function extract(path: string, who: Consumer = consumer) {
  return withBundle(path, async (bundle) => {
    const output = new MemoryOutput();
    const trust = await coverageOf(bundle, who);
    const now = () => who.asOf ?? new Date();
    const report = await pull({ runtime: { ...offline, now }, registry: bundle, reference, output, trust });
    return { report, bytes: output.bytes };
  });
}

async function refused(bytes: Uint8Array, code: ErrorCode): Promise<void> {
  const before = await readdir(consumer.home, { recursive: true });
  await failure(extract(await file(bytes)), code);
  expect(await readdir(consumer.home, { recursive: true })).toEqual(before);
  expect((await extract(await file(newer))).bytes).toEqual(moduleBytes("newer"));
}

describe("a bundle", () => {
  it("is verified without a network, by a pin alone", async () => {
    const { report, bytes } = await extract(await file(newer));
    expect(bytes).toEqual(moduleBytes("newer"));
    expect(report).toMatchObject({
      verified: "artifact",
      trust: { source: "bundle", collection: "acme/app", firstUse: false },
    });
    expect(report.trust!.freshUntil.getTime()).toBeGreaterThan(Date.now());
  });

  it("has the same bytes whenever it is saved", async () => {
    expect((await readFile(await save())).equals(newer)).toBe(true);
  });

  it("is a plain OCI layout of regular files, without times or owners", () => {
    const files = readTar(newer);
    expect(files.map(({ name }) => name).slice(0, 2)).toEqual(["oci-layout", "index.json"]);
    const blobs = files.slice(2);
    expect(blobs.map(({ name }) => name)).toEqual(blobs.map(({ name }) => name).toSorted());
    for (const { name, content } of blobs) {
      expect(name).toBe(`blobs/sha256/${createHash("sha256").update(content).digest("hex")}`);
    }
    const index = JSON.parse(files[1]!.content.toString()) as { manifests: { annotations: Record<string, string> }[] };
    expect(index.manifests.map(({ annotations }) => annotations["org.opencontainers.image.ref.name"])).toEqual([
      "tuf",
      "v1",
    ]);
  });

  it("sends a policy along, and applies none", async () => {
    const policy = new TextEncoder().encode('{"version":1,"entries":[]}');
    const path = await save([reference], policy);
    expect(await withBundle(path, (bundle) => bundle.policy())).toEqual(policy);
    expect((await extract(path)).bytes).toEqual(moduleBytes("newer"));
    expect(await withBundle(await file(newer), (bundle) => bundle.policy())).toBeUndefined();
  });

  it("loads into a registry, where the module verifies as before", async () => {
    await withBundle(await file(newer), async (bundle) => {
      const trust = await coverageOf(bundle, consumer);
      const { registry, repository } = { registry: rig.to.host, repository: "mirror/app" };
      const destination = rig.client.repository({ registry, repository });
      const source = bundle.repository(taggedReference(reference));
      const report = await copy({
        runtime: rig.runtime,
        source,
        destination,
        reference: taggedReference(reference),
        trust,
        openState: () => trust.source,
      });
      expect(report.trust).toEqual({ change: "copied", collection: "acme/app", verified: true });
    });
    expect((await rig.pull()).bytes).toEqual(moduleBytes("newer"));
    const stale = await file(older);
    await withBundle(stale, async (bundle) => {
      const trust = await coverageOf(bundle, { home: join(dir, "somebody new") });
      const source = bundle.repository(taggedReference(reference));
      const options = {
        runtime: rig.runtime,
        source,
        destination: rig.destination,
        reference: taggedReference(reference),
        trust,
        openState: () => trust.source,
      };
      await failure(copy(options), "COPY_DESTINATION_NEWER");
    });
    expect((await rig.pull()).bytes).toEqual(moduleBytes("newer"));
  });
});

it("cut at any byte is not loaded, and the destination stays as it was", async () => {
  const load = (path: string) =>
    withBundle(path, async (bundle) => {
      const trust = await coverageOf(bundle, { home: join(dir, "loading") });
      return copy({
        runtime: rig.runtime,
        source: bundle.repository(taggedReference(reference)),
        destination: rig.destination,
        reference: taggedReference(reference),
        trust,
        openState: () => trust.source,
      });
    });
  rig.to.manifests.clear();
  rig.to.blobs.clear();
  const before = rig.contents();
  const refusesCut = async (length: number): Promise<void> => {
    const path = await file(newer.subarray(0, length));
    await failure(load(path), "LAYOUT_INVALID");
    await rm(path);
  };
  for (const short of [1, 511, 512, 513, 1024]) await refusesCut(newer.length - short); // nothing is lost but its end
  await fc.assert(fc.asyncProperty(fc.nat(newer.length - 1), refusesCut), { numRuns: 60 });
  expect(rig.contents()).toBe(before);
  await load(await file(newer));
  expect((await rig.pull()).bytes).toEqual(moduleBytes("newer"));
});

describe("a bundle is refused", () => {
  it("where it is older than what was verified here, and taken by whoever has seen nothing newer", async () => {
    await extract(await file(newer));
    await failure(extract(await file(older)), "METADATA_ROLLED_BACK");
    const another = { home: join(dir, "another consumer") };
    expect((await extract(await file(older), another)).bytes).toEqual(moduleBytes("app"));
  });

  it("where its keys are not those that are pinned, and without a pin", async () => {
    await failure(
      extract(await file(newer), { ...consumer, pin: { fingerprints: ["ab".repeat(32)] } }),
      "PIN_MISMATCH",
    );
    await failure(extract(await file(newer), { ...consumer, pin: {} }), "FIRST_USE_REFUSED");
  });

  it("where it has expired at the moment that it is judged for, which changes nothing that is remembered", async () => {
    const asOf = new Date(Date.now() + 60 * 24 * 3600 * 1000);
    await failure(extract(await file(newer), { ...consumer, asOf }), "METADATA_EXPIRED");
    const soon = new Date(Date.now() + 24 * 3600 * 1000);
    await extract(await file(newer), { ...consumer, asOf: soon });
    expect(await readdir(consumer.home)).toEqual([]);
    await extract(await file(older));
  });

  const changed = (change: (entries: TarEntry[]) => TarEntry[]): Uint8Array => writeTar(change(readTar(newer)));
  const isBlob = ({ name }: TarEntry): boolean => name.startsWith("blobs/");
  const named = (bytes: Uint8Array): string => `blobs/sha256/${createHash("sha256").update(bytes).digest("hex")}`;

  it("with anything extra: a file, a folder, a blob that nothing lists", async () => {
    const more = Buffer.from("more");
    for (const entry of [
      { name: "README", content: more },
      { name: "manifest.json", content: more },
      { name: named(more), content: more },
      { name: "blobs/md5/", type: "5" },
      { name: "blobs/sha256/zz", content: more },
      { name: "bin/", type: "5" },
    ]) {
      await refused(
        changed((entries) => [...entries, entry]),
        "LAYOUT_INVALID",
      );
    }
  });

  it("with anything missing: any one of its files", async () => {
    for (const { name } of readTar(newer)) {
      await refused(
        changed((entries) => entries.filter((entry) => entry.name !== name)),
        "LAYOUT_INVALID",
      );
    }
  });

  it("with an entry twice, which readers would disagree about", async () => {
    for (const { name, content } of readTar(newer)) {
      await refused(
        changed((entries) => [...entries, { name: `./${name}`, content }]),
        "LAYOUT_INVALID",
      );
    }
  });

  it("with names that are no references, or not in their one spelling", async () => {
    const name = `${rig.from.host}/acme/app:v1`;
    for (const other of [
      "",
      "a b",
      "acme/app",
      "../x:v1",
      `${name}@sha256:${"ab".repeat(32)}`,
      "app:v1",
      `https://${name}`,
      "\u001b[31m:v1",
    ]) {
      const bytes = changed((entries) =>
        entries.map((entry) => {
          if (entry.name !== "index.json") return entry;
          const text = Buffer.from(entry.content!).toString().replaceAll(JSON.stringify(name), JSON.stringify(other));
          return { ...entry, content: Buffer.from(text) };
        }),
      );
      await refused(bytes, "LAYOUT_INVALID");
    }
  });

  it("with links, devices or pipes in a file's place, wherever they lead", async () => {
    const blob = readTar(newer).find(isBlob);
    for (const type of ["1", "2", "3", "4", "6", "7", "L", "K", "S", "g"]) {
      const link = type === "1" || type === "2" ? "/etc/passwd" : "";
      await refused(
        changed((entries) =>
          entries.map((entry) => (entry.name === blob!.name ? { name: entry.name, type, link } : entry)),
        ),
        "LAYOUT_INVALID",
      );
    }
  });

  it("with names that lead elsewhere", async () => {
    const content = Buffer.from("x");
    for (const name of [
      "../evil",
      "/etc/evil",
      "blobs/../../evil",
      "blobs//sha256/x",
      "blobs\\evil",
      "C:evil",
      "blobs/./x",
      "a\nb",
      "..",
    ]) {
      await refused(
        changed((entries) => [...entries, { name, content }]),
        "LAYOUT_INVALID",
      );
    }
  });

  it("with huge entries, told or real", async () => {
    const blob = readTar(newer).find(isBlob);
    const lying = (size: number) =>
      changed((entries) => entries.map((entry) => (entry.name === blob!.name ? { ...entry, size } : entry)));
    for (const size of [0o77777777777, 1_000_000, blob!.content.length + 1])
      await refused(lying(size), "LAYOUT_INVALID");
    const large = Buffer.alloc(5 * 1024 * 1024, " ");
    await refused(
      changed((entries) =>
        entries.map((entry) => (entry.name === "index.json" ? { ...entry, content: large } : entry)),
      ),
      "LIMIT_EXCEEDED",
    );
    await refused(
      changed((entries) =>
        entries.map((entry) => (entry.name === "oci-layout" ? { ...entry, content: large } : entry)),
      ),
      "LIMIT_EXCEEDED",
    );
    const longer = changed((entries) =>
      entries.map((entry) =>
        entry.name === blob!.name ? { ...entry, content: Buffer.concat([blob!.content, Buffer.from("x")]) } : entry,
      ),
    );
    await refused(longer, "LAYOUT_INVALID");
  });

  it("where a blob is not what its name says, read or not", async () => {
    await withBundle(await file(newer), (bundle) => bundle.checkBlobs());
    for (const { name, content } of readTar(newer).filter(isBlob)) {
      const other = Buffer.from(content);
      other[Math.floor(other.length / 2)]! ^= 1;
      const path = await file(
        changed((entries) => entries.map((entry) => (entry.name === name ? { name, content: other } : entry))),
      );
      await failure(
        withBundle(path, (bundle) => bundle.checkBlobs()),
        "DIGEST_MISMATCH",
      );
      const taken = await extract(path).catch(() => undefined); // what is not read may be anything
      if (taken !== undefined) expect(taken.bytes).toEqual(moduleBytes("newer"));
    }
  });

  it("cut off at any block, or followed by anything", async () => {
    for (let length = 0; length < newer.length - 512; length += 512) {
      await failure(extract(await file(newer.subarray(0, length))), "LAYOUT_INVALID");
      await failure(extract(await file(newer.subarray(0, length + 100))), "LAYOUT_INVALID");
    }
    await refused(Buffer.concat([newer, Buffer.from("x")]), "LAYOUT_INVALID");
    await refused(Buffer.concat([newer, newer]), "LAYOUT_INVALID");
    const path = await file(newer.subarray(0, 512));
    const { message } = await failure(extract(path), "LAYOUT_INVALID");
    expect(message).toContain(path); // a copy reads two
  });

  it("with a module that was replaced together with everything that names it", async () => {
    const entries = readTar(newer);
    const swap = (from: Buffer, to: Buffer): void => {
      const [before, after] = [named(from).slice(13), named(to).slice(13)];
      for (const [at, entry] of entries.entries()) {
        if (entry.content.equals(from)) entries[at] = { name: named(to), content: to };
        else if (entry.content.includes(before) && !/signatures|tuf\.io/.test(entry.content.toString())) {
          const text = entry.content
            .toString()
            .replaceAll(before, after)
            .replaceAll(`"size":${from.length}`, `"size":${to.length}`);
          if (entry.name === "index.json") entries[at] = { name: entry.name, content: Buffer.from(text) };
          else swap(entry.content, Buffer.from(text));
        }
      }
    };
    swap(Buffer.from(moduleBytes("newer")), Buffer.from(moduleBytes("evil!")));
    expect(entries.some(({ content }) => content.equals(moduleBytes("evil!")))).toBe(true);
    await failure(extract(await file(writeTar(entries))), "TAG_MISMATCH"); // its metadata is the publisher's, and is remembered
    expect((await extract(await file(newer))).bytes).toEqual(moduleBytes("newer"));
  });

  it("that is a pipe, at once and not when somebody writes to it", async () => {
    const path = join(consumer.home, "pipe.tar");
    execFileSync("mkfifo", [path]);
    await failure(extract(path), "FILE_UNREADABLE");
  });

  it("that is a link is read, and a folder is not", async () => {
    const path = join(consumer.home, "link.tar");
    await symlink(await file(newer), path);
    expect((await extract(path)).bytes).toEqual(moduleBytes("newer"));
    await failure(extract(consumer.home), "FILE_UNREADABLE");
    await failure(extract(join(consumer.home, "nothing.tar")), "FILE_NOT_FOUND");
  });
});

it("leaves no archive and nothing else behind where saving fails", async () => {
  const folder = await mkdtemp(join(dir, "failing-"));
  const path = join(folder, "app.tar");
  const archive = await createLayoutArchive(path, { fresh: true });
  const items = [{ reference: taggedReference(`${rig.from.host}/acme/app:absent`) }];
  await failure(
    saveBundle({ runtime: rig.runtime, registry: rig.client, files: archive.files, items }),
    "REGISTRY_NOT_FOUND",
  );
  await archive.discard();
  expect(await readdir(folder)).toEqual([]);
});
