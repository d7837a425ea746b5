import fc from "fast-check";
import { expect, test } from "vitest";
import { utf8Decode, utf8Encode } from "../../src/base/bytes.ts";
import { writeMultipart } from "../../src/notary/multipart.ts";

const zeros = (length: number) => new Uint8Array(length);

test("writes the parts that notary-server reads, with the slashes of a role kept", () => {
  const files = [
    { role: "targets/releases", bytes: utf8Encode("{}") },
    { role: "snapshot", bytes: utf8Encode('{"a":1}') },
  ];
  const body = writeMultipart(files, zeros);
  const boundary = "0".repeat(32);
  expect(body.contentType).toBe(`multipart/form-data; boundary=${boundary}`);
  expect(utf8Decode(body.bytes)).toBe(
    `--${boundary}\r\nContent-Disposition: form-data; name="files"; filename="targets/releases"\r\n` +
      `Content-Type: application/octet-stream\r\n\r\n{}\r\n` +
      `--${boundary}\r\nContent-Disposition: form-data; name="files"; filename="snapshot"\r\n` +
      `Content-Type: application/octet-stream\r\n\r\n{"a":1}\r\n` +
      `--${boundary}--\r\n`,
  );
});

test("is a body without parts where there is nothing to upload", () => {
  expect(utf8Decode(writeMultipart([], zeros).bytes)).toBe(`--${"0".repeat(32)}--\r\n`);
});

test("refuses a role that could break out of its header", () => {
  const files = [{ role: 'x"\r\nX-Evil: 1', bytes: utf8Encode("{}") }];
  expect(() => writeMultipart(files)).toThrow(expect.objectContaining({ code: "INTERNAL" }));
});

test("is read back byte for byte by another implementation", async () => {
  const role = fc.stringMatching(/^targets(\/[-a-z0-9_]{1,8}){0,3}$/);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(role, fc.uint8Array({ maxLength: 200 })), { maxLength: 4 }), async (files) => {
      const body = writeMultipart(files.map(([name, bytes]) => ({ role: name, bytes })));
      const parsed = await new Response(body.bytes, { headers: { "content-type": body.contentType } }).formData();
      const parts = parsed.getAll("files") as unknown as File[];
      expect(parts.map((part) => part.name)).toEqual(files.map(([name]) => name));
      for (const [index, part] of parts.entries()) {
        expect(new Uint8Array(await part.arrayBuffer())).toEqual(new Uint8Array(files[index]?.[1] ?? []));
      }
    }),
    { numRuns: 100 },
  );
});
