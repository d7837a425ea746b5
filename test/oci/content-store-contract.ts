/** What every content store must do: a registry's repository, a layout in a directory, a layout in an archive. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { concatBytes, equalBytes, utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { digestBytes, type Digest } from "../../src/base/digest.ts";
import type { ContentStore } from "../../src/oci/content-store.ts";
import { describeManifest } from "../../src/oci/manifest-descriptor.ts";
import { parseManifest } from "../../src/oci/manifest.ts";
import { MediaType } from "../../src/oci/types.ts";

export interface StoreUnderTest {
  readonly store: ContentStore;
  /** Opens what was written anew, as another process would. */
  reopen(): Promise<ContentStore>;
  stop(): Promise<void>;
}

async function blob(bytes: Uint8Array): Promise<{ digest: Digest; size: number }> {
  return { digest: await digestBytes(bytes), size: bytes.length };
}

async function all(source: AsyncIterable<Uint8Array>): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return concatBytes(chunks);
}

export function contentStoreContract(name: string, start: () => Promise<StoreUnderTest>): void {
  describe(`${name} as a content store`, () => {
    let subject: StoreUnderTest;
    let store: ContentStore;
    const content = new Uint8Array(300_000).map((_, at) => at * 7);

    beforeAll(async () => {
      subject = await start();
      store = subject.store;
    });
    afterAll(async () => subject.stop());

    /** Stores config and layer, and gives a manifest of them. */
    async function manifestOf(text: string, more: object = {}) {
      const config = utf8Encode("{}");
      const layer = utf8Encode(text);
      await store.blobs.put(await blob(config), config);
      await store.blobs.put(await blob(layer), layer);
      const document = {
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: { mediaType: MediaType.ociEmpty, ...(await blob(config)) },
        layers: [{ mediaType: "application/wasm", ...(await blob(layer)) }],
        ...more,
      };
      return parseManifest(utf8Encode(JSON.stringify(document)), MediaType.ociManifest);
    }

    it("gives back a blob, and takes it only once", async () => {
      const address = await blob(content);
      expect(await store.blobs.has(address.digest)).toBe(false);
      const body = {
        size: content.length,
        open: async function* () {
          yield content.subarray(0, 100_000);
          yield content.subarray(100_000);
        },
      };
      expect(await store.blobs.put(address, body)).toEqual({ existed: false });
      expect(await store.blobs.put(address, body)).toEqual({ existed: true });
      expect(await store.blobs.has(address.digest)).toBe(true);
      expect(equalBytes(await all(store.blobs.get(address)), content)).toBe(true);
      expect(equalBytes(await store.blobs.read(address, content.length), content)).toBe(true);
      await expect(store.blobs.read(address, content.length - 1)).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
    });

    it("shows nothing of a blob whose bytes are not what was said", async () => {
      const wrong = { digest: await digestBytes(utf8Encode("right")), size: 5 };
      await expect(store.blobs.put(wrong, utf8Encode("wrong"))).rejects.toThrow(/./);
      expect(await store.blobs.has(wrong.digest)).toBe(false);
      expect(await store.blobs.put(wrong, utf8Encode("right"))).toEqual({ existed: false });
    });

    it("does not end the reading of a blob under a wrong length without an error", async () => {
      const address = await blob(content);
      await store.blobs.put(address, content);
      await expect(all(store.blobs.get({ ...address, size: 10 }))).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
    });

    it("keeps manifests by digest without naming them, and byte for byte", async () => {
      const manifest = await manifestOf("by digest");
      expect(await store.manifests.get(manifest.digest)).toBeUndefined();
      await store.manifests.putByDigest(manifest.bytes, manifest.mediaType, manifest.digest);
      expect((await store.manifests.get(manifest.digest))?.bytes).toEqual(manifest.bytes);
      const other = await manifestOf("other");
      await expect(store.manifests.putByDigest(other.bytes, other.mediaType, manifest.digest)).rejects.toMatchObject({
        code: "DIGEST_MISMATCH",
      });
    });

    it("moves a tag from one manifest to another, and keeps both", async () => {
      const [first, second] = [await manifestOf("first"), await manifestOf("second")];
      expect(await store.manifests.get("moved")).toBeUndefined();
      await store.manifests.tag(first.bytes, first.mediaType, "moved");
      await store.manifests.tag(first.bytes, first.mediaType, "stays");
      await store.manifests.tag(second.bytes, second.mediaType, "moved");
      expect((await store.manifests.head("moved"))?.digest).toBe(second.digest);
      expect((await store.manifests.head("stays"))?.digest).toBe(first.digest);
      expect((await store.manifests.get(first.digest))?.digest).toBe(first.digest);
      await expect(store.manifests.tag(first.bytes, first.mediaType, "../x")).rejects.toMatchObject({
        code: "REFERENCE_INVALID",
      });
      await expect(store.manifests.get("a b")).rejects.toMatchObject({ code: "REFERENCE_INVALID" });
    });

    it("finds what refers to a manifest, once it is attached", async () => {
      const target = await manifestOf("with a signature");
      await store.manifests.tag(target.bytes, target.mediaType, "signed");
      expect(await store.referrers.list(target.digest)).toEqual([]);
      const referrer = await manifestOf("signature", {
        artifactType: "application/vnd.example.signature",
        subject: { ...describeManifest(target) },
      });
      await store.manifests.putByDigest(referrer.bytes, referrer.mediaType, referrer.digest);
      for (const _twice of [1, 2]) await store.referrers.attach(target.digest, describeManifest(referrer));
      const listed = await store.referrers.list(target.digest);
      expect(listed).toEqual([
        expect.objectContaining({ digest: referrer.digest, artifactType: "application/vnd.example.signature" }),
      ]);
      expect(await store.referrers.list(target.digest, { artifactType: "application/vnd.example.other" })).toEqual([]);
    });

    it("has all of it when it is opened again", async () => {
      const again = await subject.reopen();
      const tags: string[] = [];
      for await (const tag of again.tags.list()) tags.push(tag);
      expect(tags).toEqual(expect.arrayContaining(["moved", "stays", "signed"]));
      const signed = await again.manifests.get("signed");
      expect(await again.referrers.list(signed!.digest)).toHaveLength(1);
      expect(equalBytes(await again.blobs.read(await blob(content), content.length), content)).toBe(true);
    });
  });
}
