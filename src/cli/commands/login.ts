import { UsageError } from "../../base/errors.ts";
import type { Credentials } from "../../base/credentials.ts";
import { dockerCredentials } from "../../node/docker-credentials.ts";
import { RegistryClient } from "../../oci/registry-client.ts";
import { defineCommand, type Context } from "../command.ts";
import { flag, nonEmpty, optional, value } from "../options.ts";
import { readSecretFromStdin } from "../secret-input.ts";
import { plainHttp } from "../plain-http.ts";
import { serverAddress } from "../server-address.ts";
import { withSession } from "../session.ts";
import { directoryOptions, outputOptions, registryOptions, trustServerOptions } from "../shared-options.ts";

const { tlscacert, tlscert, tlskey } = trustServerOptions;

export const loginCommand = defineCommand({
  arguments: {
    server: optional("SERVER", "registry HOST[:PORT], or the URL of a trust server; docker.io if left out"),
  },
  options: {
    username: value("-u, --username NAME", "user name; asked for if left out", nonEmpty),
    passwordStdin: flag("--password-stdin", "read the password or token from stdin"),
    tlscacert,
    tlscert,
    tlskey,
    ...registryOptions,
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Tries the credentials and stores them where docker login does: $DOCKER_CONFIG/config.json or ~/.docker/config.json, or the credential helper that it names. Docker, skopeo and oras find them there.",
  ],
  examples: [["pass show ghcr | wasm-to-oci login ghcr.io -u alice --password-stdin", "log in without a question"]],
  json: "login",
  async run(context, { server }, options) {
    const { out } = context;
    const address = serverAddress(server);
    const username = options.username ?? (await askUsername(context));
    const password = options.passwordStdin ? await readSecretFromStdin() : await askPassword(context, username);
    const credentials: Credentials = { kind: "basic", username, password };
    const store = dockerCredentials({ env: context.env });
    await withSession(
      context,
      { ...options, reference: { registry: address.host } },
      async ({ runtime, trustRuntime }) => {
        const client = new RegistryClient({
          runtime: address.url === undefined ? runtime : trustRuntime,
          credentials: { get: () => Promise.resolve(credentials) },
          plainHttp: () => (address.url === undefined ? plainHttp(options) : address.url.protocol === "http:"),
        });
        await client.ping(address.host, { signal: context.signal });
        const location = await store.store(address.host, credentials);
        out.info(`Logged in to ${address.host} as ${username}; stored in ${location}`);
        if (out.format === "json") await out.json({ server: address.host, username, location });
      },
    );
  },
});

async function askUsername({ prompt }: Context): Promise<string> {
  if (prompt.available) return nonEmpty(await prompt.line("User name"));
  throw new UsageError("USAGE", "no user name was given", { hint: "Add --username NAME" });
}

async function askPassword({ prompt }: Context, username: string): Promise<string> {
  if (prompt.available) return nonEmpty(await prompt.secret(`Password or token of ${username}`));
  throw new UsageError("USAGE", "no password was given", { hint: "Pipe it in with --password-stdin" });
}
