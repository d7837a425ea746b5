import { ownBytes } from "../../base/bytes.ts";
import { StorageError } from "../../base/errors.ts";
import { readRegularFile } from "../../node/regular-file.ts";
import { repositoryName, taggedReference } from "../../oci/tagged-reference.ts";
import { pushPolicy } from "../../push-policy.ts";
import { MAX_POLICY_BYTES } from "../../trust/policy/policy.ts";
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

export const policyPushCommand = defineCommand({
  arguments: {
    policy: argument("POLICY", "the policy's file"),
    reference: argument("REFERENCE", "where to: [HOST[:PORT]/]REPOSITORY:TAG"),
  },
  options: {
    roles: list("--role ROLE", "sign in this role", nonEmpty),
    ...trustServerOptions,
    ...creatingOptions,
    ...pinOptions,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Uploads a policy and signs it under its tag, in the registry itself unless told otherwise. Consumers keep a small file that names the reference and the root keys instead of a policy of their own; see docs/concepts/policy.md.",
  ],
  examples: [["wasm-to-oci policy push policy.json ghcr.io/acme/policy:v1", "publish what all machines shall follow"]],
  json: "policy push",
  async run(context, { policy: path, reference: given }, options) {
    const { out, signal } = context;
    const reference = taggedReference(given);
    const policy = await readRegularFile(path, MAX_POLICY_BYTES);
    if (policy === undefined) throw new StorageError("FILE_NOT_FOUND", `there is no policy ${path}`);
    await withSession(context, { ...options, reference, sign: true }, async (session) => {
      const signing = { ...(await session.requiredCoverage(reference)), signal };
      const report = await pushPolicy({
        registry: session.registry,
        reference: given,
        policy: ownBytes(policy),
        sign: { ...signing, roles: options.roles.length === 0 ? undefined : options.roles },
        signal,
      });
      const { collection, created } = report.signed;
      await rememberCollection(context, session, repositoryName(reference), signing, collection, created);
      sayLifetime(context, repositoryName(reference), report.signed, signing.source.kind);
      if (out.format === "text") return out.lines([report.policy.digest]);
      const { name, rootKeys } = collection;
      return out.json({
        ...report,
        signed: { collection: name, created, rootKeys, freshUntil: report.signed.freshUntil },
      });
    });
  },
});
