import { explain, type Explanation } from "../../explain.ts";
import type { StoredKey } from "../../keys/key-store.ts";
import { openApprovalFile } from "../../node/approval-file.ts";
import { taggedReference } from "../../oci/tagged-reference.ts";
import type { Authority, AuthorityKey, AuthorityState } from "../../trust/authorities.ts";
import { defineCommand } from "../command.ts";
import { argument, flag } from "../options.ts";
import { sayNotes } from "../reports.ts";
import { withSession } from "../session.ts";
import {
  directoryOptions,
  outputOptions,
  pinOptions,
  registryOptions,
  trustReadingOptions,
} from "../shared-options.ts";
import { trustDirectory } from "../trust-directory.ts";

const REASONS: Readonly<Record<Explanation["source"]["reason"], string>> = {
  flags: "as this command's options say",
  pin: "as pinned",
  policy: "as the policy says",
  "first-use-record": "as seen on the first use",
  lock: "as locked",
};

const STATES: Readonly<Record<AuthorityState, string>> = {
  answers: "has signed it: this is what counts",
  silent: "is asked, and has not signed it",
  unusable: "is asked, and cannot be relied on",
  shadowed: "counts only once",
  "never-asked": "is never asked",
};

const SHORT_HEX = 16;

export const explainCommand = defineCommand({
  arguments: { reference: argument("REFERENCE", "[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]") },
  options: {
    sign: flag("--sign", "look into the registry itself, unless a pin, --server or --trust says where"),
    ...trustReadingOptions,
    ...pinOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Shows who may publish a name: roles in the order in which they are asked, with their keys, thresholds and delegations, and which of them hides which. Then verifies the reference, all but the module's own bytes, and shows every check, or why it is refused; the exit status is then that of the refusal.",
  ],
  examples: [["wasm-to-oci explain ghcr.io/acme/hello:v1", "who may publish v1, and whether it verifies now"]],
  json: "explain",
  async run(context, { reference: given }, options) {
    const { out, signal } = context;
    const reference = taggedReference(given);
    await withSession(context, { ...options, reference }, async (session) => {
      const trust = await session.coverage(reference);
      if (trust === undefined) {
        if (out.format === "json") return out.json({ reference: given, source: null });
        return out.lines([`${given} is not covered by a pin, a policy or an option: a pull delivers it unverified`]);
      }
      const administration = session.statusIn(trust, reference);
      const { runtime, registry, keys } = session;
      const approvals = openApprovalFile(trustDirectory(context, options.dir));
      const asked = { runtime, registry, reference, trust, administration, approvals, signal };
      const { explanation, error } = await explain(asked);
      const held = new Map((await keys.list()).map((key) => [key.id, key]));
      sayNotes(context, explanation.notes);
      if (out.format === "json") await out.json(withHeldKeys(explanation, held));
      else await out.lines(describe(explanation, held));
      if (error !== undefined) throw error;
    });
  },
});

type HeldKeys = ReadonlyMap<string, StoredKey>;

/** Tells of each key whether its private half is on this machine. */
function withHeldKeys(explanation: Explanation, held: HeldKeys): Record<string, unknown> {
  const authorities = explanation.authorities.map(({ keys, ...authority }) => ({
    ...authority,
    keys: keys.map((key) => ({ ...key, held: key.storedAs !== undefined && held.has(key.storedAs) })),
  }));
  return { ...explanation, authorities };
}

function describe(explanation: Explanation, held: HeldKeys): string[] {
  const { reference, source, authorities, rootKeys, signed, found, checks, refusal, status } = explanation;
  const lines = [
    `Reference: ${reference}`,
    `Trust data: ${source.location} (${source.kind}), ${REASONS[source.reason]}`,
    `Collection: ${source.collection}`,
  ];
  if (source.target !== undefined) lines.push(`Name: ${source.target}`);
  if (found !== undefined) lines.push(`In the registry: ${found.digest}`);
  if (signed !== undefined)
    lines.push(`Signed: ${signed.hashes.sha256 ?? signed.hashes.sha512 ?? ""} by ${signed.role}`);
  lines.push(...rootKeys.map(({ fingerprint }) => `Root key: ${fingerprint}`));
  if (authorities.length > 0) lines.push("", "Who may sign this name, in the order in which they are asked:");
  lines.push(...authorities.flatMap((authority, i) => describeAuthority(authority, i + 1, held)));
  if (checks.length > 0)
    lines.push("", "Checks made:", ...checks.map(({ check, detail }) => `  - ${check}: ${detail}`));
  if (status !== undefined) lines.push("", ...describeStatus(status));
  lines.push(
    "",
    refusal === undefined ? "A pull of it passes these checks" : `Refused: ${refusal.code}: ${refusal.message}`,
  );
  return lines;
}

function describeAuthority(authority: Authority, number: number, held: HeldKeys): string[] {
  const { role, delegator, paths, terminating, threshold, keys, state, because, signs, fault } = authority;
  const why =
    because === undefined ? "" : state === "shadowed" ? ` ${because} signs it no more` : `: ${because} ends the search`;
  const other = state === "shadowed" && signs !== undefined ? `; it signs ${signs.slice(0, SHORT_HEX)}…` : "";
  const lines = [`  ${number}. ${role} ${STATES[state]}${why}${other}`];
  if (fault !== undefined) lines.push(`     ${fault}`);
  if (delegator !== undefined) {
    const patterns = paths?.map((path) => JSON.stringify(path)).join(", ") ?? "its share of all names";
    lines.push(`     delegated by ${delegator} for ${patterns}${terminating ? ", and nobody is asked after it" : ""}`);
  }
  lines.push(
    `     needs ${threshold} of ${keys.length} keys:`,
    ...keys.map((key) => `       ${describeKey(key, held)}`),
  );
  return lines;
}

function describeKey({ keyId, fingerprint, storedAs, owner }: AuthorityKey, held: HeldKeys): string {
  const here = storedAs === undefined ? undefined : held.get(storedAs);
  return [
    fingerprint ?? `key ${keyId}, of an unknown kind`,
    ...(owner === undefined ? [] : [owner]),
    ...(here === undefined ? [] : [`here as ${here.role} key ${here.id.slice(0, SHORT_HEX)}`]),
  ].join(", ");
}

function describeStatus({ roles }: NonNullable<Explanation["status"]>): string[] {
  return [
    "What can be seen of it, past its expiry:",
    ...roles.map(({ role, version, expires, expired, threshold, keys }) => {
      const when = expires === undefined ? "" : `, ${expired ? "expired" : "expires"} ${expires.toISOString()}`;
      return `  - ${role}: version ${version ?? "none"}${when}, needs ${threshold} of ${keys.length} keys`;
    }),
  ];
}
