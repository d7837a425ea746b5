/** The command table over commander: names first, a command's options when it is called. */
import { Argument, Command as Parser, CommanderError, Option } from "commander";
import { UsageError } from "../base/errors.ts";
import type { Command, Context, OutputChoice } from "./command.ts";
import { commandHelp, familyHelp, PROGRAM, rootHelp, usageLine } from "./help.ts";
import { argumentUsage, type AnyOption } from "./options.ts";
import { LOG_LEVELS, OUTPUT_FORMATS } from "./output.ts";
import { allEntries, FAMILIES, type Entry } from "./table.ts";

/** One parse of one command line. */
export class Program {
  private readonly context: Context;
  private readonly root: Parser;
  private readonly entries = new Map<Parser, Entry>();
  /** What commander wanted to print: help. */
  private printed = "";
  /** How the command that is being parsed is used, for the hint of usage errors. */
  private usage = `${PROGRAM} COMMAND [options]; see ${PROGRAM} --help`;

  constructor(context: Context) {
    this.context = context;
    this.root = this.shape(new Parser(PROGRAM), rootHelp);
    const families = new Map<string, Parser>();
    for (const family of Object.keys(FAMILIES)) {
      families.set(
        family,
        this.shape(this.root.command(family), () => familyHelp(family)),
      );
    }
    for (const entry of allEntries()) {
      const [first, second] = entry.name.split(" ") as [string, string?];
      const parent = second === undefined ? this.root : families.get(first)!;
      this.entries.set(parent.command(second ?? first).description(entry.summary), entry);
    }
  }

  async parse(words: readonly string[]): Promise<void> {
    try {
      await this.root.parseAsync([...words], { from: "user" });
    } catch (error) {
      if (!(error instanceof CommanderError)) throw error;
      if (error.exitCode !== 0) throw this.usageError(error);
      await this.context.out.raw(this.printed);
    }
  }

  /** Settings that commander copies to sub-commands, and the hook that loads a command when it is called. */
  private shape(parser: Parser, help: () => string): Parser {
    parser.helpInformation = help;
    return parser
      .enablePositionalOptions()
      .helpCommand(false)
      .exitOverride()
      .configureOutput({
        writeOut: (text) => (this.printed += text),
        writeErr: () => undefined,
        outputError: () => undefined,
      })
      .hook("preSubcommand", async (_, child) => {
        const entry = this.entries.get(child);
        if (entry === undefined)
          this.usage = `${PROGRAM} ${child.name()} COMMAND [options]; see ${PROGRAM} ${child.name()} --help`;
        else this.prepare(child, entry, await entry.load());
      });
  }

  /** Gives a parser the arguments, options and action of its command. */
  private prepare(parser: Parser, entry: Entry, command: Command): void {
    this.usage = `${usageLine(entry, command)}; see ${PROGRAM} ${entry.name} --help`;
    parser.helpInformation = () => commandHelp(entry, command);
    for (const spec of Object.values(command.arguments)) {
      const form = argumentUsage(spec);
      parser.addArgument(new Argument(form.startsWith("[") ? form : `<${form}>`, spec.description));
    }
    const values = new OptionReader(command.options);
    values.register(parser);
    parser.action(async (...received: unknown[]) => {
      const keys = Object.keys(command.arguments);
      const args = Object.fromEntries(keys.map((key, i) => [key, received[i]]));
      const options = values.finish(this.context.env);
      const { format, level } = command.output?.(options) ?? outputChoice(options);
      this.context.out.format = format;
      this.context.out.level = level;
      await command.run(this.context, args, options);
    });
  }

  /** Turns `error: unknown option '--serer'\n(Did you mean --server?)` into our words and a hint. */
  private usageError(error: CommanderError): UsageError {
    const [message = "", suggestion] = error.message.replace(/^error: /, "").split("\n");
    if (error.code === "commander.help") {
      return new UsageError("USAGE", "no command was given", { hint: `Usage: ${this.usage}` });
    }
    return new UsageError("USAGE", message, { hint: suggestion?.replace(/[()]/g, "") ?? `Usage: ${this.usage}` });
  }
}

/** Collects the values of options while commander finds them. */
class OptionReader {
  private readonly specs: [string, AnyOption][];
  private readonly flags: ReadonlySet<string>;
  private readonly values: Record<string, unknown> = {};
  private readonly given = new Set<string>();

  constructor(specs: Command["options"]) {
    this.specs = Object.entries(specs);
    this.flags = new Set(this.specs.flatMap(([, spec]) => spec.flags));
    for (const [key, spec] of this.specs) this.values[key] = spec.initial;
  }

  /** One parser option per spelling: commander itself knows at most a short and a long one. */
  register(parser: Parser): void {
    for (const [key, spec] of this.specs) {
      for (const flag of spec.flags) {
        const option = new Option(spec.placeholder === undefined ? flag : `${flag} <${spec.placeholder}>`);
        option.negate = false; // --no-tofu is a switch of its own here, not the opposite of --tofu
        parser.addOption(option);
        parser.on(`option:${option.name()}`, (text: string | undefined) => {
          this.take(key, spec, text ?? "", `option ${flag}`);
        });
      }
    }
  }

  /** Fills in the environment and gives all values. */
  finish(env: Context["env"]): Readonly<Record<string, unknown>> {
    for (const [key, spec] of this.specs) {
      const text = spec.env === undefined ? undefined : env[spec.env];
      if (text !== undefined && text !== "" && !this.given.has(key)) this.take(key, spec, text, `variable ${spec.env}`);
    }
    return this.values;
  }

  private take(key: string, spec: AnyOption, text: string, from: string): void {
    if (this.flags.has(text)) {
      throw new UsageError("USAGE", `${from} needs a value, but the option ${text} follows it`);
    }
    try {
      this.values[key] = spec.parse(text, this.values[key]);
      this.given.add(key);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(error.code, `${from}: ${error.message}`, {
        cause: error,
        details: error.details,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      });
    }
  }
}

function outputChoice(options: Readonly<Record<string, unknown>>): OutputChoice {
  return {
    format: OUTPUT_FORMATS.find((name) => name === options["format"]) ?? "text",
    level: LOG_LEVELS.find((name) => name === options["log"]) ?? "info",
  };
}
