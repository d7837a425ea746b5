import { TrustError } from "../../base/errors.ts";
import { diff, type DiffedModule, type DiffReport, type DiffSource } from "../../diff.ts";
import { openModuleFile } from "../../node/files.ts";
import { taggedReference } from "../../oci/tagged-reference.ts";
import type { NameDiff } from "../../trust/contract/diff.ts";
import { defineCommand, type Context } from "../command.ts";
import { isModulePath } from "../module-path.ts";
import { argument, flag } from "../options.ts";
import { sayNotes } from "../reports.ts";
import { withSession, type SessionOptions } from "../session.ts";
import {
  directoryOptions,
  outputOptions,
  pinOptions,
  registryOptions,
  trustReadingOptions,
} from "../shared-options.ts";

const WHAT = "a .wasm file, or [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]";

export const diffCommand = defineCommand({
  arguments: { old: argument("OLD", WHAT), new: argument("NEW", WHAT) },
  options: {
    exitCode: flag("--exit-code", "end with the status of untrusted content if NEW may do what OLD could not"),
    deep: flag("--deep", "read the modules themselves, even where their contracts are signed"),
    sign: flag("--sign", "verify references: in the registry itself, unless a pin, --server or --trust says where"),
    ...trustReadingOptions,
    ...pinOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Of a reference that is covered by a pin or a flag, the signed contract is compared, without downloading the module. Other references and files are read. Single functions of core modules are compared where both modules are read.",
    "Another version of an interface counts as the same capability if it is compatible by semantic versioning.",
  ],
  examples: [
    ["wasm-to-oci diff ghcr.io/acme/hello:v1 ghcr.io/acme/hello:v2", "what v2 may do that v1 could not"],
    ["wasm-to-oci diff ghcr.io/acme/hello:v1 build/hello.wasm --exit-code", "stop a build that asks for more"],
  ],
  json: "diff",
  async run(context, args, options) {
    const { out, signal } = context;
    const old = await source(context, args.old, options);
    const next = await source(context, args.new, options);
    const report = await old(async (from) =>
      next((to, { runtime, onProgress }) =>
        diff({ runtime, old: from, new: to, deep: options.deep, onProgress, signal }),
      ),
    );
    sayNotes(context, report.notes);
    if (out.format === "json") await out.json(report);
    else await out.lines(describe(report));
    if (options.exitCode && report.widens) throw widened(report);
  },
});

type Session = Parameters<Parameters<typeof withSession>[2]>[0];
type WithSource = <T>(work: (source: DiffSource, session: Session) => Promise<T>) => Promise<T>;

/** Each reference has a session of its own: what is said about TLS is said about one registry. */
async function source(context: Context, text: string, options: SessionOptions): Promise<WithSource> {
  if (await isModulePath(text)) {
    const module = { name: text, body: await openModuleFile(text) };
    return (work) => withSession(context, options, (session) => work({ module }, session));
  }
  const reference = taggedReference(text);
  return (work) =>
    withSession(context, { ...options, reference }, async (session) =>
      work({ registry: session.registry, reference, trust: await session.coverage(reference) }, session),
    );
}

function describe({ old, new: next, same, contract, coreImports }: DiffReport): string[] {
  const imports = coreImports ?? contract.imports;
  const lines = [`Old: ${describeModule(old)}`, `New: ${describeModule(next)}`];
  if (same) return [...lines, "Same: the same bytes"];
  const growth = next.size - old.size;
  lines.push(`Size: ${growth >= 0 ? "+" : ""}${growth} bytes`);
  if (contract.kind.from !== contract.kind.to) lines.push(`Kind: ${contract.kind.from} → ${contract.kind.to}`);
  lines.push(...describeNames("imports", imports), ...describeNames("exports", contract.exports));
  if (!contract.complete) lines.push("Incomplete: the signed lists are cut short and differ in what they leave out");
  return lines;
}

function describeModule({ subject, from, kind, digest, size }: DiffedModule): string {
  return `${subject}, a ${kind} of ${size} bytes (${digest}), by its ${from === "contract" ? "signed contract" : "bytes"}`;
}

function describeNames(verb: "imports" | "exports", { added, removed, changed }: NameDiff): string[] {
  return [
    ...added.map((name) => `+ ${verb} ${name}`),
    ...removed.map((name) => `- ${verb} ${name}`),
    ...changed.map(({ from, to }) => `~ ${verb} ${from} → ${to}`),
  ];
}

function widened({ old, new: next, contract, coreImports }: DiffReport): TrustError {
  const { added } = coreImports ?? contract.imports;
  return new TrustError("CONTRACT_WIDENED", `${next.subject} may do what ${old.subject} could not`, {
    hint: "See above what it asks for; ask its publisher why",
    details: { old: old.digest, new: next.digest, added },
  });
}
