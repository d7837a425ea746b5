import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ApiError, updateFault } from "../../../src/server/trust/errors.ts";

describe("errors of the API", () => {
  it("look like notary-server's, line end included", () => {
    expect(new ApiError("INVALID_ROLE", "mirror").body()).toBe(
      '{"errors":[{"code":"INVALID_ROLE","message":"The role you are attempting to operate on is invalid.","detail":"mirror"}]}\n',
    );
    expect(new ApiError("MALFORMED_JSON").body()).not.toContain("detail");
  });

  it("fit into the KiB that Go's client reads, whatever they quote, and keep their structure", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 3000 }), (text) => {
        for (const error of [new ApiError("INVALID_ROLE", text), updateFault("ErrBadTargets", text)]) {
          const body = error.body();
          expect(Buffer.byteLength(body)).toBeLessThan(1024);
          const [{ code, detail }] = (JSON.parse(body) as { errors: [{ code: string; detail: unknown }] }).errors;
          expect(code).toBe(error.code);
          if (error.code === "INVALID_UPDATE") expect(detail).toMatchObject({ Name: "ErrBadTargets" });
        }
      }),
    );
  });
});
