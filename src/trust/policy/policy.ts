/**
 * A policy: one document that says, for patterns of repositories, where their trust data is, which root keys count and
 * what else must hold. Strict: what is not known, stands twice or contradicts itself is an error.
 * Schema: docs/reference/policy.schema.json
 */
import { errorMessage, UsageError } from "../../base/errors.ts";
import { formatFault, JsonCursor, type ObjectCursor } from "../../base/json-cursor.ts";
import { isJsonObject, parseJson } from "../../base/json.ts";
import { parseReference } from "../../oci/reference.ts";
import { repositoryName } from "../../oci/tagged-reference.ts";
import type { Freshness } from "../../tuf/client.ts";
import type { ArtifactFormat } from "../../wasm/artifact.ts";
import type { PinnedSource } from "../pins.ts";
import { parsePlace } from "../place.ts";
import { entryLines } from "./lines.ts";
import { parsePattern, type RepositoryPattern } from "./pattern.ts";
import {
  CONTROL,
  ifPresent,
  MAX_TEXT,
  nonEmpty,
  oneOf,
  readChoices,
  readText,
  readTexts,
  requireDistinct,
} from "./fields.ts";
import { readTests, type PolicyTest } from "./tests.ts";
import type { WasmKind } from "../../wasm/info.ts";
import type { ImportRules, TrustRules } from "./rules.ts";

/** Ten thousand entries of 400 bytes, which is a whole company's. */
export const MAX_POLICY_BYTES = 4 * 1024 * 1024;
const MAX_ENTRIES = 10_000;

/** A place, its mirrors, and room. */
const MAX_SOURCES = 8;
/** Root roles have a handful of keys. */
const MAX_FINGERPRINTS = 64;
const MAX_ROLES = 64;
/** The largest WASI worlds have some thirty interfaces. */
const MAX_IMPORT_PATTERNS = 1_000;

const POINTER_FILE_KEYS = ["$schema", "version", "policy"];
const POINTER_KEYS = ["reference", "collection", "sources", "roots", "freshness", "roles"];
const FILE_KEYS = ["$schema", "version", "entries", "tests"];
const ENTRY_KEYS = [
  "pattern",
  "comment",
  "collection",
  "sources",
  "roots",
  "firstUse",
  "freshness",
  "roles",
  "verified",
  "formats",
  "wasm",
  "widening",
  "missing",
];

const COLLECTION = /^(?:[A-Za-z0-9][A-Za-z0-9._:-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*)*)?(?:(?:^|\/)\{rest\})?$/;
const FINGERPRINT = /^[0-9a-f]{64}$/;
const DURATION = /^([1-9][0-9]{0,5})([smhd])$/;
const KINDS = ["module", "component", "wit-package"] as const satisfies readonly WasmKind[];
const FORMATS = [
  "cncf-wasm-v0",
  "wasm-to-oci",
  "solo",
  "module-layer",
  "runwasi",
  "generic",
] as const satisfies readonly ArtifactFormat[];
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Root keys as a policy names them. */
export type PolicyRoots =
  | {
      /** Lower-case hex sha256 of SubjectPublicKeyInfo DER; `threshold` of them must have signed the root. */
      readonly fingerprints: readonly string[];
      readonly threshold: number;
    }
  | {
      /** A root file, whose keys and threshold count; its path as it is written. */
      readonly file: string;
    };

export interface PolicyEntry {
  readonly pattern: RepositoryPattern;
  /** Where it stands: `policy.json:12`. */
  readonly origin: string;
  readonly comment?: string | undefined;
  /** The name that must be signed in root; may end in `{rest}`. */
  readonly collection?: string | undefined;
  /** Where trust data is, in the order in which places are asked; empty: what a pin or a flag says, else the registry. */
  readonly sources: readonly PinnedSource[];
  readonly roots?: PolicyRoots | undefined;
  /** Whether the first root seen may be trusted where no key is pinned. */
  readonly firstUse: "accept" | "refuse";
  readonly freshness?: Freshness | undefined;
  readonly rules: TrustRules;
}

export interface Policy {
  /** The file, for messages. */
  readonly origin: string;
  readonly entries: readonly PolicyEntry[];
  readonly tests: readonly PolicyTest[];
}

/** What may be wanted besides the document itself. */
export interface PolicyOptions {
  /** Names the document in messages, e.g. `policy.json`. */
  readonly origin: string;
  /** Makes an absolute path of one that is relative to the policy. */
  readonly toAbsolute?: (path: string) => string;
}

/**
 * Reads a policy. Patterns that stand twice or tie are found by {@link PolicyIndex}.
 *
 * @throws {FormatError} POLICY_INVALID with the place of the fault, JSON_INVALID
 */
export function parsePolicy(bytes: Uint8Array | string, options: PolicyOptions): Policy {
  const { origin } = options;
  const cursor = new JsonCursor(
    parseJson(bytes, { what: origin, integersOnly: true }),
    formatFault("POLICY_INVALID", origin),
  );
  const file = cursor.closedObject(FILE_KEYS);
  const schema = file.field("$schema");
  if (!schema.absent) schema.string();
  requireVersion(file.field("version"));
  const elements = file.field("entries").array(MAX_ENTRIES);
  const lines = entryLines(bytes);
  const entries = elements.map((element, i) => readEntry(element, `${origin}:${lines[i] ?? 1}`, options));
  const tests = file.field("tests");
  return { origin, entries, tests: tests.absent ? [] : readTests(tests) };
}

/** Says where the policy itself is, and what it must be signed by. */
export interface PolicyPointer {
  /** The tag that is signed: `ghcr.io/acme/policy:v1`. */
  readonly reference: string;
  /** Decides for that one repository. */
  readonly entry: PolicyEntry;
}

/**
 * Reads a document that is no policy, but says where one is.
 *
 * @returns undefined where it is a policy itself, or nothing of the kind
 * @throws {FormatError} POLICY_INVALID, JSON_INVALID
 */
export function parsePolicyPointer(bytes: Uint8Array | string, options: PolicyOptions): PolicyPointer | undefined {
  const { origin } = options;
  const document = parseJson(bytes, { what: origin, integersOnly: true });
  if (!isJsonObject(document) || !("policy" in document)) return undefined;
  const file = new JsonCursor(document, formatFault("POLICY_INVALID", origin)).closedObject(POINTER_FILE_KEYS);
  requireVersion(file.field("version"));
  const pointer = file.field("policy").closedObject(POINTER_KEYS);
  const reference = pointer.field("reference");
  const text = readText(reference);
  if (pointer.field("roots").absent) pointer.field("roots").fail("missing: nothing else says whose policy counts");
  const pattern = parsePattern(repositoryOf(reference, text));
  return { reference: text, entry: readMembers(pointer, pattern, `${origin}:1`, options) };
}

function repositoryOf(cursor: JsonCursor, text: string): string {
  try {
    const reference = parseReference(text);
    if (reference.digest === undefined) return repositoryName(reference);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return cursor.fail(error.message);
  }
  return cursor.fail("a tag, not a digest: its signature says which policy it is");
}

function requireVersion(version: JsonCursor): void {
  if (version.integer(1) !== 1) version.fail(`version ${version.integer()} is newer than this program`);
}

function readEntry(cursor: JsonCursor, origin: string, options: PolicyOptions): PolicyEntry {
  const entry = cursor.closedObject(ENTRY_KEYS);
  return readMembers(entry, readPattern(entry.field("pattern")), origin, options);
}

/** What an entry says besides its pattern. */
function readMembers(
  entry: ObjectCursor,
  pattern: RepositoryPattern,
  origin: string,
  { toAbsolute }: PolicyOptions,
): PolicyEntry {
  const roots = ifPresent(entry.field("roots"), readRoots);
  const firstUse = ifPresent(entry.field("firstUse"), (field) => oneOf(field, ["refuse", "accept"]));
  if (roots !== undefined && firstUse === "accept") {
    entry.field("firstUse").fail("root keys are pinned here, so nothing is trusted on first use");
  }
  return {
    pattern,
    origin,
    comment: ifPresent(entry.field("comment"), readText),
    collection: ifPresent(entry.field("collection"), (field) => readCollection(field, pattern)),
    sources: ifPresent(entry.field("sources"), (field) => readSources(field, toAbsolute)) ?? [],
    roots,
    firstUse: firstUse ?? "refuse",
    freshness: ifPresent(entry.field("freshness"), readFreshness),
    rules: readRules(entry, origin),
  };
}

function readPattern(cursor: JsonCursor): RepositoryPattern {
  const text = cursor.string();
  try {
    return parsePattern(text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return cursor.fail(error.message);
  }
}

function readCollection(cursor: JsonCursor, { hasRest }: RepositoryPattern): string {
  const name = cursor.string();
  if (name === "" || name.length > MAX_TEXT || !COLLECTION.test(name)) cursor.fail("not a collection's name");
  if (name.endsWith("{rest}") && !hasRest) cursor.fail("the pattern has no {rest} that could be filled in");
  return name;
}

function readSources(cursor: JsonCursor, toAbsolute: PolicyOptions["toAbsolute"]): PinnedSource[] {
  const sources = nonEmpty(cursor, MAX_SOURCES).map((element) => readSource(element, toAbsolute));
  requireDistinct(
    cursor,
    sources.map((source) => JSON.stringify(source)),
  );
  const isNotary = sources.map(({ kind }) => kind === "notary");
  if (new Set(isNotary).size > 1) cursor.fail("a Notary server has no collection of another kind");
  return sources;
}

function readSource(cursor: JsonCursor, toAbsolute: PolicyOptions["toAbsolute"]): PinnedSource {
  const source = cursor.closedObject(["server", "trust"]);
  const server = source.field("server");
  const trust = source.field("trust");
  if (server.absent === trust.absent) cursor.fail("either a server (Notary) or a place of trust data (trust)");
  if (server.absent) return readPlace(trust, toAbsolute);
  const url = server.string();
  const isAddress = /^https?:\/\//.test(url) && URL.canParse(url) && new URL(url).username === "";
  if (!isAddress) server.fail("not the address of a trust server");
  return { kind: "notary", server: url.replace(/\/+$/, "") };
}

function readPlace(cursor: JsonCursor, toAbsolute: PolicyOptions["toAbsolute"]): PinnedSource {
  const text = cursor.string();
  if (text.length > MAX_TEXT || CONTROL.test(text)) cursor.fail("not a place");
  try {
    return parsePlace(text, toAbsolute);
  } catch (error) {
    return cursor.fail(errorMessage(error));
  }
}

function readRoots(cursor: JsonCursor): PolicyRoots {
  const roots = cursor.closedObject(["fingerprints", "threshold", "file"]);
  const file = roots.field("file");
  const fingerprints = roots.field("fingerprints");
  const threshold = roots.field("threshold");
  if (file.absent === fingerprints.absent) cursor.fail("either fingerprints or a root file");
  if (!file.absent) {
    if (!threshold.absent) threshold.fail("a root file has its own threshold");
    return { file: readText(file) };
  }
  const hexes = nonEmpty(fingerprints, MAX_FINGERPRINTS).map((element) => {
    const hex = element.string();
    return FINGERPRINT.test(hex) ? hex : element.fail("not a sha256 in lower-case hexadecimal");
  });
  requireDistinct(fingerprints, hexes);
  const wanted = threshold.absent ? 1 : threshold.integer(1);
  if (wanted > hexes.length) threshold.fail(`${hexes.length} keys cannot give ${wanted} signatures`);
  return { fingerprints: hexes, threshold: wanted };
}

function readFreshness(cursor: JsonCursor): Freshness {
  if (typeof cursor.value === "string") return { mode: oneOf(cursor, ["online", "offline"]) };
  const maxAge = cursor.closedObject(["maxAge"]).field("maxAge");
  const match = DURATION.exec(maxAge.string());
  if (match === null) return maxAge.fail("a duration is a whole number and s, m, h or d, for example 12h");
  return { mode: "max-age", seconds: Number(match[1]) * (SECONDS[match[2] ?? ""] ?? 1) };
}

function readRules(entry: ObjectCursor, origin: string): TrustRules {
  const wasm = entry.field("wasm");
  return {
    origin,
    roles: ifPresent(entry.field("roles"), (field) => readTexts(field, MAX_ROLES)),
    verified: ifPresent(entry.field("verified"), (field) => oneOf(field, ["module", "artifact"])),
    formats: ifPresent(entry.field("formats"), (field) => readChoices(field, FORMATS)),
    ...(wasm.absent ? {} : readWasmRules(wasm)),
    widening: ifPresent(entry.field("widening"), (field) => oneOf(field, ["allow", "approve"])),
    missing: ifPresent(entry.field("missing"), (field) => oneOf(field, ["reject", "warn", "accept"])) ?? "reject",
  };
}

function readWasmRules(cursor: JsonCursor): Pick<TrustRules, "kinds" | "maxSize" | "imports"> {
  const wasm = cursor.closedObject(["kinds", "maxSize", "imports"]);
  return {
    kinds: ifPresent(wasm.field("kinds"), (field) => readChoices(field, KINDS)),
    maxSize: ifPresent(wasm.field("maxSize"), (field) => field.integer(1)),
    imports: ifPresent(wasm.field("imports"), readImportRules),
  };
}

function readImportRules(cursor: JsonCursor): ImportRules {
  const imports = cursor.closedObject(["allow", "deny"]);
  return {
    allow: ifPresent(imports.field("allow"), readImportPatterns),
    deny: ifPresent(imports.field("deny"), readImportPatterns),
  };
}

/** None at all is a rule, too: a module that may import nothing. */
function readImportPatterns(cursor: JsonCursor): string[] {
  const patterns = cursor.array(MAX_IMPORT_PATTERNS).map((element) => {
    const text = readText(element);
    return text.includes("**") ? element.fail("two `*` in a row mean no more than one") : text;
  });
  requireDistinct(cursor, patterns);
  return patterns;
}
