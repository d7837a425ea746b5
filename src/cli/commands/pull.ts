import { UsageError } from "../../base/errors.ts";
import { repositoryName, taggedReference } from "../../oci/tagged-reference.ts";
import { pull } from "../../pull.ts";
import type { VerificationReport } from "../../trust/report.ts";
import { defineCommand, type Context } from "../command.ts";
import { openApprovalFile } from "../../node/approval-file.ts";
import { fileOutput } from "../../node/file-output.ts";
import { stdoutOutput } from "../module-output.ts";
import { flag, nonEmpty, optional, value } from "../options.ts";
import { lockedPull, openLockfile, pullAll, type PulledModule } from "../pull-lockfile.ts";
import { checkLines, rememberCollection, sayNotes } from "../reports.ts";
import { withSession } from "../session.ts";
import {
  directoryOptions,
  lockfileOptions,
  outputOptions,
  pinOptions,
  readingOptions,
  registryOptions,
  storedOptions,
  trustReadingOptions,
} from "../shared-options.ts";
import { trustDirectory } from "../trust-directory.ts";

const DEFAULT_FILE = "module.wasm";
const DEFAULT_DIRECTORY = "wasm_modules";

export const pullCommand = defineCommand({
  arguments: {
    reference: optional(
      "REFERENCE",
      "what: [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]; with --locked or --frozen all that is locked unless given",
    ),
  },
  options: {
    out: value("-o, --out, --output FILE", "where to write the module; - is stdout; a directory for many", nonEmpty, {
      initialText: `${DEFAULT_FILE}, ${DEFAULT_DIRECTORY} for many`,
    }),
    locked: flag("--locked", "refuse unless it is what the lockfile says, and no older"),
    frozen: flag("--frozen", "take what the lockfile says, whatever the tag names now, or refuse"),
    ...lockfileOptions,
    sign: flag("--sign", "verify: by the registry itself, unless a pin, --server or --trust says where"),
    approve: flag("--approve", "agree to what the module asks for, where a policy wants that said of more than before"),
    ...trustReadingOptions,
    ...pinOptions,
    ...readingOptions,
    ...storedOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "A reference that a pin or an earlier pull covers is always verified. With --server or --sign a reference that nothing covers is verified too, trusting the first root seen, which is then remembered. Otherwise the module is delivered unverified, and that is said.",
    "The file appears only after everything has matched.",
  ],
  examples: [
    ["wasm-to-oci pull ghcr.io/acme/hello:v1 --output hello.wasm", "pull, verified if the repository is pinned"],
    ["wasm-to-oci pull localhost:5000/hello:v1 --server https://localhost:4443", "pull and verify"],
    ["wasm-to-oci pull ghcr.io/acme/hello:v1 -o - | wasmtime -", "run without a file; nothing unverified leaves"],
    ["wasm-to-oci pull --locked --output wasm_modules", "in CI: everything that is locked, verified, or nothing"],
  ],
  json: "verification report",
  async run(context, { reference: given }, options) {
    const { out = given === undefined ? DEFAULT_DIRECTORY : DEFAULT_FILE } = options;
    const toStdout = out === "-";
    if (toStdout && (options.format === "json" || given === undefined)) {
      throw new UsageError("USAGE", "stdout cannot take both the module and the report, nor many modules", {
        hint: "Name a file with --output, or leave --format json out",
      });
    }
    const approvals = { store: openApprovalFile(trustDirectory(context, options.dir)), approve: options.approve };
    const use = await openLockfile(options);
    if (given === undefined) {
      if (use === undefined) {
        throw new UsageError("USAGE", "no REFERENCE was given, which only --locked and --frozen can do without", {
          hint: "Name what to pull: wasm-to-oci pull ghcr.io/acme/hello:v1",
        });
      }
      const pulled = await pullAll(context, options, use, out, () => ({ approvals }));
      return sayAll(context, use.path, pulled);
    }
    const reference = taggedReference(given);
    await withSession(context, { ...options, reference }, async (session) => {
      const locked = use && (await lockedPull(session, reference, use));
      const trust = locked === undefined ? await session.coverage(reference) : locked.trust;
      const report = await pull({
        runtime: session.runtime,
        registry: session.registry,
        cache: session.cache,
        offline: session.offline,
        reference: given,
        output: toStdout ? await stdoutOutput(context.out) : await fileOutput(out),
        trust,
        lock: locked?.lock,
        approvals,
        onProgress: session.onProgress,
        signal: context.signal,
      });
      sayPulled(context, report);
      if (trust !== undefined && report.trust !== undefined && !options.legacyNames) {
        const seen = { ...report.trust, name: report.trust.collection };
        await rememberCollection(context, session, repositoryName(reference), trust, seen);
      }
      if (context.out.format === "json") await context.out.json({ ...report, output: out });
    });
  },
});

/** The reports of many modules, in the order of the lockfile. */
async function sayAll(context: Context, lockfile: string, pulled: readonly PulledModule[]): Promise<void> {
  for (const { report } of pulled) sayPulled(context, report);
  if (context.out.format !== "json") return;
  await context.out.json({ lockfile, modules: pulled.map(({ report, output }) => ({ ...report, output })) });
}

/** In the words of the 2019 tool, and then what it did not say: which checks were made. */
function sayPulled(context: Context, report: VerificationReport): void {
  const { out } = context;
  const { reference, module, trust } = report;
  const hex = module.digest.slice(module.digest.indexOf(":") + 1);
  out.info(`Pulled: ${reference}`);
  out.info(`Size: ${module.size}`);
  out.info(`Digest: ${module.digest}`);
  if (trust !== undefined) {
    out.info(`Pulled trust data for ${reference}, with role ${trust.role} - SHA256: ${hex}`);
    out.info(`Computed SHA: ${hex}`);
    out.info(`The SHA sums are equal: ${hex}`);
    for (const line of checkLines(report)) out.info(line);
  }
  sayNotes(context, report.notes);
}
