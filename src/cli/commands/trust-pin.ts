import { utf8Encode } from "../../base/bytes.ts";
import { TrustError, UsageError } from "../../base/errors.ts";
import { shellWord } from "../../base/shell-word.ts";
import { parseGun } from "../../notary/gun.ts";
import { parseReference } from "../../oci/reference.ts";
import { repositoryName } from "../../oci/tagged-reference.ts";
import type { Pin } from "../../trust/pin.ts";
import { checkPattern, type PinEntry, type PinnedSource } from "../../trust/pins.ts";
import { defaultCollection, formatPlace } from "../../trust/place.ts";
import { readRootFile } from "../../trust/root-file.ts";
import type { TrustSource } from "../../trust/source.ts";
import { defineCommand, type Context } from "../command.ts";
import { confirmed, yesOption } from "../confirm.ts";
import { readTextFile } from "../input-file.ts";
import { flag, nonEmpty, optional, value, type OptionValues } from "../options.ts";
import { pinOf } from "../reports.ts";
import { withSession, type Session } from "../session.ts";
import {
  directoryOptions,
  outputOptions,
  registryOptions,
  rootKeyOptions,
  trustServerOptions,
} from "../shared-options.ts";

/** Stands for whatever follows a prefix, in a pattern and in the collection's name. */
const REST = "{rest}";

const options = {
  ...trustServerOptions,
  gun: value(
    "--gun, --collection NAME",
    "the collection to expect; may end in {rest} where PATTERN does",
    parseExpected,
  ),
  ...rootKeyOptions,
  root: value("--root FILE", "trust begins with this root file of the publisher's; not for Notary", nonEmpty),
  update: flag(
    "--update",
    "take over the keys of the collection's present root, which the trusted one leads to; with --trust, of the one that it was handed over to",
  ),
  remove: flag("--remove", "forget the pin: the repository is no longer verified unless asked for"),
  offline: flag("--offline", "do not compare the pin with the trust data"),
  yes: yesOption,
  ...registryOptions,
  ...directoryOptions,
  ...outputOptions,
};

export const trustPinCommand = defineCommand({
  arguments: {
    pattern: optional(
      "PATTERN",
      "a repository, or a prefix ending in /{rest} for all below it; shows all pins if left out",
    ),
  },
  options,
  about: [
    "A pin says which root keys a collection must have. From then on every pull of the repository is verified against them, without flags. Get the fingerprints from the publisher by a way of their own, not from the server.",
    "Without --root-fingerprint, --root and their like, the root keys that the trust data shows are pinned after a question.",
  ],
  examples: [
    [
      "wasm-to-oci trust pin ghcr.io/acme/{rest} --server https://notary.example --root-fingerprint 5d1e…",
      "pin one key for every repository of acme",
    ],
    ["wasm-to-oci trust pin ghcr.io/acme/app --trust oci: --root acme.root.json", "begin with a root file"],
    [
      "wasm-to-oci trust pin mirror.example/x/{rest} --trust oci: --collection acme/{rest} --root-fingerprint 5d1e…",
      "verify a mirror as what it mirrors",
    ],
    ["wasm-to-oci trust pin ghcr.io/acme/app --update", "follow a root rotation"],
    ["wasm-to-oci trust pin", "show all pins"],
  ],
  json: "trust pin",
  async run(context, { pattern }, given) {
    const name = pattern === undefined ? undefined : normalisePattern(pattern);
    const reference = name === undefined ? undefined : parseReference(name.replace(REST, "x"));
    await withSession(context, { ...given, reference }, async (session) => {
      if (name === undefined) return showPins(context, await session.pins.list());
      if (given.remove) return removePin(context, session, name);
      const entry = given.update
        ? await updatedPin(context, session, name, given.gun)
        : await newPin(context, session, name, given);
      await session.pins.put(entry);
      context.out.info(`Pinned ${entry.pattern} to ${describePin(entry.pin)}`);
      if (context.out.format === "json") await context.out.json({ pins: [pinDocument(entry)] });
    });
  },
});

/** The name of a collection, or of one for each repository below a prefix. @throws {UsageError} GUN_INVALID */
function parseExpected(input: string): string {
  parseGun(input.endsWith(REST) ? `${input.slice(0, -REST.length)}x` : input);
  return input;
}

/** Gives a pattern the spelling that references have when they are looked up. */
function normalisePattern(pattern: string): string {
  checkPattern(pattern, pattern);
  const prefix = pattern.endsWith(REST);
  const reference = parseReference(prefix ? `${pattern.slice(0, -REST.length)}x` : pattern);
  if (reference.tag !== undefined || reference.digest !== undefined) {
    throw new UsageError("USAGE", `${JSON.stringify(pattern)}: a pin is for a repository, not for a tag or digest`);
  }
  const name = repositoryName(reference);
  return prefix ? `${name.slice(0, -1)}${REST}` : name;
}

async function newPin(
  context: Context,
  session: Session,
  pattern: string,
  given: OptionValues<typeof options>,
): Promise<PinEntry> {
  const { place } = session;
  if (place === undefined) {
    throw new UsageError("TRUST_SOURCE_MISSING", "a pin needs the place of the collection's trust data", {
      hint: "Add --server URL for a Notary server, or --trust oci: for trust data in the registry itself",
    });
  }
  const collection = given.gun ?? defaultCollection(place.kind, pattern);
  checkPattern(pattern, collection);
  const entry = { pattern, collection, source: place, firstUse: false, added: context.now() };
  if (given.root !== undefined) return { ...entry, pin: await adoptedPin(context, session, entry, given.root, given) };
  const pin = session.pin ?? (await confirmedPin(context, session, place, pattern, collection, given));
  if (session.pin !== undefined && !given.offline && !isManyPlaces(entry)) {
    await opened(session, place, pattern).open(collection, { pin, firstUse: "refuse", signal: context.signal });
  }
  return { ...entry, pin };
}

/** Begins trust with a root file. A prefix has many collections, so there only the file's keys count. */
async function adoptedPin(
  context: Context,
  session: Session,
  { pattern, collection, source }: Omit<PinEntry, "pin">,
  path: string,
  { offline }: { readonly offline: boolean },
): Promise<Pin> {
  if (source.kind === "notary" || session.pin !== undefined) {
    throw new UsageError(
      "USAGE",
      `--root ${path} is for trust data that is no Notary server's, and names its keys itself`,
      {
        hint: "Leave out --root-fingerprint and the like; for Notary use these instead of --root",
      },
    );
  }
  const bytes = utf8Encode(await readTextFile(path));
  const { pin, collection: named } = await readRootFile(bytes);
  if (named !== undefined && named !== collection && !collection.includes(REST)) {
    throw new TrustError("COLLECTION_MISMATCH", `${path} is a root of ${JSON.stringify(named)}, not of ${collection}`, {
      hint: `If that is the collection that is meant: --collection ${shellWord(named)}`,
      details: { expected: collection, got: named },
    });
  }
  if (isManyPlaces({ pattern, collection, source })) return pin;
  const place = openPlace(session, source, pattern);
  if (place.kind !== "notary") await place.source.adopt(collection, bytes, { offline, signal: context.signal });
  return pin;
}

/** Shows the root keys that a server has and asks whether they are the right ones. */
async function confirmedPin(
  context: Context,
  session: Session,
  place: PinnedSource,
  pattern: string,
  collection: string,
  { yes, offline }: { readonly yes: boolean; readonly offline: boolean },
): Promise<Pin> {
  if (offline || isManyPlaces({ pattern, collection, source: place })) {
    throw new UsageError("USAGE", "no root key was named", {
      hint: "Add --root-fingerprint HEX, as the publisher tells it",
    });
  }
  const seen = await opened(session, place, pattern).open(collection, { firstUse: "accept", signal: context.signal });
  const pin = pinOf(seen);
  const question = `${collection} has the root ${describePin(pin)}. Is that what the publisher says?`;
  if (await confirmed(context, question, yes)) return pin;
  throw new UsageError("USAGE", "nothing was pinned");
}

/** Reads the collection as it is trusted now, and takes its root keys. */
async function updatedPin(
  context: Context,
  session: Session,
  pattern: string,
  collection: string | undefined,
): Promise<PinEntry> {
  const entry = (await session.pins.list()).find((candidate) => candidate.pattern === pattern);
  if (entry === undefined || isManyPlaces(entry)) {
    throw new UsageError("USAGE", `${pattern} is not pinned by itself, so there is nothing to update`, {
      hint: "`wasm-to-oci trust pin` shows the pins",
    });
  }
  const moved = movedTo(session, entry, collection);
  const source = opened(session, moved.source, pattern);
  const seen = await source.open(moved.collection, { pin: entry.pin, firstUse: "refuse", signal: context.signal });
  const own = pinOf(seen); // as many keys as the root itself wants, or the pin did
  const { fingerprints = [] } = own;
  const threshold = Math.min(Math.max(own.threshold ?? 1, entry.pin.threshold ?? 1), fingerprints.length);
  const pin = { fingerprints, ...(threshold > 1 ? { threshold } : {}) };
  return { ...entry, ...moved, pin, added: context.now() };
}

/**
 * Where the collection is now: flags name another place where it was handed over to a new one, whose root must then be
 * signed by the pinned keys, or by keys that those handed over to.
 */
function movedTo(
  { place }: Session,
  { pattern, source, collection }: PinEntry,
  named: string | undefined,
): Pick<PinEntry, "source" | "collection"> {
  if (place === undefined) return { source, collection: named ?? collection };
  const sameKind = (place.kind === "notary") === (source.kind === "notary");
  return { source: place, collection: named ?? (sameKind ? collection : defaultCollection(place.kind, pattern)) };
}

/**
 * Tells pins of many collections, and of many copies of one: where the trust data is beside each module, there is no
 * single place that could be asked about it.
 */
function isManyPlaces({ pattern, collection, source }: Pick<PinEntry, "pattern" | "collection" | "source">): boolean {
  if (collection.includes(REST)) return true;
  return pattern.includes(REST) && source.kind === "oci" && source.repository === undefined;
}

/** The source of a pin, whose place is the same for all that its pattern matches. */
function opened(session: Session, place: PinnedSource, pattern: string): TrustSource {
  return openPlace(session, place, pattern).source;
}

function openPlace(session: Session, place: PinnedSource, pattern: string): ReturnType<Session["openTrust"]> {
  return session.openTrust(place, parseReference(pattern.replace(REST, "x")));
}

async function removePin({ out }: Context, session: Session, pattern: string): Promise<void> {
  const removed = await session.pins.remove(pattern);
  out.info(removed ? `Removed the pin of ${pattern}` : `${pattern} was not pinned`);
  if (out.format === "json") await out.json({ pattern, removed });
}

async function showPins({ out }: Context, pins: readonly PinEntry[]): Promise<void> {
  if (out.format === "json") return out.json({ pins: pins.map(pinDocument) });
  if (pins.length === 0) return out.info("Nothing is pinned here");
  return out.table(
    ["PATTERN", "COLLECTION", "TRUST DATA", "ROOT", "TRUSTED BY"],
    pins.map(({ pattern, collection, source, pin, firstUse }) => [
      pattern,
      collection,
      source.kind === "notary" ? source.server : formatPlace(source),
      describePin(pin),
      firstUse ? "first use" : "pin",
    ]),
  );
}

export function describePin(pin: Pin): string {
  const { fingerprints = [], certificateIds = [], certificateAuthorities, threshold = 1 } = pin;
  const parts = [
    ...(fingerprints.length === 0 ? [] : [`${threshold > 1 ? `${threshold} of ` : ""}key ${fingerprints.join(", ")}`]),
    ...(certificateIds.length === 0 ? [] : [`certificate ${certificateIds.join(", ")}`]),
    ...(certificateAuthorities === undefined ? [] : ["an authority"]),
  ];
  return parts.length === 0 ? "the root stored here" : parts.join(" and ");
}

function pinDocument({ pattern, collection, source, pin, firstUse, added }: PinEntry): Record<string, unknown> {
  return { pattern, collection, ...placeMember(source), pin, firstUse, added };
}

function placeMember(source: PinnedSource): Record<string, string> {
  return source.kind === "notary" ? { server: source.server } : { trust: formatPlace(source) };
}
