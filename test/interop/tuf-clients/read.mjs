// Reads targets with tuf-js: TUF_JS=<folder with tuf-js installed> read.mjs METADATA_URL TARGETS_URL ANCHOR DIRECTORY NAME…
// Prints {"name": sha256 of the downloaded content, or null where no role has it} as JSON. Status 1 on any error.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { Updater } = createRequire(join(process.env.TUF_JS, "read.js"))("tuf-js");
const [metadataBaseUrl, targetBaseUrl, anchor, directory, ...names] = process.argv.slice(2);
const metadataDir = join(directory, "metadata");
const targetDir = join(directory, "targets");
for (const folder of [metadataDir, targetDir]) mkdirSync(folder, { recursive: true });
const root = join(metadataDir, "root.json");
if (!existsSync(root)) copyFileSync(anchor, root);
const updater = new Updater({ metadataDir, metadataBaseUrl, targetDir, targetBaseUrl });
await updater.refresh();
const result = {};
for (const [index, name] of names.entries()) {
  const found = await updater.getTargetInfo(name);
  const path = found && (await updater.downloadTarget(found, join(targetDir, String(index))));
  result[name] = path === undefined ? null : createHash("sha256").update(readFileSync(path)).digest("hex");
}
console.log(JSON.stringify(result));
