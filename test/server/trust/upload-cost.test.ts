import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8Encode } from "../../../src/base/bytes.ts";
import { isCheapToParse, UploadMemory } from "../../../src/server/trust/upload-cost.ts";
import { readUploads } from "../../../src/server/trust/upload.ts";

async function* chunks(...sizes: number[]): AsyncGenerator<Uint8Array> {
  for (const size of sizes) yield new Uint8Array(size);
}

async function drain(body: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const chunk of body) size += chunk.length;
  return size;
}

describe("the cost of uploads", () => {
  it.each([
    ["deep nesting", "[".repeat(65)],
    ["64 MiB of brackets", "[".repeat(64 * 1024 * 1024)],
    ["many small values", `[${"0,".repeat(2_000_001)}0]`],
    ["many empty objects", `[${"{},".repeat(2_000_001)}{}]`],
  ])("is refused before parsing: %s", (_, text) => {
    const bytes = utf8Encode(text);
    expect(isCheapToParse(bytes)).toBe(false);
    expect(() => readUploads([{ filename: "targets", bytes }])).toThrow(
      expect.objectContaining({ code: "MALFORMED_JSON" }),
    );
  });

  it("lets any usual JSON pass, whatever its strings hold", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), (text) => {
        expect(isCheapToParse(utf8Encode(text))).toBe(true);
      }),
    );
    expect(isCheapToParse(utf8Encode(JSON.stringify(`"\\${"[{,".repeat(1_000_000)}`)))).toBe(true);
  });

  it("is counted for all uploads together until each has ended, also by a failure", async () => {
    const memory = new UploadMemory(100);
    const second = () => memory.run(async (count) => drain(count(chunks(50))));
    await memory.run(async (count) => {
      expect(await drain(count(chunks(30, 30)))).toBe(60);
      await expect(second()).rejects.toMatchObject({ code: "UPDATING", status: 500 });
      await expect(memory.run(async (inner) => drain(inner(chunks(40))))).resolves.toBe(40);
    });
    await expect(second()).resolves.toBe(50);
  });
});
