import { Writable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RegistryError, StorageError, TrustError } from "../../src/base/errors.ts";
import { ERROR_GUIDE } from "../../src/cli/error-guide.ts";
import { Output, safeJson, type OutputStream } from "../../src/cli/output.ts";

class Memory extends Writable {
  text = "";
  readonly isTTY: boolean;
  readonly columns = 40;
  private readonly failure: Error | undefined;

  constructor(isTTY = false, failure?: Error) {
    super();
    this.isTTY = isTTY;
    this.failure = failure;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.text += chunk.toString("utf8");
    done(this.failure);
  }
}

function setUp({ terminal = false, env = {} }: { terminal?: boolean; env?: Record<string, string> } = {}): {
  out: Output;
  stdout: Memory;
  stderr: Memory;
} {
  const stdout = new Memory(terminal);
  const stderr = new Memory(terminal);
  return { out: new Output({ stdout, stderr, env }), stdout, stderr };
}

/** ESC with CSI and OSC 8, a carriage return, a bidirectional override, a one-byte CSI, a forged line. */
const HOSTILE = "v1\u001b[2K\u001b]8;;http://evil\u0007\r\u202e\u009b31m\nerror: all is well";

// oxlint-disable-next-line no-control-regex -- exactly these must not come out
const ACTIVE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

describe("Output", () => {
  it("escapes what came from a registry, on stdout and stderr alike", async () => {
    const { out, stdout, stderr } = setUp();
    out.level = "debug";
    await out.lines([HOSTILE]);
    await out.table(["TAG"], [[HOSTILE]]);
    await out.json({ tag: HOSTILE });
    out.info(HOSTILE);
    out.warn(HOSTILE);
    out.debug(HOSTILE);
    out.error(new RegistryError("REGISTRY_REFUSED", HOSTILE, { hint: HOSTILE, cause: new Error(HOSTILE) }));
    out.error(new Error(HOSTILE));
    expect(stdout.text).not.toMatch(ACTIVE);
    expect(stderr.text).not.toMatch(ACTIVE);
    expect(stderr.text).not.toMatch(/^error: all is well/m);
  });

  it("puts the texts of one cell of a table below each other", async () => {
    const { out, stdout } = setUp();
    await out.table(
      ["ROLE", "KEYS", "NEEDED"],
      [
        ["root", ["ada", "bob\u001b"], "2"],
        ["targets", "cid", "1"],
      ],
    );
    expect(stdout.text).toBe(
      ["ROLE     KEYS       NEEDED", "root     ada        2", "         bob\\u{1b}", "targets  cid        1", ""].join(
        "\n",
      ),
    );
  });

  it("escapes a hostile error in JSON without changing what it says", () => {
    const { out, stderr } = setUp();
    out.format = "json";
    out.error(new TrustError("TAG_MISMATCH", HOSTILE, { details: { got: HOSTILE } }));
    expect(stderr.text).not.toMatch(ACTIVE);
    const { error } = JSON.parse(stderr.text) as { error: Record<string, unknown> };
    expect(error).toEqual({
      code: "TAG_MISMATCH",
      kind: "tampered",
      exitStatus: 10,
      message: HOSTILE,
      hint: ERROR_GUIDE.TAG_MISMATCH.remedy,
      details: { got: HOSTILE },
    });
  });

  it("prints JSON that means what was given, for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const json = safeJson({ [text]: text });
        expect(JSON.parse(json)).toEqual({ [text]: text });
        expect(json).not.toMatch(/[\u007f-\u009f\p{Cf}\u2028\u2029]/u);
      }),
    );
  });

  it("colours the words error, hint and warning on a terminal and nothing else", () => {
    const { out, stderr } = setUp({ terminal: true });
    out.warn("w");
    out.error(new TrustError("KEY_MISSING", "m", { hint: "h" }));
    expect(stderr.text).toBe(
      "\u001b[1;33mwarning:\u001b[0m w\n\u001b[1;31merror:\u001b[0m m\n\u001b[1;36mhint:\u001b[0m h\n",
    );
  });

  it.each([
    { terminal: false, env: {} },
    { terminal: true, env: { NO_COLOR: "1" } },
    { terminal: true, env: { TERM: "dumb" } },
  ])("prints the same words without colour: %j", (options) => {
    const { out, stderr } = setUp(options);
    out.error(new TrustError("KEY_MISSING", "m", { hint: "h" }));
    expect(stderr.text).toBe("error: m\nhint: h\n");
  });

  it("says less at each level, and always why it failed and what to do", () => {
    const said = (["debug", "info", "warn", "error", "fatal"] as const).map((level) => {
      const { out, stderr } = setUp();
      out.level = level;
      out.debug("d");
      out.info("i");
      out.warn("w");
      out.error(new TrustError("KEY_MISSING", "e"));
      return stderr.text.trimEnd().split("\n").length;
    });
    expect(said).toEqual([5, 4, 3, 2, 2]);
  });

  it("keeps informal lines out of the way of JSON", () => {
    const { out, stderr } = setUp();
    out.format = "json";
    out.info("i");
    expect(stderr.text).toBe("");
  });

  it("shows a passing line on a terminal only, cut to its width, and removes it before anything else", () => {
    const { out, stderr } = setUp({ terminal: true });
    out.status("x".repeat(100));
    expect(stderr.text).toBe("x".repeat(39));
    out.info("done");
    expect(stderr.text).toBe(`${"x".repeat(39)}\r\u001b[2Kdone\n`);
    const piped = setUp();
    piped.out.status("x");
    expect(piped.stderr.text).toBe("");
  });

  it.each([
    ["EPIPE", "OUTPUT_REFUSED"],
    ["ENOSPC", "STORAGE_FULL"],
    ["EIO", "STORAGE_FAILED"],
  ])("fails where stdout fails with %s", async (errno, code) => {
    const failure = Object.assign(new Error(errno), { code: errno });
    const stdout: OutputStream = new Memory(false, failure);
    const out = new Output({ stdout, stderr: new Memory(), env: {} });
    await expect(out.raw("data")).rejects.toSatisfy((error) => error instanceof StorageError && error.code === code);
  });
});
