// Runs single tests of many files in one process, one after the other, until one fails: `runner.js ORDER`, a JSON file with an Order.
// On file descriptor 3 it tells, a line each, the id of what it begins and then a Report. Ends with 0 when all have passed.
//
// A test that waits for what never comes leaves this process nothing to do: it ends without a report, and not with 0.

import { readFileSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { takeTests } from "./collected.ts";
import { fileOf, testId } from "./ids.ts";

export interface Order {
  /** In which order, by testId; null for all tests of `files`. */
  tests: string[] | null;
  files: readonly string[];
  /** The core tells which of its statements it runs (marks.ts). */
  isMarked: boolean;
}

/** That a test has ended, or that a file was loaded whose tests follow. */
export interface Report {
  id: string;
  isPassed: boolean;
  /** Time of the processors, in ms. */
  tookMs: number;
  /** Marks that the core has passed. */
  seen: number[];
}

const REPORTS_FD = 3;
const MARKS_MAX = 1 << 16;
/** A test that passes more marks runs too much of the core for it to matter what: it is cut off, and counts as one that runs all. */
const PASSES_MAX = 500_000_000;
const tests = new Map<string, () => unknown>();
const loaded = new Set<string>();
/** By mark, whether it was passed. */
const seen = new Uint8Array(MARKS_MAX);
let passes = 0;

const { tests: wanted, files, isMarked } = JSON.parse(readFileSync(process.argv[2] as string, "utf8")) as Order;
if (isMarked) countMarks();
await runAll();
process.exit(0);

async function runAll(): Promise<void> {
  for (const id of wanted ?? (await loadAll())) {
    await load(fileOf(id));
    await attempt(id, tests.get(id) ?? missing);
  }
}

async function loadAll(): Promise<string[]> {
  for (const file of files) await load(file);
  return [...tests.keys()];
}

async function load(file: string): Promise<void> {
  if (loaded.has(file)) return;
  loaded.add(file);
  await attempt(file, async () => {
    const bundle = join(dirname(process.argv[1] as string), `${file}.test.js`);
    await import(bundle);
    for (const [name, run] of takeTests()) tests.set(testId(file, name), run);
  });
}

function missing(): never {
  throw new Error("The file has no such test with this core.");
}

/** Does not return when it fails. */
async function attempt(id: string, run: () => unknown): Promise<void> {
  tell(id);
  const before = process.cpuUsage();
  let isPassed = true;
  try {
    await run();
  } catch {
    isPassed = false;
  }
  const { user, system } = process.cpuUsage(before);
  tell({
    id,
    isPassed,
    tookMs: Math.ceil((user + system) / 1000),
    seen: [...seen.keys()].filter((at) => seen[at] === 1),
  });
  seen.fill(0);
  passes = 0;
  // With marks every test counts: some fail because they pass too many.
  if (!isPassed && !isMarked) process.exit(1);
}

function tell(what: string | Report): void {
  writeSync(REPORTS_FD, `${JSON.stringify(what)}\n`);
}

/** Gives the import that marks need to each instance of a core, whoever makes it and however: objects of imports are objects. */
function countMarks(): void {
  const mark = (at: number) => {
    seen[at] = 1;
    if (++passes > PASSES_MAX) throw new Error("The test passes too many marks.");
  };
  Object.defineProperty(Object.prototype, "marks", { get: () => ({ mark }), set: () => {} });
}
