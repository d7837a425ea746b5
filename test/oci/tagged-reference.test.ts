import { describe, expect, it } from "vitest";
import { parseReference } from "../../src/oci/reference.ts";
import { formatTagged, taggedReference } from "../../src/oci/tagged-reference.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

describe("a reference where a tag is needed", () => {
  it.each([
    ["ghcr.io/acme/app", "latest", true, "ghcr.io/acme/app:latest"],
    ["ghcr.io/acme/app:v1", "v1", true, "ghcr.io/acme/app:v1"],
    [`ghcr.io/acme/app:v1@${DIGEST}`, "v1", true, `ghcr.io/acme/app:v1@${DIGEST}`],
    [`ghcr.io/acme/app@${DIGEST}`, "latest", false, `ghcr.io/acme/app@${DIGEST}`],
  ])("%s has the tag %s, and tells whether somebody meant it", (given, tag, tagged, written) => {
    const reference = taggedReference(given);
    expect(reference).toMatchObject({ tag, tagged });
    expect(formatTagged(reference)).toBe(written);
    expect(taggedReference(parseReference(given))).toEqual(reference);
  });

  it("is as it was where it is read again: a default tag beside a digest does not become one that was named", () => {
    const once = taggedReference(`ghcr.io/acme/app@${DIGEST}`);
    expect(taggedReference(once)).toEqual(once);
    expect(formatTagged(taggedReference(once))).toBe(`ghcr.io/acme/app@${DIGEST}`);
  });
});
