/** The program that the crash test kills: serves a data directory and prints where. */
import { createLog } from "../../src/server/log.ts";
import { serve } from "../../src/server/serve.ts";

const [, , dataDir = "", trustDir = ""] = process.argv;
const servers = await serve({
  dataDir,
  trustDir,
  log: createLog({ level: "silent" }),
  registryPort: 0,
  trustPort: 0,
});
process.once("SIGTERM", () => {
  servers.close().catch(() => (process.exitCode = 1));
});
process.stdout.write(`${JSON.stringify({ url: servers.trustUrl, ca: servers.caPem })}\n`);
