/** The two ends of a copy: a repository of a registry, or an OCI layout in a directory or an archive. */
import { UsageError } from "../base/errors.ts";
import { isDigest, type Digest } from "../base/digest.ts";
import { escapeUntrusted } from "../base/untrusted-text.ts";
import { nodeHasher } from "../node/hasher.ts";
import { createLayoutArchive } from "../node/layout-archive-output.ts";
import { openLayoutArchive } from "../node/layout-archive.ts";
import { openLayoutDirectory } from "../node/layout-directory.ts";
import type { ContentStore } from "../oci/content-store.ts";
import { layoutStore } from "../oci/layout-store.ts";
import { isTag, parseReference, type Reference } from "../oci/reference.ts";
import type { Session } from "./session.ts";

export interface CopyPlace {
  readonly kind: "registry" | "directory" | "archive";
  /** Of a layout. */
  readonly path: string;
  /** Of a registry; of a layout only tag and digest mean something. */
  readonly reference: Reference;
}

const DIRECTORY = "oci:";
const ARCHIVE = "oci-archive:";

/** Reads a place. @throws {UsageError} USAGE, REFERENCE_INVALID */
export function parseCopyPlace(text: string): CopyPlace {
  if (text.startsWith(ARCHIVE)) return layoutPlace("archive", text.slice(ARCHIVE.length));
  if (text.startsWith(DIRECTORY)) return layoutPlace("directory", text.slice(DIRECTORY.length));
  return { kind: "registry", path: "", reference: parseReference(text) };
}

function layoutPlace(kind: "directory" | "archive", text: string): CopyPlace {
  const [path, digest] = splitDigest(text);
  const colon = path.lastIndexOf(":");
  const tag = colon > path.lastIndexOf("/") ? path.slice(colon + 1) : undefined;
  const bare = tag === undefined ? path : path.slice(0, colon);
  if (bare === "" || bare.startsWith("//") || (tag !== undefined && !isTag(tag))) {
    throw new UsageError("USAGE", `"${escapeUntrusted(text)}" names no OCI layout`, {
      hint: "Write oci:DIRECTORY:TAG or oci-archive:FILE:TAG",
    });
  }
  // a layout has no host: these stand for it in messages
  const name = { registry: kind === "archive" ? "oci-archive" : "oci", repository: bare };
  return {
    kind,
    path: bare,
    reference: { ...name, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) },
  };
}

function splitDigest(text: string): [string, Digest | undefined] {
  const at = text.lastIndexOf("@");
  const digest = text.slice(at + 1);
  return at !== -1 && isDigest(digest) ? [text.slice(0, at), digest] : [text, undefined];
}

export interface OpenedPlace {
  readonly store: ContentStore;
  /** Makes visible what was written; nothing can be written afterwards. */
  commit(): Promise<void>;
  /** Drops what was not committed. */
  close(): Promise<void>;
}

const NOTHING = async (): Promise<void> => undefined;

/** @throws {StorageError} FILE_NOT_FOUND @throws {FormatError} LAYOUT_INVALID */
export async function openCopySource({ kind, path, reference }: CopyPlace, session: Session): Promise<OpenedPlace> {
  if (kind === "registry") return { store: session.registry.repository(reference), commit: NOTHING, close: NOTHING };
  const files = kind === "archive" ? await openLayoutArchive(path) : await openLayoutDirectory(path);
  const close = "close" in files ? () => (files as { close(): Promise<void> }).close() : NOTHING;
  return { store: layoutStore(files, { createHasher: nodeHasher }), commit: NOTHING, close };
}

export async function openCopyDestination(
  place: CopyPlace,
  session: Session,
  { dryRun }: { readonly dryRun: boolean },
): Promise<OpenedPlace> {
  if (place.kind === "registry") return openCopySource(place, session);
  if (place.kind === "directory") {
    const files = await openLayoutDirectory(place.path, { create: !dryRun });
    return { store: layoutStore(files, { createHasher: nodeHasher }), commit: NOTHING, close: NOTHING };
  }
  const output = await createLayoutArchive(place.path);
  return {
    store: layoutStore(output.files, { createHasher: nodeHasher }),
    commit: () => (dryRun ? output.discard() : output.commit()),
    close: () => output.discard(),
  };
}
