import { describe, expect, test } from "vitest";
import { TrustError } from "../../src/base/errors.ts";
import { passphrasesFromEnv, passphraseVariables } from "../../src/keys/passphrase-env.ts";
import { choosePassphrase, openWithPassphrase } from "../../src/keys/passphrases.ts";
import type { PassphraseRequest } from "../../src/keys/signer.ts";
import { always, codeOf } from "../support/key-fixtures.ts";

const SUBJECT = { role: "root", keyId: "a".repeat(64) };
const opens = (right: string) => async (passphrase: string) => {
  if (passphrase !== right) throw new TrustError("KEY_PASSPHRASE", "wrong");
  return "open";
};

describe("opening", () => {
  test("asks again after a wrong passphrase, counting the attempts", async () => {
    const asked: PassphraseRequest[] = [];
    const answers = ["one", "two", "three"];
    const provider = async (request: PassphraseRequest) => {
      asked.push(request);
      return answers[request.attempt - 1];
    };
    expect(await openWithPassphrase(provider, SUBJECT, opens("three"))).toBe("open");
    expect(asked.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(asked[0]).toEqual({ ...SUBJECT, isNew: false, attempt: 1 });
  });

  test("gives up after four tries, whatever the provider does", async () => {
    let asked = 0;
    const provider = async () => `wrong ${++asked}`;
    expect(await codeOf(() => openWithPassphrase(provider, SUBJECT, opens("right")))).toBe("KEY_PASSPHRASE");
    expect(asked).toBe(4);
  });

  test("tells no passphrase from a wrong one", async () => {
    expect(await codeOf(() => openWithPassphrase(always(undefined), SUBJECT, opens("x")))).toBe("PASSPHRASE_MISSING");
    const once = async ({ attempt }: PassphraseRequest) => (attempt === 1 ? "wrong" : undefined);
    expect(await codeOf(() => openWithPassphrase(once, SUBJECT, opens("x")))).toBe("KEY_PASSPHRASE");
  });

  test("does not ask again where the file is at fault", async () => {
    let asked = 0;
    const provider = async () => `${++asked}`;
    const broken = async () => {
      throw new Error("broken");
    };
    await expect(openWithPassphrase(provider, SUBJECT, broken)).rejects.toThrow("broken");
    expect(asked).toBe(1);
  });

  test("names key and role in the error, and no passphrase", async () => {
    const failure = openWithPassphrase(always("hunter2"), SUBJECT, opens("right"));
    await expect(failure).rejects.toThrow("root key aaaaaaa");
    await expect(failure).rejects.not.toThrow("hunter2");
  });
});

test("asks once for a new passphrase; an empty one is an answer", async () => {
  expect(await choosePassphrase(always(""), SUBJECT)).toBe("");
  expect(await codeOf(() => choosePassphrase(always(undefined), SUBJECT))).toBe("PASSPHRASE_MISSING");
});

describe("from the environment", () => {
  const ask = (env: Record<string, string>, role: string, attempt = 1, isNew = false) =>
    passphrasesFromEnv(env)({ role, keyId: undefined, isNew, attempt });

  test.each([
    ["root", "ROOT", "ROOT"],
    ["targets", "TARGETS", "REPOSITORY"],
    ["snapshot", "SNAPSHOT", "REPOSITORY"],
    ["targets/releases", "DELEGATION", "REPOSITORY"],
    ["alice", "DELEGATION", "REPOSITORY"],
    ["key", "DELEGATION", "REPOSITORY"],
  ])("looks for %s in the documented order", (role, word, docker) => {
    expect(passphraseVariables(role)).toEqual([
      `WASM_TO_OCI_${word}_PASSPHRASE`,
      "WASM_TO_OCI_PASSPHRASE",
      `SIGNY_${word}_PASSPHRASE`,
      `NOTARY_${word}_PASSPHRASE`,
      `DOCKER_CONTENT_TRUST_${docker}_PASSPHRASE`,
    ]);
  });

  test("every variable alone is enough, and each wins over those after it", async () => {
    const variables = passphraseVariables("targets");
    for (const [index, name] of variables.entries()) {
      expect(await ask({ [name]: "it" }, "targets")).toBe("it");
      const later = Object.fromEntries(variables.slice(index).map((each) => [each, each]));
      expect(await ask(later, "targets")).toBe(name);
    }
  });

  test("one role's passphrase is not offered for another", async () => {
    expect(await ask({ NOTARY_ROOT_PASSPHRASE: "x" }, "targets")).toBeUndefined();
    expect(await ask({ DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE: "x" }, "root")).toBeUndefined();
  });

  test("tries each different one in turn to open a key, then gives up", async () => {
    const env = { WASM_TO_OCI_PASSPHRASE: "a", SIGNY_ROOT_PASSPHRASE: "a", NOTARY_ROOT_PASSPHRASE: "b" };
    expect(await ask(env, "root", 1)).toBe("a");
    expect(await ask(env, "root", 2)).toBe("b");
    expect(await ask(env, "root", 3)).toBeUndefined();
  });

  test("uses the first one for new keys", async () => {
    expect(await ask({ NOTARY_ROOT_PASSPHRASE: "b", SIGNY_ROOT_PASSPHRASE: "a" }, "root", 1, true)).toBe("a");
  });

  test("takes an empty variable for none: it must not leave a key unencrypted", async () => {
    expect(await ask({ WASM_TO_OCI_PASSPHRASE: "" }, "root", 1, true)).toBeUndefined();
    expect(await ask({ WASM_TO_OCI_PASSPHRASE: "", NOTARY_ROOT_PASSPHRASE: "b" }, "root", 1, true)).toBe("b");
  });
});
