/** A running server as the tests' publisher wants it, over real connections. */
import { request } from "node:https";
import type { Server } from "./trust/publisher.ts";

/** Sends requests to a server that a CA vouches for. Rejects where the connection breaks before the answer is whole. */
export function httpsServer(url: string, ca: string): Server {
  const { hostname, port } = new URL(url);
  return {
    request: (path, init = {}) =>
      new Promise((resolve, reject) => {
        const body = init.body as Uint8Array | undefined;
        const headers = {
          ...(init.headers as Record<string, string> | undefined),
          ...(body === undefined ? {} : { "content-length": body.length }),
        };
        const method = init.method ?? "GET";
        const outgoing = request({ hostname, port, path, method, ca, headers, agent: false }, (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
          incoming.on("error", reject);
          incoming.on("aborted", () => reject(new Error("aborted")));
          incoming.on("end", () => {
            const content = chunks.length === 0 ? null : Buffer.concat(chunks);
            resolve(new Response(content, { status: incoming.statusCode ?? 0 }));
          });
        });
        outgoing.on("error", reject);
        outgoing.end(body);
      }),
  };
}
