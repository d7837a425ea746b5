/** A registry that can be made hostile, a trust source that can be made to fail, and modules to move between them. */
import { expect } from "vitest";
import type { ErrorCode, WasmToOciError } from "../../src/base/errors.ts";
import { MemoryOutput } from "../../src/download.ts";
import { nodeRuntime, type NodeRuntime } from "../../src/node/runtime.ts";
import { RegistryClient } from "../../src/oci/registry-client.ts";
import { pull, type PullOptions } from "../../src/pull.ts";
import { push, type PushOptions, type PushReport } from "../../src/push.ts";
import { moduleFromBytes, type ModuleSource } from "../../src/read-module.ts";
import type { Coverage } from "../../src/trust/coverage.ts";
import type { VerificationReport } from "../../src/trust/report.ts";
import { failureOf } from "./error-code.ts";
import { startHostileRegistry, type HostileRegistry } from "./hostile-registry.ts";
import { MemoryTrustSource } from "./memory-trust-source.ts";
import { utf8Encode } from "../../src/base/bytes.ts";
import { custom, wasmModule } from "./wasm-builder.ts";

/** A small valid module; another text makes another module. */
export function moduleBytes(text: string): Uint8Array {
  return wasmModule(custom("text", utf8Encode(text)));
}

export function moduleSource(text: string): ModuleSource {
  return moduleFromBytes(`${text}.wasm`, moduleBytes(text));
}

export interface Pulled {
  readonly report: VerificationReport;
  readonly bytes: Uint8Array;
}

export class UseCase {
  readonly registry: HostileRegistry;
  readonly source = new MemoryTrustSource();
  readonly client: RegistryClient;
  readonly runtime: NodeRuntime;
  readonly repository: string;
  readonly reference: string;

  private constructor(registry: HostileRegistry) {
    this.registry = registry;
    this.runtime = nodeRuntime({ idleTimeoutMs: 2_000 });
    this.client = new RegistryClient({
      runtime: this.runtime,
      retry: { sleep: () => Promise.resolve() },
    });
    this.repository = `${registry.host}/team/app`;
    this.reference = `${this.repository}:v1`;
  }

  static async start(): Promise<UseCase> {
    return new UseCase(await startHostileRegistry());
  }

  async stop(): Promise<void> {
    this.runtime.transport.close();
    await this.registry.stop();
  }

  get coverage(): Coverage {
    return { source: this.source, collection: this.repository, reason: "flags", firstUse: "refuse" };
  }

  /** Pushes a module under `v1`, signed unless told. */
  push(text: string, options: Partial<PushOptions> = {}): Promise<PushReport> {
    const { runtime, reference } = this;
    const base = { runtime, registry: this.client, reference, module: moduleSource(text), sign: this.coverage };
    return push({ ...base, ...options });
  }

  /** Pulls `v1`, verified unless told. Asserts that a refusal leaves nothing behind. */
  async pull(options: Partial<PullOptions> = {}): Promise<Pulled> {
    const output = new RecordingOutput();
    const { runtime, reference, coverage: trust } = this;
    try {
      const report = await pull({ runtime, registry: this.client, reference, trust, ...options, output });
      return { report, bytes: output.bytes };
    } catch (error) {
      expect(output.state).toBe("aborted");
      throw error;
    }
  }

  /** The digest that a tag of the repository names, as the registry sees it. */
  tag(tag = "v1"): string | undefined {
    const stored = this.registry.manifests.get(`team/app:${tag}`);
    if (stored === undefined) return undefined;
    for (const [key, { bytes }] of this.registry.manifests) {
      if (key.includes("@") && bytes.equals(stored.bytes)) return key.slice(key.indexOf("@") + 1);
    }
    return undefined;
  }
}

/** An output that knows how it ended. */
class RecordingOutput extends MemoryOutput {
  state: "open" | "committed" | "aborted" = "open";

  override async commit(): Promise<void> {
    await super.commit();
    this.state = "committed";
  }

  override async abort(): Promise<void> {
    await super.abort();
    this.state = "aborted";
  }
}

/** The error that a promise must end in. */
export async function failure(promise: Promise<unknown>, code: ErrorCode): Promise<WasmToOciError> {
  const error = await failureOf(promise);
  expect(error.code).toBe(code);
  return error;
}
