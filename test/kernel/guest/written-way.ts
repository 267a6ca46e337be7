/**
 * Ways that a document describes. The document alone has the commands: a scenario runs them from there, so that what a person
 * types is what was tried.
 */
import { readFileSync } from "node:fs";
import { type CommandResult, tryCommand } from "./command.ts";

const COMMANDS_TIME_LIMIT_MS = 60_000;

export class WrittenWays {
  /** Of each section and part of it, its blocks in order. */
  readonly #blocks = new Map<string, string[]>();

  /** `rename` puts the guest's names in the place of the document's. */
  constructor(path: string, rename: (block: string) => string) {
    let section = "";
    let part = "";
    const text = readFileSync(path, "utf8");
    for (const [, depth, title, block] of text.matchAll(/^(##+) ([^\n]*)$|^```[a-z]*\n(.*?)^```$/gms)) {
      if (depth === "##") [section, part] = [title as string, ""];
      else if (depth !== undefined) part = title as string;
      else this.#blocks.set(key(section, part), [...this.#of(section, part), rename(block as string)]);
    }
  }

  #of(section: string, part: string): string[] {
    return this.#blocks.get(key(section, part)) ?? [];
  }

  /** The sections that have blocks: a way that no scenario takes is not to be described. */
  get sections(): string[] {
    return [...new Set([...this.#blocks.keys()].map((one) => one.split("\n")[0] as string))];
  }

  /** The blocks of a part. Their number is given, so that no block is added that nobody runs. */
  blocks<Count extends number>(section: string, part: string, count: Count): string[] {
    const blocks = this.#of(section, part);
    if (blocks.length !== count) {
      throw new Error(
        `The document has ${blocks.length} blocks under "${section}", "${part}", and the scenario runs ${count}`,
      );
    }
    return blocks;
  }
}

function key(section: string, part: string): string {
  return `${section}\n${part}`;
}

/** Runs a block up to the first command that fails. */
export function tryBlock(block: string, environment: Record<string, string>): Promise<CommandResult> {
  const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return tryCommand("env", [...words, "sh", "-e", "-u", "-c", block], COMMANDS_TIME_LIMIT_MS);
}
