import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { WasmToOciError } from "../../src/base/errors.ts";
import { readTarAttributes, readTarHeader, TAR_BLOCK, tarPadding, tarPath, writeTarHeader } from "../../src/oci/tar.ts";

const code = (action: () => unknown): string | undefined => {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof WasmToOciError) return error.code;
    throw error;
  }
};

describe("tar headers", () => {
  it("come back as they were written, pax records where they do not fit", () => {
    const path = fc.string({ minLength: 1, maxLength: 300, unit: fc.constantFrom("a", "b", "/", ".", "-", "_", "0") });
    const size = fc.oneof(fc.nat(), fc.constantFrom(0, 0o77777777777, 0o100000000000, 2 ** 45));
    fc.assert(
      fc.property(path, size, (name, length) => {
        const bytes = writeTarHeader(name, length);
        expect(bytes.length % TAR_BLOCK).toBe(0);
        const first = readTarHeader(bytes.subarray(0, TAR_BLOCK))!;
        const isExtended = name.length > 100 || length > 0o77777777777;
        expect(first.kind).toBe(isExtended ? "attributes" : "file");
        const own = isExtended ? readTarAttributes(bytes.subarray(TAR_BLOCK, TAR_BLOCK + first.size)) : {};
        const last = readTarHeader(bytes.subarray(-TAR_BLOCK))!;
        expect(own.path ?? last.path).toBe(name);
        expect(own.size ?? last.size).toBe(length);
      }),
    );
  });

  it("of any bytes are read, or refused with a code of ours", () => {
    const good = writeTarHeader("oci-layout", 30);
    fc.assert(
      fc.property(fc.nat(TAR_BLOCK - 1), fc.nat(255), fc.uint8Array({ maxLength: 600 }), (at, byte, junk) => {
        const changed = Uint8Array.from(good);
        changed[at] = byte;
        const outcome = code(() => readTarHeader(changed));
        // the header's own bytes are all under its checksum
        expect(
          changed[at] === good[at] || (at > 147 && at < 156) ? [undefined, "LAYOUT_INVALID"] : ["LAYOUT_INVALID"],
        ).toContain(outcome);
        expect([undefined, "LAYOUT_INVALID"]).toContain(code(() => readTarAttributes(junk)));
      }),
    );
  });

  it("tell the end by an empty block", () => {
    expect(readTarHeader(new Uint8Array(TAR_BLOCK))).toBeUndefined();
    expect([tarPadding(0), tarPadding(1), tarPadding(512), tarPadding(513)]).toEqual([0, 511, 0, 511]);
  });
});

describe("pax records", () => {
  const read = (text: string) => readTarAttributes(new TextEncoder().encode(text));

  it("give a path and a size, and others no meaning", () => {
    expect(read("9 path=a\n14 size=12345\n13 mtime=1.5\n")).toEqual({ path: "a", size: 12345 });
  });

  it.each([
    "9 path=a",
    "99 path=a\n",
    "0 path=a\n",
    "9 path:a\n",
    "09 path=a\n",
    "9 size=x\n",
    "-9 path=a\n",
    "9path=aa\n",
    "22 GNU.sparse.major=1\n",
  ])("refuses %j", (text) => {
    expect(code(() => read(text))).toBe("LAYOUT_INVALID");
  });
});

describe("paths in archives", () => {
  it("have one spelling", () => {
    expect(tarPath("./blobs/sha256/ab")).toBe("blobs/sha256/ab");
    expect(tarPath("blobs/")).toBe("blobs");
    expect(tarPath("./")).toBeUndefined();
  });

  it("never lead elsewhere", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", ".", "/", "\\", ":", "\0", "~", " ", "%") }), (text) => {
        let path: string | undefined;
        if (code(() => void (path = tarPath(text))) !== undefined || path === undefined) return;
        expect(path.split("/").every((part) => /^[\w.-]+$/.test(part) && part !== ".." && part !== ".")).toBe(true);
      }),
    );
    for (const text of ["/etc", "../a", "a/../b", "a//b", "a\\b", "C:a", "a/..", "~/a"])
      expect(code(() => tarPath(text))).toBe("LAYOUT_INVALID");
  });
});
