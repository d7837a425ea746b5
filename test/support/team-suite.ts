/** What several people do with one collection, wherever its trust data is: one suite for each kind of place. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readRoot } from "./root-of.ts";
import { startServed, type Served } from "./served.ts";
import { Team, writeModule } from "./team.ts";

export interface TeamSuite {
  readonly kind: "tuf" | "oci";
  /** Options that name a fresh place for a collection. */
  readonly place: (served: Served, name: string) => Promise<readonly string[]>;
}

interface Status {
  readonly source: string;
  readonly expired: boolean;
  readonly staged?: { readonly missing: readonly string[] };
  readonly roles: readonly {
    readonly role: string;
    readonly version: number;
    readonly daysLeft: number;
    readonly threshold: number;
    readonly signable: boolean;
    readonly keys: readonly { readonly fingerprint: string; readonly owner?: string; readonly held: boolean }[];
  }[];
}

interface Changed {
  readonly published: readonly string[];
  readonly staged?: { readonly digest: string; readonly missing: readonly string[] };
}

/** Terminals have 80 columns: what people compare must not be torn apart there. */
function expectNarrow(text: string): void {
  expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
}

export function describeTeam({ kind, place }: TeamSuite): void {
  vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 }); // each step is a process, on a machine that may be busy

  let served: Served;
  beforeAll(async () => {
    served = await startServed();
    await writeModule(served);
  });
  afterAll(() => served.stop());

  /** A collection of its own, for the repositories below a name. */
  async function team(name: string): Promise<Team> {
    return new Team(served, name, [...(await place(served, name)), "--collection", name]);
  }
  const versionOf = ({ roles }: Status, role: string): number | undefined =>
    roles.find((entry) => entry.role === role)?.version;
  const output = (who: string, name: string): string => join(served.home, `${who}-${name}.wasm`);

  async function push(all: Team, who: string, reference: string) {
    return all.run(who, ["push", "m.wasm", reference, "--sign", ...all.place]);
  }
  async function pull(all: Team, who: string, reference: string, daysLater = 0) {
    const words = ["pull", reference, "-o", output(who, "out"), "--format", "json"];
    return all.run(who, words, { daysLater });
  }

  describe(`a collection in a place of kind ${kind}`, () => {
    it("is made, pushed to, pulled, watched, refreshed, rotated and forgotten by one person", async () => {
      const all = await team("solo");
      const made = await all.document<Changed>("ada", "init");
      expect(made.published).toEqual(["targets", "snapshot", "timestamp", "root"]);
      await all.refused("ada", "init", [], { code: "TRUST_EXISTS", status: 8 });
      expect(await push(all, "ada", `${all.repository}:v1`)).toMatchObject({ status: 0 });

      const first = await all.run("eve", ["pull", `${all.repository}:v1`, "-o", output("eve", "v1"), ...all.place]);
      expect(first.status).toBe(0);
      expect(first.stderr).toContain("trusted because it was seen for the first time");
      expect(await pull(all, "eve", `${all.repository}:v1`)).toMatchObject({ status: 0 }); // remembered, without flags
      const verified = await all.run("eve", ["verify", output("eve", "v1"), `${all.repository}:v1`]);
      expect(verified.status).toBe(0);
      expect((await all.run("eve", ["list", all.repository])).stdout).toMatch(/v1 +signed/);

      const shown = (await all.trust("eve", "show")).stdout;
      expectNarrow(shown.replace(/^Trust data: .*$/m, ""));
      expect(shown).toMatch(/^Signed:\n {2}\S+v1, \d+ bytes, by targets\n {4}sha256:[0-9a-f]{64}$/m);

      const idle = await all.trust("ada", "refresh");
      expect(idle).toMatchObject({ status: 0 });
      expect(idle.stderr).toContain("nothing was published");
      const before = await all.document<Status>("ada", "status");
      expect(before).toMatchObject({ source: kind, expired: false });
      const forced = await all.document<Changed>("ada", "refresh", ["--within", "60d"]);
      expect(forced.published).toEqual(["snapshot", "timestamp"]);
      const after = await all.document<Status>("ada", "status");
      expect(versionOf(after, "timestamp")).toBe(versionOf(before, "timestamp")! + 1);
      expect(versionOf(after, "targets")).toBe(versionOf(before, "targets"));
      expect(await all.trust("ada", "status", ["--fail-within", "7d"])).toMatchObject({ status: 0 });
      const near = await all.trust("ada", "status", ["--fail-within", "40d"]);
      expect(near.status).toBe(13);
      expect(near.stdout).toContain("timestamp"); // shown, then failed

      const rotated = await all.document<{ newKeys: { fingerprint: string }[]; backups: string[] }>("ada", "rotate", [
        "targets",
      ]);
      expect(rotated.newKeys).toHaveLength(1);
      expect(rotated.backups).toHaveLength(1);
      expect(await all.trust("ada", "rotate", ["root"])).toMatchObject({ status: 2 }); // nobody there to ask
      expect(await all.trust("ada", "rotate", ["root", "--yes"])).toMatchObject({ status: 0 });
      expect(await pull(all, "eve", `${all.repository}:v1`)).toMatchObject({ status: 0 }); // follows the root
      expect(await all.run("eve", ["trust", "pin", all.repository, "--update"])).toMatchObject({ status: 0 });
      expect(await pull(all, "eve", `${all.repository}:v1`)).toMatchObject({ status: 0 });

      expect(await all.trust("ada", "remove", ["app/v9"])).toMatchObject({ status: 11 });
      expect(await all.trust("ada", "remove", ["app/v1"])).toMatchObject({ status: 0 });
      expect(await pull(all, "eve", `${all.repository}:v1`)).toMatchObject({ status: 11 });
      expect(await readdir(served.home)).not.toContain("eve-out.wasm.part");
      expect(await all.trust("eve", "remove", ["--yes"])).toMatchObject({ status: 0 });
      await all.refused("eve", "remove", ["--remote", "--yes"], { code: "USAGE", status: 2 });
    });

    it("changes only when as many people as it says have signed what they saw", async () => {
      const all = await team("quorum");
      await all.key("ada");
      const bob = await all.key("bob");
      const roles = ["--key", "root=new", "--key", `root=${bob}`, "--threshold", "root=2"];
      const refused = await all.refused("ada", "init", roles, { code: "KEY_MISSING", status: 4 });
      expect(refused.hint).toContain(`--stage; each of them then runs: wasm-to-oci trust sign ${all.repository}`);
      expect((await all.run("ada", ["key", "list", "--format", "json"])).stdout.match(/"id"/g)).toHaveLength(1);

      const staged = await all.document<Changed>("ada", "init", [...roles, "--stage"]);
      expect(staged.published).toEqual([]);
      expect(staged.staged!.missing.join()).toMatch(/root: 1 more of bob/);
      await all.refused("ada", "init", [...roles, "--stage"], { code: "TRUST_CONFLICT", status: 8 });
      await all.refused("ada", "sign", ["--yes"], { code: "KEY_MISSING", status: 4 }); // she has signed already
      await all.refused("eve", "sign", ["--yes"], { code: "KEY_MISSING", status: 4 });
      await all.refused("bob", "sign", [], { code: "USAGE", status: 2 }); // nobody there to ask
      await all.refused("bob", "sign", ["--digest", "0".repeat(64)], { code: "TRUST_CONFLICT", status: 8 });

      const review = await all.trust("bob", "sign", ["--review"]);
      expect(review.status).toBe(0);
      expect(review.stdout).toMatch(/\+ role "root" threshold 2/);
      expect(review.stdout).toMatch(/Still to sign:\n {2}- root: 1 more of bob/);
      expectNarrow(review.stdout);
      const keys = await all.document<{ staged: { documents: { differences: { text: string }[] }[] } }>("bob", "sign", [
        "--review",
      ]);
      const added = keys.staged.documents.flatMap(({ differences }) => differences).map(({ text }) => text);
      const fingerprints = added.flatMap((text) => /^key ed25519 ([0-9a-f]{64})/.exec(text)?.[1] ?? []);
      expect(fingerprints.length).toBeGreaterThanOrEqual(2);
      // whole, and on one line: somebody may have made a key whose first digits are those of another one
      for (const fingerprint of fingerprints) expect(review.stdout).toContain(fingerprint);
      const signed = await all.document<Changed>("bob", "sign", ["--digest", staged.staged!.digest]);
      expect(signed.staged!.missing).toEqual([]); // and the online keys are ada's
      const published = await all.document<Changed>("ada", "sign", ["--yes"]);
      expect(published.published).toContain("root");
      await all.refused("ada", "sign", ["--yes"], { code: "USAGE", status: 2 }); // nothing is staged any more

      await all.refused("ada", "rotate", ["root", "--yes"], { code: "KEY_MISSING", status: 4 }); // hers: bob must agree
      const cid = await all.key("cid");
      await all.document("ada", "rotate", ["root", "--replace", "bob", "--key", cid, "--yes", "--stage"]);
      const status = await all.document<Status>("ada", "status");
      expect(status.staged!.missing).toHaveLength(3); // cid twice: for the role, and to show the key; bob to let go
      await all.document("cid", "sign", ["--yes"]);
      // a root alone needs no new snapshot, so the last one to sign publishes it
      expect((await all.document<Changed>("bob", "sign", ["--yes"])).published).toEqual(["root"]);
      const root = (await all.document<Status>("ada", "status")).roles.find(({ role }) => role === "root")!;
      expect(root).toMatchObject({ version: 2, threshold: 2 });
      expect(new Set(root.keys.map(({ owner }) => owner))).toEqual(new Set(["cid", undefined]));

      await all.refused("ada", "threshold", ["root", "3"], { code: "USAGE", status: 2 });
      await all.document("ada", "threshold", ["targets", "1", "--add", cid, "--stage"]);
      expect(await all.trust("ada", "sign", ["--drop", "--yes"])).toMatchObject({ status: 0 });
      expect((await all.document<Status>("ada", "status")).staged).toBeUndefined();
    });

    it("releases a module only with the signatures of two, and takes it back likewise", async () => {
      const all = await team("release");
      await all.document("ada", "init");
      const bob = await all.key("bob");
      await all.document("ada", "threshold", ["targets", "2", "--add", bob, "--stage"]);
      await all.document("bob", "sign", ["--yes"]);
      await all.document("ada", "sign", ["--yes"]);
      const reference = `${all.repository}:v1`;
      const alone = await push(all, "ada", reference);
      expect(alone).toMatchObject({ status: 4, stdout: "" });
      expect(alone.stderr).toContain("--stage");
      expect(await all.run("ada", ["push", "m.wasm", reference])).toMatchObject({ status: 0 });

      const stage = ["sign", reference, "--stage", "--format", "json", ...all.place];
      const staged = await all.run("ada", stage);
      expect(JSON.parse(staged.stdout)).toMatchObject({
        reference,
        published: [],
        staged: { missing: [expect.stringMatching(/^targets: 1 more of bob/)] },
      });
      expect(await pull(all, "ada", reference)).toMatchObject({ status: 11 });
      const review = await all.trust("bob", "sign", ["--review"]);
      expect(review.stdout).toMatch(/\+ target "app\/v1" \d+ bytes\n +sha256:[0-9a-f]{64}/);
      await all.document("bob", "sign", ["--yes"]);
      expect((await all.document<Changed>("ada", "sign", ["--yes"])).published).toContain("targets");
      expect(await pull(all, "ada", reference)).toMatchObject({ status: 0 });
      expect(await all.run("ada", stage)).toMatchObject({ status: 2, stdout: "" }); // it is so already

      await all.refused("bob", "remove", ["app/v1"], { code: "KEY_MISSING", status: 4 });
      await all.refused("bob", "remove", ["--stage", "--yes"], { code: "USAGE", status: 2 });
      await all.document("bob", "remove", ["app/v1", "--stage"]);
      await all.document("ada", "sign", ["--yes"]);
      expect(await pull(all, "ada", reference)).toMatchObject({ status: 11 });
    });

    it("lets somebody publish under a prefix, and nowhere else, once their key has shown itself", async () => {
      const all = await team("space");
      await all.document("ada", "init");
      const cid = await all.key("cid");
      const words = ["team", cid, "--path", "team/"];
      await all.refused("ada", "delegate", ["team", cid, "--path", "team"], { code: "USAGE", status: 2 });
      await all.refused("ada", "delegate", words, { code: "KEY_MISSING", status: 4 });
      await all.refused("ada", "delegate", ["team", "--path", "team/"], { code: "DELEGATION_REFUSED", status: 4 });
      await all.document("ada", "delegate", [...words, "--stage"]);
      // her new key makes her a publisher: the last signature publishes
      const { published } = await all.document<Changed>("cid", "sign", ["--yes"]);
      expect(published).toEqual(expect.arrayContaining(["root", "targets", "team"]));

      const mine = `${served.registry}/space/team/tool:v1`;
      expect(await push(all, "cid", mine)).toMatchObject({ status: 0 });
      const before = await all.state();
      const other = await push(all, "cid", `${served.registry}/space/other:v1`);
      expect(other).toMatchObject({ status: 4, stdout: "" });
      expect(other.stderr).toContain("error: signing as targets needs 1 of its 1 key(s)");
      expect(await all.state()).toEqual(before);
      const pulled = await all.run("eve", ["pull", mine, "-o", output("eve", "tool"), ...all.place]);
      expect(pulled.stderr).toContain("role team");
      const show = (await all.trust("eve", "show")).stdout;
      expect(show).toMatch(/team +all below team\/ +cid \([0-9a-f]{12}\) +1/);
      expectNarrow(show.replace(/^Trust data: .*$/m, ""));

      await all.refused("ada", "revoke", ["cid", "--yes"], { code: "USAGE", status: 2 }); // the role's only key
      await all.refused("ada", "revoke", ["nobody", "--yes"], { code: "KEY_MISSING", status: 4 });
      await all.document("ada", "remove", ["--delegation", "team", "--yes"]);
      expect(await all.run("eve", ["pull", mine, "-o", output("eve", "never")])).toMatchObject({ status: 11 });
      const { roles } = await all.document<Status>("ada", "status");
      const online = roles.filter(({ role }) => role === "timestamp" || role === "snapshot");
      expect(online.map(({ keys }) => keys.length)).toEqual([1, 1]); // cid publishes nothing any more
      expect(await push(all, "cid", mine)).toMatchObject({ status: 4 });
    });

    it("recovers from a stolen key that pushed versions up, and its readers follow", async () => {
      const all = await team("stolen");
      await all.document("ada", "init");
      expect(await push(all, "ada", `${all.repository}:v1`)).toMatchObject({ status: 0 });
      expect(
        await all.run("eve", ["pull", `${all.repository}:v1`, "-o", output("eve", "s"), ...all.place]),
      ).toMatchObject({
        status: 0,
      });
      for (let theft = 0; theft < 2; theft++) await all.document("ada", "refresh", ["--within", "60d"]);
      expect(await pull(all, "eve", `${all.repository}:v1`)).toMatchObject({ status: 0 });
      const { roles } = await all.document<Status>("ada", "status");
      const online = roles.find(({ role }) => role === "timestamp")!;
      const key = online.keys[0]!.fingerprint.slice(0, 12);
      await all.refused("ada", "revoke", [key, "--yes", "--compromised"], { code: "USAGE", status: 2 }); // none left
      const revoke = [key, "--replace-with", "new", "--compromised", "--yes"];
      if (kind === "oci") {
        // others may overwrite a registry's state, who would not know that versions go back
        await all.refused("ada", "revoke", [...revoke, "--stage"], { code: "USAGE", status: 2 });
      } else {
        const staged = await all.document<Changed>("ada", "revoke", [...revoke, "--stage"]);
        expect(staged).toMatchObject({ published: [], staged: { missing: [] } });
        expect(await all.trust("ada", "sign", ["--drop", "--yes"])).toMatchObject({ status: 0 });
      }
      const revoked = await all.document<Changed & { oldKeys: { fingerprint: string }[] }>("ada", "revoke", revoke);
      expect(revoked.oldKeys[0]!.fingerprint).toBe(online.keys[0]!.fingerprint);
      const status = await all.document<Status>("ada", "status");
      expect(versionOf(status, "timestamp")).toBeLessThan(online.version);
      expect(await pull(all, "eve", `${all.repository}:v1`)).toMatchObject({ status: 0 });
      expect(await push(all, "ada", `${all.repository}:v2`)).toMatchObject({ status: 0 });
      expect(await pull(all, "eve", `${all.repository}:v2`)).toMatchObject({ status: 0 });
    });

    it("can be looked at and repaired when it has expired", async () => {
      const all = await team("late");
      await all.document("ada", "init", ["--expiry", "snapshot,timestamp=4d/1d", "--expiry", "targets=20d/5d"]);
      expect(await push(all, "ada", `${all.repository}:v1`)).toMatchObject({ status: 0 });
      expect(
        await all.run("eve", ["pull", `${all.repository}:v1`, "-o", output("eve", "l"), ...all.place]),
      ).toMatchObject({
        status: 0,
      });
      const late = { daysLater: 25 };
      expect(await pull(all, "eve", `${all.repository}:v1`, 25)).toMatchObject({ status: 13, stdout: "" });
      const status = await all.trust("eve", "status", ["--format", "json"], late);
      expect(status.status).toBe(13);
      expect(JSON.parse(status.stdout)).toMatchObject({ expired: true, roles: { length: 4 } });
      await all.refused("ada", "refresh", [], { code: "METADATA_EXPIRED", status: 13 }, late); // targets are offline's
      await all.refused("eve", "refresh", [], { code: "KEY_MISSING", status: 4 }, late);
      const repaired = await all.document<Changed & { remaining: unknown[] }>("ada", "repair", [], late);
      expect(repaired.published).toEqual(["targets", "snapshot", "timestamp"]);
      expect(repaired.remaining).toEqual([]);
      expect(await pull(all, "eve", `${all.repository}:v1`, 25)).toMatchObject({ status: 0 });
      const due = await all.document<Changed>("ada", "refresh", [], { daysLater: 28 });
      expect(due.published).toEqual(["snapshot", "timestamp"]);
    });

    it("is pinned by a root file, and by no other collection's", async () => {
      const all = await team("pinned");
      const other = await team("stranger");
      await all.document("ada", "init");
      await other.document("mallory", "init");
      const file = await rootFile(all);
      const foreign = await rootFile(other);
      const pin = (words: readonly string[]) =>
        all.run("eve", ["trust", "pin", all.repository, ...all.place, ...words]);
      expect(await pin(["--root", foreign])).toMatchObject({ status: 12 });
      expect((await all.run("eve", ["trust", "pin"])).stdout).toBe("");
      expect(await pin(["--root", "m.wasm"])).toMatchObject({ status: 7 });
      expect(await pin(["--root", file, "--root-fingerprint", "ab".repeat(32)])).toMatchObject({ status: 2 });
      expect(await pin(["--root", file])).toMatchObject({ status: 0 });
      expect(await push(all, "ada", `${all.repository}:v1`)).toMatchObject({ status: 0 });
      expect(await pull(all, "eve", `${all.repository}:v1`)).toMatchObject({ status: 0 });
      await all.document("ada", "rotate", ["root", "--yes"]);
      const newer = await rootFile(all, 2);
      expect(await pin(["--root", newer])).toMatchObject({ status: 0 }); // the same trust, begun later
      expect(await pull(all, "eve", `${all.repository}:v1`)).toMatchObject({ status: 0 });
    });

    it("is watched together with others, of which none hides another's failure", async () => {
      const all = await team("watch");
      await all.document("ada", "init");
      const good = ["trust", "status", all.repository, ...all.place];
      expect(await all.run("ada", good)).toMatchObject({ status: 0 });
      const both = ["trust", "status", `${served.registry}/nothing/here`, all.repository];
      const shown = await all.run("ada", [...both, "--format", "json"]);
      expect(shown.status).toBe(11);
      expect(JSON.parse(shown.stdout)).toMatchObject({ collections: [{ collection: "watch", source: kind }] });
    });
  });

  /** The root as its publisher hands it over. */
  function rootFile(all: Team, version = 1): Promise<string> {
    return readRoot(all.place, version, served.home);
  }
}
