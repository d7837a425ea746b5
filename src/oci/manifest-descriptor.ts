/** Describes a manifest as lists of referrers and indexes do. */
import type { Descriptor, ReceivedManifest } from "./types.ts";

/** https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers */
export function describeManifest({ bytes, mediaType, digest, content }: ReceivedManifest): Descriptor {
  const artifactType = content.artifactType ?? (content.kind === "manifest" ? content.config.mediaType : undefined);
  const { annotations } = content;
  return {
    mediaType,
    digest,
    size: bytes.length,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
}
