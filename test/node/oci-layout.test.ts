import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestBytes, type Digest } from "../../src/base/digest.ts";
import { openOciLayout, type OciLayout } from "../../src/node/oci-layout.ts";

const HELLO = new TextEncoder().encode("hello");

let dir: string;
let layout: OciLayout;
let hello: Digest;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "layout-"));
  layout = await openOciLayout(dir);
  hello = await digestBytes(HELLO);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const path = (digest: Digest) => join(dir, "blobs", digest.replace(":", "/"));

async function readAll(digest: Digest, start?: number, end?: number): Promise<string> {
  const blob = (await layout.open(digest))!;
  let text = "";
  for await (const chunk of blob.read(start, end)) text += Buffer.from(chunk).toString();
  return text;
}

test("makes a layout that other tools read", () => {
  expect(JSON.parse(readFileSync(join(dir, "oci-layout"), "utf8"))).toEqual({ imageLayoutVersion: "1.0.0" });
  expect(JSON.parse(readFileSync(join(dir, "index.json"), "utf8"))).toEqual({ schemaVersion: 2, manifests: [] });
});

test("leaves the index of a layout that is there as it is", async () => {
  writeFileSync(join(dir, "index.json"), '{"schemaVersion":2,"manifests":[],"annotations":{"mine":"1"}}');
  await openOciLayout(dir);
  expect(readFileSync(join(dir, "index.json"), "utf8")).toContain("mine");
});

test("stores a stream under its digest, and gives it back whole and in parts", async () => {
  for (const algorithm of ["sha256", "sha512"] as const) {
    const digest = await digestBytes(HELLO, algorithm);
    await layout.write([HELLO.subarray(0, 2), HELLO.subarray(2)], { digest, size: 5 });
    expect(await layout.stat(digest)).toBe(5);
    expect(await readAll(digest)).toBe("hello");
    expect(await readAll(digest, 1, 4)).toBe("ell");
    expect(await layout.readVerified(digest, 5)).toEqual(HELLO);
    expect(await layout.verify(digest)).toBe(true);
  }
});

test("lists and deletes what is there", async () => {
  await layout.write([HELLO], { digest: hello });
  writeFileSync(join(dir, "blobs", "sha256", "not-a-digest"), "");
  const listed: Digest[] = [];
  for await (const digest of layout.list()) listed.push(digest);
  expect(listed).toEqual([hello]);
  expect(await layout.delete(hello)).toBe(true);
  expect(await layout.delete(hello)).toBe(false);
  expect([await layout.stat(hello), await layout.open(hello), await layout.verify(hello)]).toEqual([
    undefined,
    undefined,
    false,
  ]);
  expect(await layout.readVerified(hello, 5)).toBeUndefined();
});

describe("a write that fails leaves nothing", () => {
  const empty = () => {
    expect(readdirSync(join(dir, "tmp"))).toEqual([]);
    expect(readdirSync(join(dir, "blobs", "sha256"))).toEqual([]);
  };

  test.each([
    ["other bytes", "hullo", 5],
    ["too few bytes", "hell", 5],
    ["too many bytes", "hello!", 5],
    ["other bytes of unknown size", "hullo", undefined],
  ])("where it has %s", async (_, text, size) => {
    const source = [new TextEncoder().encode(text)];
    const expected = size === undefined ? { digest: hello } : { digest: hello, size };
    await expect(layout.write(source, expected)).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
    empty();
    await layout.write([HELLO], { digest: hello });
    expect(await readAll(hello)).toBe("hello");
  });

  test("where its source fails, with the source's error", async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield HELLO;
      throw new TypeError("source");
    }
    await expect(layout.write(broken(), { digest: hello })).rejects.toMatchObject({
      message: expect.stringContaining("source"),
    });
    empty();
  });

  test("of an endless source ends at the announced size", async () => {
    function* endless(): Generator<Uint8Array> {
      for (;;) yield HELLO;
    }
    await expect(layout.write(endless(), { digest: hello, size: 12 })).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
    });
    empty();
  });
});

describe("refuses", () => {
  test.each(["sha256:../../../../etc/passwd", "sha256:" + "A".repeat(64), "md5:00", "../x", ""])(
    "%j before any path is made of it",
    async (text) => {
      const digest = text as Digest;
      for (const use of [
        layout.stat(digest),
        layout.open(digest),
        layout.delete(digest),
        layout.readVerified(digest, 5),
      ]) {
        await expect(use).rejects.toMatchObject({ code: "DIGEST_INVALID" });
      }
    },
  );

  test.each(["a link", "a directory", "a pipe"])("%s in place of a blob, without waiting", async (kind) => {
    const target = join(dir, "secret");
    writeFileSync(target, "hello");
    if (kind === "a link") symlinkSync(target, path(hello));
    else if (kind === "a directory") mkdirSync(path(hello));
    else {
      const { execFileSync } = await import("node:child_process");
      execFileSync("mkfifo", [path(hello)]);
    }
    await expect(layout.open(hello)).rejects.toMatchObject({ code: "STATE_INVALID" });
    await expect(layout.readVerified(hello, 10)).rejects.toMatchObject({ code: "STATE_INVALID" });
    if (kind === "a link") {
      await layout.write([HELLO], { digest: hello });
      expect(readFileSync(target, "utf8")).toBe("hello");
      expect(await readAll(hello)).toBe("hello");
    }
  });

  test("a layout whose blobs lie behind a link", async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "elsewhere-"));
    rmSync(join(dir, "blobs"), { recursive: true });
    symlinkSync(elsewhere, join(dir, "blobs"));
    await expect(openOciLayout(dir)).rejects.toMatchObject({ code: "STATE_INVALID" });
    rmSync(elsewhere, { recursive: true });
  });

  test("bytes that the disk changed, where they are read to be trusted", async () => {
    await layout.write([HELLO], { digest: hello });
    writeFileSync(path(hello), "hullo");
    await expect(layout.readVerified(hello, 5)).rejects.toMatchObject({ code: "STATE_INVALID" });
    await expect(layout.verify(hello)).rejects.toMatchObject({ code: "STATE_INVALID" });
    writeFileSync(path(hello), "hello hello");
    await expect(layout.readVerified(hello, 5)).rejects.toMatchObject({
      code: "STATE_INVALID",
      message: expect.stringContaining("11 bytes"),
    });
  });
});

test("removes what writers that were killed left behind, and a link among it only itself", async () => {
  const kept = join(dir, "kept");
  mkdirSync(kept);
  writeFileSync(join(kept, "file"), "x");
  writeFileSync(join(dir, "tmp", "left"), "half");
  symlinkSync(kept, join(dir, "tmp", "link"));
  await openOciLayout(dir);
  expect(readdirSync(join(dir, "tmp"))).toEqual([]);
  expect(existsSync(join(kept, "file"))).toBe(true);
});
