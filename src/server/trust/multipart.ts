/**
 * Reads `multipart/form-data` as it streams in: RFC 7578, strictly, and only what a publish is made of. Ours,
 * because the usual parsers cut file names after the last slash, and `targets/releases` is a file name here.
 */
import { concatBytes, type Bytes } from "../../base/bytes.ts";
import { ApiError } from "./errors.ts";

export interface MultipartLimits {
  readonly parts: number;
  /** Bytes of one part. */
  readonly partBytes: number;
  /** Bytes of all parts and what separates them. */
  readonly totalBytes: number;
}

export interface UploadedFile {
  /** As sent, slashes included. */
  readonly filename: string;
  readonly bytes: Bytes;
}

/** Content-Disposition with a file name of 255 bytes and Content-Type; nothing else belongs there. */
const MAX_HEADER_BYTES = 2048;
/** RFC 2046 §5.1.1: 1 to 70 characters of these. */
const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/;
const CRLF = Buffer.from("\r\n");
const END_OF_HEADERS = Buffer.from("\r\n\r\n");
const CLOSE = Buffer.from("--");

/**
 * Reads a whole body.
 *
 * @throws {ApiError} MALFORMED_UPLOAD, NO_FILENAME
 */
export async function readMultipart(
  contentType: string | undefined,
  body: AsyncIterable<Uint8Array>,
  limits: MultipartLimits,
): Promise<readonly UploadedFile[]> {
  const parser = new MultipartParser(boundaryOf(contentType), limits);
  for await (const chunk of body) parser.push(chunk);
  return parser.end();
}

function boundaryOf(contentType: string | undefined): string {
  const [, type = "", rest = ""] = /^([^;]*)(.*)$/s.exec(contentType ?? "") ?? [];
  if (type.trim().toLowerCase() !== "multipart/form-data") {
    throw malformed("the Content-Type is not multipart/form-data");
  }
  const boundary = parameters(rest)?.get("boundary");
  if (boundary === undefined || !BOUNDARY.test(boundary)) throw malformed("the Content-Type names no boundary");
  return boundary;
}

const PARAMETER = /\s*;\s*([^\s=;"]+)=(?:"((?:[^"\\\r\n]|\\[\x20-\x7e])*)"|([^\s;"]+))/y;

/** Reads `; a=b; c="d"`; undefined where it is anything else, or names a parameter twice. */
function parameters(text: string): Map<string, string> | undefined {
  const found = new Map<string, string>();
  let at = 0;
  while (text.slice(at).trim() !== "") {
    PARAMETER.lastIndex = at;
    const match = PARAMETER.exec(text);
    if (match === null) return undefined;
    const [, name = "", quoted, token = ""] = match;
    if (found.has(name.toLowerCase())) return undefined;
    found.set(name.toLowerCase(), quoted === undefined ? token : quoted.replace(/\\(.)/g, "$1"));
    at = PARAMETER.lastIndex;
  }
  return found;
}

/** What comes next in the stream. */
type State = "after-boundary" | "headers" | "content" | "epilogue";

class MultipartParser {
  private readonly limits: MultipartLimits;
  /** What ends a part's content. The first boundary has no line before it, so the stream is read as if it had. */
  private readonly delimiter: Buffer;
  private readonly files: UploadedFile[] = [];
  /** Received and not yet understood; short, except for content, which moves on to `content`. */
  private pending: Buffer = CRLF;
  private state: State = "content";
  /** Undefined for what comes before the first boundary, which must be nothing. */
  private filename: string | undefined;
  private content: Uint8Array[] = [];
  private contentBytes = 0;
  private totalBytes = 0;

  constructor(boundary: string, limits: MultipartLimits) {
    this.limits = limits;
    this.delimiter = Buffer.from(`\r\n--${boundary}`, "latin1");
  }

  push(chunk: Uint8Array): void {
    this.totalBytes += chunk.length;
    if (this.totalBytes > this.limits.totalBytes)
      throw tooMuch(`the upload has more than ${this.limits.totalBytes} bytes`);
    if (this.state === "epilogue") return;
    this.pending = Buffer.concat([this.pending, chunk]);
    while (this.step());
  }

  end(): readonly UploadedFile[] {
    if (this.state !== "epilogue") throw malformed("it ends before its last boundary");
    return this.files;
  }

  /** Understands the next piece; false where more bytes are needed. */
  private step(): boolean {
    if (this.state === "content") return this.contents();
    if (this.state === "headers") return this.headers();
    return this.state === "after-boundary" && this.afterBoundary();
  }

  private afterBoundary(): boolean {
    if (this.pending.length < 2) return false;
    const next = this.pending.subarray(0, 2);
    if (next.equals(CLOSE)) {
      this.state = "epilogue";
      this.pending = Buffer.alloc(0);
      return false;
    }
    if (!next.equals(CRLF)) throw malformed("a boundary is followed by something else than a line end");
    // The line end stays: it is also the first half of the empty line, where a part has no headers.
    this.state = "headers";
    return true;
  }

  private headers(): boolean {
    const end = this.pending.indexOf(END_OF_HEADERS);
    if (end > MAX_HEADER_BYTES || (end < 0 && this.pending.length > MAX_HEADER_BYTES + END_OF_HEADERS.length)) {
      throw malformed("the headers of a part are too long");
    }
    if (end < 0) return false;
    if (this.files.length >= this.limits.parts) throw tooMuch(`the upload has more than ${this.limits.parts} parts`);
    this.filename = filenameOf(this.pending.toString("latin1", 0, end));
    // Content begins with the line end before it, so that an empty content is found like any other.
    this.pending = this.pending.subarray(end + CRLF.length);
    this.state = "content";
    this.content = [];
    this.contentBytes = -CRLF.length;
    return true;
  }

  private contents(): boolean {
    const end = this.pending.indexOf(this.delimiter);
    if (end < 0) {
      const sure = this.pending.length - this.delimiter.length + 1;
      if (sure > 0) {
        this.take(this.pending.subarray(0, sure));
        this.pending = this.pending.subarray(sure);
      }
      return false;
    }
    this.take(this.pending.subarray(0, end));
    this.pending = this.pending.subarray(end + this.delimiter.length);
    if (this.filename !== undefined) {
      const bytes = concatBytes(this.content).subarray(CRLF.length);
      this.files.push({ filename: this.filename, bytes });
    }
    this.state = "after-boundary";
    return true;
  }

  private take(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (this.filename === undefined) throw malformed("it does not begin with its boundary");
    this.contentBytes += bytes.length;
    if (this.contentBytes > this.limits.partBytes)
      throw tooMuch(`one file of the upload has more than ${this.limits.partBytes} bytes`);
    this.content.push(bytes);
  }
}

/** Reads the file name out of a part's headers. @throws {ApiError} NO_FILENAME, as notary-server for whatever is wrong */
function filenameOf(headers: string): string {
  const dispositions = headers.split("\r\n").filter((line) => /^content-disposition:/i.test(line));
  const [, rest] = /^content-disposition:\s*form-data\s*(;.*)$/i.exec(dispositions.join("\n")) ?? [];
  const filename = rest === undefined ? undefined : parameters(rest)?.get("filename");
  if (filename === undefined || filename === "") throw new ApiError("NO_FILENAME");
  return filename;
}

/** Says what the limit is, unlike notary-server, which has none and so no words for it. */
function tooMuch(detail: string): ApiError {
  return new ApiError("MALFORMED_UPLOAD", detail);
}

function malformed(reason: string): ApiError {
  return new ApiError("MALFORMED_UPLOAD", undefined, {
    cause: new Error(`the request's body is malformed: ${reason}`),
  });
}
