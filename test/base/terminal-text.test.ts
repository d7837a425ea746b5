import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { escapeTerminal } from "../../src/base/terminal-text.ts";

describe("escapeTerminal", () => {
  test.each([
    ["an escape sequence that clears the line", "app\u001b[2Kverified", "app\\u{1b}[2Kverified"],
    ["a carriage return that overwrites the line", "bad\rgood", "bad\\rgood"],
    ["a line break that forges another line", "v1\nverified: yes", "v1\\nverified: yes"],
    ["a tab", "a\tb", "a\\tb"],
    ["a terminal bell and a title change", "\u001b]0;owned\u0007", "\\u{1b}]0;owned\\u{7}"],
    ["the one-byte CSI of C1", "\u009b31m", "\\u{9b}31m"],
    ["backspaces over a digest", "sha256:ab\b\bcd", "sha256:ab\\u{8}\\u{8}cd"],
    ["DEL", "a\u007fb", "a\\u{7f}b"],
    ["a right-to-left override", "module\u202emsaw.exe", "module\\u{202e}msaw.exe"],
    ["bidirectional isolates", "\u2066a\u2069", "\\u{2066}a\\u{2069}"],
    ["zero-width characters", "wasi\u200b:http\ufeff", "wasi\\u{200b}:http\\u{feff}"],
    ["Unicode's own line and paragraph separators", "a\u2028b\u2029c", "a\\u{2028}b\\u{2029}c"],
    ["invisible tag characters beyond the first plane", "a\u{e0041}b", "a\\u{e0041}b"],
    ["a lone surrogate", "a\ud800b", "a\\u{d800}b"],
  ])("spells out %s", (_what, text, expected) => {
    expect(escapeTerminal(text)).toBe(expected);
  });

  test("leaves ordinary text of any language unchanged", () => {
    const text = "wasi:http/proxy@0.2.0 – Grüße, 日本語, עברית, C:\\module.wasm, 🦀 'quoted' \"text\"";
    expect(escapeTerminal(text)).toBe(text);
  });

  test("leaves nothing active in any text, and changes nothing twice", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const escaped = escapeTerminal(text);
        expect(escaped).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        expect(escapeTerminal(escaped)).toBe(escaped);
      }),
    );
  });
});
