/** The changefeed of the Notary v1 API: what changed since when. */
import { digestHex } from "../../base/digest.ts";
import { formatGoTime } from "../../notary/go-time.ts";
import { ApiError } from "./errors.ts";
import type { Change, ChangeQuery, TrustStore } from "./store.ts";

/** What `records=0` means. */
const DEFAULT_RECORDS = 100;
/** A page; clients ask again from its last id. notary-server has no limit. */
const MAX_RECORDS = 1000;

const INT64 = 2n ** 63n;
const INT32 = 2n ** 31n;

/**
 * Answers a query.
 *
 * @param parameters `records`: how many, negative for backwards; `change_id`: where from, exclusive, negative for
 * backwards from the newest
 * @throws {ApiError} INVALID_PARAMETERS
 */
export async function changefeed(
  store: TrustStore,
  gun: string | undefined,
  parameters: URLSearchParams,
): Promise<string> {
  const query = readQuery(gun, parameters);
  const changes = await store.changes(query);
  // Notary's memory storage says null, not [], where the question begins at or after the newest change.
  const records = changes.length === 0 && (query.after ?? 0) > 0 ? null : changes.map((change) => record(change));
  return JSON.stringify({ count: changes.length, records });
}

function readQuery(gun: string | undefined, parameters: URLSearchParams): ChangeQuery {
  const records = readRecords(parameters.get("records") ?? "");
  const changeId = readChangeId(parameters.get("change_id") ?? "");
  const limit = records === 0 ? DEFAULT_RECORDS : Math.min(Math.abs(records), MAX_RECORDS);
  const direction = records < 0 || changeId < 0 ? "backward" : "forward";
  return { gun, limit, direction, after: changeId > 0 ? changeId : undefined };
}

/** The texts of Go's strconv are part of what notary-server answers. */
function readRecords(text: string): number {
  const fault = (reason: string) =>
    new ApiError(
      "INVALID_PARAMETERS",
      `invalid records parameter: strconv.ParseInt: parsing ${JSON.stringify(text.slice(0, 100))}: ${reason}`,
    );
  if (!/^[+-]?[0-9]{1,100}$/.test(text)) throw fault("invalid syntax");
  const number = BigInt(text.replace(/^\+/, ""));
  if (number >= INT64 || number < -INT64) throw fault("value out of range");
  return Number(number);
}

function readChangeId(text: string): number {
  if (text === "") return 0;
  if (!/^[+-]?[0-9]{1,100}$/.test(text)) throw new ApiError("INVALID_PARAMETERS", {});
  const number = BigInt(text.replace(/^\+/, ""));
  if (number >= INT32 || number < -INT32) throw new ApiError("INVALID_PARAMETERS", {});
  return Number(number);
}

function record(change: Change): Record<string, string | number> {
  return {
    ID: String(change.id),
    CreatedAt: formatGoTime(change.createdAt),
    GUN: change.gun,
    Version: change.version,
    SHA256: change.digest === undefined ? "" : digestHex(change.digest),
    Category: change.category,
  };
}
