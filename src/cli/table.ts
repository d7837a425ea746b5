/** The command table: every command's name and one line, and where the rest of it is when it is needed. */
import type { Command } from "./command.ts";

export interface Entry {
  /** The words that call it, e.g. `trust init`. */
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

export interface Group {
  readonly title: string;
  readonly entries: readonly Entry[];
}

/** First words that are no command by themselves, e.g. `trust`. */
export const FAMILIES: Readonly<Record<string, string>> = {
  trust: "Manage the trust data of a collection",
  policy: "Look into policies, and publish them",
  key: "Manage private keys",
  import: "Take over collections of Notary v1 and docker trust",
  bundle: "Carry modules and their trust data in one file",
};

export const TABLE: readonly Group[] = [
  {
    title: "Modules",
    entries: [
      {
        name: "push",
        summary: "Push a module to a registry and, where asked, sign it",
        load: async () => (await import("./commands/push.ts")).pushCommand,
      },
      {
        name: "pull",
        summary: "Pull a module, verified wherever trust is known",
        load: async () => (await import("./commands/pull.ts")).pullCommand,
      },
      {
        name: "verify",
        summary: "Verify a local file against a reference, without pulling",
        load: async () => (await import("./commands/verify.ts")).verifyCommand,
      },
      {
        name: "inspect",
        summary: "Show what a module is, from a file or a registry",
        load: async () => (await import("./commands/inspect.ts")).inspectCommand,
      },
      {
        name: "diff",
        summary: "Show what a new version may do that the old one could not",
        load: async () => (await import("./commands/diff.ts")).diffCommand,
      },
      {
        name: "list",
        summary: "List the tags of a repository and whether they are signed",
        load: async () => (await import("./commands/list.ts")).listCommand,
      },
      {
        name: "copy",
        summary: "Copy modules, signatures and trust data to another place",
        load: async () => (await import("./commands/copy.ts")).copyCommand,
      },
      {
        name: "sign",
        summary: "Sign what is already in a registry",
        load: async () => (await import("./commands/sign.ts")).signCommand,
      },
      {
        name: "lock",
        summary: "Write down what references are, to get just that again",
        load: async () => (await import("./commands/lock.ts")).lockCommand,
      },
    ],
  },
  {
    title: "Trust",
    entries: [
      {
        name: "explain",
        summary: "Show who may publish a name, and why it verifies or not",
        load: async () => (await import("./commands/explain.ts")).explainCommand,
      },
      {
        name: "trust init",
        summary: "Create a collection",
        load: async () => (await import("./commands/trust-init.ts")).trustInitCommand,
      },
      {
        name: "trust status",
        summary: "Show versions and time left of every role",
        load: async () => (await import("./commands/trust-status.ts")).trustStatusCommand,
      },
      {
        name: "trust show",
        summary: "Show keys, roles and signed names",
        load: async () => (await import("./commands/trust-show.ts")).trustShowCommand,
      },
      {
        name: "trust pin",
        summary: "Pin, list or remove the root keys that are trusted here",
        load: async () => (await import("./commands/trust-pin.ts")).trustPinCommand,
      },
      {
        name: "trust approvals",
        summary: "Show what modules were let ask for, or take that back",
        load: async () => (await import("./commands/trust-approvals.ts")).trustApprovalsCommand,
      },
      {
        name: "trust refresh",
        summary: "Sign snapshot and timestamp again where they are due",
        load: async () => (await import("./commands/trust-refresh.ts")).trustRefreshCommand,
      },
      {
        name: "trust rotate",
        summary: "Replace the key of a role",
        load: async () => (await import("./commands/trust-rotate.ts")).trustRotateCommand,
      },
      {
        name: "trust delegate",
        summary: "Let other keys sign some names",
        load: async () => (await import("./commands/trust-delegate.ts")).trustDelegateCommand,
      },
      {
        name: "trust threshold",
        summary: "Say how many keys of a role must sign, and add keys",
        load: async () => (await import("./commands/trust-threshold.ts")).trustThresholdCommand,
      },
      {
        name: "trust expiry",
        summary: "Say how long signatures of a role last",
        load: async () => (await import("./commands/trust-expiry.ts")).trustExpiryCommand,
      },
      {
        name: "trust revoke",
        summary: "Take a lost or stolen key out of every role",
        load: async () => (await import("./commands/trust-revoke.ts")).trustRevokeCommand,
      },
      {
        name: "trust sign",
        summary: "Review a staged change and add your signature",
        load: async () => (await import("./commands/trust-sign.ts")).trustSignCommand,
      },
      {
        name: "trust remove",
        summary: "Remove a signed name, a delegation or a collection",
        load: async () => (await import("./commands/trust-remove.ts")).trustRemoveCommand,
      },
      {
        name: "trust repair",
        summary: "Sign an expired collection again",
        load: async () => (await import("./commands/trust-repair.ts")).trustRepairCommand,
      },
    ],
  },
  {
    title: "Policy",
    entries: [
      {
        name: "policy explain",
        summary: "Show which entry decides, and what it demands",
        load: async () => (await import("./commands/policy-explain.ts")).policyExplainCommand,
      },
      {
        name: "policy test",
        summary: "Check a policy and what it decides",
        load: async () => (await import("./commands/policy-test.ts")).policyTestCommand,
      },
      {
        name: "policy push",
        summary: "Publish a policy, signed, for others to follow",
        load: async () => (await import("./commands/policy-push.ts")).policyPushCommand,
      },
    ],
  },
  {
    title: "Keys",
    entries: [
      {
        name: "key generate",
        summary: "Make a signing key",
        load: async () => (await import("./commands/key-generate.ts")).keyGenerateCommand,
      },
      {
        name: "key list",
        summary: "List the private keys on this machine",
        load: async () => (await import("./commands/key-list.ts")).keyListCommand,
      },
      {
        name: "key import",
        summary: "Take private keys from PEM files",
        load: async () => (await import("./commands/key-import.ts")).keyImportCommand,
      },
      {
        name: "key export",
        summary: "Write private keys, still encrypted, to a PEM file",
        load: async () => (await import("./commands/key-export.ts")).keyExportCommand,
      },
      {
        name: "key passwd",
        summary: "Change the passphrase of a key",
        load: async () => (await import("./commands/key-passwd.ts")).keyPasswdCommand,
      },
      {
        name: "key remove",
        summary: "Delete a private key from this machine",
        load: async () => (await import("./commands/key-remove.ts")).keyRemoveCommand,
      },
    ],
  },
  {
    title: "Bundles",
    entries: [
      {
        name: "bundle save",
        summary: "Save modules and all that verifies them in one file",
        load: async () => (await import("./commands/bundle-save.ts")).bundleSaveCommand,
      },
      {
        name: "bundle verify",
        summary: "Verify a bundle without a network",
        load: async () => (await import("./commands/bundle-verify.ts")).bundleVerifyCommand,
      },
      {
        name: "bundle extract",
        summary: "Take a module out of a bundle, verified",
        load: async () => (await import("./commands/bundle-extract.ts")).bundleExtractCommand,
      },
      {
        name: "bundle load",
        summary: "Bring a bundle into a registry",
        load: async () => (await import("./commands/bundle-load.ts")).bundleLoadCommand,
      },
    ],
  },
  {
    title: "Migration",
    entries: [
      {
        name: "import notary",
        summary: "Make a collection of one that is on a Notary server",
        load: async () => (await import("./commands/import-notary.ts")).importNotaryCommand,
      },
      {
        name: "import docker-trust",
        summary: "Make collections of those that docker trust keeps here",
        load: async () => (await import("./commands/import-docker-trust.ts")).importDockerTrustCommand,
      },
    ],
  },
  {
    title: "Registries",
    entries: [
      {
        name: "login",
        summary: "Store credentials for a registry or trust server",
        load: async () => (await import("./commands/login.ts")).loginCommand,
      },
      {
        name: "logout",
        summary: "Remove stored credentials",
        load: async () => (await import("./commands/logout.ts")).logoutCommand,
      },
    ],
  },
  {
    title: "Operate",
    entries: [
      {
        name: "serve",
        summary: "Run a registry and a trust server on this machine",
        load: async () => (await import("./commands/serve.ts")).serveCommand,
      },
      {
        name: "completion",
        summary: "Print a completion script for bash, zsh or fish",
        load: async () => (await import("./commands/completion.ts")).completionCommand,
      },
    ],
  },
];

/** All entries in the order of the table. */
export function allEntries(): Entry[] {
  return TABLE.flatMap((group) => group.entries);
}
