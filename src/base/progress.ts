/** Progress of long work, for whoever wants to show it. */
export interface Progress {
  /** What is being done, e.g. `hashing`, `uploading`, `downloading`. */
  readonly phase: "hashing" | "uploading" | "downloading" | "signing" | "verifying";
  /** What it is done to, e.g. a file name or a short digest. */
  readonly subject: string;
  /** Bytes so far. */
  readonly done: number;
  /** Bytes in all; undefined where not known. */
  readonly total: number | undefined;
}

/** Called often; must return fast and must not throw. */
export type OnProgress = (progress: Progress) => void;
