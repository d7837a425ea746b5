/**
 * Decides whether one published state may take another one's place: of the same collection, and in nothing older.
 * What stands at the destination of a copy is not verified: whoever can write there can stop a copy, and nothing else.
 */
import { equalBytes, type Bytes } from "../base/bytes.ts";
import { TrustError } from "../base/errors.ts";
import { decodeMetadata } from "../tuf/metadata.ts";
import { COLLECTION_FIELD } from "./tuf/source.ts";

type Files = ReadonlyMap<string, Bytes>;

/** Newer, the same, or nothing there. */
export type StateRelation = "newer" | "same" | "first";

/**
 * Compares a state that is to be written with the one that is there.
 *
 * @param there undefined where there is none
 * @throws {TrustError} COPY_OTHER_COLLECTION, COPY_DESTINATION_NEWER
 * @throws {FormatError} METADATA_INVALID, JSON_INVALID where one of them cannot be read
 */
export function compareStates(wanted: Files, there: Files | undefined, destination: string): StateRelation {
  if (there === undefined) return "first";
  const ours = readState(wanted);
  const theirs = readState(there);
  if (ours.name !== theirs.name) {
    throw otherCollection(destination, `it is of ${show(theirs.name)}, and this one of ${show(ours.name)}`);
  }
  const shared = [...ours.roots.keys()].filter((version) => theirs.roots.has(version));
  const isSameLine =
    shared.length > 0 && shared.every((version) => equalBytes(ours.roots.get(version)!, theirs.roots.get(version)!));
  if (!isSameLine) throw otherCollection(destination, "it has the same name and other root keys");
  for (const [role, version] of theirs.versions) {
    const mine = ours.versions.get(role) ?? 0;
    // a role that is gone was removed by a newer snapshot
    if (mine < version && (mine > 0 || ours.snapshot <= theirs.snapshot)) throw newer(destination, role, version, mine);
  }
  const isSame = sameFile(wanted, there, "timestamp.json");
  if (!isSame && ours.versions.get("timestamp") === theirs.versions.get("timestamp")) {
    throw newer(destination, "timestamp", ours.versions.get("timestamp")!, ours.versions.get("timestamp")!);
  }
  return isSame && ours.versions.get("root") === theirs.versions.get("root") ? "same" : "newer";
}

interface State {
  readonly name: string | undefined;
  readonly roots: ReadonlyMap<number, Bytes>;
  readonly snapshot: number;
  readonly versions: ReadonlyMap<string, number>;
}

function readState(files: Files): State {
  const roots = new Map<number, Bytes>();
  for (const [name, bytes] of files) {
    const version = /^(\d{1,9})\.root\.json$/.exec(name)?.[1];
    if (version !== undefined) roots.set(Number(version), bytes);
  }
  const plain = files.get("root.json");
  if (plain !== undefined) roots.set(decodeMetadata(plain, "root").signed.version, plain);
  const newest = Math.max(0, ...roots.keys());
  const root = decodeMetadata(roots.get(newest) ?? new Uint8Array(), "root").signed;
  const timestamp = decodeMetadata(files.get("timestamp.json") ?? new Uint8Array(), "timestamp").signed;
  const versions = new Map([
    ["root", root.version],
    ["timestamp", timestamp.version],
    ["snapshot", timestamp.snapshot.version],
  ]);
  const file = root.consistentSnapshot ? `${timestamp.snapshot.version}.snapshot.json` : "snapshot.json";
  const { meta } = decodeMetadata(files.get(file) ?? new Uint8Array(), "snapshot").signed;
  for (const [role, { version }] of meta) versions.set(role, version);
  const name = root.extra[COLLECTION_FIELD];
  return { name: typeof name === "string" ? name : undefined, roots, snapshot: timestamp.snapshot.version, versions };
}

function sameFile(a: Files, b: Files, name: string): boolean {
  const [left, right] = [a.get(name), b.get(name)];
  return left !== undefined && right !== undefined && equalBytes(left, right);
}

function show(name: string | undefined): string {
  return name === undefined ? "a collection without a name" : JSON.stringify(name);
}

function otherCollection(destination: string, reason: string): TrustError {
  return new TrustError("COPY_OTHER_COLLECTION", `${destination} has other trust data: ${reason}`, {
    hint: "Nothing was changed; copy to another repository, since two collections cannot share one",
    details: { destination },
  });
}

function newer(destination: string, role: string, there: number, mine: number): TrustError {
  const what =
    there === mine ? `another version ${there} of ${role}` : `version ${there} of ${role}, the source has ${mine}`;
  return new TrustError("COPY_DESTINATION_NEWER", `${destination} has ${what}: a copy would roll it back`, {
    role,
    hint: "Nothing was changed; bring the source up to date, or copy the other way",
    details: { destination, there, source: mine },
  });
}
