/**
 * What we publish, read by the clients of others: python-tuf, tuf-js and go-tuf, as far as they are there (see
 * docs/guides/conformance.md). What others publish, read by us: test/tuf/peer-repositories.test.ts.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { openTufDirectory } from "../../src/node/tuf-directory-publisher.ts";
import type { TufChange } from "../../src/tuf/changes.ts";
import { newCollection, type NewCollection } from "../../src/tuf/create.ts";
import { prefixPatterns } from "../../src/tuf/editor.ts";
import { tufKeyOf, type RsaScheme } from "../../src/tuf/keys.ts";
import { publishChanges, publishNew } from "../../src/tuf/publish.ts";
import { environment, person, type Person } from "../support/tuf-publishing.ts";

/** A folder that holds `venv/bin/python`, `node_modules/tuf-js` and `read`, the program that `read.go` becomes. */
const PEERS = process.env["WASM_TO_OCI_TUF_CLIENTS"] ?? "";
const READERS = join(import.meta.dirname, "tuf-clients");
const run = promisify(execFile);

interface Peer {
  readonly name: string;
  readonly program: string;
  readonly arguments: readonly string[];
  readonly needs: string;
  /** Schemes that it does not know; a role whose threshold is met without them it reads all the same. */
  readonly lacks?: readonly string[];
}

const CLIENTS: readonly Peer[] = [
  {
    name: "python-tuf",
    program: join(PEERS, "venv", "bin", "python"),
    arguments: [join(READERS, "read.py")],
    needs: join(PEERS, "venv", "bin", "python"),
  },
  {
    name: "tuf-js",
    program: process.execPath,
    arguments: [join(READERS, "read.mjs")],
    needs: join(PEERS, "node_modules", "tuf-js"),
    lacks: ["rsa-pkcs1v15-sha256"],
  },
  {
    name: "go-tuf",
    program: join(PEERS, "read"),
    arguments: [],
    needs: join(PEERS, "read"),
    lacks: ["rsa-pkcs1v15-sha256"],
  },
];

const scratch: string[] = [];
let server: Server;
let origin: string;
/** What is served: the first part of a path names the folder. */
const served = new Map<string, string>();

beforeAll(async () => {
  server = createServer((request, response) => {
    const [, name, ...parts] = request.url!.split("/").map(decodeURIComponent);
    readFile(join(served.get(name!) ?? "/nowhere", ...parts)).then(
      (body) => response.writeHead(200, { "content-length": body.length }).end(body),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.close();
  for (const dir of scratch) await rm(dir, { recursive: true, force: true });
});

async function newFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "tuf-clients-"));
  scratch.push(dir);
  return dir;
}

async function rsa(scheme: RsaScheme): Promise<Person> {
  const algorithm = { name: "RSA-PSS", hash: "SHA-256", modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) };
  const { privateKey } = await crypto.subtle.generateKey(algorithm, true, ["sign"]);
  const signer = await PrivateKey.fromPkcs8(new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey)));
  return { signer, key: await tufKeyOf(signer.publicKey, scheme) };
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** A repository of ours in a directory, and everybody who signs for it. */
class Ours {
  readonly name: string;
  readonly dir: string;
  readonly people: Person[];
  private readonly directory;

  private constructor(dir: string, people: readonly Person[]) {
    this.dir = dir;
    this.name = sha256(dir);
    this.people = [...people];
    this.directory = openTufDirectory(dir);
    served.set(this.name, dir);
  }

  static async make(roles: NewCollection["roles"], people: readonly Person[]): Promise<Ours> {
    const ours = new Ours(await newFolder(), people);
    const extra = { "x-wasm-to-oci-collection": "acme/app" };
    const draft = newCollection({ roles, extra });
    await publishNew({ store: ours.directory, anchor: undefined }, draft, environment(people, new Date()));
    return ours;
  }

  get anchor(): string {
    return join(this.dir, "metadata", "1.root.json");
  }

  async publish(...changes: readonly TufChange[]): Promise<void> {
    const anchor = new Uint8Array(await readFile(this.anchor));
    await publishChanges({ store: this.directory, anchor }, () => changes, environment(this.people, new Date()));
  }

  /** Signs a target whose content is its name, and puts it there. */
  async add(role: string, ...names: readonly string[]): Promise<void> {
    const changes: TufChange[] = [];
    for (const name of names) {
      const content = { length: Buffer.byteLength(name), hashes: { sha256: sha256(name) } };
      await this.directory.putTarget(name, { ...content, extra: {} }, one(name));
      changes.push({ action: "add", role, name, content });
    }
    await this.publish(...changes);
  }
}

async function* one(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

const of = (...members: Person[]) => ({ keys: members.map(({ key }) => key) });

function reader(peer: Peer) {
  const state = newFolder(); // one client, which remembers
  return async (ours: Ours, names: readonly string[], dir?: string): Promise<Record<string, string | null>> => {
    const base = `${origin}/${ours.name}`;
    const folder = dir ?? (await state);
    const given = [`${base}/metadata`, `${base}/targets`, ours.anchor, folder, ...names];
    const options = { env: { ...process.env, TUF_JS: PEERS }, timeout: 60_000 };
    return JSON.parse((await run(peer.program, [...peer.arguments, ...given], options)).stdout);
  };
}

const signed = (...names: readonly string[]) => Object.fromEntries(names.map((name) => [name, sha256(name)]));

for (const peer of CLIENTS) {
  const isThere = PEERS !== "" && existsSync(peer.needs);
  const reason = isThere ? "" : " (skipped: it is not in WASM_TO_OCI_TUF_CLIENTS)";
  describe.skipIf(!isThere)(`${peer.name}${reason}`, { timeout: 180_000 }, () => {
    it("reads keys of every kind, thresholds, delegations and rotations, as a client new and old", async () => {
      const [ed, p256, p384, pss, next] = await Promise.all([
        person("ed25519"),
        person("ecdsa-p256"),
        person("ecdsa-p384"),
        rsa("rsassa-pss-sha256"),
        person("ecdsa-p384"),
      ]);
      const roles = {
        root: { ...of(ed, p384, pss), threshold: 2 },
        targets: of(pss),
        snapshot: of(p256),
        timestamp: of(p384),
      };
      const ours = await Ours.make(roles, [ed, p256, p384, pss, next]);
      const read = reader(peer);
      await ours.add("targets", "v1", "with space, (and) more/v1");
      expect(await read(ours, ["v1", "none"])).toEqual({ ...signed("v1"), none: null });

      await ours.publish(
        {
          action: "delegate",
          delegator: "targets",
          role: "team",
          ...of(p256, ed, p384),
          threshold: 2,
          paths: prefixPatterns("team/"),
        },
        { action: "delegate", delegator: "team", role: "inner.team-1", ...of(pss), paths: ["team/inner/*"] },
        { action: "delegate", delegator: "targets", role: "closed", ...of(ed), paths: ["shut/*"], terminating: true },
        { action: "delegate", delegator: "targets", role: "last", ...of(ed), paths: ["shut/*", "team/last"] },
      );
      await ours.add("team", "team/a", "team/b/c/d");
      await ours.add("inner.team-1", "team/inner/x");
      await ours.add("last", "team/last");
      const names = ["team/a", "team/b/c/d", "team/inner/x", "team/last"];
      expect(await read(ours, [...names, "shut/x"])).toEqual({ ...signed(...names), "shut/x": null });

      // root, targets, snapshot, timestamp and a delegated role all change their keys
      await ours.publish(
        { action: "keys", role: "root", add: [next.key], remove: [ed.key.id] },
        { action: "keys", role: "targets", add: [ed.key], remove: [pss.key.id] },
        { action: "keys", role: "snapshot", add: [p384.key], remove: [p256.key.id] },
        { action: "keys", role: "timestamp", add: [ed.key, p256.key], remove: [p384.key.id], threshold: 2 },
      );
      await ours.publish({ action: "keys", role: "team", add: [next.key], remove: [p256.key.id], threshold: 3 });
      await ours.publish({ action: "keys", role: "root", threshold: 3 });
      await ours.add("targets", "v2");
      const all = [...names, "v1", "v2", "with space, (and) more/v1"];
      expect(await read(ours, all)).toEqual(signed(...all));
      expect(await read(ours, all, await newFolder())).toEqual(signed(...all));
    });

    it("finds every target in its hash bin, also when their number has changed", async () => {
      const [offline, online] = await Promise.all([person("ecdsa-p256"), person("ed25519")]);
      const roles = { root: of(offline), targets: of(offline), snapshot: of(online), timestamp: of(online) };
      const ours = await Ours.make(roles, [offline, online]);
      const names = Array.from({ length: 40 }, (_, index) => `team${index % 3}/module-${index}/v1`);
      await ours.add("targets", ...names);
      const bins = { action: "bins", delegator: "targets", namePrefix: "bin", ...of(online), threshold: 1 } as const;
      for (const bitLength of [5, 3]) {
        await ours.publish({ ...bins, bitLength });
        const found = await reader(peer)(ours, [...names, "none"]);
        expect(found).toEqual({ ...signed(...names), none: null });
      }
    });

    it("reads RSA PKCS#1 v1.5, or counts other keys where it does not know it", async () => {
      const [old, ed] = await Promise.all([rsa("rsa-pkcs1v15-sha256"), person("ed25519")]);
      const roles = { root: of(old, ed), targets: of(ed), snapshot: of(ed), timestamp: of(ed) };
      const ours = await Ours.make(roles, [old, ed]);
      await ours.add("targets", "v1");
      expect(await reader(peer)(ours, ["v1"])).toEqual(signed("v1"));
      await ours.publish({ action: "keys", role: "targets", add: [old.key], remove: [ed.key.id] });
      const needed = reader(peer)(ours, ["v1"]);
      if (peer.lacks?.includes("rsa-pkcs1v15-sha256") === true) await expect(needed).rejects.toThrow("Command failed");
      else expect(await needed).toEqual(signed("v1"));
    });

    it("refuses what we did not sign", async () => {
      const [offline, online] = await Promise.all([person("ecdsa-p384"), person("ed25519")]);
      const roles = { root: of(offline), targets: of(offline), snapshot: of(online), timestamp: of(online) };
      const ours = await Ours.make(roles, [offline, online]);
      await ours.add("targets", "v1");
      const metadata = join(ours.dir, "metadata");
      const newest = (await readdir(metadata))
        .filter((file) => file.endsWith(".targets.json"))
        .toSorted()
        .at(-1)!;
      const honest = await readFile(join(metadata, newest));
      await writeFile(join(metadata, newest), honest.toString().replace(sha256("v1"), sha256("v2")));
      await expect(reader(peer)(ours, ["v1"])).rejects.toThrow("Command failed");
      await writeFile(join(metadata, newest), honest);
      expect(await reader(peer)(ours, ["v1"])).toEqual(signed("v1"));
    });
  });
}
