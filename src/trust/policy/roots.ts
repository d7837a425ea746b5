/** Root files that a policy names: whose keys count, and how many of them. */
import type { Bytes } from "../../base/bytes.ts";
import { FormatError } from "../../base/errors.ts";
import { isJsonObject, parseJson, type JsonValue } from "../../base/json.ts";
import { readRoot } from "../../notary/metadata.ts";
import { resolveKeys } from "../../notary/public-keys.ts";
import { decodeDocument } from "../../notary/wire.ts";
import type { Pin } from "../pin.ts";
import { readRootFile } from "../root-file.ts";

/** As for any root document. */
export const MAX_ROOT_FILE_BYTES = 512_000;

/**
 * The pin that a root file stands for: as many of its keys must have signed a root as it demands itself. The file may
 * have expired; later roots are found from it.
 *
 * @param what names the file in messages
 * @throws {FormatError} METADATA_INVALID, JSON_INVALID; {TrustError} SIGNATURE_THRESHOLD
 */
export async function rootFilePin(bytes: Bytes, what: string): Promise<Pin> {
  const pin = isNotaryRoot(parseJson(bytes, { what })) ? await notaryPin(bytes) : (await readRootFile(bytes)).pin;
  const { fingerprints = [], threshold = 1 } = pin;
  if (fingerprints.length >= threshold) return pin;
  throw new FormatError(
    "METADATA_INVALID",
    `${what} demands ${threshold} root keys, and has ${fingerprints.length} that can be used`,
    { hint: "Take the root file from its publisher again" },
  );
}

/** Notary writes the type of its documents with a capital. */
function isNotaryRoot(document: JsonValue): boolean {
  const signed = isJsonObject(document) ? document["signed"] : undefined;
  return isJsonObject(signed) && signed["_type"] === "Root";
}

async function notaryPin(bytes: Bytes): Promise<Pin> {
  const root = readRoot(decodeDocument(bytes, "root").signed);
  const keys = await resolveKeys(root.keys, "the root file");
  const { keyIds, threshold } = root.roles.get("root")!;
  const found = await Promise.all(keyIds.map(async (id) => keys.get(id)?.publicKey?.fingerprint()));
  return { fingerprints: [...new Set(found.filter((fingerprint) => fingerprint !== undefined))], threshold };
}
