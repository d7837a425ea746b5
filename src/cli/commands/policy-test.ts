import { TrustError, UsageError } from "../../base/errors.ts";
import { openModuleFile } from "../../node/files.ts";
import { nodeHasher } from "../../node/hasher.ts";
import { parseReference } from "../../oci/reference.ts";
import { readModule } from "../../read-module.ts";
import { fullContract } from "../../trust/contract/contract.ts";
import { POLICY_OUTCOMES, runPolicyTest, type PolicyTest, type TestedModule } from "../../trust/policy/tests.ts";
import { defineCommand, type Context } from "../command.ts";
import { nonEmpty, oneOf, value, variadic } from "../options.ts";
import { withSession } from "../session.ts";
import { directoryOptions, outputOptions, policyOptions } from "../shared-options.ts";
import { trustDirectory } from "../trust-directory.ts";

export const policyTestCommand = defineCommand({
  arguments: {
    cases: variadic("REFERENCE=OUTCOME", `what must be decided: ${POLICY_OUTCOMES.join(", ")}`, "some"),
  },
  options: {
    module: value("--module FILE", "hold the policy's rules against this module in the cases given here", nonEmpty),
    ...policyOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Loads the policy and every root file that it names, which finds faults and ties, and then compares what it decides with the tests that it carries and with those given here. `verify`: an entry decides and no rule refuses; `refuse`: a rule refuses; `uncovered`: no entry matches. Nobody is asked, but for a policy that is itself fetched.",
    "A test in the policy has `reference`, `expect`, and as it likes `pattern` of the entry that must decide and `module` with `role`, `format`, `verified`, `kind`, `size`, `imports`.",
  ],
  examples: [
    ["wasm-to-oci policy test", "run the tests that the policy carries"],
    ["wasm-to-oci policy test ghcr.io/acme/app=verify evil.example/app=uncovered", "ask about two references"],
    ["wasm-to-oci policy test --module app.wasm ghcr.io/acme/app=refuse", "would this module be refused?"],
  ],
  json: "policy test",
  async run(context, { cases }, options) {
    const { out } = context;
    const policy = await withSession(context, options, async (session) => {
      const found = await session.policy();
      await found?.readRootFiles();
      return found;
    });
    if (policy === undefined) {
      const dir = trustDirectory(context, options.dir);
      throw new UsageError("USAGE", `there is no policy in ${dir}`, { hint: "Name one with --policy FILE" });
    }
    const module = options.module === undefined ? undefined : await readFacts(context, options.module);
    const given = cases.map((text) => ({ ...readCase(text), module }));
    const results = [...policy.index.policy.tests, ...given].map((test) => runPolicyTest(policy.index, test));
    const failed = results.filter(({ passed }) => !passed);
    if (out.format === "json") {
      await out.json({
        policy: policy.path,
        entries: policy.index.policy.entries.length,
        failed: failed.length,
        results,
      });
    } else if (results.length > 0) {
      await out.table(
        ["RESULT", "REFERENCE", "EXPECTED", "DECIDED", "BY"],
        results.map(({ passed, reference, expected, outcome, pattern, origin }) => [
          passed ? "ok" : "FAILED",
          reference,
          expected,
          outcome,
          pattern === undefined ? "-" : `${pattern} (${origin ?? ""})`,
        ]),
      );
      for (const { reference, reason } of failed) if (reason !== undefined) out.info(`${reference}: ${reason}`);
    }
    if (failed.length > 0) {
      throw new TrustError(
        "POLICY_TEST_FAILED",
        `${failed.length} of ${results.length} tests of ${policy.path} failed`,
        {
          hint: "`wasm-to-oci policy explain REFERENCE` shows which entry decides and what it demands",
          details: { policy: policy.path, failed: failed.map(({ reference }) => reference) },
        },
      );
    }
    out.info(`${policy.path} is sound: ${policy.index.policy.entries.length} entries, ${results.length} tests passed`);
  },
});

function readCase(text: string): PolicyTest {
  const at = text.lastIndexOf("=");
  if (at === -1) {
    throw new UsageError("USAGE", `${JSON.stringify(text)} does not say what is expected`, {
      hint: `Write REFERENCE=OUTCOME, for example ${text}=verify`,
    });
  }
  const reference = text.slice(0, at);
  parseReference(reference);
  return { reference, expect: oneOf(POLICY_OUTCOMES)(text.slice(at + 1)) };
}

/** What a file says of itself; who signed it and in which layout is another question. */
async function readFacts({ now }: Context, path: string): Promise<TestedModule> {
  const body = await openModuleFile(path);
  const transport = () => Promise.reject(new Error("a policy is tested without a network"));
  const { info, size } = await readModule({ name: path, body }, { transport, createHasher: nodeHasher, now });
  const { kind, imports } = await fullContract(info);
  return { kind, imports, size };
}
