/** Takes a root out of a place of trust data, as its publisher would to hand it over. */
import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

interface Layer {
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** @returns the path of a copy in a folder */
export async function readRoot(options: readonly string[], version: number, folder: string): Promise<string> {
  const [, place = ""] = options;
  const name = `${version}.root.json`;
  const copy = join(folder, `${encodeURIComponent(place)}.${name}`);
  if (!place.startsWith("oci:")) {
    await copyFile(join(place, "metadata", name), copy);
    return copy;
  }
  const [, host, path] = /^oci:\/\/([^/]+)\/(.+)$/.exec(place)!;
  const headers = { accept: "application/vnd.oci.image.manifest.v1+json" };
  const manifest = (await (await fetch(`http://${host}/v2/${path}/manifests/tuf`, { headers })).json()) as {
    readonly layers: readonly Layer[];
  };
  const { digest } = manifest.layers.find(({ annotations }) => annotations?.["tuf.io/filename"] === name)!;
  const blob = await fetch(`http://${host}/v2/${path}/blobs/${digest}`);
  await writeFile(copy, new Uint8Array(await blob.arrayBuffer()));
  return copy;
}
