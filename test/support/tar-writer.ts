/** Writes tars as an enemy would: any entries in any order, honest headers unless told. */
import { concatBytes, type Bytes } from "../../src/base/bytes.ts";

export interface TarEntry {
  readonly name: string;
  readonly content?: Uint8Array;
  /** The type flag; a regular file unless told. */
  readonly type?: string;
  /** Where a link leads. */
  readonly link?: string;
  /** The size that the header tells, where it lies. */
  readonly size?: number;
}

export function writeTar(entries: readonly TarEntry[], end = 1024): Bytes {
  const parts: Uint8Array[] = [];
  for (const { name, content = new Uint8Array(0), type = "0", link = "", size = content.length } of entries) {
    const header = Buffer.alloc(512);
    header.write(name, 0, 100);
    header.write("0000644\u00000000000\u00000000000\0", 100);
    header.write(`${size.toString(8).padStart(11, "0")}\u000000000000000\0`, 124);
    header.write("        ", 148);
    header.write(type, 156);
    header.write(link, 157, 100);
    header.write("ustar\u000000", 257);
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, "0")}\0 `,
      148,
    );
    parts.push(header, content, new Uint8Array((512 - (content.length % 512)) % 512));
  }
  return concatBytes([...parts, new Uint8Array(end)]);
}

/** The files of a tar that `writeTar` or we have written: ustar only. */
export function readTar(bytes: Uint8Array): { name: string; content: Buffer }[] {
  const buffer = Buffer.from(bytes);
  const files: { name: string; content: Buffer }[] = [];
  for (let at = 0; buffer[at] !== 0;) {
    const size = Number.parseInt(buffer.toString("latin1", at + 124, at + 135), 8);
    const name = buffer.toString("utf8", at, at + 100).replace(/\0.*$/s, "");
    files.push({ name, content: buffer.subarray(at + 512, at + 512 + size) });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
