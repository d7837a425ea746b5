import { expect, test } from "vitest";
import { signMessage } from "../../src/tuf/keys.ts";
import { encodeMetadata, signedMessage } from "../../src/tuf/metadata.ts";
import { readBase } from "../../src/tuf/publish.ts";
import { codeOf } from "../support/error-code.ts";
import { add, Rig } from "../support/tuf-publishing.ts";

test(
  "a publisher follows 4096 roots from the one that it trusts, and not without end",
  { timeout: 120_000 },
  async () => {
    const rig = await Rig.make();
    const { files } = rig.store;
    const { signed } = (await readBase(rig.access, undefined)).root;
    for (let version = 2; version <= 4098; version++) {
      const next = { ...signed, version };
      const message = signedMessage(next);
      const signature = await signMessage(rig.root.key, rig.root.signer, message);
      files.set(`${version}.root.json`, encodeMetadata(next, [signature], message));
    }
    expect(await codeOf(() => readBase(rig.access, undefined))).toBe("LIMIT_EXCEEDED");
    files.delete("4098.root.json");
    expect((await readBase(rig.access, undefined)).root.signed.version).toBe(4097);
    rig.anchor = files.get("4097.root.json");
    await rig.publish([add("x")]);
    expect(await rig.find("x")).toBeDefined();
  },
);
