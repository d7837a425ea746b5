import type { Bytes } from "../../base/bytes.ts";
import { utf8Encode } from "../../base/bytes.ts";
import { saveBundle, type BundleItem } from "../../bundle-save.ts";
import { openBundleTrust } from "../../node/bundle-trust.ts";
import { collectTrust } from "../../node/collect-trust.ts";
import { dockerCredentials } from "../../node/docker-credentials.ts";
import { createLayoutArchive } from "../../node/layout-archive-output.ts";
import { openStateSource } from "../../node/state-source.ts";
import { parseReference } from "../../oci/reference.ts";
import { taggedReference, type TaggedReference } from "../../oci/tagged-reference.ts";
import { parsePolicy } from "../../trust/policy/policy.ts";
import { defineCommand, type Context } from "../command.ts";
import { readTextFile } from "../input-file.ts";
import { flag, nonEmpty, value, variadic } from "../options.ts";
import { sayNotes } from "../reports.ts";
import { withSession, type Session } from "../session.ts";
import { directoryOptions, outputOptions, pinOptions, registryOptions, trustServerOptions } from "../shared-options.ts";
import { trustDirectory } from "../trust-directory.ts";

export const bundleSaveCommand = defineCommand({
  arguments: { references: variadic("REFERENCE", "modules to save: [HOST[:PORT]/]REPOSITORY[:TAG]") },
  options: {
    out: value("-o, --out, --output FILE", "the bundle to write", nonEmpty, { initial: "bundle.tar" }),
    includePolicy: value("--include-policy FILE", "send this policy along", nonEmpty),
    sign: flag("--sign", "verify each module before, also where no pin covers it"),
    ...trustServerOptions,
    ...pinOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Writes one OCI layout archive with the modules, what is attached to them, and their whole trust data, wherever that is kept: in the registry, on a Notary server or in a TUF repository. The same content gives the same bytes.",
    "What a pin covers is verified first. The archive appears whole or not at all; one of the same name is replaced.",
  ],
  examples: [
    ["wasm-to-oci bundle save ghcr.io/acme/app:v1 ghcr.io/acme/lib:v3 -o acme.tar", "save two modules"],
    [
      "wasm-to-oci bundle save localhost:5000/app:v1 --server https://localhost:4443",
      "save what a Notary server signs",
    ],
  ],
  json: "bundle save",
  async run(context, { references }, options) {
    const { out } = context;
    const wanted = references.map(taggedReference);
    const policy = options.includePolicy === undefined ? undefined : await readPolicy(options.includePolicy);
    await withSession(context, { ...options, reference: wanted[0] }, async (session) => {
      const items: BundleItem[] = [];
      for (const reference of wanted) items.push(await bundleItem(context, session, reference, options.dir));
      const archive = await createLayoutArchive(options.out, { fresh: true });
      try {
        const reports = await saveBundle({
          runtime: session.runtime,
          registry: session.registry,
          files: archive.files,
          items,
          policy,
          onProgress: session.onProgress,
          signal: context.signal,
        });
        await archive.commit();
        sayNotes(
          context,
          reports.flatMap(({ notes }) => notes),
        );
        const modules = reports.flatMap(({ source, tags, trust }) =>
          tags.map((tag) => ({ repository: source, ...tag, trust })),
        );
        if (out.format === "json") return out.json({ output: options.out, modules, policy: policy !== undefined });
        out.info(`Saved: ${options.out}`);
        await out.table(
          ["MODULE", "VERIFIED", "TRUST DATA", "DIGEST"],
          modules.map(({ repository, tag, verified, trust, digest }) => [
            `${repository}:${tag}`,
            verified === "none" ? "unverified" : verified,
            trust.change === "none" ? "none" : (trust.collection ?? "of no name"),
            digest,
          ]),
        );
      } finally {
        await archive.discard();
      }
    });
  },
});

/** Decides how a module is verified, and fetches trust data that is not in the registry. */
async function bundleItem(
  context: Context,
  session: Session,
  reference: TaggedReference,
  given: string | undefined,
): Promise<BundleItem> {
  const trust = await session.coverage(reference);
  if (trust === undefined) return { reference };
  const dir = trustDirectory(context, given);
  const { location } = trust.source;
  const collected = await collectTrust({
    dir,
    trust,
    runtime: session.trustRuntime,
    credentials: dockerCredentials({ env: context.env }),
    signal: context.signal,
  });
  const openState = (files: ReadonlyMap<string, Bytes>) =>
    openStateSource({ dir, files, location, runtime: session.runtime });
  if (collected === undefined) {
    return {
      reference,
      trust,
      trustSource: session.registry.repository(parseReference(location.replace(/^oci:\/\//, ""))),
      openState,
    };
  }
  if (collected.kind === "tuf") return { reference, trust, carried: { files: collected.files }, openState };
  const source = await openBundleTrust({ dir, trust: collected, location, runtime: session.runtime });
  return { reference, trust: { ...trust, source }, notary: collected.state };
}

/** Read strictly before it travels: one that nobody can use is of no use there either. */
async function readPolicy(path: string): Promise<Bytes> {
  const text = await readTextFile(path);
  parsePolicy(text, { origin: path });
  return utf8Encode(text);
}
