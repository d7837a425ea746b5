// Writes a TUF repository for measurements: ed25519, names such as team3/module-7/1.2.3/module-7.wasm.
//   node bench/tuf-repository.mjs <folder> <targets> [<bits of hash bins> [<junk signatures of the targets document>]]
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [folder] = process.argv.slice(2);
const [count, bits = 0, junk = 0] = process.argv.slice(3).map(Number);
const metadata = join(folder, "metadata");
mkdirSync(metadata, { recursive: true });

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("hex");
const key = { keytype: "ed25519", keyval: { public: raw }, scheme: "ed25519" };
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const keyid = sha256(JSON.stringify(key));

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.keys(value)
      .toSorted()
      .map((name) => [name, sorted(value[name])]),
  );
}

/** Signatures by nobody, as long as good ones. */
function junkSignatures(number) {
  const list = Array.from(
    { length: number },
    (_, i) => `,{"keyid":"${sha256(`${i}`)}","sig":"${sha256(`-${i}`).repeat(2)}"}`,
  );
  return list.join("");
}

function write(file, signed) {
  const text = JSON.stringify(
    sorted({ expires: "2040-01-01T00:00:00Z", spec_version: "1.0.34", version: 1, ...signed }),
  );
  const sig = sign(null, Buffer.from(text), privateKey).toString("hex");
  const more = file === "1.targets.json" ? junkSignatures(junk) : "";
  const bytes = Buffer.from(`{"signatures":[{"keyid":"${keyid}","sig":"${sig}"}${more}],"signed":${text}}`);
  writeFileSync(join(metadata, file), bytes);
  return { version: 1, length: bytes.length, hashes: { sha256: sha256(bytes) } };
}

const role = { keyids: [keyid], threshold: 1 };
const keys = { [keyid]: key };
const bins = Array.from({ length: bits === 0 ? 1 : 2 ** bits }, () => ({}));
for (let i = 0; i < count; i++) {
  const name = `team${i % 10}/module-${i}/1.2.3/module-${i}.wasm`;
  const hash = sha256(name);
  const bin = bits === 0 ? 0 : Number.parseInt(hash.slice(0, 8), 16) >>> (32 - bits);
  bins[bin][name] = { hashes: { sha256: hash }, length: 1000 + i };
}
const meta = {};
if (bits === 0) {
  meta["targets.json"] = write("1.targets.json", { _type: "targets", targets: bins[0] });
} else {
  const digits = Math.ceil(bits / 4);
  for (const [index, targets] of bins.entries()) {
    const name = `bin-${index.toString(16).padStart(digits, "0")}`;
    meta[`${name}.json`] = write(`1.${name}.json`, { _type: "targets", targets });
  }
  const succinct = { ...role, bit_length: bits, name_prefix: "bin" };
  const delegations = { keys, succinct_roles: succinct };
  meta["targets.json"] = write("1.targets.json", { _type: "targets", targets: {}, delegations });
}
const snapshot = write("1.snapshot.json", { _type: "snapshot", meta });
write("timestamp.json", { _type: "timestamp", meta: { "snapshot.json": snapshot } });
const roles = { root: role, timestamp: role, snapshot: role, targets: role };
write("1.root.json", { _type: "root", consistent_snapshot: true, keys, roles });
