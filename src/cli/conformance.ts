// dm-ulog conformance: drives a host's program through inputs, failures and restarts, and says what it does wrong.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CASES, type Case } from "../common/conformance/cases.ts";
import { runCase, type Verdict } from "../common/conformance/kit.ts";
import { ChildHost } from "../node/conformance/child-program.ts";
import { EXIT_UNUSABLE, loadCore, withTraceErrors } from "./trace-files.ts";

export interface ConformanceOptions {
  /** Seed of everything that is drawn, and how many from there on. */
  seed: number;
  seeds: number;
  /** Names of the cases to run; all where left out. */
  only?: string[];
  list?: true;
  json?: true;
  /** How long a program may be silent, in seconds. */
  timeLimit: number;
  /** Path of the core that the program embeds, where it is not the installed one. */
  core?: string;
}

/** Returns the exit status: 0 if the program has passed every case, 1 if not, 2 if no case could be run. */
export async function conformance(words: readonly string[], options: ConformanceOptions): Promise<number> {
  const chosen = choose(options.only);
  if (typeof chosen === "string") return unusable(chosen);
  if (options.list === true) {
    for (const { name, words: what } of chosen) console.log(`${name.padEnd(NAME_WIDTH)} ${what}`);
    return 0;
  }
  const [command, ...rest] = words;
  if (command === undefined) return unusable("Name the program to drive. dm-ulog conformance --list shows the cases.");
  return withTraceErrors(async () => {
    const core = await loadCore(options.core);
    const verdicts: Verdict[] = [];
    for (let seed = options.seed; seed < options.seed + options.seeds; seed++) {
      for (const one of chosen) {
        const verdict = runInDirectory(one, (directory) => {
          return runCase(one, core, new ChildHost(command, rest, directory, options.timeLimit * 1000), seed);
        });
        verdicts.push(verdict);
        if (options.json !== true) console.log(verdictText(verdict));
      }
    }
    const failed = verdicts.filter(({ mistake }) => mistake !== null);
    if (options.json === true)
      console.log(JSON.stringify({ passed: verdicts.length - failed.length, cases: verdicts }));
    else console.log(`\n${verdicts.length - failed.length} passed, ${failed.length} failed`);
    return failed.length === 0 ? 0 : 1;
  });
}

const NAME_WIDTH = Math.max(...CASES.map(({ name }) => name.length));

function unusable(sentence: string): number {
  console.error(`dm-ulog: ${sentence}`);
  return EXIT_UNUSABLE;
}

function choose(only: readonly string[] | undefined): readonly Case[] | string {
  const unknown = only?.find((name) => CASES.every((one) => one.name !== name));
  if (unknown !== undefined) return `There is no case ${unknown}. dm-ulog conformance --list shows them.`;
  return CASES.filter(({ name }) => only === undefined || only.includes(name));
}

/** Each case has a directory of its own. */
function runInDirectory<T>({ name }: Case, run: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), `dm-ulog-${name}-`));
  try {
    return run(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function verdictText({ name, words, seed, mistake }: Verdict): string {
  if (mistake === null) return `passed  ${name.padEnd(NAME_WIDTH)} ${words}`;
  const { expected, came, rule, trail } = mistake;
  return [
    `FAILED  ${name.padEnd(NAME_WIDTH)} ${words} (--seed ${seed})`,
    `        expected  ${expected}`,
    `        came      ${came}`,
    `        rule      ${rule.document}: “${rule.words}”`,
    `        before    ${trail.join(", ")}`,
  ].join("\n");
}
