/** One publish: validated and stored as a whole, in turn with the others to the same collection. */
import { TrustError } from "../../base/errors.ts";
import { ApiError } from "./errors.ts";
import type { TrustService } from "./service.ts";
import { validateUpdate } from "./update.ts";
import type { Upload } from "./upload.ts";

/**
 * How often a publish is validated again because another process of this server was faster with a role that the
 * server itself signs. Each round lets one publish through.
 */
const MAX_ATTEMPTS = 10;

/**
 * Publishes uploads. What they do not contain is as it is when their turn comes.
 *
 * @throws {ApiError} INVALID_UPDATE; VERSION where an uploaded version is not newer than what is stored
 */
export async function publish(service: TrustService, gun: string, uploads: ReadonlyMap<string, Upload>): Promise<void> {
  const values = [...uploads.values()].reduce((sum, upload) => sum + upload.values, 0);
  const inTurn = (work: () => Promise<void>) => service.turns.run(gun, () => service.validations.run(values, work));
  await inTurn(async () => {
    for (let attempt = 1; ; attempt++) {
      const update = await validateUpdate(service, gun, uploads);
      try {
        await service.store.update(update);
        return;
      } catch (error) {
        if (!(error instanceof TrustError && error.code === "TRUST_CONFLICT")) throw error;
        const isOurs = error.role !== undefined && !uploads.has(error.role);
        if (!isOurs || attempt >= MAX_ATTEMPTS) throw new ApiError("VERSION", {}, { cause: error });
      }
    }
  });
}
