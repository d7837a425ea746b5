/**
 * What somebody can do who has full control of the place where trust data is, and none of its keys: the same for every
 * kind of source. Rollback is refused against state or a lock, freeze at expiry, mix-and-match always; and somebody who
 * comes for the first time is told what could not be ruled out.
 */
import { beforeEach, describe, expect, test } from "vitest";
import { trustNotes } from "../../src/trust/resolve.ts";
import type { TrustedCollection, TrustSource } from "../../src/trust/source.ts";
import { codeOf } from "../support/error-code.ts";

export interface AttackedPlace {
  /** The collection's name. */
  readonly collection: string;
  readonly now: () => Date;
  /** Publishes a name, honestly. */
  publish(name: string): Promise<void>;
  /** Somebody who has never been there. */
  consumer(): TrustSource;
  /** Keeps what is served now. */
  save(): Promise<void>;
  /** Serves what was kept last, and nothing newer. */
  rollBack(): Promise<void>;
  /** Serves today's timestamp, and of everything else what was kept. */
  mix(): Promise<void>;
  /** Serves what was published last. */
  beHonest(): Promise<void>;
  /** Lets days go by without anybody signing anything. */
  wait(days: number): void;
}

const ACCEPT = { firstUse: "accept" } as const;

export function describeSourceAttacks(kind: string, make: () => Promise<AttackedPlace>): void {
  describe(`whoever controls a ${kind} source`, () => {
    let place: AttackedPlace;
    let consumer: TrustSource;
    const open = (source: TrustSource, options: object = {}): Promise<TrustedCollection> =>
      source.open(place.collection, { ...ACCEPT, ...options });
    const names = (collection: TrustedCollection): string[] => collection.list().map(({ name }) => name);
    const notes = (collection: TrustedCollection): string[] =>
      trustNotes(collection, place.now()).map(({ code }) => code);
    const versions = ({ roles }: TrustedCollection): Map<string, number> =>
      new Map(roles.map(({ role, version }) => [role, version]));

    beforeEach(async () => {
      place = await make();
      await place.publish("v1");
      await place.save();
      consumer = place.consumer();
    });

    /** After a refusal the same consumer, with the same state, takes the honest answer. */
    async function expectRecovery(expected: readonly string[]): Promise<void> {
      await place.beHonest();
      expect(names(await open(consumer))).toEqual(expected);
    }

    test("cannot take back what a consumer has seen", async () => {
      await place.publish("v2");
      expect(names(await open(consumer))).toEqual(["v1", "v2"]);
      await place.rollBack();
      for (let times = 0; times < 2; times++) {
        expect(await codeOf(() => open(consumer))).toBe("METADATA_ROLLED_BACK");
      }
      await expectRecovery(["v1", "v2"]);
    });

    test("cannot show somebody new less than their lockfile has", async () => {
      await place.publish("v2");
      const floors = versions(await open(consumer));
      await place.rollBack();
      const other = place.consumer();
      expect(await codeOf(() => open(other, { floors }))).toBe("METADATA_ROLLED_BACK");
      await place.beHonest();
      expect(names(await open(other, { floors }))).toEqual(["v1", "v2"]);
    });

    test("cannot show the same state for longer than it is signed for", async () => {
      await open(consumer);
      await place.rollBack();
      expect(names(await open(consumer))).toEqual(["v1"]);
      place.wait(40);
      for (const source of [consumer, place.consumer()]) {
        expect(await codeOf(() => open(source))).toBe("METADATA_EXPIRED");
      }
      place.wait(-40);
      await expectRecovery(["v1"]);
    });

    test("cannot put parts of two states together", async () => {
      await open(consumer);
      await place.publish("v2");
      await place.mix();
      for (const source of [consumer, place.consumer()]) {
        expect(["METADATA_TAMPERED", "METADATA_ROLLED_BACK", "TRUST_WITHHELD", "DIGEST_MISMATCH"]).toContain(
          await codeOf(() => open(source)),
        );
      }
      await expectRecovery(["v1", "v2"]);
    });

    test("can show somebody new, without a lock, an older state: the report says so, once", async () => {
      await place.publish("v2");
      await place.rollBack();
      const deceived = await open(consumer);
      expect(names(deceived)).toEqual(["v1"]);
      expect(notes(deceived)).toContain("no-history");
      expect(notes(await open(consumer))).not.toContain("no-history");
      await place.beHonest();
      expect(names(await open(consumer))).toEqual(["v1", "v2"]);
    });
  });
}
