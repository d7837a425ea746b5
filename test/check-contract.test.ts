/** What a pull, a verification and a push make of the signed contract. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { digestHex, type Digest } from "../src/base/digest.ts";
import type { JsonObject } from "../src/base/json.ts";
import type { PushReport } from "../src/push.ts";
import { moduleFromBytes } from "../src/read-module.ts";
import { sign } from "../src/sign.ts";
import { contractOf, type Contract } from "../src/trust/contract/contract.ts";
import type { SignedTarget } from "../src/trust/source.ts";
import { readBinding, withBinding } from "../src/trust/target-custom.ts";
import { verify } from "../src/verify.ts";
import { scanWasm } from "../src/wasm/binary.ts";
import { failure, UseCase } from "./support/use-case.ts";
import { coreImport, coreImports, ONE_TYPE, wasmModule } from "./support/wasm-builder.ts";

let world: UseCase;

beforeEach(async () => {
  world = await UseCase.start();
});

afterEach(() => world.stop());

const HONEST = wasmModule(ONE_TYPE, coreImports(coreImport("env", "log", "function")));
const GREEDY = wasmModule(
  ONE_TYPE,
  coreImports(coreImport("env", "log", "function"), coreImport("wasi_snapshot_preview1", "sock_open", "function")),
);

function pushBytes(bytes: Uint8Array): Promise<PushReport> {
  return world.push("", { module: moduleFromBytes("app.wasm", bytes) });
}

function signedTarget(): SignedTarget {
  return world.source.collections.get(world.repository)!.get("v1")!;
}

/** What somebody with the key can do: sign something else of the same module. */
function signContract(contract: Contract | undefined): void {
  const target = signedTarget();
  const { manifests } = readBinding(target.custom, "v1")!;
  world.source.sign(world.repository, { ...target, custom: withBinding(undefined, { manifests, contract }) });
}

function verifyBytes(bytes: Uint8Array): ReturnType<typeof verify> {
  const { runtime, client: registry, reference, coverage: trust } = world;
  return verify({ runtime, registry, reference, module: moduleFromBytes("app.wasm", bytes), trust });
}

describe("push and sign", () => {
  it("sign what the module imports", async () => {
    await pushBytes(GREEDY);
    const expected = await contractOf(scanWasm(GREEDY));
    expect(expected.imports).toEqual(["env", "wasi_snapshot_preview1"]);
    expect(readBinding(signedTarget().custom, "v1")?.contract).toEqual(expected);
  });

  it("add a contract to what an older version signed, once", async () => {
    await pushBytes(HONEST);
    signContract(undefined);
    const { runtime, client: registry, reference, coverage } = world;
    await sign({ runtime, registry, reference, sign: coverage });
    expect(readBinding(signedTarget().custom, "v1")?.contract).toEqual(await contractOf(scanWasm(HONEST)));
    const { version } = world.source;
    await sign({ runtime, registry, reference, sign: coverage });
    await pushBytes(HONEST);
    expect(world.source.version).toBe(version);
  });

  it("sign anew what has a contract that cannot be read", async () => {
    await pushBytes(HONEST);
    const broken = signedTarget();
    const member = { ...((broken.custom as JsonObject)["wasm-to-oci"] as JsonObject), contract: { kind: "toaster" } };
    world.source.sign(world.repository, { ...broken, custom: { "wasm-to-oci": member } });
    await failure(world.pull(), "TARGET_MISMATCH");
    await pushBytes(HONEST);
    expect((await world.pull()).bytes).toEqual(HONEST);
  });
});

describe("pull and verify", () => {
  it("report the contract that the module keeps to", async () => {
    await pushBytes(HONEST);
    const { report } = await world.pull();
    const contract = await contractOf(scanWasm(HONEST));
    expect(report.contract).toEqual(contract);
    expect(report.checks.at(-1)).toEqual({
      check: "contract-kept",
      detail: "a module with the 1 imports that were signed",
    });
    const verified = await verifyBytes(HONEST);
    expect(verified.contract).toEqual(contract);
    expect(verified.checks.at(-1)?.check).toBe("contract-kept");
  });

  it("refuse a module that imports more than was signed, though every digest is right", async () => {
    await pushBytes(GREEDY);
    signContract(await contractOf(scanWasm(HONEST)));
    const error = await failure(world.pull(), "CONTRACT_MISMATCH");
    expect(error.message).toContain('imports "wasi_snapshot_preview1", which is not signed');
    expect(error.kind).toBe("tampered");
    await failure(verifyBytes(GREEDY), "CONTRACT_MISMATCH");
    signContract(await contractOf(scanWasm(GREEDY)));
    expect((await world.pull()).bytes).toEqual(GREEDY);
    await verifyBytes(GREEDY);
  });

  it("refuse a signed module that cannot be read, where a contract says what it imports", async () => {
    await pushBytes(HONEST);
    const broken = Buffer.concat([HONEST, Buffer.from([0x01])]);
    const layer = world.registry.addBlob("team/app", broken);
    const manifest = world.registry.addManifest(
      "team/app",
      {
        schemaVersion: 2,
        config: { mediaType: "application/vnd.wasm.config.v0+json", digest: layer, size: broken.length },
        layers: [{ mediaType: "application/wasm", digest: layer, size: broken.length }],
      },
      "application/vnd.oci.image.manifest.v1+json",
      "v1",
    ) as Digest;
    const target = { name: "v1", length: broken.length, hashes: { sha256: digestHex(layer as Digest) } };
    const contract = await contractOf(scanWasm(HONEST));
    world.source.sign(world.repository, {
      ...target,
      custom: withBinding(undefined, { manifests: [manifest], contract }),
    });
    const error = await failure(world.pull(), "CONTRACT_MISMATCH");
    expect(error.message).toContain("it cannot be read");
    world.source.sign(world.repository, { ...target, custom: withBinding(undefined, { manifests: [manifest] }) });
    expect(Buffer.from((await world.pull()).bytes)).toEqual(broken); // Notary signs any bytes, and so they come out
  });

  it("take a target without a contract, and say so", async () => {
    await pushBytes(HONEST);
    signContract(undefined);
    const { report } = await world.pull();
    expect(report.contract).toBeUndefined();
    expect(report.notes.map(({ code }) => code)).toEqual(["no-contract"]);
    expect((await verifyBytes(HONEST)).notes.map(({ code }) => code)).toEqual(["no-contract"]);
  });

  it("name a replaced module before its contract: the graver news comes first", async () => {
    await pushBytes(HONEST);
    await failure(verifyBytes(GREEDY), "TARGET_MISMATCH");
  });
});
