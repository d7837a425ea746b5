import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { errorMessage, UsageError, WasmToOciError } from "../../base/errors.ts";
import type { ImportReport } from "../../import-notary.ts";
import { listStoredCollections } from "../../node/stored-notary.ts";
import { parseGun } from "../../notary/gun.ts";
import { defineCommand } from "../command.ts";
import { importOne, importOptions } from "../import-collections.ts";
import { flag, nonEmpty, value, variadic } from "../options.ts";

export const importDockerTrustCommand = defineCommand({
  arguments: { guns: variadic("GUN", "the collections to import, e.g. docker.io/acme/app", "some") },
  options: {
    from: value("--from DIR", "the trust directory", nonEmpty, { initialText: "~/.docker/trust" }),
    all: flag("--all", "import every collection of the directory"),
    ...importOptions,
  },
  about: [
    "Takes collections and keys from the directory of docker trust, without asking its server. Without a name or --all the collections are only listed.",
    "What docker trust keeps there goes stale in two weeks: --accept-expired takes it as it was. For collections that are in use, import from the server: `wasm-to-oci import notary`.",
  ],
  examples: [
    ["wasm-to-oci import docker-trust", "list what there is"],
    ["wasm-to-oci import docker-trust ghcr.io/acme/app --accept-expired", "import one collection"],
  ],
  json: "import",
  async run(context, { guns }, { from, all, ...options }) {
    const { out } = context;
    const dir = resolve(from ?? join(context.env["HOME"] ?? homedir(), ".docker", "trust"));
    if (guns.length !== 1 && (options.to !== undefined || options.gun !== undefined)) {
      throw new UsageError("USAGE", "--to and --collection are for one collection", {
        hint: "Name one, or leave them out: each collection then keeps its own name",
      });
    }
    const found = all || guns.length === 0 ? await listStoredCollections(dir) : guns.map(parseGun);
    if (!all && guns.length === 0) {
      if (out.format === "json") return out.json({ collections: found });
      if (found.length === 0) return out.info(`${dir} has no collections`);
      return out.lines(found);
    }
    const imports: ImportReport[] = [];
    let failure: unknown;
    for (const gun of found) {
      try {
        imports.push(await importOne(context, options, { dir }, gun));
      } catch (error) {
        if (found.length > 1 && out.format === "text") out.warn(`${gun}: ${errorMessage(error)}`);
        failure ??= error;
        if (error instanceof WasmToOciError && error.kind === "interrupted") break;
      }
    }
    if (out.format === "json" && imports.length > 0) await out.json({ imports });
    if (failure !== undefined) throw failure;
  },
});
