import { writeFileAtomic } from "../../node/files.ts";
import { formatPem } from "../../keys/pem.ts";
import { PrivateKey } from "../../keys/private-key.ts";
import { defineCommand } from "../command.ts";
import { keyDirectory } from "../key-directory.ts";
import { choice, nonEmpty, value } from "../options.ts";
import { passphrases } from "../passphrases.ts";
import { directoryOptions, outputOptions } from "../shared-options.ts";

const ALGORITHMS = ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-3072", "rsa-4096"] as const;

export const keyGenerateCommand = defineCommand({
  arguments: {},
  options: {
    algorithm: choice("--algorithm NAME", "kind of key", ALGORITHMS, { initial: "ecdsa-p256" }),
    role: value(
      "-r, --role ROLE",
      "what the key is for: root, targets, snapshot, or a name of yours, which others see beside it",
      nonEmpty,
      {
        initial: "delegation",
      },
    ),
    gun: value("--gun NAME", "collection that the key belongs to; needed for targets and snapshot keys", nonEmpty),
    output: value("-o, --output FILE", "write the public key (PEM) here, to hand to whoever delegates", nonEmpty),
    ...directoryOptions,
    ...outputOptions,
  },
  about: [
    "Collections in a registry or a directory take every kind but ecdsa-p521, which some of their readers do not know.",
    "The private key is stored encrypted in the trust directory. Its public half goes to FILE or stdout: hand it to the owner of a collection, who delegates with `wasm-to-oci trust delegate`.",
  ],
  examples: [["wasm-to-oci key generate --role alice -o alice.pub.pem", "make a key for signing as a delegate"]],
  json: "key generate",
  async run(context, _, { algorithm, role, gun, output, dir }) {
    const { out } = context;
    const store = keyDirectory(context, dir);
    const key = await PrivateKey.generate(algorithm);
    const id = await store.add(key, { role, gun }, passphrases(context));
    const publicKey = formatPem({ label: "PUBLIC KEY", headers: new Map(), bytes: key.publicKey.spki });
    if (output !== undefined) await writeFileAtomic(output, new TextEncoder().encode(publicKey));
    const fingerprint = await key.publicKey.fingerprint();
    out.info(`Generated the ${algorithm} key ${id} for ${role}`);
    out.info(`Fingerprint: ${fingerprint}`);
    if (output !== undefined) out.info(`Public key: ${output}`);
    if (out.format === "json") {
      return out.json({
        id,
        algorithm,
        role,
        collection: gun ?? null,
        fingerprint,
        publicKey,
      });
    }
    if (output === undefined) await out.raw(publicKey);
  },
});
