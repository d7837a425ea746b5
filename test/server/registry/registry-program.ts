/** The registry as a program of its own, for tests that kill it or measure its memory: `<dir>` on a free port. */
import { listen } from "../../../src/server/listen.ts";
import { createLog } from "../../../src/server/log.ts";
import { createRegistryApp } from "../../../src/server/registry/app.ts";
import { openRegistryStore } from "../../../src/server/registry/file-store.ts";

const store = await openRegistryStore(process.argv[2]!);
const app = createRegistryApp({ store, log: createLog({ level: "warn" }) });
const server = await listen(app, { host: "127.0.0.1", port: 0 });
process.stdout.write(`${server.url}\n`);
process.once("SIGTERM", () => {
  void server
    .close()
    .then(() => store.close())
    .then(() => process.exit(0));
});
