/** What the flags of one run come to. The parts behind it are loaded when a command needs them, not for its help. */
import type { DestinationRules } from "../admit-copy.ts";
import type { OnProgress } from "../base/progress.ts";
import type { Runtime } from "../base/runtime.ts";
import type { ContentCache } from "../content-cache.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { LoadedPolicy } from "../node/policy-file.ts";
import type { Reference } from "../oci/reference.ts";
import type { RegistryClient } from "../oci/registry-client.ts";
import type { Signing } from "../sign-target.ts";
import type { Administration } from "../trust/administration.ts";
import type { Coverage } from "../trust/coverage.ts";
import type { NotarySource } from "../trust/notary/source.ts";
import type { Pin } from "../trust/pin.ts";
import type { PinnedSource, PinStore } from "../trust/pins.ts";
import type { TufAdministration } from "../trust/tuf/administration.ts";
import type { TufPublisher } from "../trust/tuf/publisher.ts";
import type { TufSource } from "../trust/tuf/source.ts";
import type { Context } from "./command.ts";
import type { OptionValues } from "./options.ts";
import type {
  creatingOptions,
  directoryOptions,
  pinOptions,
  readingOptions,
  registryOptions,
  storedOptions,
  trustReadingOptions,
} from "./shared-options.ts";

/** The flags that a session looks at; a command has those that make sense for it. */
export type SessionOptions = Partial<
  OptionValues<
    typeof registryOptions &
      typeof trustReadingOptions &
      typeof pinOptions &
      typeof readingOptions &
      typeof creatingOptions &
      typeof storedOptions &
      typeof directoryOptions
  >
> & {
  readonly sign?: boolean;
  /** Whose registry `--insecure` and the client certificate are for; neither token servers nor redirects get them. */
  readonly reference?: Pick<Reference, "registry"> | undefined;
};

/** A trust source with all that can be done with it. */
export type OpenedTrust =
  | { readonly kind: "notary"; readonly source: NotarySource }
  | {
      readonly kind: "tuf" | "oci";
      readonly source: TufSource;
      /** Undefined where it can only be read. */
      readonly publisher: TufPublisher | undefined;
      /** What key holders do with collections there. */
      readonly administration: TufAdministration;
    };

export interface Session {
  readonly runtime: Runtime;
  /** With the certificates of the trust server. */
  readonly trustRuntime: Runtime;
  readonly registry: RegistryClient;
  /** Undefined where flags want none. */
  readonly cache: ContentCache | undefined;
  /** True where nobody may be asked. */
  readonly offline: boolean;
  readonly pins: PinStore;
  readonly keys: KeyStore;
  readonly onProgress: OnProgress | undefined;
  /** The root keys that flags name; undefined where none do. */
  readonly pin: Pin | undefined;
  /** Opens a place of trust data, for a repository where it may be beside the module. */
  openTrust(place: PinnedSource, reference: Pick<Reference, "registry" | "repository">): OpenedTrust;
  /** The place that flags name, to be remembered or written to; undefined where none do, and for a bundle. */
  readonly place: PinnedSource | undefined;
  /** Shows the roles of a collection that `coverage` gave, past their expiry too; undefined where that cannot be seen. */
  statusIn(
    coverage: Coverage,
    reference: Pick<Reference, "registry" | "repository">,
  ): Pick<Administration, "status"> | undefined;
  /** The policy that governs this run; undefined where there is none. */
  policy(): Promise<LoadedPolicy | undefined>;
  /** What the policy says of a repository that something is copied to; undefined where it says nothing. */
  destinationRules(reference: Pick<Reference, "registry" | "repository">): Promise<DestinationRules | undefined>;
  /** What a reference is verified against; undefined where nothing covers it and no flag asks for it. */
  coverage(reference: Reference): Promise<Coverage | undefined>;
  /** The same where something must: for commands that make no sense without. @throws TRUST_SOURCE_MISSING */
  requiredCoverage(reference: Reference): Promise<Coverage>;
  /** Where and how to sign; undefined where no flag asks for it. */
  signing(reference: Reference): Promise<(Signing & Coverage) | undefined>;
}

/** Runs work with what the flags come to, and closes every connection afterwards. */
export async function withSession<T>(
  context: Context,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { runSession } = await import("./open-session.ts");
  return runSession(context, options, work);
}
