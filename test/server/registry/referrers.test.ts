import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestBytes, type Digest } from "../../../src/base/digest.ts";
import {
  bytesOf,
  expectFault,
  imageManifest,
  OCI_INDEX,
  OCI_MANIFEST,
  openTestRegistry,
  type TestRegistry,
} from "./registry-fixture.ts";

let registry: TestRegistry;
let subject: Digest;
beforeEach(async () => {
  registry = await openTestRegistry();
  subject = await registry.pushImage("acme/app", "v1");
});
afterEach(() => registry.close());

interface Answer {
  manifests: {
    digest: string;
    artifactType?: string;
    annotations?: Record<string, string>;
    size: number;
    mediaType: string;
  }[];
}

async function list(
  query = "",
  of: string = subject,
  repository = "acme/app",
): Promise<{ headers: Headers; manifests: Answer["manifests"] }> {
  const answer = await registry.request("GET", `/v2/${repository}/referrers/${of}${query}`);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe(OCI_INDEX);
  const body = (await answer.json()) as Answer;
  expect(body).toEqual({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: expect.any(Array) });
  return { headers: answer.headers, manifests: body.manifests };
}

function refer(extra: Record<string, unknown>): Promise<Digest> {
  return registry.pushImage("acme/app", undefined, {
    subject: { mediaType: OCI_MANIFEST, digest: subject, size: 1 },
    ...extra,
  });
}

test("lists what refers to a manifest with type, size and annotations", async () => {
  const digest = await refer({ artifactType: "application/vnd.test.sbom", annotations: { a: "1", __proto__x: "2" } });
  const size = imageManifest(await digestBytes(bytesOf("{}")), {
    subject: { mediaType: OCI_MANIFEST, digest: subject, size: 1 },
    artifactType: "application/vnd.test.sbom",
    annotations: { a: "1", __proto__x: "2" },
  }).length;
  expect((await list()).manifests).toEqual([
    {
      mediaType: OCI_MANIFEST,
      digest,
      size,
      artifactType: "application/vnd.test.sbom",
      annotations: { a: "1", __proto__x: "2" },
    },
  ]);
});

test("takes the config's type where a manifest has none of its own, and none for an index", async () => {
  await refer({});
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: [],
    subject: { mediaType: OCI_MANIFEST, digest: subject, size: 1 },
  });
  const pushed = await registry.request("PUT", "/v2/acme/app/manifests/index", {
    body: index,
    headers: { "content-type": OCI_INDEX },
  });
  expect(pushed.headers.get("oci-subject")).toBe(subject);
  const types = (await list()).manifests.map((entry) => [entry.mediaType, entry.artifactType, "artifactType" in entry]);
  expect(types.toSorted((a, b) => (String(a) < String(b) ? -1 : 1))).toEqual([
    [OCI_INDEX, undefined, false],
    [OCI_MANIFEST, "application/vnd.test.config+json", true],
  ]);
});

test("filters by type and says so", async () => {
  const wanted = await refer({ artifactType: "application/vnd.test.sbom" });
  await refer({ artifactType: "application/vnd.test.signature" });
  const { headers, manifests } = await list("?artifactType=application/vnd.test.sbom");
  expect(headers.get("oci-filters-applied")).toBe("artifactType");
  expect(manifests.map((entry) => entry.digest)).toEqual([wanted]);
  expect((await list("?artifactType=none/such")).manifests).toEqual([]);
  expect((await list()).headers.get("oci-filters-applied")).toBeNull();
});

test("answers with an empty list, never 404, for a subject or repository that it does not have", async () => {
  const missing = await digestBytes(bytesOf("x"));
  expect((await list("", missing)).manifests).toEqual([]);
  expect((await list("", missing, "acme/none")).manifests).toEqual([]);
});

test("lists what came before its subject", async () => {
  const later = imageManifest(await digestBytes(bytesOf("{}")), { annotations: { later: "1" } });
  const laterDigest = await digestBytes(later);
  const referrer = await registry.pushImage("acme/app", undefined, {
    subject: { mediaType: OCI_MANIFEST, digest: laterDigest, size: 1 },
  });
  await registry.request("PUT", `/v2/acme/app/manifests/${laterDigest}`, {
    body: later,
    headers: { "content-type": OCI_MANIFEST },
  });
  expect((await list("", laterDigest)).manifests.map((entry) => entry.digest)).toEqual([referrer]);
});

test("keeps to one repository, and forgets what is deleted", async () => {
  const digest = await refer({ artifactType: "a/b" });
  expect((await list("", subject, "acme/other")).manifests).toEqual([]);
  expect((await registry.request("DELETE", `/v2/acme/app/manifests/${digest}`)).status).toBe(202);
  expect((await list()).manifests).toEqual([]);
});

test.each(["v1", "sha256:abc", "sha256:..%2F..%2Fx"])("refuses the subject %s", async (text) => {
  await expectFault(await registry.request("GET", `/v2/acme/app/referrers/${text}`), 400, "DIGEST_INVALID");
});

describe("many referrers", () => {
  test("come in pages that clients can read, none missing, none twice", { timeout: 60_000 }, async () => {
    const digests: string[] = [];
    const filler = "x".repeat(200_000);
    for (let n = 0; n < 12; n++)
      digests.push(await refer({ artifactType: "a/b", annotations: { n: String(n), filler } }));
    for (const filter of ["", "artifactType=a%2Fb"]) {
      const seen: string[] = [];
      let pages = 0;
      for (let query: string | undefined = `?${filter}`; query !== undefined; pages++) {
        const { headers, manifests } = await list(query);
        expect(JSON.stringify(manifests).length).toBeLessThan(4 * 1024 * 1024);
        seen.push(...manifests.map((entry) => entry.digest));
        const link: string | null = headers.get("link");
        query = link === null ? undefined : /^<[^?]+(\?[^>]+)>; rel="next"$/.exec(link)![1];
      }
      expect(pages).toBeGreaterThan(1);
      expect(seen).toEqual(digests.toSorted());
    }
  });
});
