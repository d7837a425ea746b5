/**
 * Which change requests a targets role has dealt with. It stands in the role's own signed document, so that every reader
 * of a state knows what it has; old ones are forgotten, and everything before them counts as dealt with.
 */
import { FormatError } from "../../base/errors.ts";
import { formatFault, JsonCursor } from "../../base/json-cursor.ts";
import type { Targets } from "../../tuf/schema.ts";

const MARKS_FIELD = "x-wasm-to-oci-changes";
/** Marks of one role; some 50 bytes each, and more than publish at once. */
const MAX_MARKS = 128;
/** What others may have written there. */
const MAX_READ_MARKS = 10_000;

/** Requests by tag. */
export interface Marks {
  readonly applied: readonly string[];
  /** Whose premise did not hold any more. */
  readonly void: readonly string[];
  /** What is not after this one is settled, whether it is listed or not. */
  readonly since: string;
}

const NONE: Marks = { applied: [], void: [], since: "" };

/** The marks of a document; one that does not have the field as we write it has none. */
export function marksOf(document: Pick<Targets, "extra"> | undefined): Marks {
  const value = document?.extra[MARKS_FIELD];
  if (value === undefined) return NONE;
  try {
    const field = new JsonCursor(value, formatFault("METADATA_INVALID", MARKS_FIELD));
    const object = field.object(["applied", "void", "since"]);
    const list = (key: string): string[] =>
      object.field(key).empty
        ? []
        : object
            .field(key)
            .array(MAX_READ_MARKS)
            .map((entry) => entry.string());
    return {
      applied: list("applied"),
      void: list("void"),
      since: object.field("since").empty ? "" : object.field("since").string(),
    };
  } catch (error) {
    if (error instanceof FormatError) return NONE;
    throw error;
  }
}

/** Tells whether a role has dealt with a request. */
export function isSettled(marks: Marks, id: string): boolean {
  return id <= marks.since || marks.applied.includes(id) || marks.void.includes(id);
}

/** A document that has dealt with one more request. */
export function withMark<T extends Pick<Targets, "extra">>(document: T, id: string, kind: "applied" | "void"): T {
  const marks = marksOf(document);
  return withMarks(document, { ...marks, [kind]: [...marks[kind], id] });
}

function withMarks<T extends Pick<Targets, "extra">>(document: T, marks: Marks): T {
  let { since } = marks;
  const all = [...marks.applied, ...marks.void].toSorted();
  if (all.length > MAX_MARKS) {
    const dropped = all[all.length - MAX_MARKS - 1]!;
    if (dropped > since) since = dropped;
  }
  const newer = (ids: readonly string[]): string[] => ids.filter((id) => id > since).toSorted();
  const field = { applied: newer(marks.applied), void: newer(marks.void), since };
  return { ...document, extra: { ...document.extra, [MARKS_FIELD]: field } };
}
