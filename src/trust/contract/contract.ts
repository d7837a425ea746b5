/**
 * The capability contract: what a module asks of its host and offers to it, signed with the target, so that a policy
 * can decide before the download and an upgrade that wants more can be told from one that does not.
 */
import { utf8Encode } from "../../base/bytes.ts";
import { digestBytes, parseDigest, type Digest } from "../../base/digest.ts";
import { TrustError } from "../../base/errors.ts";
import type { JsonCursor } from "../../base/json-cursor.ts";
import type { JsonObject } from "../../base/json.ts";
import type { WasmExport, WasmImport, WasmInfo, WasmKind } from "../../wasm/info.ts";

/** The largest WASI worlds import some thirty interfaces; what is beyond is under the digest only. */
const MAX_NAMES = 128;

/** A contract rides in a document that every consumer downloads whole: imports of the largest WASI worlds have 1.5 kB. */
const MAX_LIST_BYTES = 4 * 1024;

/** Read more generously than we write: a later version may have more room. */
const MAX_READ_NAMES = 4_096;

/** What the digest is over begins so: another list or another order would be another contract. */
const DIGEST_DOMAIN = "wasm-to-oci contract 1";

const KINDS: readonly WasmKind[] = ["module", "component", "wit-package"];

/** What a binary imports and exports, by names that policies know. */
export interface Contract {
  readonly kind: WasmKind;
  /** Of a component its interfaces, of a core module the modules that it imports from; sorted, each once. */
  readonly imports: readonly string[];
  /** Of a component its interfaces; of a core module none: they are how a host calls it, not what it may do. */
  readonly exports: readonly string[];
  /** True where the lists leave names out, for which the digest stands. */
  readonly truncated: boolean;
  /** Of kind and full lists. */
  readonly digest: Digest;
}

/** The contract of a binary, cut where it is too long to be signed whole. */
export async function contractOf(info: WasmInfo): Promise<Contract> {
  const full = await fullContract(info);
  const imports = head(full.imports);
  const exports = head(full.exports);
  const truncated = imports.length < full.imports.length || exports.length < full.exports.length;
  return { ...full, imports, exports, truncated };
}

/** The contract of a binary with all its names, however many: for comparing, not for signing. */
export async function fullContract(info: Pick<WasmInfo, "kind" | "imports" | "exports">): Promise<Contract> {
  const { kind } = info;
  const imports = sortedNames(kind === "module" ? info.imports.map(moduleOf) : info.imports.flatMap(namesOf));
  const exports = kind === "module" ? [] : sortedNames(info.exports.flatMap(namesOf));
  const lines = [
    DIGEST_DOMAIN,
    `kind ${kind}`,
    ...imports.map((name) => `import ${encodeName(name)}`),
    ...exports.map((name) => `export ${encodeName(name)}`),
  ];
  const digest = await digestBytes(utf8Encode(`${lines.join("\n")}\n`));
  return { kind, imports, exports, truncated: false, digest };
}

function moduleOf({ module, name }: WasmImport): string {
  return module ?? name;
}

/** A plain name may stand for an interface: both are listed, or a policy could be passed by in disguise. */
function namesOf({ name, kind, implements: stoodFor }: WasmExport): string[] {
  if (kind === "type") return []; // names what others import and export, and is nothing to call
  return stoodFor === undefined ? [name] : [name, stoodFor];
}

/** By UTF-16 units: the order is only a convention of the digest. */
function sortedNames(names: readonly string[]): string[] {
  return [...new Set(names)].toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

function head(names: readonly string[]): string[] {
  const kept: string[] = [];
  let size = 0;
  for (const name of names.slice(0, MAX_NAMES)) {
    size += utf8Encode(encodeName(name)).length;
    if (size > MAX_LIST_BYTES) break;
    kept.push(name);
  }
  return kept;
}

/** The contract as a target's `custom` has it. */
export function contractJson(contract: Contract): JsonObject {
  return {
    kind: contract.kind,
    imports: contract.imports.map(encodeName),
    ...(contract.exports.length === 0 ? {} : { exports: contract.exports.map(encodeName) }),
    ...(contract.truncated ? { truncated: true } : {}),
    digest: contract.digest,
  };
}

/** Reads what {@link contractJson} wrote; faults are the cursor's. */
export function readContract(member: JsonCursor): Contract {
  const object = member.object(["kind", "imports", "exports", "truncated", "digest"]);
  const kind = object.field("kind");
  const known = KINDS.find((one) => one === kind.string());
  const exports = object.field("exports");
  const truncated = object.field("truncated");
  const digest = object.field("digest");
  return {
    kind: known ?? kind.fail(`${JSON.stringify(kind.string().slice(0, 64))} is no kind of module`),
    imports: readNames(object.field("imports")),
    exports: exports.absent ? [] : readNames(exports),
    truncated: truncated.absent ? false : truncated.boolean(),
    digest: readDigest(digest),
  };
}

function readNames(cursor: JsonCursor): string[] {
  const names = cursor.array(MAX_READ_NAMES).map((name) => decodeName(name.string()) ?? name.fail("no encoded name"));
  const sorted = sortedNames(names);
  if (sorted.length !== names.length || sorted.some((name, i) => name !== names[i])) {
    return cursor.fail("names are not in order, each once");
  }
  return names;
}

function readDigest(cursor: JsonCursor): Digest {
  try {
    return parseDigest(cursor.string());
  } catch {
    return cursor.fail("no digest");
  }
}

/**
 * Compares what was signed with the binary.
 *
 * @throws {TrustError} CONTRACT_MISMATCH
 */
export async function compareContract(
  signed: Contract,
  info: Pick<WasmInfo, "kind" | "imports" | "exports">,
  reference: string,
): Promise<void> {
  const actual = await fullContract(info);
  const fault =
    signed.kind === actual.kind
      ? (listFault("import", signed.imports, actual.imports, signed.truncated) ??
        listFault("export", signed.exports, actual.exports, signed.truncated) ??
        (signed.digest === actual.digest ? undefined : "the digest of its full lists is another one"))
      : `it is a ${actual.kind}, signed as a ${signed.kind}`;
  if (fault !== undefined) throw contractMismatch(reference, fault, { expected: signed.digest, got: actual.digest });
}

/** A refusal because the binary is not what its contract says. */
export function contractMismatch(
  reference: string,
  fault: string,
  details: { readonly expected: string; readonly got: string | null },
): TrustError {
  return new TrustError("CONTRACT_MISMATCH", `${reference} does not keep to its signed contract: ${fault}`, {
    hint: "Whoever signed it said something else of this module than is true; do not use it, and tell the publisher",
    details,
  });
}

function listFault(
  what: "import" | "export",
  signed: readonly string[],
  actual: readonly string[],
  truncated: boolean,
): string | undefined {
  const inModule = new Set(actual);
  const invented = signed.find((name) => !inModule.has(name));
  if (invented !== undefined) return `it does not ${what} ${shown(invented)}, which is signed`;
  if (truncated) return undefined;
  const inContract = new Set(signed);
  const hidden = actual.find((name) => !inContract.has(name));
  return hidden === undefined ? undefined : `it ${what}s ${shown(hidden)}, which is not signed`;
}

function shown(name: string): string {
  return JSON.stringify(name.length > 128 ? `${name.slice(0, 128)}…` : name);
}

/** What Go's notary cannot carry in `custom` unharmed (controls, `<>&`, line separators), and our escape itself. */
// oxlint-disable-next-line no-control-regex -- these are what is escaped
const UNSAFE = /[%\u0000-\u001f\u007f<>&\u2028\u2029]/g;

/** Percent-encodes what a Notary document cannot carry, so that names come back byte for byte. */
function encodeName(name: string): string {
  return name.replace(UNSAFE, (character) =>
    Array.from(utf8Encode(character), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}

/** @returns undefined where the text is not what {@link encodeName} writes */
function decodeName(text: string): string | undefined {
  try {
    const name = decodeURIComponent(text);
    return encodeName(name) === text ? name : undefined;
  } catch {
    return undefined; // a percent sign that escapes nothing, or not UTF-8
  }
}
