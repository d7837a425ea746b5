import { dockerCredentials } from "../../node/docker-credentials.ts";
import { defineCommand } from "../command.ts";
import { optional } from "../options.ts";
import { serverAddress } from "../server-address.ts";
import { outputOptions } from "../shared-options.ts";

export const logoutCommand = defineCommand({
  arguments: {
    server: optional("SERVER", "registry HOST[:PORT], or the URL of a trust server; docker.io if left out"),
  },
  options: outputOptions,
  examples: [["wasm-to-oci logout ghcr.io", "forget the credentials of a registry"]],
  json: "logout",
  async run({ env, out }, { server }) {
    const { host } = serverAddress(server);
    const removed = await dockerCredentials({ env }).erase(host);
    out.info(removed ? `Removed the credentials of ${host}` : `There were no credentials of ${host}`);
    if (out.format === "json") await out.json({ server: host, removed });
  },
});
