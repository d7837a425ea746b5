/** Changes of delegations and keys that are overwritten: who notices, who brings them back, and which must be made again. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Transport, TransportRequest, TransportResponse } from "../../../src/base/http.ts";
import type { TufChange } from "../../../src/tuf/changes.ts";
import { prefixPatterns } from "../../../src/tuf/editor.ts";
import { startHostileRegistry, type HostileRegistry } from "../../support/hostile-registry.ts";
import { always, codeOf } from "../../support/key-fixtures.ts";
import { ACCEPT, adding, COLLECTION, machine, REFUSE, type Machine } from "../../support/oci-trust.ts";
import { testTransport } from "../../support/registry-rig.ts";
import { DAY, person, type Person } from "../../support/tuf-publishing.ts";

const TUF = "acme/app:tuf";
const isMove = ({ method, url }: TransportRequest): boolean => method === "PUT" && url.endsWith("/manifests/tuf");

describe("a change of delegations in a registry", () => {
  const transport = testTransport(30_000);
  let registry: HostileRegistry;
  let owner: Machine;
  let team: Person;
  beforeEach(async () => {
    registry = await startHostileRegistry();
    owner = open();
    await owner.source.publish(COLLECTION, adding("v0"), REFUSE);
    team = await person();
    await owner.keyStore.add(team.signer, { role: "team" }, always("a long passphrase"));
  });
  afterEach(() => registry.stop());
  afterAll(() => transport.close());

  function open(send: Transport = transport, now?: () => Date): Machine {
    return machine(registry.host, send, { ...(owner !== undefined && { keyStore: owner.keyStore }), now });
  }
  const delegate = (): TufChange => ({
    action: "delegate",
    delegator: "targets",
    role: "team",
    keys: [team.key],
    paths: prefixPatterns("team/"),
  });
  /** Like `trust delegate`: nothing where it is so already. */
  const delegating = ({ publisher }: Machine) =>
    publisher.change(
      COLLECTION,
      async (draft) => {
        const { delegations } = await draft.document("targets");
        return delegations?.roles.some(({ name }) => name === "team") === true ? [] : [delegate()];
      },
      ACCEPT,
    );
  const roles = async (now?: () => Date): Promise<string[]> =>
    (await open(transport, now).publisher.status(COLLECTION, ACCEPT)).roles.map(({ role }) => role);
  const names = async (): Promise<string[]> =>
    (await open().source.open(COLLECTION, ACCEPT)).list().map(({ name }) => name);

  /** A publisher of a name whose move of the tag, decided upon long ago, takes place when it is told to. */
  function slowPublisher(name: string): { ready: Promise<void>; go: () => void; done: Promise<unknown> } {
    let arrived: () => void = () => undefined;
    let go: () => void = () => undefined;
    const ready = new Promise<void>((resolve) => (arrived = resolve));
    const isTold = new Promise<void>((resolve) => (go = resolve));
    let isFirst = true;
    const held = async (request: TransportRequest): Promise<TransportResponse> => {
      if (isFirst && isMove(request)) {
        isFirst = false;
        arrived();
        await isTold;
      }
      return transport(request);
    };
    const done = open(held).source.publish(COLLECTION, adding(name), ACCEPT);
    return { ready, go: () => go(), done };
  }

  test("is noticed to be lost, and published again, where the tag was turned back while its author lives", async () => {
    const former = registry.manifests.get(TUF)!;
    let moves = 0;
    const turned = async (request: TransportRequest): Promise<TransportResponse> => {
      const response = await transport(request);
      if (isMove(request) && ++moves <= 2) registry.manifests.set(TUF, former);
      return response;
    };
    await delegating(open(turned));
    expect(moves).toBeGreaterThan(2);
    expect(await roles()).toContain("team");
  });

  test("is computed anew where another publisher of the same role was overwriting while its author lives", async () => {
    const bob = slowPublisher("v1");
    await bob.ready;
    let isFirst = true;
    const author = async (request: TransportRequest): Promise<TransportResponse> => {
      const response = await transport(request);
      if (isFirst && isMove(request)) {
        isFirst = false;
        bob.go();
        while (!(await names()).includes("v1")) await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return response;
    };
    await Promise.all([delegating(open(author)), bob.done]);
    expect(isFirst).toBe(false);
    expect(await roles()).toContain("team");
    expect(await names()).toEqual(["v0", "v1"]);
  });

  test("is brought back by whoever overwrote it later, where the role is still as it was", async () => {
    const former = registry.manifests.get(TUF)!;
    await delegating(open());
    registry.manifests.set(TUF, former);
    await open().source.publish(COLLECTION, adding("v1"), ACCEPT); // finds the request first
    expect(await roles()).toContain("team");
    expect(await names()).toEqual(["v0", "v1"]);
  });

  test("must be made again where a publisher that had stopped overwrites it afterwards, in the same role", async () => {
    const bob = slowPublisher("v1");
    await bob.ready;
    await delegating(open()); // done, and acknowledged
    expect(await roles()).toContain("team");
    bob.go();
    await bob.done;
    expect(await names()).toEqual(["v0", "v1"]); // names are never lost
    expect(await roles()).not.toContain("team"); // and the status shows that this is
    await owner.publisher.tend(COLLECTION, []);
    expect(await roles()).not.toContain("team");
    const again = open();
    expect((await delegating(again)).files.map(({ role }) => role)).toContain("targets");
    expect(await roles()).toContain("team");
    expect((await delegating(again)).files).toEqual([]);
    expect(await names()).toEqual(["v0", "v1"]);
  });

  test.each([
    ["the next publisher", 0, (all: Machine) => all.source.publish(COLLECTION, adding("v1"), ACCEPT)],
    ["a refresh, also days later", 3 * DAY, (all: Machine) => all.publisher.tend(COLLECTION, [], ACCEPT)],
  ])("whose author died after it was written down is completed by %s", async (_, later, complete) => {
    registry.setFault(({ method, path }) => (method === "PUT" && path.endsWith("/tuf") ? { status: 403 } : undefined));
    expect(await codeOf(() => delegating(open()))).toBe("REGISTRY_DENIED");
    registry.setFault(undefined);
    expect(await roles()).not.toContain("team");
    const now = (): Date => new Date(Date.now() + later);
    await complete(open(transport, now));
    expect(await roles(now)).toContain("team");
  });

  test("whose author died before it was written down leaves nothing", async () => {
    registry.setFault(({ method, path }) =>
      method === "PUT" && path.includes("/manifests/tuf-change-") ? { status: 403 } : undefined,
    );
    const before = registry.manifests.get(TUF);
    expect(await codeOf(() => delegating(open()))).toBe("REGISTRY_DENIED");
    registry.setFault(undefined);
    expect(registry.manifests.get(TUF)).toBe(before);
    await open().source.publish(COLLECTION, adding("v1"), ACCEPT);
    expect(await roles()).not.toContain("team");
    await delegating(open());
    expect(await roles()).toContain("team");
  });
});
