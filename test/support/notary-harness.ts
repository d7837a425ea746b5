/** A client in memory before a NotaryRepository, and what every refusal must show. */
import { expect } from "vitest";
import { WasmToOciError } from "../../src/base/errors.ts";
import { nobleHasher } from "../../src/base/hasher.ts";
import type { Runtime } from "../../src/base/runtime.ts";
import { NotaryApi } from "../../src/notary/api.ts";
import { NotaryClient, type UpdateOptions } from "../../src/notary/client.ts";
import { findTarget } from "../../src/notary/lookup.ts";
import { memoryMetadataStore } from "../../src/notary/metadata-store.ts";
import type { NotaryState } from "../../src/notary/state.ts";
import { memoryTrustStateStore } from "../../src/notary/trust-state.ts";
import { NotaryRepository, NOW, SERVER, type RoleKey } from "./notary-repository.ts";

/** One try, no waiting. */
export const NO_RETRY = { attempts: 1, sleep: async () => {}, random: () => 0 };

export interface Harness {
  readonly client: NotaryClient;
  readonly metadata: ReturnType<typeof memoryMetadataStore>;
  readonly trust: ReturnType<typeof memoryTrustStateStore>;
  /** The clock; tests set it. */
  now: Date;
  update(options?: Partial<UpdateOptions>): Promise<NotaryState>;
  /** Everything stored, comparable. */
  stored(): Promise<unknown>;
}

export function createHarness(repository: NotaryRepository, gun = repository.gun): Harness {
  const metadata = memoryMetadataStore();
  const trust = memoryTrustStateStore();
  const collection = { server: SERVER, gun };
  const runtime: Runtime = { transport: repository.transport, createHasher: nobleHasher, now: () => harness.now };
  const api = new NotaryApi({ server: SERVER, runtime, retry: NO_RETRY });
  const client = new NotaryClient({ api, metadata, trust, now: () => harness.now });
  const harness: Harness = {
    client,
    metadata,
    trust,
    now: NOW,
    update: (options = {}) => client.update(gun, { firstUse: "accept", ...options }),
    stored: async () => ({ state: await trust.read(collection), cache: await metadata.read(collection) }),
  };
  return harness;
}

/** Runs an update that must be refused, and gives the error. Nothing that is stored may have changed. */
export async function refusalOf(harness: Harness, options: Partial<UpdateOptions> = {}): Promise<WasmToOciError> {
  const before = await harness.stored();
  const error = await harness.update(options).then(
    () => expect.unreachable("the update was not refused"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof WasmToOciError)) throw error;
  expect(await harness.stored()).toEqual(before);
  expect(error.message).not.toBe("");
  return error;
}

/** A client that has verified a collection with a delegation once, and the first key of each role. */
export async function knownClient(): Promise<{
  readonly repository: NotaryRepository;
  readonly harness: Harness;
  readonly keys: Map<string, RoleKey>;
}> {
  const repository = await NotaryRepository.create();
  await repository.delegate("targets/releases");
  await repository.addTarget("v2", "module two", "targets/releases");
  await repository.publish();
  const harness = createHarness(repository);
  await harness.update();
  return { repository, harness, keys: new Map([...repository.roles].map(([role, { keys }]) => [role, keys[0]!])) };
}

/** After any refusal, the honest collection with one more target is read. */
export async function expectHonestUpdate(repository: NotaryRepository, harness: Harness): Promise<void> {
  repository.edits.clear();
  repository.signers.clear();
  repository.forge.clear();
  repository.expires.clear();
  repository.answers.clear();
  repository.unlisted.clear();
  repository.onRequest = undefined;
  await repository.addTarget("v3", "module three");
  await repository.publish("targets", "targets/releases");
  const state = await harness.update();
  expect(findTarget(state, "v3", "docker")?.role.role).toBe("targets");
}
