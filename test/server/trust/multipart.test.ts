import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatBytes, utf8Decode, utf8Encode } from "../../../src/base/bytes.ts";
import { writeMultipart } from "../../../src/notary/multipart.ts";
import { ApiError } from "../../../src/server/trust/errors.ts";
import { readMultipart, type UploadedFile } from "../../../src/server/trust/multipart.ts";

const LIMITS = { parts: 3, partBytes: 100, totalBytes: 2000 };
const TYPE = "multipart/form-data; boundary=x";

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** The files as [name, content]; read in pieces of `size` bytes. */
async function read(body: string | Uint8Array, type: string | undefined = TYPE, size = 1_000_000) {
  const bytes = typeof body === "string" ? utf8Encode(body) : body;
  const files = await readMultipart(type, chunks(bytes, size), LIMITS);
  return files.map(({ filename, bytes: content }) => [filename, utf8Decode(content)]);
}

function part(filename: string, content: string): string {
  return `--x\r\nContent-Disposition: form-data; name="files"; filename="${filename}"\r\nContent-Type: application/octet-stream\r\n\r\n${content}\r\n`;
}

describe("multipart parser", () => {
  it("keeps slashes in file names, which other parsers cut", async () => {
    expect(await read(`${part("targets/releases", "{}")}--x--\r\n`)).toEqual([["targets/releases", "{}"]]);
  });

  it("takes no parts at all", async () => {
    expect(await read("--x--\r\n")).toEqual([]);
    expect(await read("--x--")).toEqual([]);
  });

  it("keeps empty content, line ends and what looks like a boundary but is none", async () => {
    const odd = "\r\n\r\n--\r\n--y\r\n-x--";
    expect(await read(`${part("a", "")}${part("b", odd)}${part("c", "\r\n")}--x--\r\n`)).toEqual([
      ["a", ""],
      ["b", odd],
      ["c", "\r\n"],
    ]);
  });

  it("understands quoted boundaries, any case, other parameters and escapes", async () => {
    const body =
      '--a b\r\ncontent-DISPOSITION: Form-Data; FileName="q\\"\\\\"; name=files\r\nX-Other: 1\r\n\r\n1\r\n--a b--\r\n';
    expect(await read(body, 'Multipart/Form-Data; charset=utf-8; Boundary="a b"')).toEqual([['q"\\', "1"]]);
  });

  it("reads the same whatever pieces it arrives in, and reads back what our client writes", async () => {
    const file = fc.record({
      role: fc.stringMatching(/^targets(\/[-a-z0-9_]{1,5}){0,2}$/),
      bytes: fc.uint8Array({ maxLength: 80 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(file, { maxLength: 3 }), fc.integer({ min: 1, max: 90 }), async (files, size) => {
        const { contentType, bytes } = writeMultipart(files);
        const got = await readMultipart(contentType, chunks(bytes, size), LIMITS);
        const expected = files.map(({ role, bytes: content }): UploadedFile => {
          return { filename: role, bytes: concatBytes([content]) };
        });
        expect(got).toEqual(expected);
      }),
    );
  });

  it("ends every input in files or in an error of the API", async () => {
    const token = fc.constantFrom(
      "--x",
      "--",
      "\r\n",
      "\r\n\r\n",
      "Content-Disposition: form-data",
      '; filename="a"',
      "a",
      ";",
      '"',
      "\0",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(token, { maxLength: 30 }), fc.integer({ min: 1, max: 9 }), async (tokens, size) => {
        const result = await read(tokens.join(""), TYPE, size).catch((error: unknown) => error);
        expect(Array.isArray(result) || result instanceof ApiError).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ["no Content-Type", "--x--\r\n", undefined],
    ["another Content-Type", "--x--\r\n", "multipart/mixed; boundary=x"],
    ["no boundary", "--x--\r\n", "multipart/form-data"],
    ["an empty boundary", "----\r\n", 'multipart/form-data; boundary=""'],
    ["two boundaries", "--x--\r\n", "multipart/form-data; boundary=x; boundary=y"],
    ["a boundary of 71 characters", "--x--\r\n", `multipart/form-data; boundary=${"x".repeat(71)}`],
    ["nothing", "", TYPE],
    ["something before the first boundary", "preamble\r\n--x--\r\n", TYPE],
    ["no end", part("root", "{}"), TYPE],
    ["an end within a boundary", `${part("root", "{}")}--x-`, TYPE],
    ["something after a boundary", "--xy\r\n\r\n\r\n--x--", TYPE],
    ["headers that never end", `--x\r\n${"A: b\r\n".repeat(400)}`, TYPE],
    ["headers that are too long", `--x\r\nA: ${"b".repeat(2100)}\r\n\r\n\r\n--x--`, TYPE],
  ])("refuses %s as malformed", async (_, body, type) => {
    for (const size of [1, 1_000_000]) {
      await expect(
        readMultipart(type, chunks(utf8Encode(body), size), { ...LIMITS, totalBytes: 5000 }),
      ).rejects.toMatchObject({
        code: "MALFORMED_UPLOAD",
        status: 400,
      });
    }
  });

  it.each([
    ["no headers", "--x\r\n\r\n{}\r\n--x--"],
    ["no file name", '--x\r\nContent-Disposition: form-data; name="files"\r\n\r\n{}\r\n--x--'],
    ["an empty file name", '--x\r\nContent-Disposition: form-data; filename=""\r\n\r\n{}\r\n--x--'],
    ["two file names", '--x\r\nContent-Disposition: form-data; filename="root"; filename="targets"\r\n\r\n{}\r\n--x--'],
    [
      "two dispositions",
      '--x\r\nContent-Disposition: form-data; filename="a"\r\nContent-Disposition: form-data; filename="b"\r\n\r\n\r\n--x--',
    ],
    ["another disposition", '--x\r\nContent-Disposition: attachment; filename="root"\r\n\r\n{}\r\n--x--'],
    ["a disposition that does not parse", '--x\r\nContent-Disposition: form-data; filename="root\r\n\r\n{}\r\n--x--'],
  ])("refuses %s for want of a name", async (_, body) => {
    await expect(read(body)).rejects.toMatchObject({ code: "NO_FILENAME", status: 400 });
  });

  it.each([
    ["more parts", part("a", "") + part("b", "") + part("c", "") + part("d", ""), "3 parts"],
    ["a larger part", part("a", "x".repeat(101)), "100 bytes"],
    ["a larger body", `${part("a", "")}--x--${"x".repeat(2000)}`, "2000 bytes"],
  ])("refuses %s than allowed and says what is, without keeping the rest", async (_, body, words) => {
    const refused = read(`${body}--x--\r\n`, TYPE, 7);
    await expect(refused).rejects.toMatchObject({ code: "MALFORMED_UPLOAD", detail: expect.stringContaining(words) });
    expect(await read(`${part("a", "x".repeat(100))}--x--\r\n`)).toEqual([["a", "x".repeat(100)]]);
  });
});
