/** Node as a runtime: streaming HTTPS, native hashes, the system's clock. */
import type { Runtime } from "../base/runtime.ts";
import { nodeHasher } from "./hasher.ts";
import { createNodeTransport, type NodeTransport, type NodeTransportOptions } from "./transport.ts";

export interface NodeRuntime extends Runtime {
  readonly transport: NodeTransport;
}

/**
 * Makes a runtime. Close its transport when done, so that the process can end.
 *
 * @example
 * ```ts
 * const runtime = nodeRuntime({ idleTimeoutMs: 10_000 });
 * try {
 *   await pull({ runtime, registry: new RegistryClient({ runtime }), reference, output });
 * } finally {
 *   runtime.transport.close();
 * }
 * ```
 */
export function nodeRuntime(options: NodeTransportOptions = {}): NodeRuntime {
  return { transport: createNodeTransport(options), createHasher: nodeHasher, now: () => new Date() };
}
