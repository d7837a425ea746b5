import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { formatPem, parsePem } from "../../src/keys/pem.ts";
import { codeOf, notary, notaryKeyNames, openssl } from "../support/key-fixtures.ts";

const BODY = "AAECAwQF";

describe("reading", () => {
  test("reads headers, and blocks between other text", () => {
    const text = `Bag Attributes\n-----BEGIN A KEY-----\nrole: root\ngun: localhost:5000/x\n\n${BODY}\n-----END A KEY-----\nnoise\n-----BEGIN B-----\n${BODY}\n-----END B-----`;
    const blocks = parsePem(text.replaceAll("\n", "\r\n"));
    expect(blocks.map(({ label }) => label)).toEqual(["A KEY", "B"]);
    expect([...blocks[0]!.headers]).toEqual([
      ["role", "root"],
      ["gun", "localhost:5000/x"],
    ]);
    expect([...blocks[0]!.bytes]).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("finds no block in other text, and says nothing", () => {
    expect(parsePem("")).toEqual([]);
    expect(parsePem("hello")).toEqual([]);
  });

  test.each([
    ["a block without an end", `-----BEGIN A-----\n${BODY}\n`],
    ["a block that ends as another", `-----BEGIN A-----\n${BODY}\n-----END B-----`],
    ["a block inside a block", `-----BEGIN A-----\n-----BEGIN A-----\n${BODY}\n-----END A-----`],
    ["a damaged first line", `-----BEGIN A----\n${BODY}\n-----END A-----`],
    ["no content", "-----BEGIN A-----\n-----END A-----"],
    ["content that is no base64", "-----BEGIN A-----\nAAEC*wQF\n-----END A-----"],
    ["base64 that is cut off", "-----BEGIN A-----\nAAECA\n-----END A-----"],
    ["text after the padding", "-----BEGIN A-----\nAA==\nAA==\n-----END A-----"],
    ["a header twice", `-----BEGIN A-----\nrole: a\nrole: b\n\n${BODY}\n-----END A-----`],
    ["a header without a name", `-----BEGIN A-----\n: a\n\n${BODY}\n-----END A-----`],
    ["headers without a blank line", `-----BEGIN A-----\nrole: a\n${BODY}\n-----END A-----`],
    ["a blank line in the middle", `-----BEGIN A-----\nAAEC\n\nAAEC\n-----END A-----`],
  ])("refuses %s", async (_, text) => {
    expect(await codeOf(() => parsePem(text))).toBe("KEY_INVALID");
    expect(await codeOf(() => parsePem(text, "it", "CERTIFICATE_INVALID"))).toBe("CERTIFICATE_INVALID");
  });

  test("refuses more than it would ever be given", async () => {
    expect(await codeOf(() => parsePem("x".repeat(1024 * 1024 + 1)))).toBe("LIMIT_EXCEEDED");
    expect(await codeOf(() => parsePem(`-----BEGIN A-----\n${BODY}\n-----END A-----\n`.repeat(1001)))).toBe(
      "LIMIT_EXCEEDED",
    );
    const headers = Array.from({ length: 17 }, (_, i) => `h${i}: x`).join("\n");
    expect(await codeOf(() => parsePem(`-----BEGIN A-----\n${headers}\n\n${BODY}\n-----END A-----`))).toBe(
      "LIMIT_EXCEEDED",
    );
  });

  test("takes time in proportion to its input", () => {
    const started = performance.now();
    expect(() => parsePem(`-----BEGIN A-----\n${"\n".repeat(1_000_000)}`)).toThrow(FormatError);
    expect(() => parsePem(`-----BEGIN A-----\nx:${" ".repeat(500_000)}y\n\nAAAA\n-----END A-----`)).not.toThrow();
    expect(() => parsePem(`-----BEGIN ${"A ".repeat(500_000)}`)).toThrow(FormatError);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  test("ends every input in blocks or an error of the format", () => {
    const pieces = fc.constantFrom("-----BEGIN A-----", "-----END A-----", "role: x", "", "AAEC", "AA==", "-----", ":");
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 12 }), (lines) => {
        try {
          parsePem(lines.join("\n"));
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe("writing", () => {
  test("writes Notary's files byte for byte", async () => {
    for (const name of await notaryKeyNames()) {
      const text = notary(`private/${name}`);
      expect(formatPem(parsePem(text)[0]!)).toBe(text);
    }
  });

  test("writes OpenSSL's old headers in the order that readers want", () => {
    const text = openssl("p256-aes256.sec1.pem");
    const [block] = parsePem(text);
    expect(
      formatPem({
        ...block!,
        headers: new Map([
          ["DEK-Info", "a"],
          ["Proc-Type", "b"],
          ["role", "c"],
        ]),
      }),
    ).toMatch(/^-----BEGIN EC PRIVATE KEY-----\nProc-Type: b\nDEK-Info: a\nrole: c\n\n/);
  });

  test("gives back what was written", () => {
    const value = fc.stringMatching(/^[!-~](?:[ -~]{0,40}[!-~])?$/);
    const headers = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-zA-Z][a-zA-Z-]{0,10}$/), value), {
      maxLength: 16,
      selector: ([name]) => name,
    });
    fc.assert(
      fc.property(headers, fc.uint8Array({ minLength: 1, maxLength: 500 }), (pairs, bytes) => {
        const text = formatPem({ label: "PRIVATE KEY", headers: new Map(pairs), bytes: new Uint8Array(bytes) });
        const [block, ...others] = parsePem(text);
        expect(others).toEqual([]);
        expect(new Map(block!.headers)).toEqual(new Map(pairs));
        expect(block!.bytes).toEqual(bytes);
        expect(
          Math.max(
            ...text
              .split("\n")
              .filter((line) => !line.includes(":"))
              .map(({ length }) => length),
          ),
        ).toBeLessThanOrEqual(64);
      }),
    );
  });

  test.each(["a\nrole: root", "a\rb", "", " a"])(
    "refuses the header value %j, which would read as something else",
    (value) => {
      const block = { label: "PRIVATE KEY", headers: new Map([["role", value]]), bytes: new Uint8Array(3) };
      expect(() => formatPem(block)).toThrow(FormatError);
    },
  );
});
