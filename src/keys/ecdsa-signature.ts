/** ECDSA signatures in the two forms in use: r‖s, as WebCrypto and Notary have it, and DER (RFC 3279 §2.2.3). */
import { concatBytes, type Bytes } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { DerReader } from "./der.ts";
import { integer, sequence } from "./der-writer.ts";
import { CURVE_SIZE, type Curve } from "./spki.ts";

/** From DER to r‖s; undefined where the bytes are not the one DER encoding of two numbers of that size. */
export function ecdsaFromDer(der: Uint8Array, curve: Curve): Bytes | undefined {
  const size = CURVE_SIZE[curve];
  try {
    const outer = new DerReader(der, fault);
    const pair = outer.enter("the signature");
    outer.end("the signature");
    const numbers = [pair.unsigned("r"), pair.unsigned("s")];
    pair.end("s");
    if (numbers.some(({ length }) => length > size)) return undefined;
    return concatBytes(numbers.flatMap((number) => [new Uint8Array(size - number.length), number]));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** From r‖s to DER. */
export function ecdsaToDer(signature: Uint8Array, curve: Curve): Bytes {
  const size = CURVE_SIZE[curve];
  return sequence(integer(signature.subarray(0, size)), integer(signature.subarray(size)));
}

function fault(message: string): FormatError {
  return new FormatError("KEY_INVALID", message);
}
