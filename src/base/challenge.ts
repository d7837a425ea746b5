/** Reads WWW-Authenticate headers (RFC 9110 §11.6.1), which may hold several challenges in one line. */

export interface Challenge {
  /** In lower case, e.g. `bearer`. */
  readonly scheme: string;
  /** Parameters by their lower-case name; empty where the challenge has a token68 or nothing. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** Real ones are below 1 kB; no server needs more to say where tokens are had. */
const MAX_CHALLENGE_LENGTH = 8 * 1024;

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const TOKEN68 = /[A-Za-z0-9\-._~+/]+=*(?=\s*(?:,|$))/y;
const QUOTED = /"((?:[^"\\]|\\[\s\S])*)"/y;
const SPACE = /[ \t]*/y;
const SEPARATOR = /[ \t,]*/y;

/**
 * Reads every challenge of a header.
 *
 * @returns what could be read up to the first fault: half of a challenge is none
 */
export function parseChallenges(header: string | null): Challenge[] {
  const challenges: Challenge[] = [];
  if (header === null || header.length > MAX_CHALLENGE_LENGTH) return challenges;
  const reader = new HeaderReader(header);
  for (;;) {
    reader.take(SEPARATOR);
    const scheme = reader.take(TOKEN);
    if (scheme === undefined) return challenges;
    const parameters = readParameters(reader);
    if (parameters === undefined) return challenges;
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
  }
}

/** Reads `name=value` pairs until the next challenge, the end, or a fault (undefined). */
function readParameters(reader: HeaderReader): Map<string, string> | undefined {
  const parameters = new Map<string, string>();
  for (let first = true; ; first = false) {
    const start = reader.at;
    const separator = reader.take(SEPARATOR) ?? "";
    if (reader.atEnd) return parameters;
    if (first && separator === "") return undefined;
    if (!first && !separator.includes(",")) return undefined;
    const name = reader.take(TOKEN);
    reader.take(SPACE);
    if (name !== undefined && reader.takeText("=")) {
      reader.take(SPACE);
      const value = reader.takeQuoted() ?? reader.take(TOKEN);
      if (value !== undefined) {
        // The first of a repeated name counts: a proxy that appends must not redirect us.
        if (!parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), value);
        continue;
      }
    }
    reader.at = start;
    reader.take(SEPARATOR);
    if (first && !separator.includes(",") && reader.take(TOKEN68) !== undefined) return parameters;
    if (!separator.includes(",")) return undefined;
    reader.at = start; // no parameter, so the scheme of the next challenge
    return parameters;
  }
}

class HeaderReader {
  at = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  get atEnd(): boolean {
    return this.at >= this.text.length;
  }

  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (match === null) return undefined;
    this.at += match[0].length;
    return match[0];
  }

  takeText(text: string): boolean {
    if (!this.text.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  takeQuoted(): string | undefined {
    const quoted = this.take(QUOTED);
    return quoted?.slice(1, -1).replace(/\\([\s\S])/g, "$1");
  }
}
