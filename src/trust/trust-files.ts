/** Metadata files in memory as a TUF repository: a state that is carried elsewhere is verified as it will be written. */
import type { Bytes } from "../base/bytes.ts";
import { TransportError } from "../base/errors.ts";
import type { TufRepository } from "../tuf/repository.ts";

/** @param files by name, e.g. `3.targets.json` @param location for people, and for what is kept */
export function filesRepository(files: ReadonlyMap<string, Bytes>, location: string): TufRepository {
  return {
    location,
    async metadata({ file, limit }) {
      const bytes = files.get(file);
      if (bytes === undefined || bytes.length <= limit) return bytes;
      throw new TransportError(
        "RESPONSE_TOO_LARGE",
        `${file} of ${location} is larger than the ${limit} bytes allowed`,
        {
          hint: "No honest publisher makes such a file; tell whoever runs the collection",
          details: { limit },
        },
      );
    },
    target: async () => undefined,
  };
}
