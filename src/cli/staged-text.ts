/** What waits for signatures, for people who are asked to sign it and for programs. */
import type { StagedReview } from "../tuf/staged.ts";
import type { Context } from "./command.ts";
import { wrap } from "./wrap.ts";

const SIGN = { added: "+", removed: "-", changed: "~" } as const;

/** Everything that a signature would change, and who has signed. Nothing is left out, however long. */
export function reviewLines(collection: string, { digest, documents, requirements, missing }: StagedReview): string[] {
  const lines = [`Staged for ${collection}:`];
  for (const { role, version, differences } of documents) {
    lines.push("", `${role}, version ${version}`);
    for (const { kind, text } of differences) lines.push(...hanging(`${SIGN[kind]} ${text}`));
  }
  lines.push("", "Signatures");
  for (const { role, reason, threshold, signedBy } of requirements) {
    if (reason === "possession") continue;
    const by = reason === "former-root" ? `${role}, by the keys of the root before` : role;
    lines.push(`  ${by}: ${signedBy.length} of ${threshold}`);
  }
  return [...lines, "", ...missingLines(missing), `Digest: ${digest}`];
}

export function missingLines(missing: readonly string[]): string[] {
  if (missing.length === 0) return ["It has all its signatures"];
  return ["Still to sign:", ...missing.flatMap((line) => hanging(`- ${line}`))];
}

/** Says that a change waits, and for whom. */
export async function sayStaged(
  { out }: Context,
  collection: string,
  { documents, missing }: StagedReview,
  signCommand: string,
): Promise<void> {
  out.info(`Staged ${documents.map(({ role }) => role).join(", ")} of ${collection}; nothing is published yet`);
  for (const line of missingLines(missing)) out.info(line);
  out.info(missing.length === 0 ? `Publish it with: ${signCommand}` : `Each of them runs: ${signCommand}`);
}

/** The same for programs: keys by fingerprint. */
export function stagedDocument({ digest, documents, missing }: StagedReview): Record<string, unknown> {
  return { digest, documents, missing };
}

/** Continued lines stand below the text, not below its mark. */
function hanging(text: string): string[] {
  const [first = "", ...rest] = wrap(text, 4);
  return [`  ${first.trimStart()}`, ...rest];
}
