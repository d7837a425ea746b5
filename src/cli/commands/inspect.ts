import { inspect, type InspectedExtern, type Inspection } from "../../inspect.ts";
import { openModuleFile } from "../../node/files.ts";
import { defineCommand } from "../command.ts";
import { isModulePath } from "../module-path.ts";
import { argument, flag } from "../options.ts";
import { formatSize } from "../progress.ts";
import { sayNotes } from "../reports.ts";
import { parseReference } from "../../oci/reference.ts";
import type { SignedContract } from "../../signed-contract.ts";
import { withSession } from "../session.ts";
import {
  directoryOptions,
  outputOptions,
  pinOptions,
  registryOptions,
  trustReadingOptions,
} from "../shared-options.ts";

export const inspectCommand = defineCommand({
  arguments: { source: argument("MODULE|REFERENCE", "a .wasm file, or [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]") },
  options: {
    deep: flag("--deep", "read the module itself even where the artifact's config says enough, and compare the two"),
    sign: flag("--sign", "show the signed contract too: from the registry itself, unless a pin or a flag says where"),
    ...trustReadingOptions,
    ...pinOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "What starts with a dot or slash, ends in .wasm, or exists as a file is a file; all else is a reference. Nothing is verified but digests: use `wasm-to-oci verify` to know whose module it is.",
    "Of a reference that a pin or a flag covers, the signed contract is shown beside what the module says itself.",
  ],
  examples: [
    ["wasm-to-oci inspect hello.wasm", "imports, exports and sections of a file"],
    ["wasm-to-oci inspect ghcr.io/acme/hello:v1", "the same from a registry, without the module where possible"],
  ],
  json: "inspect",
  async run(context, { source }, options) {
    const { out, signal } = context;
    const file = await isModulePath(source);
    const reference = file ? undefined : parseReference(source);
    await withSession(context, { ...options, reference }, async (session) => {
      const { runtime, registry, onProgress } = session;
      const trust = reference && (await session.coverage(reference));
      const inspection = file
        ? await inspect({ runtime, module: { name: source, body: await openModuleFile(source) }, onProgress })
        : await inspect({ registry, reference: source, trust, deep: options.deep, onProgress, signal });
      sayNotes(context, inspection.notes);
      if (out.format === "json") await out.json(inspection);
      else await out.lines(describe(inspection));
    });
  },
});

function describe(inspection: Inspection): string[] {
  const { subject, from, module, artifact, kind, imports, exports, binary, signed } = inspection;
  const lines = [
    `Subject: ${subject}`,
    `Kind: ${kind}${binary === undefined ? "" : (binary.wasi?.map((name) => `, ${name}`).join("") ?? "")}`,
    `Digest: ${module.digest}`,
    `Size: ${module.size} (${formatSize(module.size)})`,
  ];
  if (artifact !== undefined) {
    lines.push(`Artifact: ${artifact.digest} (${artifact.format})`);
    if (artifact.created !== undefined) lines.push(`Created: ${artifact.created}`);
    for (const [key, text] of Object.entries(artifact.annotations)) lines.push(`Annotation: ${key}=${text}`);
  }
  if (signed !== undefined) lines.push(...describeSigned(signed));
  if (from === "config") lines.push("Source: the artifact's config");
  if (binary?.name !== undefined) lines.push(`Name: ${binary.name}`);
  for (const { field, values } of binary?.producers ?? []) {
    lines.push(`Producer: ${field} ${values.map(({ name, version }) => `${name} ${version}`.trim()).join(", ")}`);
  }
  lines.push(`Imports: ${imports.length}`, ...imports.map(externLine));
  lines.push(`Exports: ${exports.length}`, ...exports.map(externLine));
  for (const { name, size } of binary?.customSections ?? [])
    lines.push(`Custom section: ${name} (${formatSize(size)})`);
  return lines;
}

const AGREEMENT: Readonly<Record<SignedContract["agreement"], string>> = {
  kept: "what the module does",
  broken: "NOT what the module does",
  "not-compared": "not compared with the module; use --deep",
  "no-contract": "says nothing of imports and exports",
};

function describeSigned({ target, role, contract, agreement }: SignedContract): string[] {
  const names =
    contract === undefined ? "" : `${contract.imports.length} imports, ${contract.exports.length} exports, `;
  return [
    `Signed: ${target} by ${role}, ${names}${AGREEMENT[agreement]}`,
    ...(contract?.imports.map((name) => `  imports ${name}`) ?? []),
    ...(contract?.exports.map((name) => `  exports ${name}`) ?? []),
    ...(contract?.truncated === true ? ["  and more, of which only a digest is signed"] : []),
  ];
}

function externLine({ module, name, kind }: InspectedExtern): string {
  return `  ${module === undefined ? "" : `${module} `}${name}${kind === undefined ? "" : ` (${kind})`}`;
}
