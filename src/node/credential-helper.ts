/**
 * Docker's credential helpers: programs `docker-credential-<name>` that are given an action and an address and
 * answer with JSON. https://github.com/docker/docker-credential-helpers
 */
import { spawn } from "node:child_process";
import type { Credentials } from "../base/credentials.ts";
import { errorCode, RegistryError } from "../base/errors.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";
import type { Environment } from "./proxy.ts";

/** A helper may ask a person to unlock a keychain. */
const HELPER_TIMEOUT_MS = 60_000;
/** What a helper has written is read in far less once it has ended. */
const OUTPUT_GRACE_MS = 1_000;
/** The longest tokens have some 10 kB. */
const MAX_HELPER_OUTPUT = 256 * 1024;
/** A file name without any path, so that a configuration cannot start other programs. */
const HELPER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** The user name by which helpers mark an identity token. */
const TOKEN_USER = "<token>";

/** How helpers say that they have nothing; the text is part of their protocol. */
const NOT_FOUND = /credentials not found in native keychain/i;

export interface CredentialHelper {
  get(server: string): Promise<Credentials | undefined>;
  store(server: string, credentials: Credentials): Promise<void>;
  erase(server: string): Promise<void>;
}

/**
 * @param name as in `credsStore`, e.g. `pass`
 * @param timeoutMs how long to wait for the program
 * @throws {RegistryError} CREDENTIALS_INVALID from each action that the helper fails, without its output
 */
export function credentialHelper(name: string, env: Environment, timeoutMs = HELPER_TIMEOUT_MS): CredentialHelper {
  if (!HELPER_NAME.test(name)) {
    throw new RegistryError("CREDENTIALS_INVALID", `"${escapeUntrusted(name, 64)}" is not a credential helper's name`, {
      hint: "credsStore and credHelpers hold a name such as `pass`, for the program docker-credential-pass",
    });
  }
  const run = (action: string, input: string): Promise<HelperResult> =>
    runHelper({ program: `docker-credential-${name}`, action, input, env, timeoutMs });
  return {
    async get(server) {
      const result = await run("get", server);
      if (result.status === 0) return readCredentials(name, result.output);
      if (NOT_FOUND.test(result.output)) return undefined;
      throw failed(name, "get", result.status);
    },
    async store(server, credentials) {
      const [username, secret] =
        credentials.kind === "basic" ? [credentials.username, credentials.password] : [TOKEN_USER, credentials.token];
      const input = JSON.stringify({ ServerURL: server, Username: username, Secret: secret });
      const result = await run("store", input);
      if (result.status !== 0) throw failed(name, "store", result.status);
    },
    async erase(server) {
      const result = await run("erase", server);
      if (result.status !== 0 && !NOT_FOUND.test(result.output)) throw failed(name, "erase", result.status);
    },
  };
}

function readCredentials(name: string, output: string): Credentials | undefined {
  const what = `the answer of docker-credential-${name}`;
  const root = new JsonCursor(parseJson(output, { what }), formatFault("CONFIG_INVALID", what));
  const answer = root.object(["ServerURL", "Username", "Secret"]);
  const username = answer.field("Username").empty ? "" : answer.field("Username").string();
  const secret = answer.field("Secret").string();
  if (secret === "" && username === "") return undefined;
  if (username === TOKEN_USER) return { kind: "identity-token", token: secret };
  return { kind: "basic", username, password: secret };
}

function failed(name: string, action: string, status: number): RegistryError {
  // What it printed may hold a secret, and is not shown.
  return new RegistryError("CREDENTIALS_INVALID", `docker-credential-${name} ${action} failed with status ${status}`, {
    hint: `Run \`docker-credential-${name} list\` to see what is wrong with it`,
    details: { helper: name },
  });
}

interface HelperRun {
  readonly program: string;
  readonly action: string;
  readonly input: string;
  readonly env: Environment;
  readonly timeoutMs: number;
}

interface HelperResult {
  readonly status: number;
  readonly output: string;
}

function runHelper(run: HelperRun): Promise<HelperResult> {
  const { program, action, input, env, timeoutMs } = run;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [action], { env: { ...env }, shell: false, stdio: ["pipe", "pipe", "ignore"] });
    const fail = (problem: string, hint: string, cause?: unknown): void => {
      child.kill("SIGKILL");
      child.stdout.destroy(); // what it started may hold the other end, and would keep this process alive
      clearTimeout(timer);
      reject(
        new RegistryError("CREDENTIALS_INVALID", `${program} ${problem}`, {
          hint,
          ...(cause === undefined ? {} : { cause }),
        }),
      );
    };
    const timer = setTimeout(
      () => fail(`did not answer within ${timeoutMs / 1000} seconds`, "Unlock its keychain, or configure another"),
      timeoutMs,
    );
    const chunks: Buffer[] = [];
    let size = 0;
    child.stdout.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_HELPER_OUTPUT) fail("answers too much", "Configure another credential helper");
      else chunks.push(chunk);
    });
    child.on("error", (error) => {
      const absent = errorCode(error) === "ENOENT";
      const hint = "Install it, or change credsStore and credHelpers in Docker's config.json";
      fail(absent ? "is not installed" : "cannot be started", hint, error);
    });
    // "close" comes when nobody holds its output any more; an agent that it started may hold it for days
    child.on("exit", () => setTimeout(() => child.stdout.destroy(), OUTPUT_GRACE_MS).unref());
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve({ status: status ?? -1, output: Buffer.concat(chunks).toString("utf8") });
    });
    child.stdin.on("error", () => undefined); // it may end without reading; its status says what that means
    child.stdin.end(input);
  });
}
