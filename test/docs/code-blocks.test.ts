import { execFile, execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..", "..");
const CLI = join(ROOT, "dist", "bin", "wasm-to-oci.js");

/** Every page that we wrote, relative to the project. */
async function pages(): Promise<string[]> {
  const names = await readdir(ROOT);
  const inDocs = await readdir(join(ROOT, "docs"), { recursive: true });
  return [
    ...names.filter((name) => name.endsWith(".md")),
    ...inDocs.filter((name) => name.endsWith(".md")).map((name) => join("docs", name)),
  ];
}

interface Block {
  readonly page: string;
  readonly language: string;
  readonly text: string;
}

async function blocks(): Promise<Block[]> {
  const all: Block[] = [];
  for (const page of await pages()) {
    const text = await readFile(join(ROOT, page), "utf8");
    for (const [, language = "", body = ""] of text.matchAll(/^```(\w*)\n(.*?)^```$/gms)) {
      all.push({ page, language, text: body });
    }
  }
  return all;
}

/** Every command line of ours in console blocks and in code spans. */
async function commandLines(): Promise<string[]> {
  const lines = new Set<string>();
  for (const { language, text } of await blocks()) {
    if (language !== "console" && language !== "sh") continue;
    for (const line of text.split("\n")) {
      const match = /^\$ (?:npx )?(wasm-to-oci [^#&|>]*)/.exec(line);
      if (match !== null) lines.add(match[1]!.trim());
    }
  }
  for (const page of await pages()) {
    const text = await readFile(join(ROOT, page), "utf8");
    for (const [, line] of text.matchAll(/`(wasm-to-oci [a-z][^`]*)`/g)) lines.add(line!.trim());
  }
  return [...lines];
}

describe("the documentation", () => {
  it("has TypeScript that compiles against the built package", async () => {
    const folder = join(ROOT, "dist", "docs-check");
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const examples = (await blocks()).filter(({ language }) => language === "ts");
    expect(examples.length).toBeGreaterThan(0);
    for (const [index, { text }] of examples.entries()) await writeFile(join(folder, `block${index}.ts`), text);
    const options = {
      module: "nodenext",
      target: "es2022",
      lib: ["es2023", "dom"],
      types: ["node"],
      strict: true,
      noEmit: true,
      skipLibCheck: true,
    };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["*.ts"] }));
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    const said = await new Promise<string>((resolve) => {
      execFile(process.execPath, [tsc, "-p", folder], (_error, stdout) => resolve(stdout));
    });
    expect(said).toBe("");
    await rm(folder, { recursive: true, force: true });
  });

  it("names only commands and options that there are", async () => {
    const lines = await commandLines();
    expect(lines.length).toBeGreaterThan(10);
    const wrong: string[] = [];
    const helps = new Map<string, string | undefined>();
    const help = (words: string): string | undefined => {
      if (!helps.has(words)) helps.set(words, commandHelp(words));
      return helps.get(words);
    };
    for (const line of lines) {
      const [, first = "", second = ""] = line.split(/\s+/);
      const text = help(`${first} ${second}`) ?? help(first);
      if (text === undefined) wrong.push(`${line}: no such command`);
      for (const [, option] of line.matchAll(/\s(--[a-z][a-z-]*)/g)) {
        if (text !== undefined && !text.includes(option!)) wrong.push(`${line}: no option ${option}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("has no link to a page that is not there", async () => {
    const broken: string[] = [];
    for (const page of await pages()) {
      const text = await readFile(join(ROOT, page), "utf8");
      for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)) {
        const path = join(ROOT, page, "..", target!);
        const found = await readdir(join(path, "..")).then(
          (names) => names.includes(path.split("/").at(-1)!),
          () => false,
        );
        if (!found) broken.push(`${page}: ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });
});

/** The help of `trust init`, or undefined where there is no such command. */
function commandHelp(words: string): string | undefined {
  if (!/^[a-z]+( [a-z][a-z-]*)?$/.test(words.trim())) return undefined;
  try {
    return execFileSync(process.execPath, [CLI, ...words.trim().split(" "), "--help"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch {
    return undefined;
  }
}
