/** The body of a Notary publish: multipart/form-data with one part per role (RFC 7578, as Go's mime/multipart reads it). */
import { concatBytes, hexEncode, utf8Encode, type Bytes } from "../base/bytes.ts";
import { InternalError } from "../base/errors.ts";

/** A part for each document. The role is the part's file name, slashes and all. */
export interface MultipartFile {
  readonly role: string;
  readonly bytes: Uint8Array;
}

export interface MultipartBody {
  readonly contentType: string;
  readonly bytes: Bytes;
}

/** Role names need no quoting; whatever else came this far is a defect. */
const ROLE = /^[-a-z0-9_/]+$/;

/**
 * Writes the body. No files at all is a body too: the server then makes a new snapshot and timestamp.
 *
 * @param random makes the boundary, which signed JSON then cannot contain but by a chance of 2^-128
 */
export function writeMultipart(
  files: readonly MultipartFile[],
  random: (length: number) => Uint8Array = (length) => crypto.getRandomValues(new Uint8Array(length)),
): MultipartBody {
  const boundary = hexEncode(random(16));
  const parts: Uint8Array[] = [];
  for (const file of files) {
    if (!ROLE.test(file.role)) throw new InternalError(`${JSON.stringify(file.role)} cannot name a part of a publish`);
    parts.push(
      utf8Encode(
        `--${boundary}\r\nContent-Disposition: form-data; name="files"; filename="${file.role}"\r\n` +
          "Content-Type: application/octet-stream\r\n\r\n",
      ),
      file.bytes,
      utf8Encode("\r\n"),
    );
  }
  parts.push(utf8Encode(`--${boundary}--\r\n`));
  return { contentType: `multipart/form-data; boundary=${boundary}`, bytes: concatBytes(parts) };
}
