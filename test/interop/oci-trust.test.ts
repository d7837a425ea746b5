import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithPeers, startDockerRegistry, type DockerRegistry } from "../support/peers.ts";
import { ACCEPT, adding, COLLECTION, machine, REFUSE } from "../support/oci-trust.ts";
import { testTransport } from "../support/registry-rig.ts";

describeWithPeers(["docker-registry"], "trust data in docker-registry", () => {
  let registry: DockerRegistry;
  const transport = testTransport();
  beforeAll(async () => {
    registry = await startDockerRegistry();
  });
  afterAll(async () => {
    await transport.close();
    await registry.stop();
  });

  test("is made by the first publish, changed by the next ones, and read by anybody", async () => {
    const ada = machine(registry.host, transport);
    const first = await ada.source.publish(COLLECTION, adding("v1"), REFUSE);
    expect(first.created).toBe(true);
    const second = await ada.source.publish(COLLECTION, adding("v2"), REFUSE);
    expect(second.collection.list().map(({ name }) => name)).toEqual(["v1", "v2"]);
    const bob = machine(registry.host, transport);
    expect((await bob.source.open(COLLECTION, ACCEPT)).find("v1")?.role).toBe("targets");
  });
});
