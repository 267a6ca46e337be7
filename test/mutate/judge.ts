// Judges mutants one by one, in a copy of the repository: builds a core with the mistake in it, and runs tests until one fails.
// A process of its own: its parent sends a Case, and is sent a Verdict.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { bundleTests } from "./bundles.ts";
import { TEST_FILES } from "./ids.ts";
import { Marks } from "./marks.ts";
import type { Mutant } from "./mutants.ts";
import type { Order, Report } from "./runner.ts";

export interface Case {
  /** Null for the core as it is. */
  mutant: Mutant | null;
  /** The core tells which of its statements each test runs; then no test is the last. */
  isMarked: boolean;
  /** Which tests to run, in which order; null for all of `files`. */
  tests: string[] | null;
  files: readonly string[];
  /** A test that takes more time of the processors hangs. */
  limitsMs: Record<string, number>;
}

export interface Verdict {
  /** `invalid`: the compiler refuses it. */
  outcome: "killed" | "survived" | "invalid";
  /** The test that failed, or what the compiler said. */
  by?: string;
  /** What each test has told that ended. */
  reports: Report[];
}

const TARGETS = ["debug", "small", "release"];
/** Without a measurement yet. */
const LIMIT_MS = 120_000;
/** Whoever is not seen to work for so long waits for what never comes. On a busy machine others may have the processors meanwhile. */
const IDLE_MS = 300_000;
const LOOK_MS = 50;
/** /proc counts time of the processors in hundredths of a second. */
const PROC_TICK_MS = 10;
const BUNDLES = "dist/mutate";
const ORDER = "dist/mutate/order.json";

interface Compiler {
  ready: Promise<void>;
  createMemoryStream(): { toString(): string };
  main(words: string[], options: { stdout: unknown; stderr: unknown }, done: (error: Error | null) => number): void;
}

process.chdir(process.argv[2] as string);
const bundled = bundleTests(process.cwd(), TEST_FILES, BUNDLES);

let runner: ChildProcess | undefined;
process.on("disconnect", () => {
  runner?.kill("SIGKILL");
  process.exit();
});
process.on("message", async (one: Case) => {
  await bundled;
  process.send?.(await judge(one));
});

async function judge(one: Case): Promise<Verdict> {
  const { mutant } = one;
  if (one.isMarked) return new Marks("assembly").during(() => buildAndRun(one));
  if (mutant === null) return buildAndRun(one);
  const path = join("assembly", mutant.file);
  const source = readFileSync(path, "utf8");
  writeFileSync(path, source.slice(0, mutant.start) + mutant.text + source.slice(mutant.end));
  try {
    return await buildAndRun(one);
  } finally {
    writeFileSync(path, source);
  }
}

async function buildAndRun(one: Case): Promise<Verdict> {
  return (await build()) ?? runTests(one);
}

/** Returns a verdict where the compiler refuses it. */
async function build(): Promise<Verdict | undefined> {
  const compiler = createRequire(import.meta.url)("assemblyscript/cli/asc") as Compiler;
  await compiler.ready;
  for (const target of TARGETS) {
    const said = compiler.createMemoryStream();
    const error = await new Promise<Error | null>((resolve) => {
      compiler.main(["assembly/index.ts", "--target", target], { stdout: said, stderr: said }, (error) => {
        resolve(error);
        return 0;
      });
    });
    if (error !== null) return { outcome: "invalid", by: `${said}`.trim().split("\n")[0] ?? "", reports: [] };
  }
  return undefined;
}

async function runTests({ tests, files, isMarked, limitsMs }: Case): Promise<Verdict> {
  writeFileSync(ORDER, JSON.stringify({ tests, files, isMarked } satisfies Order));
  const child = spawn(process.execPath, [join(BUNDLES, "runner.js"), ORDER], {
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  runner = child;
  const ended = once(child, "exit");
  const reports: Report[] = [];
  let running = "";
  let beganMs = 0;
  let lastMs = 0;
  let workedAtMs = performance.now();
  const watch = setInterval(() => {
    const nowMs = usedMs(child.pid as number);
    if (nowMs !== lastMs) workedAtMs = performance.now();
    lastMs = nowMs;
    const hangs = nowMs - beganMs > (limitsMs[running] ?? LIMIT_MS) || performance.now() - workedAtMs > IDLE_MS;
    if (hangs) child.kill("SIGKILL");
  }, LOOK_MS);
  for await (const line of createInterface({ input: child.stdio[3] as Readable })) {
    const told = JSON.parse(line) as string | Report;
    if (typeof told === "string") {
      running = told;
      beganMs = usedMs(child.pid as number);
    } else {
      reports.push(told);
    }
  }
  const [status] = await ended;
  clearInterval(watch);
  return status === 0 ? { outcome: "survived", reports } : { outcome: "killed", by: running, reports };
}

/** The time of the processors that a process has used, in ms; 0 when it has gone. */
function usedMs(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // Behind the name, which may have anything in it: the 14th and the 15th field are utime and stime.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * PROC_TICK_MS;
  } catch {
    return 0;
  }
}
