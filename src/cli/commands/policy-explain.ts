import { repositoryName, taggedReference, type TaggedReference } from "../../oci/tagged-reference.ts";
import { targetName, type Coverage } from "../../trust/coverage.ts";
import { pinParts } from "../../trust/pin.ts";
import { matchPin, type PinMatch, type PinnedSource } from "../../trust/pins.ts";
import { formatPlace } from "../../trust/place.ts";
import type { PolicyMatch } from "../../trust/policy/match.ts";
import type { TrustRules } from "../../trust/policy/rules.ts";
import type { Freshness } from "../../tuf/client.ts";
import { defineCommand } from "../command.ts";
import { argument, flag } from "../options.ts";

import { withSession } from "../session.ts";
import { directoryOptions, outputOptions, pinOptions, trustReadingOptions } from "../shared-options.ts";
import { describePin } from "./trust-pin.ts";

export const policyExplainCommand = defineCommand({
  arguments: { reference: argument("REFERENCE", "[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]") },
  options: {
    sign: flag("--sign", "as with pull: what would then be demanded"),
    ...trustReadingOptions,
    ...pinOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Shows which entry of the policy decides for a reference, which others match and are passed over, and what will be demanded of it by policy, pins and options together. Nobody is asked, but for a policy that is itself fetched: `wasm-to-oci explain` also verifies.",
  ],
  examples: [["wasm-to-oci policy explain ghcr.io/acme/app:v1", "which entry decides, and from which line?"]],
  json: "policy explain",
  async run(context, { reference: given }, options) {
    const { out } = context;
    const reference = taggedReference(given);
    const repository = repositoryName(reference);
    await withSession(context, { ...options, reference }, async (session) => {
      const policy = await session.policy();
      const match = policy?.index.match(repository);
      const pinned = matchPin(await session.pins.list(), repository);
      const coverage = await session.coverage(reference);
      const mirrors = session.place === undefined ? (match?.entry.sources ?? []).slice(1).map(placeText) : [];
      if (out.format === "json") {
        return out.json({
          policy: policy?.path ?? null,
          reference: given,
          repository,
          entry: match === undefined ? null : entryDocument(match),
          passedOver: (match?.passedOver ?? []).map(({ pattern, origin }) => ({ pattern: pattern.text, origin })),
          demands: coverage === undefined ? null : { ...demandsDocument(coverage, reference), mirrors },
        });
      }
      return out.lines([
        `Policy: ${policy?.path ?? "none"}`,
        `Reference: ${given}, looked up as ${repository}`,
        ...describeMatch(match, pinned),
        ...(coverage === undefined
          ? ["Nothing covers it: a pull delivers it unverified, and says so"]
          : ["Demanded:", ...describeDemands(coverage, reference, mirrors).map((line) => `  ${line}`)]),
      ]);
    });
  },
});

function describeMatch(match: PolicyMatch | undefined, pinned: PinMatch | undefined): string[] {
  const pin =
    pinned && `Pin: ${pinned.entry.pattern}, whose keys must hold ${match === undefined ? "" : "too"}`.trimEnd();
  const lines = pin === undefined ? [] : [pin];
  if (match === undefined) return ["Decided by: no entry of a policy matches", ...lines];
  const { entry, rest, passedOver } = match;
  const stands = rest === undefined ? "" : `; {rest} is ${rest}`;
  return [
    `Decided by: ${entry.pattern.text} (${entry.origin})${stands}`,
    ...(entry.comment === undefined ? [] : [`Comment: ${entry.comment}`]),
    ...passedOver.map(({ pattern, origin }) => `Passed over, less specific: ${pattern.text} (${origin})`),
    ...lines,
  ];
}

const WITHOUT_TRUST_DATA: Readonly<Record<TrustRules["missing"], string>> = {
  reject: "refuse",
  warn: "deliver unverified, with a warning",
  accept: "deliver unverified",
};

function placeText(place: PinnedSource): string {
  return place.kind === "notary" ? place.server : formatPlace(place);
}

function describeDemands(coverage: Coverage, { tag }: TaggedReference, mirrors: readonly string[]): string[] {
  const { source, collection, pin, firstUse, freshness, rules } = coverage;
  const first =
    firstUse === "accept" ? "the first one seen, from then on" : "the one stored here; a first use is refused";
  const lines = [
    `collection: ${collection}, for this tag the name ${targetName(coverage, tag)}`,
    `trust data: ${source.location} (${source.kind})`,
    ...mirrors.map((mirror) => `trust data, where that cannot be reached: ${mirror}`),
    `root: ${pin === undefined ? first : pinParts(pin).map(describePin).join("; and ")}`,
    `freshness: ${describeFreshness(freshness)}`,
  ];
  return rules === undefined ? lines : [...lines, ...describeRules(rules)];
}

function describeRules(rules: TrustRules): string[] {
  const { roles, verified, formats, kinds, maxSize, imports, widening, missing } = rules;
  const wanted: readonly (readonly [string, string | undefined])[] = [
    ["signed by", roles?.join(" or ")],
    ["signed", verified === "artifact" ? "the artifact, not only the module" : undefined],
    ["layout", formats?.join(" or ")],
    ["kind", kinds?.join(" or ")],
    ["size", maxSize === undefined ? undefined : `at most ${maxSize} bytes`],
    ["imports denied", imports?.deny?.join(", ")],
    ["imports allowed", imports?.allow === undefined ? undefined : imports.allow.join(", ") || "none"],
    ["wider contracts", widening === "approve" ? "need approval" : undefined],
    ["without trust data", WITHOUT_TRUST_DATA[missing]],
  ];
  return wanted.flatMap(([what, text]) => (text === undefined ? [] : [`${what}: ${text}`]));
}

function describeFreshness(freshness: Freshness | undefined): string {
  if (freshness?.mode === "max-age") return `checked online within the last ${freshness.seconds} seconds`;
  return freshness?.mode === "offline" ? "as stored here" : "checked online, always";
}

function entryDocument({ entry, rest }: PolicyMatch): Record<string, unknown> {
  const { pattern, origin, comment } = entry;
  return { pattern: pattern.text, origin, comment, rest };
}

function demandsDocument(coverage: Coverage, { tag }: TaggedReference): Record<string, unknown> {
  const { source, collection, reason, pin, firstUse, freshness, rules } = coverage;
  return {
    reason,
    collection,
    target: targetName(coverage, tag),
    source: { kind: source.kind, location: source.location },
    pins: pinParts(pin),
    firstUse,
    freshness: freshness ?? { mode: "online" },
    rules: rules ?? null,
  };
}
