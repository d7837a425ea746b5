/** Reads the config of a CNCF Wasm OCI artifact, version 0. */
import { isDigest, type Digest } from "../base/digest.ts";
import { FormatError } from "../base/errors.ts";
import { formatFault, JsonCursor } from "../base/json-cursor.ts";
import { parseJson } from "../base/json.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";

/** Lists of names; real ones have a few kilobytes. It is fetched before anything is known about who wrote it. */
export const MAX_WASM_CONFIG_BYTES = 1024 * 1024;

/** 1 MiB holds no more names of 8 bytes. */
const MAX_NAMES = 100_000;

/** Registries allow no more layers. */
const MAX_LAYERS = 1_000;

export interface WasmConfig {
  /** RFC 3339 text, as written. */
  readonly created?: string;
  readonly author?: string;
  readonly architecture: "wasm";
  /** `wasip1`: a module; `wasip2`: a component, whatever its WASI version. */
  readonly os: string;
  readonly layerDigests: readonly Digest[];
  readonly component?: {
    readonly exports: readonly string[];
    readonly imports: readonly string[];
    readonly target?: string;
  };
}

/**
 * Reads a config strictly. Members that are `null` are absent: the Rust tools write them so.
 *
 * @throws {FormatError} MANIFEST_INVALID, JSON_INVALID, LIMIT_EXCEEDED
 */
export function readWasmConfig(bytes: Uint8Array): WasmConfig {
  if (bytes.length > MAX_WASM_CONFIG_BYTES) {
    throw new FormatError(
      "LIMIT_EXCEEDED",
      `the artifact's config has ${bytes.length} bytes; ${MAX_WASM_CONFIG_BYTES} are allowed`,
    );
  }
  const root = new JsonCursor(
    parseJson(bytes, { what: "the artifact's config" }),
    formatFault("MANIFEST_INVALID", "the artifact's config"),
  );
  const config = root.object(["created", "author", "architecture", "os", "layerDigests", "component"]);
  const architecture = config.field("architecture");
  if (architecture.string() !== "wasm") architecture.fail(`expected "wasm", got ${show(architecture.string())}`);
  const os = config.field("os");
  if (!/^[a-z0-9]{1,32}$/i.test(os.string())) os.fail(`expected wasip1 or wasip2, got ${show(os.string())}`);
  const component = config.field("component");
  return {
    ...optionalText("created", config.field("created")),
    ...optionalText("author", config.field("author")),
    architecture: "wasm",
    os: os.string(),
    layerDigests: config.field("layerDigests").array(MAX_LAYERS).map(readDigest),
    ...(component.empty ? {} : { component: readComponent(component) }),
  };
}

function readComponent(cursor: JsonCursor): NonNullable<WasmConfig["component"]> {
  const component = cursor.object(["exports", "imports", "target"]);
  return {
    exports: component
      .field("exports")
      .array(MAX_NAMES)
      .map((name) => name.string()),
    imports: component
      .field("imports")
      .array(MAX_NAMES)
      .map((name) => name.string()),
    ...optionalText("target", component.field("target")),
  };
}

function readDigest(cursor: JsonCursor): Digest {
  const text = cursor.string();
  return isDigest(text) ? text : cursor.fail(`${show(text)} is not a sha256 or sha512 digest`);
}

function optionalText<Key extends string>(key: Key, cursor: JsonCursor): { [key in Key]?: string } {
  return (cursor.empty ? {} : { [key]: cursor.string() }) as { [key in Key]?: string };
}

function show(text: string): string {
  return JSON.stringify(escapeUntrusted(text, 128));
}
