import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withNotaryPins } from "../../src/node/notary-config.ts";
import type { Coverage } from "../../src/trust/coverage.ts";
import { MemoryTrustSource } from "../support/memory-trust-source.ts";

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "wasm-to-oci-config-"));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

const FLAGS: Coverage = {
  source: new MemoryTrustSource(),
  collection: "ghcr.io/Acme/App",
  reason: "flags",
  firstUse: "accept",
};

async function apply(pinning: unknown, coverage = FLAGS): Promise<Coverage> {
  await writeFile(join(dir, "config.json"), JSON.stringify({ trust_dir: ".", trust_pinning: pinning }));
  return withNotaryPins(coverage, dir);
}

describe("withNotaryPins", () => {
  it("changes nothing where there is no configuration, or no rule for the collection", async () => {
    expect(await withNotaryPins(FLAGS, dir)).toBe(FLAGS);
    expect(await apply({ certs: { other: ["ab"] } })).toBe(FLAGS);
  });

  it("pins by certificate id, also a name with capitals, which notary itself loses", async () => {
    const pinned = { pin: { certificateIds: ["ab"] }, firstUse: "refuse" };
    expect(await apply({ certs: { "ghcr.io/Acme/App": ["ab"] } })).toMatchObject(pinned);
    expect(await apply({ certs: { "ghcr.io/Acme/*": ["ab"] } })).toMatchObject(pinned);
    expect(await apply({ certs: { "ghcr.io/acme/app": ["ab"] } })).toBe(FLAGS);
  });

  it("pins by an authority whose file is found beside the configuration", async () => {
    await writeFile(join(dir, "ca.pem"), "PEM");
    expect(await apply({ ca: { "ghcr.io/Acme": "ca.pem" } })).toMatchObject({
      pin: { certificateAuthorities: "PEM" },
      firstUse: "refuse",
    });
    await expect(apply({ ca: { "ghcr.io/Acme": "gone.pem" } })).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
  });

  it("refuses first use where the configuration does", async () => {
    expect(await apply({ disable_tofu: true })).toEqual({ ...FLAGS, firstUse: "refuse" });
  });

  it("leaves what our own pins or the caller's decided", async () => {
    const pinned: Coverage = { ...FLAGS, reason: "pin", pin: { fingerprints: ["cd"] } };
    expect(await apply({ certs: { "ghcr.io/Acme/App": ["ab"] } }, pinned)).toBe(pinned);
    const given: Coverage = { ...FLAGS, pin: { fingerprints: ["cd"] } };
    expect(await apply({ certs: { "ghcr.io/Acme/App": ["ab"] } }, given)).toBe(given);
  });

  it.each([["{"], ['{"trust_pinning":{"certs":[]}}'], ['{"trust_pinning":{"disable_tofu":"yes"}}']])(
    "never takes a damaged configuration for one without pins: %s",
    async (text) => {
      await writeFile(join(dir, "config.json"), text);
      await expect(withNotaryPins(FLAGS, dir)).rejects.toMatchObject({ kind: "invalid" });
    },
  );
});
