/** What every attack on a TUF client must end in: its own error, nothing released, nothing stored, and over soon. */
import { expect } from "vitest";
import { utf8Encode, type Bytes } from "../../src/base/bytes.ts";
import { errorCode } from "../../src/base/errors.ts";
import { parseJson, type JsonObject } from "../../src/base/json.ts";
import { memoryTufStore, type TufStore } from "../../src/tuf/store.ts";
import { storeContent, TufSimulator } from "./tuf-repository.ts";

/** Turns an honest repository into a hostile one. */
export type Attack = (repository: TufSimulator, store: TufStore) => Promise<void> | void;

export interface Case {
  readonly attack: Attack;
  readonly code: string;
  readonly role?: string;
  /** Documents that were honest and are kept, though what came after them was refused. */
  readonly advances?: readonly string[];
  /** The name that is asked for; `team/app` is the honest target of the delegated role `team`. */
  readonly target?: string;
}

export async function honest(): Promise<TufSimulator> {
  const repository = await TufSimulator.create();
  await repository.addTarget("targets", "app", "top");
  await repository.delegate("targets", "team", { paths: ["team/*"] });
  await repository.addTarget("team", "team/app", "delegated");
  await repository.publish("team", "targets");
  await repository.publish("targets"); // so that there are older versions of everything
  return repository;
}

export async function expectRefused({ attack, code, role, advances = [], target = "team/app" }: Case): Promise<void> {
  const repository = await honest();
  const store = memoryTufStore();
  const client = repository.client({ store });
  await client.refresh();
  expect(await client.find("team/app")).toBeDefined();
  const restore = repository.checkpoint();
  await attack(repository, store);
  const before = await storeContent(store, ["team"]);

  const hostile = repository.client({ store });
  const error: unknown = await hostile.find(target).then(
    (found) => expect.unreachable(`found ${JSON.stringify(found)}`),
    (reason: unknown) => reason,
  );
  expect(`${errorCode(error)}`).toBe(code);
  if (role !== undefined) expect(error).toMatchObject({ details: { role } });
  const after = await storeContent(store, ["team"]);
  for (const name of [...advances, "record"]) delete before[name];
  for (const name of [...advances, "record"]) delete after[name];
  expect(after).toEqual(before);

  await restore(advances.includes("2.root"));
  const again = repository.client({ store });
  await again.refresh();
  expect(await again.find("team/app")).toMatchObject({ role: "team", file: { length: 9 } });
  await client.refresh();
}

export const NEW_TIMESTAMP = ["timestamp"];
export const NEW_SNAPSHOT = ["timestamp", "snapshot"];
export const NEW_TARGETS = ["timestamp", "snapshot", "targets"];

/** Replaces the signatures of what a file holds, or anything else in its JSON. */
export function rewrite(repository: TufSimulator, file: string, change: (document: JsonObject) => void): Bytes {
  const document = parseJson(repository.files.get(file)!) as JsonObject;
  change(document);
  const bytes = utf8Encode(JSON.stringify(document));
  repository.files.set(file, bytes);
  return bytes;
}
