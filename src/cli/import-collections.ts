/** Imports of Notary collections, as `import notary` and `import docker-trust` share them. */
import { UsageError } from "../base/errors.ts";
import { importNotary, type ImportNotaryOptions, type ImportReport } from "../import-notary.ts";
import type { KeyStore } from "../keys/key-store.ts";
import { openKeyDir } from "../node/key-dir.ts";
import { readStoredNotary } from "../node/stored-notary.ts";
import { repositoryName, taggedReference } from "../oci/tagged-reference.ts";
import { defaultCollection, placeFlags, prefixIn } from "../trust/place.ts";
import type { KeyChoice } from "../trust/key-choice.ts";
import type { PinnedSource } from "../trust/pins.ts";
import type { Context } from "./command.ts";
import { findKey } from "./key-directory.ts";
import { newKeyOptions, readKeyChoice, splitAssignment } from "./key-choice-option.ts";
import { choice, flag, integer, list, nonEmpty, value, type OptionValues } from "./options.ts";
import { passphrases } from "./passphrases.ts";
import { sayNotes } from "./reports.ts";
import { withSession, type Session } from "./session.ts";
import {
  creatingOptions,
  directoryOptions,
  outputOptions,
  registryOptions,
  trustServerOptions,
} from "./shared-options.ts";

const { server: _server, ...placeOptions } = trustServerOptions;

/** What both commands take. */
export const importOptions = {
  to: value(
    "--to REPOSITORY",
    "the repository whose tags the names are; the old collection's name unless told",
    nonEmpty,
  ),
  keys: value("--keys DIR", "trust directory with the old private keys, where they are elsewhere", nonEmpty),
  order: choice("--order ORDER", "how the old collection's readers ask its roles", ["docker", "notary"], {
    initial: "docker",
  }),
  acceptExpired: flag("--accept-expired", "take the collection over as it was, though its signatures have expired"),
  ...creatingOptions,
  rootKeys: list("--key root=KEY", "a key of the new root: `new`, or the id of one that is here", ofRoot),
  threshold: value("--threshold root=N", "how many of these must sign (default: 1)", (text) =>
    integer(1, 64)(ofRoot(text)),
  ),
  ...newKeyOptions,
  ...placeOptions,
  ...registryOptions,
  ...directoryOptions,
  ...outputOptions,
};

export type ImportOptions = OptionValues<typeof importOptions>;

/** Where an old collection is: a server, or a directory. */
export type ImportSource = { readonly server: string } | { readonly dir: string };

/** Imports one collection, says so, and pins the new one in the place of the old. */
export async function importOne(
  context: Context,
  options: ImportOptions,
  from: ImportSource,
  gun: string,
): Promise<ImportReport> {
  const reference = taggedReference(options.to ?? gun);
  const repository = repositoryName(reference);
  const report = await withSession(context, { ...options, reference }, async (session) => {
    const place = session.place ?? { kind: "oci" };
    const collection = options.gun ?? defaultCollection(place.kind, repository);
    if (prefixIn(place.kind, collection, repository) !== "") {
      throw new UsageError("USAGE", `${collection} would be a collection of more than ${repository}`, {
        hint: "Import into the repository's own collection",
      });
    }
    const opened = session.openTrust(place, reference);
    if (opened.kind === "notary" || opened.publisher === undefined) {
      throw new UsageError("USAGE", `nothing can be published to ${opened.source.location}`, {
        hint: "Name a directory, or oci: for trust data in the registry",
      });
    }
    const oldKeys = await keysOf(session, from, options.keys);
    const imported = await importNotary({
      state: await readOld(context, session, from, gun, options),
      order: options.order,
      collection,
      publisher: opened.publisher,
      keyStore: session.keys,
      oldKeys,
      passphrases: passphrases(context),
      ...(await chosenRoot([session.keys, oldKeys], options)),
      now: context.now,
      registry: session.registry,
      repository: reference,
      signal: context.signal,
    });
    const fingerprints = imported.rootKeys.map(({ fingerprint }) => fingerprint);
    const { rootThreshold: threshold } = imported;
    const pin = { fingerprints, ...(threshold > 1 ? { threshold } : {}) };
    await session.pins.put({
      pattern: repository,
      collection,
      source: place,
      pin,
      firstUse: false,
      added: context.now(),
    });
    sayImported(context, imported, repository, place);
    return imported;
  });
  return report;
}

async function readOld(
  context: Context,
  session: Session,
  from: ImportSource,
  gun: string,
  { acceptExpired, keys }: ImportOptions,
) {
  if ("dir" in from) return readStoredNotary({ dir: from.dir, gun, now: context.now(), acceptExpired });
  const opened = session.openTrust({ kind: "notary", server: from.server }, taggedReference(gun));
  if (opened.kind !== "notary") throw new UsageError("USAGE", `${from.server} is no Notary server`);
  // what is not signed under a root whose private key is at hand is not imported, whoever serves it
  const firstUse = keys === undefined ? "refuse" : "accept";
  return opened.source.readState(gun, { acceptExpired, firstUse, signal: context.signal });
}

/** The directory that is named, the one that is imported if it has keys, or our own. */
async function keysOf(session: Session, from: ImportSource, keys: string | undefined): Promise<KeyStore> {
  if (keys !== undefined) return openKeyDir(keys);
  const own = "dir" in from ? openKeyDir(from.dir) : session.keys;
  return (await own.list()).length > 0 ? own : session.keys;
}

/** Reads `root=VALUE`: the keys of other roles come along with the old collection. @throws {UsageError} USAGE */
function ofRoot(text: string): string {
  const { names, value: chosen } = splitAssignment(text);
  if (names.length === 1 && names[0] === "root") return chosen;
  throw new UsageError("USAGE", `${JSON.stringify(text)}: the keys of other roles come from the old collection`, {
    hint: "Write root=…; change other roles afterwards, with `wasm-to-oci trust rotate` and `trust threshold`",
  });
}

/** Whose the new root will be. @throws {UsageError} USAGE @throws {TrustError} KEY_MISSING */
async function chosenRoot(
  stores: readonly [KeyStore, ...KeyStore[]],
  { rootKey, rootKeys, threshold, algorithm }: ImportOptions,
): Promise<Pick<ImportNotaryOptions, "root" | "rootKeyId">> {
  const named = rootKey === undefined ? undefined : await storeWith(stores, rootKey);
  const one = named && (await findKey(named, rootKey!)).id;
  if (rootKeys.length === 0 && threshold === undefined) return { rootKeyId: one };
  const keys: KeyChoice[] = one === undefined ? [] : [{ kind: "stored", id: one }];
  for (const text of rootKeys) keys.push(...(await readKeyChoice(await storeWith(stores, text), text, algorithm)));
  if (keys.some(({ kind }) => kind === "public")) {
    throw new UsageError(
      "USAGE",
      "the collection appears at once, so every key of its root has to be here to sign it",
      {
        hint: "Give others their say afterwards: `wasm-to-oci trust threshold REPOSITORY root N --add PEM --stage`",
      },
    );
  }
  if ((threshold ?? 1) > keys.length) {
    throw new UsageError(
      "USAGE",
      `--threshold root=${threshold} needs as many root keys, and ${keys.length} are named`,
      {
        hint: "Name each with --key root=KEY",
      },
    );
  }
  return { root: { keys, threshold } };
}

/** The store that has a key of this id, or the first one, which then says that it has none. */
async function storeWith(stores: readonly [KeyStore, ...KeyStore[]], prefix: string): Promise<KeyStore> {
  for (const store of stores) {
    if ((await store.list()).some(({ id }) => id.startsWith(prefix))) return store;
  }
  return stores[0];
}

function sayImported(context: Context, report: ImportReport, repository: string, place: PinnedSource): void {
  const { out } = context;
  const { gun, collection, rootKeys, rootThreshold, handedOverBy, targets, delegations, notes } = report;
  sayNotes(context, notes);
  const count = (signs: ImportReport["targets"][number]["signs"]): number =>
    targets.filter((target) => target.signs === signs).length;
  out.info(`Imported ${gun} as ${collection}: ${targets.length} names, ${delegations.length} delegations`);
  out.info(
    `Names of manifests: ${count("manifest")}, of modules: ${count("module")}, of other things: ${count("other")}, not looked up: ${count("unknown")}`,
  );
  const of = rootKeys.length === 1 ? "" : `, ${rootThreshold} of ${rootKeys.length}`;
  out.info(`New root key fingerprint${of} ${rootKeys.map(({ fingerprint }) => fingerprint).join(", ")}`);
  out.info(`Handed over by ${handedOverBy.join(", ")}`);
  out.info(`Consumers follow with: wasm-to-oci trust pin ${repository} --update ${placeFlags(place)}`);
}
