/** Passphrases: from the environment first, else asked for at the terminal, else not at all. */
import { passphrasesFromEnv } from "../keys/passphrase-env.ts";
import type { PassphraseProvider, PassphraseRequest } from "../keys/signer.ts";
import type { Context } from "./command.ts";
import type { Prompt } from "./prompt.ts";

/** Notary's minimum for new passphrases, so that its programs accept what is chosen here. */
const MIN_PASSPHRASE_LENGTH = 8;

/** Tries at choosing a new passphrase before giving up. */
const MAX_CHOICES = 5;

/** The new passphrase of `key passwd` where nobody can be asked; the other variables give the old one. */
const NEW_PASSPHRASE_VARIABLE = "WASM_TO_OCI_NEW_PASSPHRASE";

/** Passphrases for opening and making keys. One that was typed for a role is offered again for its other keys. */
export function passphrases({ env, prompt }: Context): PassphraseProvider {
  const fromEnv = passphrasesFromEnv(env);
  const typed = new Map<string, string>();
  return async (request) => {
    const given = await fromEnv(request);
    if (given !== undefined) return given;
    const known = typed.get(request.role);
    if (known !== undefined && request.attempt === 1) return known;
    const answer = await ask(prompt, request);
    if (answer !== undefined) typed.set(request.role, answer);
    return answer;
  };
}

/** Passphrases for changing one: the usual variables give the old one, a variable of its own the new one. */
export function changedPassphrases({ env, prompt }: Context): PassphraseProvider {
  const fromEnv = passphrasesFromEnv(env);
  return async (request) => {
    const given = request.isNew ? env[NEW_PASSPHRASE_VARIABLE] : await fromEnv(request);
    return given === undefined || given === "" ? ask(prompt, request) : given;
  };
}

async function ask(prompt: Prompt, request: PassphraseRequest): Promise<string | undefined> {
  if (!prompt.available) return undefined;
  return request.isNew ? choose(prompt, request) : prompt.secret(question(request));
}

/** Asks twice, so that a slip of the finger does not lock a key away for good. */
async function choose(prompt: Prompt, request: PassphraseRequest): Promise<string | undefined> {
  let reason = "";
  for (let i = 0; i < MAX_CHOICES; i++) {
    const first = await prompt.secret(`${reason}${question(request)}`);
    if (first.length < MIN_PASSPHRASE_LENGTH) {
      reason = `At least ${MIN_PASSPHRASE_LENGTH} characters. `;
      continue;
    }
    if ((await prompt.secret("The same again")) === first) return first;
    reason = "The two differ. ";
  }
  return undefined;
}

function question({ role, keyId, isNew, attempt }: PassphraseRequest): string {
  const key = `${role === "key" ? "the" : `the ${role}`} key${keyId === undefined ? "" : ` ${keyId.slice(0, 7)}`}`;
  if (isNew) return `New passphrase for ${key}`;
  return attempt === 1 ? `Passphrase for ${key}` : `Wrong. Passphrase for ${key}`;
}
