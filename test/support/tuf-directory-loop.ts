/** Publishes one target after the other to the directory that it is given, with the same keys each time. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ownBytes } from "../../src/base/bytes.ts";
import { PrivateKey } from "../../src/keys/private-key.ts";
import { openTufDirectory } from "../../src/node/tuf-directory-publisher.ts";
import { newCollection } from "../../src/tuf/create.ts";
import { tufKeyOf } from "../../src/tuf/keys.ts";
import { publishChanges, publishNew } from "../../src/tuf/publish.ts";
import { add, environment, type Person } from "./tuf-publishing.ts";

const dir = process.argv[2]!;
const keyFile = `${dir}.key`;

async function loadPerson(): Promise<Person> {
  let signer: PrivateKey;
  try {
    signer = await PrivateKey.fromPkcs8(await readFile(keyFile));
  } catch {
    signer = await PrivateKey.generate("ed25519");
    await writeFile(keyFile, signer.toPkcs8());
  }
  return { signer, key: await tufKeyOf(signer.publicKey) };
}

const all = [await loadPerson()];
const store = openTufDirectory(dir);
const role = { keys: all.map(({ key }) => key) };
const roles = { root: role, targets: role, snapshot: role, timestamp: role };
try {
  await publishNew({ store, anchor: undefined }, newCollection({ roles }), environment(all));
} catch (error) {
  if ((error as { code?: string }).code !== "TRUST_EXISTS") throw error;
}
const anchor = ownBytes(await readFile(join(dir, "metadata", "1.root.json")));
for (;;) {
  const { collection } = await publishChanges(
    { store, anchor },
    (draft) => [add(`app/v${draft.base!.targets.get("targets")!.signed.targets.size}`)],
    environment(all),
  );
  process.stdout.write(`${collection.targets.get("targets")!.signed.targets.size - 1}\n`);
}
