import { UsageError } from "../../base/errors.ts";
import {
  repositoryArgument,
  reportChange,
  requireTuf,
  stageOption,
  trustOptions,
  withCollection,
} from "../collection.ts";
import { defineCommand } from "../command.ts";
import { confirmed, yesOption } from "../confirm.ts";
import { KEY_FORMS, newKeyOptions, readKeyChoice } from "../key-choice-option.ts";
import { argument, flag, nonEmpty, value } from "../options.ts";
import { keyDocument } from "./trust-rotate.ts";

export const trustRevokeCommand = defineCommand({
  arguments: {
    repository: repositoryArgument,
    key: argument("KEY", "the key: its owner, or the first digits of its fingerprint or id"),
  },
  options: {
    replacement: value("--replace-with KEY", `takes its place everywhere: ${KEY_FORMS}`, nonEmpty),
    compromised: flag(
      "--compromised",
      "the key was stolen: let versions of snapshot and timestamp that it may have pushed up start anew",
    ),
    yes: yesOption,
    ...newKeyOptions,
    ...stageOption,
    ...trustOptions,
  },
  about: [
    "Takes a key out of every role. What it alone had signed is signed again, so look at it first (`wasm-to-oci trust show`): a thief may have put names there. A role needs as many keys as before; give its only one a replacement.",
    "Readers forget versions only where no key that signed them counts any more. So --compromised takes all other keys of snapshot and timestamp out as well; add those of other publishers again afterwards (`wasm-to-oci trust threshold --add`). Without it, versions go on above the thief's.",
    "With --compromised, a collection in a registry must be signed at once, where all keys for it are: others may stage it.",
  ],
  examples: [
    ["wasm-to-oci trust revoke ghcr.io/acme/app alice", "alice has left"],
    ["wasm-to-oci trust revoke ghcr.io/acme/app 5d1e0ab3 --replace-with new --compromised", "a key of CI was stolen"],
  ],
  json: "trust changes",
  async run(context, { repository, key }, options) {
    const { replacement, compromised, stage, algorithm } = options;
    await withCollection(context, options, repository, async (reached) => {
      const tuf = requireTuf(reached, "revoking a key");
      const { collection, reach, session } = reached;
      if (!(await confirmed(context, `Take the key ${key} out of every role of ${collection}?`, options.yes))) {
        throw new UsageError("USAGE", "nothing was changed");
      }
      const chosen = replacement === undefined ? [] : await readKeyChoice(session.keys, replacement, algorithm);
      if (chosen.length > 1)
        throw new UsageError("USAGE", `${replacement!} holds several keys, and one takes the place of one`);
      const revoked = await tuf.revoke(collection, { ...reach, key, replacement: chosen[0], compromised, stage });
      await reportChange(context, reached, revoked, keyDocument(revoked));
      for (const { fingerprint } of revoked.newKeys) context.out.info(`New key: ${fingerprint}`);
    });
  },
});
