/** The extensions of certificates that mean something here (RFC 5280 §4.2.1). */
import type { Bytes } from "../base/bytes.ts";
import { DER_TAG, type DerFault, type DerReader } from "./der.ts";
import { OID } from "./oid.ts";

/** Extensions of one certificate; a dozen is common. */
const MAX_EXTENSIONS = 64;
/** Usages in one extension; five are many. */
const MAX_USAGES = 100;

export interface Extensions {
  /** BasicConstraints cA. */
  readonly isCa: boolean;
  /** How many authorities may stand between this one and a leaf; undefined: any number. */
  readonly pathLength: number | undefined;
  /** False where KeyUsage leaves out signing certificates. */
  readonly mayIssue: boolean;
  /** False where KeyUsage leaves out signing content. */
  readonly maySign: boolean;
  /** Object identifiers of ExtendedKeyUsage; undefined: any use. */
  readonly extendedKeyUsages: readonly string[] | undefined;
  /** Critical extensions that are not read here: who relies on the certificate must refuse it. */
  readonly unknownCritical: readonly string[];
}

/** KeyUsage bits, from the most significant one on. */
const DIGITAL_SIGNATURE = 0;
const KEY_CERT_SIGN = 5;

/** Reads the extensions; undefined gives those of a certificate that has none. */
export function readExtensions(reader: DerReader | undefined, fault: DerFault): Extensions {
  const found = new Map<string, { critical: boolean; content: DerReader }>();
  if (reader !== undefined) {
    const list = reader.enter("the extensions");
    reader.end("the extensions");
    while (!list.done) {
      if (found.size === MAX_EXTENSIONS) throw fault(`it has more than ${MAX_EXTENSIONS} extensions`);
      const extension = list.enter("an extension");
      const id = extension.oid("an extension's id");
      const critical = extension.peek() === DER_TAG.boolean && extension.boolean("an extension's criticality");
      const content = extension.octetString(`the extension ${id}`);
      extension.end(`the extension ${id}`);
      if (found.has(id)) throw fault(`the extension ${id} occurs twice`);
      found.set(id, { critical, content: extension.within(content) });
    }
  }
  const read = <T>(id: string, one: (content: DerReader) => T): T | undefined => {
    const extension = found.get(id);
    if (extension === undefined) return undefined;
    const value = one(extension.content);
    extension.content.end(`the extension ${id}`);
    return value;
  };
  const usage = read(OID.keyUsage, (content) => content.read(DER_TAG.bitString, "the key usage"));
  const basic = read(OID.basicConstraints, readBasicConstraints);
  return {
    isCa: basic?.isCa ?? false,
    pathLength: basic?.pathLength,
    mayIssue: usage === undefined || hasBit(usage, KEY_CERT_SIGN),
    maySign: usage === undefined || hasBit(usage, DIGITAL_SIGNATURE),
    extendedKeyUsages: read(OID.extendedKeyUsage, (content) => readUsages(content, fault)),
    unknownCritical: [...found].filter(([id, { critical }]) => critical && !READ.has(id)).map(([id]) => id),
  };
}

const READ: ReadonlySet<string> = new Set([OID.keyUsage, OID.basicConstraints, OID.extendedKeyUsage]);

function readBasicConstraints(reader: DerReader): { isCa: boolean; pathLength: number | undefined } {
  const constraints = reader.enter("the basic constraints");
  const isCa = constraints.peek() === DER_TAG.boolean && constraints.boolean("the authority flag");
  const pathLength = constraints.done ? undefined : constraints.smallInteger("the path length");
  constraints.end("the basic constraints");
  return { isCa, pathLength };
}

function readUsages(reader: DerReader, fault: DerFault): string[] {
  const list = reader.enter("the extended key usages");
  const usages: string[] = [];
  while (!list.done) {
    if (usages.length === MAX_USAGES) throw fault("it lists too many usages");
    usages.push(list.oid("an extended key usage"));
  }
  return usages;
}

/** Bit 0 is the most significant one of the first octet; the octet before it counts unused bits. */
function hasBit(bits: Bytes, number: number): boolean {
  return ((bits[1 + (number >> 3)] ?? 0) & (0x80 >> (number & 7))) !== 0;
}
