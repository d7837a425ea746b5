import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Credentials } from "../../src/base/credentials.ts";
import { dockerCredentials, type CredentialStore } from "../../src/node/docker-credentials.ts";
import { failureOf } from "../support/error-code.ts";

const ANN = { kind: "basic", username: "ann", password: "canary:pass" } as const;
const auth = (user: string, password: string): string => Buffer.from(`${user}:${password}`).toString("base64");

let home: string;
let env: Record<string, string>;
let credentials: CredentialStore;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "credentials-"));
  env = { PATH: `${join(home, "bin")}:/usr/bin:/bin` };
  credentials = dockerCredentials({ env, home, helperTimeoutMs: 2_000 });
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function write(path: string, document: unknown): Promise<string> {
  const full = join(home, path);
  await mkdir(join(full, ".."), { recursive: true });
  await writeFile(full, typeof document === "string" ? document : JSON.stringify(document));
  return full;
}

const docker = (document: unknown): Promise<string> => write(".docker/config.json", document);

async function readDocker(): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(home, ".docker/config.json"), "utf8")) as Record<string, unknown>;
}

/** A helper whose store is a folder; it keeps what it was asked. */
async function installHelper(name: string, script?: string): Promise<void> {
  const path = await write(
    `bin/docker-credential-${name}`,
    script ??
      `#!/bin/sh
input=$(cat)
echo "$1 $input" >> "${home}/helper.log"
case "$1" in
  get) if [ -f "${home}/held" ]; then cat "${home}/held"; else echo "credentials not found in native keychain"; exit 1; fi ;;
  store) printf %s "$input" > "${home}/held" ;;
  erase) rm -f "${home}/held" ;;
esac
`,
  );
  await chmod(path, 0o755);
}

describe("reading", () => {
  it("finds nothing where there is no file, an empty one, or no entry", async () => {
    expect(await credentials.get("ghcr.io")).toBeUndefined();
    await docker("");
    expect(await credentials.get("ghcr.io")).toBeUndefined();
    await docker({ auths: { "other.io": { auth: auth("a", "b") }, "ghcr.io": {} } });
    expect(await credentials.get("ghcr.io")).toBeUndefined();
  });

  it.each<[string, object, Credentials]>([
    ["auth", { auth: auth("ann", "canary:pass") }, ANN],
    [
      "auth that an old Docker padded",
      { auth: Buffer.from("ann:x\0\0").toString("base64") },
      { ...ANN, password: "x" },
    ],
    ["username and password", { username: "ann", password: "canary:pass" }, ANN],
    ["an identity token", { auth: auth("ann", ""), identitytoken: "it" }, { kind: "identity-token", token: "it" }],
    ["a registry token", { registrytoken: "rt" }, { kind: "registry-token", token: "rt" }],
  ])("reads %s", async (_what, entry, expected) => {
    await docker({ auths: { "ghcr.io": entry } });
    expect(await credentials.get("ghcr.io", "acme/app")).toEqual(expected);
  });

  it.each([
    ["docker.io", "https://index.docker.io/v1/"],
    ["docker.io", "index.docker.io"],
    ["docker.io", "docker.io"],
    ["docker.io", "registry-1.docker.io"],
    ["ghcr.io", "https://ghcr.io"],
    ["ghcr.io", "https://ghcr.io/v2/"],
    ["ghcr.io", "GHCR.io"],
    ["localhost:5000", "http://localhost:5000/"],
  ])("finds %s under %s", async (registry, key) => {
    await docker({ auths: { [key]: { auth: auth("ann", "canary:pass") } } });
    expect(await credentials.get(registry)).toEqual(ANN);
  });

  it.each(["ghcr.io", "ghcr.io.evil.example", "evilghcr.io", "ghcr.io:443", "sub.ghcr.io"])(
    "gives the credentials of ghcr.io:5000 to no %s",
    async (registry) => {
      await docker({ auths: { "ghcr.io:5000": { auth: auth("ann", "x") } } });
      expect(await credentials.get(registry)).toBeUndefined();
    },
  );

  it("takes the longest path that covers the repository, as Podman does", async () => {
    const user = (name: string) => ({ auth: auth(name, "x") });
    env["XDG_RUNTIME_DIR"] = join(home, "run");
    await write("run/containers/auth.json", {
      auths: { "quay.io": user("host"), "quay.io/acme": user("team"), "quay.io/acme/app": user("app") },
    });
    const who = async (repository?: string) => {
      const found = await credentials.get("quay.io", repository);
      return found?.kind === "basic" ? found.username : undefined;
    };
    expect([await who("acme/app"), await who("acme/other"), await who("acmeevil/x"), await who()]).toEqual([
      "app",
      "team",
      "host",
      "host",
    ]);
  });

  it("looks into REGISTRY_AUTH_FILE, Docker's, then Podman's files", async () => {
    const file = (name: string) => ({ auths: { "ghcr.io": { auth: auth(name, "x") } } });
    const who = async () => {
      const found = await credentials.get("ghcr.io");
      return found?.kind === "basic" ? found.username : undefined;
    };
    await write(".config/containers/auth.json", file("config"));
    expect(await who()).toBe("config");
    env["XDG_RUNTIME_DIR"] = join(home, "run");
    await write("run/containers/auth.json", file("runtime"));
    credentials = dockerCredentials({ env, home });
    expect(await who()).toBe("runtime");
    await docker(file("docker"));
    expect(await who()).toBe("docker");
    env["DOCKER_CONFIG"] = join(home, "elsewhere");
    await write("elsewhere/config.json", file("elsewhere"));
    credentials = dockerCredentials({ env, home });
    expect(await who()).toBe("elsewhere");
    env["REGISTRY_AUTH_FILE"] = await write("explicit.json", file("explicit"));
    expect(await who()).toBe("explicit");
    env["DOCKER_CONFIG"] = "";
    env["REGISTRY_AUTH_FILE"] = "";
    expect(await who()).toBe("elsewhere"); // chosen when it was opened
  });

  it.each<[string, unknown, string]>([
    ["no JSON", "{", "JSON_INVALID"],
    ["a list", [], "CONFIG_INVALID"],
    ["auths that are a list", { auths: [] }, "CONFIG_INVALID"],
    ["an entry twice", '{"auths":{"ghcr.io":{"auth":"YTpi","auth":"YzpkCg=="}}}', "JSON_INVALID"],
    ["auth that is no base64", { auths: { "ghcr.io": { auth: "canary!" } } }, "CONFIG_INVALID"],
    ["auth without a colon", { auths: { "ghcr.io": { auth: btoa("canary") } } }, "CONFIG_INVALID"],
    ["a password that is a number", { auths: { "ghcr.io": { username: "a", password: 5 } } }, "CONFIG_INVALID"],
    ["a helper's name that is a path", { credsStore: "../../bin/sh" }, "CREDENTIALS_INVALID"],
    ["a helper's name with a command", { credHelpers: { "ghcr.io": "x; touch /tmp/x" } }, "CREDENTIALS_INVALID"],
    ["2 MiB", `"${"a".repeat(2 * 1024 * 1024)}"`, "LIMIT_EXCEEDED"],
  ])("refuses a file with %s, without showing a secret", async (_what, document, code) => {
    await docker(document);
    const error = await failureOf(credentials.get("ghcr.io"));
    expect(error.code).toBe(code);
    expect(JSON.stringify([error.message, error.hint, error.details])).not.toMatch(/canary|Y2FuYXJ5/);
  });

  it.each(["../../bin/sh", "a/b", "x; touch y", ".", "a b", "-x"])(
    "starts nothing for the helper name %j",
    async (name) => {
      await mkdir(join(home, "bin", "docker-credential-a"), { recursive: true });
      await docker({ credHelpers: { "ghcr.io": name } });
      const error = await failureOf(credentials.get("ghcr.io"));
      expect([error.code, error.message]).toEqual([
        "CREDENTIALS_INVALID",
        expect.stringContaining("is not a credential helper's name"),
      ]);
    },
  );

  it("says that a file cannot be read", async () => {
    await mkdir(join(home, ".docker/config.json"), { recursive: true });
    expect((await failureOf(credentials.get("ghcr.io"))).kind).toBe("storage");
  });
});

describe("credential helpers", () => {
  it("asks the helper of the registry, or else the store, for the address that Docker gives", async () => {
    await installHelper("one");
    await installHelper("two", `#!/bin/sh\necho '{"ServerURL":"x","Username":"two","Secret":"s"}'\n`);
    await docker({ credsStore: "two", credHelpers: { "ghcr.io": "one" }, auths: { "ghcr.io": {} } });
    expect(await credentials.get("ghcr.io")).toBeUndefined();
    await writeFile(join(home, "held"), '{"ServerURL":"ghcr.io","Username":"ann","Secret":"canary:pass"}');
    expect(await credentials.get("ghcr.io")).toEqual(ANN);
    expect(await readFile(join(home, "helper.log"), "utf8")).toBe("get ghcr.io\nget ghcr.io\n");
    expect(await credentials.get("docker.io")).toMatchObject({ username: "two" });
  });

  it("takes an empty helper for the file", async () => {
    const entry = { auth: auth("ann", "canary:pass") };
    await docker({ credsStore: "absent", credHelpers: { "ghcr.io": "" }, auths: { "ghcr.io": entry } });
    expect(await credentials.get("ghcr.io")).toEqual(ANN);
  });

  it("knows Docker Hub by its old address", async () => {
    await installHelper("one");
    await docker({ credsStore: "one" });
    await credentials.get("docker.io");
    expect(await readFile(join(home, "helper.log"), "utf8")).toBe("get https://index.docker.io/v1/\n");
  });

  it("takes the user <token> for an identity token", async () => {
    await installHelper("one", `#!/bin/sh\necho '{"Username":"<token>","Secret":"refresh"}'\n`);
    await docker({ credsStore: "one" });
    expect(await credentials.get("ghcr.io")).toEqual({ kind: "identity-token", token: "refresh" });
  });

  it("does not wait for an agent that a helper starts and that keeps its output open", async () => {
    const answer = `echo '{"Username":"ann","Secret":"s"}'`;
    await installHelper("one", `#!/bin/sh\nsleep 30 &\necho $! > "${home}/agent"\n${answer}\n`);
    await docker({ credsStore: "one" });
    try {
      expect(await credentials.get("ghcr.io")).toEqual({ kind: "basic", username: "ann", password: "s" });
    } finally {
      process.kill(Number(await readFile(join(home, "agent"), "utf8")));
    }
  });

  it.each<[string, string | undefined, string]>([
    ["is not installed", undefined, "is not installed"],
    ["fails", "#!/bin/sh\necho canary; echo canary >&2; exit 3\n", "failed with status 3"],
    ["hangs", "#!/bin/sh\nexec sleep 600\n", "did not answer"],
    ["floods", "#!/bin/sh\nexec yes canary\n", "answers too much"],
  ])("reports a helper that %s, without its output", async (_what, script, message) => {
    if (script !== undefined) await installHelper("bad", script);
    await docker({ credsStore: "bad" });
    const error = await failureOf(credentials.get("ghcr.io"));
    expect(error.code).toBe("CREDENTIALS_INVALID");
    expect(error.message).toContain(message);
    expect(JSON.stringify([error.message, error.hint, error.details])).not.toContain("canary");
  });

  it.each(["canary", '{"Username":1,"Secret":"canary"}', '{"Username":"a"}', '{"username":"a","Secret":"canary"}'])(
    "refuses the answer %s",
    async (answer) => {
      await installHelper("bad", `#!/bin/sh\necho '${answer}'\n`);
      await docker({ credsStore: "bad" });
      const error = await failureOf(credentials.get("ghcr.io"));
      expect(error.code).toMatch(/^(?:JSON_INVALID|CONFIG_INVALID)$/);
      expect(error.message).not.toContain("canary");
    },
  );

  it("stores and erases through the helper, leaving no secret in the file", async () => {
    await installHelper("one");
    await docker({ credsStore: "one", auths: { "https://ghcr.io": { auth: auth("old", "canary") } } });
    expect(await credentials.store("ghcr.io", ANN)).toBe("docker-credential-one");
    expect(await readDocker()).toEqual({ credsStore: "one", auths: { "ghcr.io": {} } });
    expect(await credentials.get("ghcr.io")).toEqual(ANN);
    expect(await credentials.erase("ghcr.io")).toBe(true);
    expect(await readDocker()).toEqual({ credsStore: "one", auths: {} });
    expect(await credentials.get("ghcr.io")).toBeUndefined();
    expect(await credentials.erase("ghcr.io")).toBe(false);
  });

  it("changes nothing where the helper does not store", async () => {
    await installHelper("bad", "#!/bin/sh\nexit 1\n");
    const before = { credsStore: "bad", auths: { "ghcr.io": { auth: auth("old", "x") } } };
    await docker(before);
    expect((await failureOf(credentials.store("ghcr.io", ANN))).code).toBe("CREDENTIALS_INVALID");
    expect(await readDocker()).toEqual(before);
  });
});

describe("storing in the file", () => {
  it("makes a private file that Docker and we read", async () => {
    expect(await credentials.store("ghcr.io", ANN)).toBe(join(home, ".docker/config.json"));
    expect(await readDocker()).toEqual({ auths: { "ghcr.io": { auth: auth("ann", "canary:pass") } } });
    expect((await stat(join(home, ".docker/config.json"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(home, ".docker"))).mode & 0o777).toBe(0o700);
    expect(await credentials.get("ghcr.io")).toEqual(ANN);
  });

  it("keeps everything that it does not know, in its order", async () => {
    const unknown = {
      currentContext: "x",
      HttpHeaders: { a: "b" },
      plugins: { p: { q: "r" } },
      n: 1.5,
      l: [null, true],
    };
    await docker({ ...unknown, auths: { "other.io": { auth: auth("o", "x"), email: "e" } } });
    await credentials.store("ghcr.io", ANN);
    const after = await readDocker();
    expect(after).toMatchObject({ ...unknown, auths: { "other.io": { auth: auth("o", "x"), email: "e" } } });
    expect(Object.keys(after)).toEqual([...Object.keys(unknown), "auths"]);
    await credentials.erase("ghcr.io");
    expect(await readDocker()).toEqual({ ...unknown, auths: { "other.io": { auth: auth("o", "x"), email: "e" } } });
  });

  it("replaces every other spelling of the same registry", async () => {
    await docker({ auths: { "https://index.docker.io/v1/": {}, "index.docker.io": { auth: auth("old", "x") } } });
    await credentials.store("docker.io", { kind: "identity-token", token: "it" });
    expect(await readDocker()).toEqual({ auths: { "https://index.docker.io/v1/": { identitytoken: "it" } } });
    expect(await credentials.erase("docker.io")).toBe(true);
    expect(await readDocker()).toEqual({ auths: {} });
  });

  it("writes through a link instead of replacing it", async () => {
    const real = await write("dotfiles/config.json", { auths: {} });
    await mkdir(join(home, ".docker"));
    await symlink(real, join(home, ".docker/config.json"));
    await credentials.store("ghcr.io", ANN);
    expect(JSON.parse(await readFile(real, "utf8"))).toMatchObject({ auths: { "ghcr.io": {} } });
  });

  it("leaves a file that it does not understand as it is", async () => {
    const path = await docker('{"auths":{"a":{}},"auths":{}}');
    expect((await failureOf(credentials.store("ghcr.io", ANN))).code).toBe("JSON_INVALID");
    expect(await readFile(path, "utf8")).toBe('{"auths":{"a":{}},"auths":{}}');
  });

  it("loses none of many that are stored at once", async () => {
    await Promise.all(Array.from({ length: 20 }, (_, index) => credentials.store(`host${index}.io`, ANN)));
    expect(Object.keys((await readDocker())["auths"] as object)).toHaveLength(20);
  });

  it("has nothing to erase where there is no file", async () => {
    expect(await credentials.erase("ghcr.io")).toBe(false);
  });
});
