import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8Encode } from "../../../src/base/bytes.ts";
import { countValues, MAX_VALUES, UploadMemory, ValidationBudget } from "../../../src/server/trust/upload-cost.ts";
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
    ["many small values", `[${"0,".repeat(1_500_001)}0]`],
    ["many empty objects", `[${"{},".repeat(1_500_001)}{}]`],
  ])("is refused before parsing: %s", (_, text) => {
    const bytes = utf8Encode(text);
    expect(countValues(bytes)).toBeGreaterThan(MAX_VALUES);
    expect(() => readUploads([{ filename: "targets", bytes }])).toThrow(
      expect.objectContaining({ code: "MALFORMED_JSON" }),
    );
  });

  it("is refused where a thousand files that each may pass are together too much", () => {
    const bytes = utf8Encode(`[${"0,".repeat(100_000)}0]`);
    const files = (count: number) => Array.from({ length: count }, (_, i) => ({ filename: `targets/${i}`, bytes }));
    expect(readUploads(files(14)).size).toBe(14);
    expect(() => readUploads(files(15))).toThrow(expect.objectContaining({ code: "MALFORMED_JSON" }));
  });

  it("counts every value, whatever the strings hold", () => {
    const valuesOf = (value: unknown): number =>
      typeof value === "object" && value !== null
        ? Object.values(value).reduce((sum: number, member) => sum + valuesOf(member), 1)
        : 1;
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), (text) => {
        const exact = valuesOf(JSON.parse(text));
        const counted = countValues(utf8Encode(text));
        expect(counted).toBeGreaterThanOrEqual(exact);
        expect(counted).toBeLessThanOrEqual(2 * exact); // an empty list counts for two
      }),
    );
    expect(countValues(utf8Encode(JSON.stringify(`"\\${"[{,".repeat(1_000_000)}`)))).toBe(1);
  });

  it("of validation is paid in turn, by as many as fit, and given back by those that fail", async () => {
    const budget = new ValidationBudget(10);
    const running: string[] = [];
    const ends = new Map<string, () => void>();
    const upload = (name: string, values: number) =>
      budget.run(values, async () => {
        running.push(name);
        await new Promise<void>((resolve) => ends.set(name, resolve));
        running.splice(running.indexOf(name), 1);
        if (name === "fails") throw new Error("refused");
      });
    const all = [upload("a", 4), upload("fails", 4), upload("large", 10), upload("small", 1)];
    const outcome = Promise.allSettled(all);
    await expect.poll(() => running).toEqual(["a", "fails"]);
    ends.get("a")!();
    await expect.poll(() => running).toEqual(["fails"]); // a small one does not pass a large one, or that waits forever
    ends.get("fails")!();
    await expect.poll(() => running).toEqual(["large"]);
    ends.get("large")!();
    await expect.poll(() => running).toEqual(["small"]);
    ends.get("small")!();
    expect((await outcome).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
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
