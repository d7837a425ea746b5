/** Secrets from stdin, for scripts. */
import { UsageError } from "../base/errors.ts";
import { concatBytes, utf8Decode } from "../base/bytes.ts";

/** Tokens have a few kB; more on stdin is a mistake. */
const MAX_SECRET_BYTES = 64 * 1024;

/** Reads a secret from stdin up to its end; one line break at the end is not part of it. @throws {UsageError} USAGE */
export async function readSecretFromStdin(): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_SECRET_BYTES) throw new UsageError("USAGE", `stdin has more than ${MAX_SECRET_BYTES} bytes`);
    chunks.push(chunk);
  }
  const secret = utf8Decode(concatBytes(chunks), "stdin").replace(/\r?\n$/, "");
  if (secret === "") throw new UsageError("USAGE", "stdin is empty", { hint: "Pipe the password in" });
  return secret;
}
