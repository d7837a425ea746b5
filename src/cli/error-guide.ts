/** What every error code means and what to do about it: the hint where an error brings none, and the reference page. */
import type { ErrorCode } from "../base/errors.ts";

interface Guide {
  readonly meaning: string;
  /** What to do, for a person, in one or two sentences. */
  readonly remedy: string;
}

const TELL_PUBLISHER = "Do not use what was served; tell the publisher and whoever runs the server";
const OPERATOR = "Tell the server's operator; a proxy in between may also be at fault";

export const ERROR_GUIDE: Readonly<Record<ErrorCode, Guide>> = {
  USAGE: {
    meaning: "the command line or a call has no meaning",
    remedy: "See `wasm-to-oci COMMAND --help`",
  },
  REFERENCE_INVALID: {
    meaning: "text that should name a module in a registry does not",
    remedy: "References look like HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]",
  },
  GUN_INVALID: {
    meaning: "text that should name a collection does not",
    remedy: "Name it like a repository: ghcr.io/acme/app",
  },
  TARGET_NAME_INVALID: {
    meaning: "a name that cannot be signed",
    remedy: "Use a tag's characters: letters, digits, dot, dash and underscore",
  },
  TARGET_INVALID: {
    meaning: "content that cannot be signed under a name",
    remedy: "Give a length and hashes as metadata can hold them",
  },
  ROLE_INVALID: {
    meaning: "text that should name a role does not",
    remedy: "Delegations are named with letters, digits, dots, dashes and underscores; on a Notary server targets/name",
  },
  PASSPHRASE_MISSING: {
    meaning: "a key needs a passphrase, and there is neither one in the environment nor anybody to ask",
    remedy: "Set WASM_TO_OCI_PASSPHRASE, or run the command at a terminal",
  },
  TRUST_SOURCE_MISSING: {
    meaning: "signing or verification was asked for, and no place of trust data is named or pinned",
    remedy: "Add --sign for trust data in the registry itself, --trust PLACE, or --server URL for a Notary server",
  },
  LISTEN_REFUSED: {
    meaning: "a server without access control was asked to listen for other machines",
    remedy: "Listen on 127.0.0.1, or say that the exposure is meant",
  },
  JSON_INVALID: {
    meaning: "a document is not JSON, or JSON that two readers could understand differently",
    remedy: `${OPERATOR}. Where it is a file of yours, mend it`,
  },
  DIGEST_INVALID: {
    meaning: "text that should be a digest is none",
    remedy: "Digests look like sha256: and 64 lower-case hexadecimal digits",
  },
  LIMIT_EXCEEDED: {
    meaning: "something is larger or more than any honest one",
    remedy: "Check where it comes from; the message names the limit",
  },
  WASM_INVALID: {
    meaning: "a file is not a sound WebAssembly binary",
    remedy: "Build the module again, and check that the path names it",
  },
  MANIFEST_INVALID: {
    meaning: "a registry served a manifest that breaks its specification",
    remedy: `${OPERATOR}. Push the module again if it is yours`,
  },
  LAYOUT_INVALID: {
    meaning: "an OCI layout, in a directory, an archive or a bundle, has something extra, missing or of a wrong kind",
    remedy: "Do not use it: make it again from its source",
  },
  MODULE_AMBIGUOUS: {
    meaning: "an artifact holds several modules",
    remedy: "Name the one that you want by its digest",
  },
  MODULE_MISSING: {
    meaning: "an artifact holds no WebAssembly module",
    remedy: "Check the reference: it may name a container image",
  },
  METADATA_INVALID: {
    meaning: "trust metadata breaks its format, before any signature was looked at",
    remedy: "Nothing was verified. Check that the address is the trust server's, and tell its operator",
  },
  KEY_INVALID: {
    meaning: "a key cannot be read, or is of a kind that cannot be used",
    remedy: "Restore the key file from a backup, or make a new key with `wasm-to-oci key generate`",
  },
  CERTIFICATE_INVALID: {
    meaning: "a certificate cannot be read or used",
    remedy: "Give a PEM file with BEGIN CERTIFICATE lines",
  },
  CONFIG_INVALID: {
    meaning: "a configuration file cannot be understood",
    remedy: "Mend the file that the message names",
  },
  LOCK_INVALID: {
    meaning: "a lockfile breaks its format or contradicts itself; nothing of it was used",
    remedy: "Restore it from version control; after a merge with conflicts run `wasm-to-oci lock`",
  },
  POLICY_INVALID: {
    meaning: "a policy says something that it cannot mean, or that this version does not know",
    remedy: "Mend the file at the place that the message names; until then nothing is pulled by it",
  },
  POLICY_AMBIGUOUS: {
    meaning: "two entries of a policy match one reference, and neither is more specific than the other",
    remedy: "Add an entry for just what both match, or make one pattern narrower",
  },
  NETWORK: {
    meaning: "a connection could not be made or broke",
    remedy: "Check the address and the network, and run the command again: it goes on where it was",
  },
  TLS: {
    meaning: "a server could not prove who it is, or speaks no TLS",
    remedy: "Give the authority of its certificate with --tlscacert FILE, or ask its operator to renew it",
  },
  TIMEOUT: {
    meaning: "a server fell silent",
    remedy: "Try again later, or raise --timeout",
  },
  RESPONSE_INVALID: {
    meaning: "an answer is no HTTP that can be used",
    remedy: "Check that the address is that of a registry or trust server",
  },
  RESPONSE_TOO_LARGE: {
    meaning: "a server sends more than any honest one",
    remedy: "Check the address, and tell the server's operator",
  },
  REDIRECT_REFUSED: {
    meaning: "a server sends us somewhere that it must not",
    remedy: "Give the server's final address",
  },
  OFFLINE_MISSING: {
    meaning: "something is not on this machine, and --offline forbids to fetch it",
    remedy: "Run the command once without --offline",
  },
  ADDRESS_IN_USE: {
    meaning: "another program listens there already",
    remedy: "End the other program, or choose another port",
  },
  LISTEN_FAILED: {
    meaning: "a server could not listen on its address",
    remedy: "Choose an address of this machine and a port that this user may open",
  },
  REGISTRY_DENIED: {
    meaning: "the registry does not accept these credentials, or none, for this",
    remedy: "Store credentials with `wasm-to-oci login HOST`, or ask for access to the repository",
  },
  REGISTRY_NOT_FOUND: {
    meaning: "the registry has nothing under this name",
    remedy: "Check the spelling; `wasm-to-oci list` shows the tags of a repository",
  },
  REGISTRY_REFUSED: {
    meaning: "the registry refused a request for its own reasons",
    remedy: "Read what it says; its operator can tell more",
  },
  REGISTRY_UNAVAILABLE: {
    meaning: "the registry failed or is overloaded, also after several tries",
    remedy: "Try again later; what was uploaded already is not sent again",
  },
  CREDENTIALS_INVALID: {
    meaning: "stored credentials cannot be read or used",
    remedy: "Store them again with `wasm-to-oci login HOST`",
  },
  DIGEST_MISMATCH: {
    meaning: "bytes are not what their digest says",
    remedy: "Try once more; if it stays so, the registry or its disk is damaged or somebody changed the content",
  },
  TAG_REFUSED: {
    meaning: "the registry will not move a tag",
    remedy: "Use another tag; this one is fixed",
  },
  TRUST_DENIED: {
    meaning: "the trust server does not accept these credentials, or none, for this",
    remedy: "Store credentials with `wasm-to-oci login HOST`, or ask for access to the collection",
  },
  TRUST_NOT_FOUND: {
    meaning: "there is no such collection in that place, and nothing says that there should be one",
    remedy: "Check the name and the place; ask the publisher to sign",
  },
  TRUST_WITHHELD: {
    meaning: "there is no trust data where there must be some: server or registry lost it, or hide it",
    remedy: "Tell its operator. If the collection was deleted on purpose: `wasm-to-oci trust remove`",
  },
  TRUST_UNAVAILABLE: {
    meaning: "the trust server failed or is none",
    remedy: "Nothing was verified. Check the address and try again later",
  },
  TRUST_REJECTED: {
    meaning: "the trust server refused a request for its own reasons",
    remedy: "Read what it says: `wasm-to-oci trust status` shows what it has",
  },
  TRUST_CONFLICT: {
    meaning: "somebody else published meanwhile, or something else is staged",
    remedy: "Run the command again; `wasm-to-oci trust sign --review` shows what is staged",
  },
  TRUST_EXISTS: {
    meaning: "the collection exists already",
    remedy: "Use it as it is: `wasm-to-oci trust status` shows it",
  },
  TARGET_NOT_FOUND: {
    meaning: "the name is not signed",
    remedy: "Check the tag, or ask the publisher to sign it",
  },
  TARGET_MISMATCH: {
    meaning: "a module is not the one that was signed",
    remedy: TELL_PUBLISHER,
  },
  TAG_MISMATCH: {
    meaning: "a tag names something else than what was signed",
    remedy: TELL_PUBLISHER,
  },
  CONTRACT_MISMATCH: {
    meaning: "a module imports or exports something else than its signed contract says",
    remedy: TELL_PUBLISHER,
  },
  CONTRACT_WIDENED: {
    meaning: "a new version wants more of its host than the one before, and the policy asks for approval",
    remedy: "See what it wants with `wasm-to-oci diff OLD NEW`; if that is right, run the command again with --approve",
  },
  METADATA_TAMPERED: {
    meaning: "metadata is not the file that signed metadata names: changed, or of another moment",
    remedy: "Try again once, somebody may have published just now; if it stays so, tell the server's operator",
  },
  METADATA_EXPIRED: {
    meaning: "signatures are too old to be relied on",
    remedy:
      "Check this machine's clock. The publisher signs again with `wasm-to-oci trust refresh` (snapshot, timestamp) " +
      "or `trust repair`; on a Notary server an expired timestamp means that it is broken or answers from the past",
  },
  METADATA_ROLLED_BACK: {
    meaning: "metadata is older than what was seen here before",
    remedy: "The server went back to a backup or is under somebody else's control: ask its operator",
  },
  CLOCK_BEHIND: {
    meaning: "this machine's clock is behind the time at which metadata was seen before",
    remedy: "Set the clock",
  },
  SIGNATURE_THRESHOLD: {
    meaning: "too few of the keys of a role have signed",
    remedy: `${TELL_PUBLISHER}. Of what you stage, \`wasm-to-oci trust sign --review\` says who still has to sign`,
  },
  ROOT_UNTRUSTED: {
    meaning: "the root is not the trusted one nor one that it leads to",
    remedy:
      "Ask the publisher, not the server, for the fingerprint of the root key. " +
      "If the collection was made anew on purpose: `wasm-to-oci trust remove`, then `trust pin`",
  },
  PIN_MISMATCH: {
    meaning: "the root is not signed by the keys that are pinned",
    remedy: "Ask the publisher, not the server, which root keys are right",
  },
  FIRST_USE_REFUSED: {
    meaning: "the collection was never seen here and is not pinned, and first use was ruled out",
    remedy: "Pin its root keys with `wasm-to-oci trust pin`",
  },
  COLLECTION_MISMATCH: {
    meaning: "the trust data of another collection was served",
    remedy: "Check the name given with --collection (--gun), and the place",
  },
  LOCK_MISMATCH: {
    meaning: "what was found differs from what the lockfile says, though it may be signed",
    remedy: "If the publisher released something new, look at it and run `wasm-to-oci lock`; otherwise ask them",
  },
  LOCK_MISSING: {
    meaning: "the lockfile has no entry for a reference that was to be taken from it",
    remedy: "Lock it: wasm-to-oci lock REFERENCE",
  },
  KEY_MISSING: {
    meaning: "no key here may sign this",
    remedy: "`wasm-to-oci trust show` lists who may; import a key with `wasm-to-oci key import`",
  },
  KEY_PASSPHRASE: {
    meaning: "a passphrase does not open a key",
    remedy: "Check WASM_TO_OCI_PASSPHRASE, or type it again",
  },
  DELEGATION_REFUSED: {
    meaning: "a delegation does not allow this",
    remedy: "`wasm-to-oci trust show` lists the roles, their keys and the names that they may sign",
  },
  PUBLISH_REFUSED: {
    meaning: "trust data was about to be published that clients would refuse",
    remedy: "Nothing was published; the message says what a client objects to",
  },
  PUBLISH_UNREADABLE: {
    meaning: "something was published and could not be read back",
    remedy: "Look with `wasm-to-oci trust status` before running the command again",
  },
  COPY_DESTINATION_NEWER: {
    meaning: "the destination of a copy has trust data that the source does not have, and would be rolled back",
    remedy: "Copy from a source that is up to date, or in the other direction",
  },
  COPY_OTHER_COLLECTION: {
    meaning: "the destination of a copy has the trust data of another collection",
    remedy: "Copy to another repository; two collections cannot share one",
  },
  POLICY_REFUSED: {
    meaning: "the policy here does not allow it, whoever signed it",
    remedy: "`wasm-to-oci policy explain` shows which entry decides and what it demands",
  },
  POLICY_TEST_FAILED: {
    meaning: "a policy does not decide as its tests expect",
    remedy: "Look at the cases that failed, and mend the policy or the tests",
  },
  FILE_NOT_FOUND: {
    meaning: "a file or directory is not there",
    remedy: "Check the path",
  },
  FILE_UNREADABLE: {
    meaning: "a file cannot be read",
    remedy: "Check the path and its permissions",
  },
  FILE_CHANGED: {
    meaning: "a file changed while it was read or uploaded",
    remedy: "Wait until whatever writes the file is done, and run the command again",
  },
  OUTPUT_REFUSED: {
    meaning: "output cannot go there: a directory, a device, a closed pipe",
    remedy: "Name a file",
  },
  STORAGE_DENIED: {
    meaning: "this user may not write there, or nobody may",
    remedy: "Check the permissions, or choose another place",
  },
  STORAGE_FULL: {
    meaning: "the disk is full",
    remedy: "Free some space and run the command again",
  },
  STORAGE_FAILED: {
    meaning: "a file operation failed",
    remedy: "Check the disk and the file system",
  },
  STATE_INVALID: {
    meaning: "stored keys, pins or trust state are damaged or open to others",
    remedy: "Mend or restore what the message names; do not delete it lightly, it protects against rollback",
  },
  LOCKED: {
    meaning: "another process holds what is needed",
    remedy: "Wait for the other process, or end it",
  },
  INTERRUPTED: {
    meaning: "the run was ended by a signal",
    remedy: "Run the command again: nothing was left half done",
  },
  INTERNAL: {
    meaning: "a defect of this program",
    remedy: "Run again with --log debug and report what it prints",
  },
};
