import { repositoryName, taggedReference } from "../../oci/tagged-reference.ts";
import { sign, stageSignature } from "../../sign.ts";
import { reportChange, requireTuf, stageOption, withCollection } from "../collection.ts";
import { defineCommand } from "../command.ts";
import { argument, list, nonEmpty } from "../options.ts";
import { rememberCollection, sayLifetime } from "../reports.ts";
import { withSession } from "../session.ts";
import {
  creatingOptions,
  directoryOptions,
  outputOptions,
  pinOptions,
  registryOptions,
  trustServerOptions,
} from "../shared-options.ts";

export const signCommand = defineCommand({
  arguments: {
    reference: argument(
      "REFERENCE",
      "what: [HOST[:PORT]/]REPOSITORY:TAG[@DIGEST]; with a digest, nothing else is signed",
    ),
  },
  options: {
    ...trustServerOptions,
    roles: list("-r, --role ROLE", "sign as this delegation instead, e.g. targets/releases", nonEmpty),
    ...stageOption,
    ...creatingOptions,
    ...pinOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Reads the module once from the registry, so that what is signed are bytes that exist and are a module.",
    "Where the role needs the keys of several people, push unsigned and --stage the signature: each of them reviews and adds theirs with `wasm-to-oci trust sign`, and the last one publishes it.",
  ],
  examples: [
    ["wasm-to-oci sign localhost:5000/hello:v1 --server https://localhost:4443", "sign what was pushed unsigned"],
    ["wasm-to-oci sign ghcr.io/acme/app:v1 --stage", "two people must sign what is released"],
  ],
  json: "sign",
  async run(context, { reference: given }, options) {
    const { out } = context;
    const reference = taggedReference(given);
    const roles = options.roles.length === 0 ? undefined : options.roles;
    if (options.stage) {
      return withCollection(context, options, given, async (reached) => {
        const { runtime, registry, onProgress } = reached.session;
        const { signal } = context;
        const { staged, ...signed } = await stageSignature(
          { runtime, registry, reference: given, sign: { ...reached.coverage, roles, signal }, onProgress, signal },
          requireTuf(reached, "--stage"),
        );
        await reportChange(context, reached, { staged }, signed);
      });
    }
    await withSession(context, { ...options, reference, sign: true }, async (session) => {
      const signing = { ...(await session.requiredCoverage(reference)), signal: context.signal };
      const report = await sign({
        runtime: session.runtime,
        registry: session.registry,
        reference: given,
        sign: { ...signing, roles },
        onProgress: session.onProgress,
        signal: context.signal,
      });
      const { signed, module, artifact } = report;
      const { collection, created } = signed;
      await rememberCollection(context, session, repositoryName(reference), signing, collection, created);
      out.info(`Pushed trust data for ${report.reference}: ${module.digest.slice(module.digest.indexOf(":") + 1)}`);
      sayLifetime(context, repositoryName(reference), signed, signing.source.kind);
      if (out.format === "text") return out.lines([`${repositoryName(reference)}@${artifact.digest}`]);
      return out.json({
        reference: report.reference,
        module,
        artifact,
        signed: {
          collection: signing.collection,
          target: reference.tag,
          created: signed.created,
          freshUntil: signed.freshUntil,
          roles: signed.collection.roles,
          rootKeys: signed.collection.rootKeys,
        },
      });
    });
  },
});
