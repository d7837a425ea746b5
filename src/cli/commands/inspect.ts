import { lstat } from "node:fs/promises";
import { inspect, type InspectedExtern, type Inspection } from "../../inspect.ts";
import { openModuleFile } from "../../node/files.ts";
import { defineCommand } from "../command.ts";
import { argument, flag } from "../options.ts";
import { formatSize } from "../progress.ts";
import { sayNotes } from "../reports.ts";
import { parseReference } from "../../oci/reference.ts";
import { withSession } from "../session.ts";
import { outputOptions, registryOptions } from "../shared-options.ts";

export const inspectCommand = defineCommand({
  arguments: { source: argument("MODULE|REFERENCE", "a .wasm file, or [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]") },
  options: {
    deep: flag("--deep", "read the module itself even where the artifact's config says enough, and compare the two"),
    ...registryOptions,
    ...outputOptions,
  },
  about: [
    "What starts with a dot or slash, ends in .wasm, or exists as a file is a file; all else is a reference. Nothing is verified but digests: use `wasm-to-oci verify` to know whose module it is.",
  ],
  examples: [
    ["wasm-to-oci inspect hello.wasm", "imports, exports and sections of a file"],
    ["wasm-to-oci inspect ghcr.io/acme/hello:v1", "the same from a registry, without the module where possible"],
  ],
  json: "inspect",
  async run(context, { source }, options) {
    const { out, signal } = context;
    const file = await isFile(source);
    const reference = file ? undefined : parseReference(source);
    await withSession(context, { ...options, reference }, async ({ runtime, registry, onProgress }) => {
      const inspection = file
        ? await inspect({ runtime, module: { name: source, body: await openModuleFile(source) }, onProgress })
        : await inspect({ registry, reference: source, deep: options.deep, onProgress, signal });
      sayNotes(context, inspection.notes);
      if (out.format === "json") await out.json(inspection);
      else await out.lines(describe(inspection));
    });
  },
});

async function isFile(source: string): Promise<boolean> {
  if (/^[./]|\.wasm$/.test(source)) return true;
  try {
    await lstat(source);
    return true;
  } catch {
    return false; // then it can only be a reference, and if it is none either, that error says so
  }
}

function describe({ subject, from, module, artifact, kind, imports, exports, binary }: Inspection): string[] {
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

function externLine({ module, name, kind }: InspectedExtern): string {
  return `  ${module === undefined ? "" : `${module} `}${name}${kind === undefined ? "" : ` (${kind})`}`;
}
