/** The OCI image-spec 1.1 types that this project reads and writes. https://github.com/opencontainers/image-spec/tree/v1.1.1 */
import type { Digest } from "../base/digest.ts";

export const MediaType = {
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerIndex: "application/vnd.docker.distribution.manifest.list.v2+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociEmpty: "application/vnd.oci.empty.v1+json",
} as const;

export type Annotations = Readonly<Record<string, string>>;

export interface Platform {
  readonly architecture: string;
  readonly os: string;
}

/** https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Length in bytes. */
  readonly size: number;
  readonly annotations?: Annotations;
  readonly artifactType?: string;
  readonly platform?: Platform;
  /** The content itself, decoded and already checked against digest and size. */
  readonly data?: Uint8Array;
}

export interface ImageManifest {
  readonly kind: "manifest";
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations: Annotations;
}

export interface ImageIndex {
  readonly kind: "index";
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations: Annotations;
}

/** A manifest or index as it was received: the bytes are what was hashed and what is signed. */
export interface ReceivedManifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly digest: Digest;
  readonly content: ImageManifest | ImageIndex;
}
