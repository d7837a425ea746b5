import { errorCode, TrustError, UsageError } from "../../base/errors.ts";
import type { Administered } from "../../trust/administration.ts";
import type { TufAdministration } from "../../trust/tuf/administration.ts";
import { describeKey } from "../../tuf/requirement-text.ts";
import type { StagedReview } from "../../tuf/staged.ts";
import {
  repositoryArgument,
  reportChange,
  requireTuf,
  trustOptions,
  withCollection,
  type Reached,
} from "../collection.ts";
import { defineCommand, type Context } from "../command.ts";
import { confirmed, yesOption } from "../confirm.ts";
import { flag, value, type OptionValues } from "../options.ts";
import { rememberCollection } from "../reports.ts";
import { missingLines, reviewLines, stagedDocument } from "../staged-text.ts";

const options = {
  review: flag("--review", "only show what is staged and who still has to sign"),
  digest: value("--digest HEX", "sign without a question, if what is staged has this digest still", parseDigest),
  drop: flag("--drop", "forget what is staged instead"),
  noPublish: flag("--no-publish", "leave it staged, even with all its signatures"),
  yes: yesOption,
  ...trustOptions,
};

export const trustSignCommand = defineCommand({
  arguments: { repository: repositoryArgument },
  options,
  about: [
    "Shows everything that a staged change would do and who still has to sign it, asks, and adds the signatures of the keys here. With the last signature it is published, if the keys of snapshot and timestamp are here.",
    "What is shown is worked out here from the published state. To sign where nobody can be asked, give the digest that a review has shown.",
  ],
  examples: [
    ["wasm-to-oci trust sign ghcr.io/acme/app", "review, then sign"],
    ["wasm-to-oci trust sign ghcr.io/acme/app --review", "see who still has to sign"],
    ["wasm-to-oci trust sign ghcr.io/acme/app --drop", "give the change up"],
  ],
  json: "trust sign",
  async run(context, { repository }, given) {
    await withCollection(context, given, repository, async (reached) => {
      const tuf = requireTuf(reached, "signing together");
      const { collection, reach } = reached;
      if (given.drop) return drop(context, reached, tuf, given.yes);
      const review = await tuf.review(collection, reach);
      if (review === undefined) {
        throw new UsageError("USAGE", `nothing is staged for ${collection}`, {
          hint: "Prepare a change with --stage, for example: wasm-to-oci trust threshold",
        });
      }
      if (context.out.format === "text") await context.out.lines(reviewLines(collection, review));
      const isNew = await noteCollection(context, reached);
      if (!given.review) return signReviewed(context, reached, tuf, { ...given, isNew }, review);
      if (context.out.format === "json") await context.out.json({ collection, staged: stagedDocument(review) });
    });
  },
});

/**
 * Whoever signs upon a state that nothing vouches for should know: what is shown is a change of that state.
 *
 * @returns whether there is no collection yet
 */
async function noteCollection(context: Context, reached: Reached): Promise<boolean> {
  const { collection, reach, session, repository, coverage, source } = reached;
  try {
    const seen = await source.open(collection, { ...reach, firstUse: coverage.firstUse, names: [] });
    await rememberCollection(context, session, repository, coverage, seen);
    return false;
  } catch (error) {
    const code = errorCode(error);
    if (code !== "TRUST_NOT_FOUND" && code !== "METADATA_EXPIRED") throw error;
    return code === "TRUST_NOT_FOUND";
  }
}

async function drop(context: Context, { collection }: Reached, tuf: TufAdministration, yes: boolean): Promise<void> {
  if (!(await confirmed(context, `Forget what is staged for ${collection}?`, yes))) {
    throw new UsageError("USAGE", "nothing was changed");
  }
  await tuf.dropStaged();
  context.out.info(`Nothing is staged for ${collection} any more`);
  if (context.out.format === "json") await context.out.json({ collection, staged: null });
}

async function signReviewed(
  context: Context,
  reached: Reached,
  tuf: TufAdministration,
  given: OptionValues<typeof options> & { readonly isNew: boolean },
  review: StagedReview,
): Promise<void> {
  const { collection, reach } = reached;
  const wanted = await tuf.wantedKeys(review);
  const isComplete = review.missing.length === 0;
  if (!isComplete && wanted.length === 0) {
    throw new TrustError("KEY_MISSING", `no key here is wanted for what is staged for ${collection}`, {
      hint: missingLines(review.missing)
        .map((line) => line.trim())
        .join(" "),
      details: { missing: review.missing },
    });
  }
  if (isComplete && given.noPublish) return reportSigned(context, collection, review);
  if (given.digest !== undefined && given.digest !== review.digest) {
    throw new TrustError(
      "TRUST_CONFLICT",
      `what is staged for ${collection} is not what has the digest ${given.digest}`,
      {
        hint: "Look at it again before signing; nothing was signed",
        details: { expected: given.digest, got: review.digest },
      },
    );
  }
  const keys = (await Promise.all(wanted.map(describeKey))).join(", ");
  const question = isComplete ? `Publish this change of ${collection}?` : `Sign this with ${keys}?`;
  if (!(await confirmed(context, question, given.yes || given.digest !== undefined))) {
    throw new UsageError("USAGE", "nothing was signed");
  }
  const signed = isComplete ? review : await tuf.sign(collection, review, reach);
  if (!isComplete) context.out.info(`Signed with ${keys}`);
  const published =
    signed.missing.length > 0 || given.noPublish ? undefined : await publish(context, reached, tuf, given.isNew);
  if (published === undefined) return reportSigned(context, collection, signed);
  await reportChange(context, reached, published);
}

/** @returns undefined where somebody else must publish */
async function publish(
  context: Context,
  reached: Reached,
  tuf: TufAdministration,
  isNew: boolean,
): Promise<Administered | undefined> {
  const { collection, reach, session, repository, coverage } = reached;
  try {
    const published = await tuf.publishStaged(collection, reach);
    const seen = { ...published.collection, firstUse: false }; // what is published was reviewed here
    if (isNew) await rememberCollection(context, session, repository, coverage, seen, true);
    return published;
  } catch (error) {
    if (errorCode(error) !== "KEY_MISSING") throw error;
    context.out.warn(
      "the keys of snapshot and timestamp are not here: whoever has them publishes with the same command",
    );
    return undefined;
  }
}

async function reportSigned({ out }: Context, collection: string, review: StagedReview): Promise<void> {
  if (out.format === "json") return out.json({ collection, published: [], staged: stagedDocument(review) });
  for (const line of missingLines(review.missing)) out.info(line);
}

function parseDigest(input: string): string {
  if (/^[0-9a-f]{64}$/.test(input)) return input;
  throw new UsageError("USAGE", `${JSON.stringify(input)} is no digest of a review`, {
    hint: "Give all of the 64 digits that --review shows",
  });
}
