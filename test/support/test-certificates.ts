/** Certificates for the servers of the interop tests, made by openssl: a CA and leaves that it issued. */
import { mkdtempSync, rmSync, writeFileSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram, runCommand } from "./peer-process.ts";

export interface TestCertificates {
  /** The folder that holds `ca.crt`, and `<name>.crt` and `<name>.key` of each leaf. */
  readonly dir: string;
  readonly caFile: string;
  readonly caPem: string;
  remove(): void;
}

async function openssl(dir: string, args: readonly string[]): Promise<void> {
  const result = await runCommand(findProgram("openssl") ?? "openssl", args, { cwd: dir, env: { PATH: "/usr/bin" } });
  if (result.status !== 0) throw new Error(`openssl ${args.join(" ")}: ${result.output}`);
}

/** Makes a CA and one leaf per name, each good for localhost and 127.0.0.1, as server and as client. */
export async function makeCertificates(leaves: readonly string[]): Promise<TestCertificates> {
  const dir = mkdtempSync(join(tmpdir(), "peer-certificates-"));
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await openssl(dir, [
    ..."req -x509 -keyout ca.key -out ca.crt -days 30 -addext keyUsage=critical,keyCertSign,cRLSign".split(" "),
    ...newKey,
    "-subj",
    "/CN=interop test CA",
  ]);
  writeFileSync(
    join(dir, "leaf.ext"),
    [
      "basicConstraints=critical,CA:FALSE",
      "keyUsage=critical,digitalSignature",
      "extendedKeyUsage=serverAuth,clientAuth",
      "subjectAltName=DNS:localhost,IP:127.0.0.1",
    ].join("\n"),
  );
  for (const name of leaves) {
    await openssl(dir, [
      "req",
      "-new",
      ...newKey,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
      "-subj",
      `/CN=${name}`,
    ]);
    const issue = `x509 -req -in ${name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out ${name}.crt`;
    await openssl(dir, [...issue.split(" "), "-days", "30", "-extfile", "leaf.ext"]);
  }
  return {
    dir,
    caFile: join(dir, "ca.crt"),
    caPem: readFileSync(join(dir, "ca.crt"), "utf8"),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
