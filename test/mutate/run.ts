// `npm run mutate -- [--sample N] [--seed N] [--only TEXT] [--survivors]`: makes one mistake at a time in the core and sees whether a
// test tells. `--only` takes those whose name has the text in it. What was judged before is not judged again while its source file is
// the same; `--survivors` judges those anew that survived. Fails where one survives without a sentence why it changes nothing
// (harmless.json), or where of 100 and more too many survive.

import { type ChildProcess, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { fileOf } from "./ids.ts";
import type { Case, Verdict } from "./judge.ts";
import { Marks } from "./marks.ts";
import { measurements } from "./measured.ts";
import { coreMutants, type Mutant } from "./mutants.ts";
import { Schedule } from "./schedule.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const ASSEMBLY = join(ROOT, "assembly");
const RESULTS = fileURLToPath(new URL("results.jsonl", import.meta.url));
const HARMLESS = fileURLToPath(new URL("harmless.json", import.meta.url));
const NOT_COPIED = new Set(["node_modules", ".git", "results.jsonl", "measured.json"]);
const KILLED_SHARE_MIN = 0.97;
/** Of fewer, one would decide. */
const COUNTED_MIN = 100;
const PROGRESS_STEP = 100;

interface Result {
  id: string;
  /** Hash of the source file. */
  source: string;
  outcome: Verdict["outcome"];
  by?: string;
}

const { values } = parseArgs({
  options: {
    sample: { type: "string" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
    survivors: { type: "boolean", default: false },
  },
});

class Workbench {
  private readonly folder = mkdtempSync(join(tmpdir(), "dm-ulog-mutants-"));
  private judge: ChildProcess;
  /** Rejects when the judge ends before it is told to. */
  private readonly ended: Promise<never>;

  constructor() {
    cpSync(ROOT, this.folder, { recursive: true, filter: (path) => !NOT_COPIED.has(path.split("/").at(-1) as string) });
    symlinkSync(join(ROOT, "node_modules"), join(this.folder, "node_modules"));
    writeFileSync(join(this.folder, "asconfig.json"), quickBuilds());
    this.judge = fork(fileURLToPath(new URL("judge.ts", import.meta.url)), [this.folder], {
      execArgv: ["--import", "tsx"],
    });
    this.ended = once(this.judge, "exit").then(() => Promise.reject(new Error("A judge has ended by itself.")));
    this.ended.catch(() => {});
  }

  async verdict(one: Case): Promise<Verdict> {
    const answered = once(this.judge, "message");
    this.judge.send(one);
    const [verdict] = (await Promise.race([answered, this.ended])) as [Verdict];
    return verdict;
  }

  close(): void {
    this.judge.disconnect();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The build's settings without what makes it take its time. */
function quickBuilds(): string {
  const config = JSON.parse(readFileSync(join(ROOT, "asconfig.json"), "utf8"));
  for (const target of Object.values(config.targets) as Record<string, unknown>[]) {
    target.optimizeLevel = 0;
    delete target.shrinkLevel;
    delete target.converge;
  }
  return JSON.stringify(config);
}

/** Of each source file. */
function fileHashes(): Map<string, string> {
  const names = readdirSync(ASSEMBLY).filter((name) => name.endsWith(".ts"));
  const hash = (name: string) =>
    createHash("sha256")
      .update(readFileSync(join(ASSEMBLY, name)))
      .digest("hex");
  return new Map(names.map((name) => [name, hash(name).slice(0, 16)]));
}

/** What is known of mutants whose file is still the same. What was killed stays so while tests are only added. */
function readResults(hashes: Map<string, string>): Map<string, Result> {
  const lines = existsSync(RESULTS) ? readFileSync(RESULTS, "utf8").trim().split("\n") : [];
  const results = lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Result);
  const isCurrent = ({ id, source }: Result) => hashes.get(id.split(" ")[0] as string) === source;
  return new Map(results.filter(isCurrent).map((result) => [result.id, result]));
}

/** Why a mutant changes nothing, by its name. */
function readHarmless(): Record<string, string> {
  return JSON.parse(readFileSync(HARMLESS, "utf8"));
}

function chosenMutants(): Mutant[] {
  const mutants = coreMutants(ASSEMBLY).filter(({ id }) => id.includes(values.only));
  const place = ({ id }: Mutant) => createHash("sha256").update(`${values.seed} ${id}`).digest("hex");
  const drawn = mutants.map((mutant) => ({ mutant, place: place(mutant) }));
  drawn.sort((a, b) => (a.place < b.place ? -1 : 1));
  return drawn.slice(0, Number(values.sample ?? drawn.length)).map(({ mutant }) => mutant);
}

async function main(): Promise<number> {
  const hashes = fileHashes();
  const results = readResults(hashes);
  const mutants = chosenMutants();
  const isOpen = ({ id }: Mutant) => {
    const outcome = results.get(id)?.outcome;
    return outcome === undefined || (values.survivors && outcome === "survived");
  };
  const open = mutants.filter(isOpen);
  console.log(`${mutants.length} mutants (seed ${values.seed}), ${open.length} of them to judge`);
  if (open.length > 0) await judgeAll(open, hashes, results);
  return report(mutants, results);
}

async function judgeAll(open: Mutant[], hashes: Map<string, string>, results: Map<string, Result>): Promise<void> {
  const benches = Array.from({ length: Math.min(availableParallelism(), open.length) }, () => new Workbench());
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      for (const bench of benches) bench.close();
      process.exit(1);
    });
  }
  const startMs = performance.now();
  let judged = 0;
  try {
    const schedule = await makeSchedule(benches);
    for (const mutant of coreMutants(ASSEMBLY)) {
      const by = results.get(mutant.id)?.by;
      if (by !== undefined) schedule.learn(mutant, [], by);
    }
    const queue = inOrder(open, schedule);
    await Promise.all(
      benches.map(async (bench) => {
        for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
          const tests = schedule.testsFor(mutant);
          const { outcome, by, reports } = await bench.verdict({
            mutant,
            isMarked: false,
            tests,
            files: [],
            limitsMs: schedule.limitsMs,
          });
          schedule.learn(
            mutant,
            reports.filter(({ isPassed }) => isPassed).map(({ id }) => id),
            outcome === "killed" ? by : undefined,
          );
          const source = hashes.get(mutant.file) as string;
          const result: Result = { id: mutant.id, source, outcome, ...(by === undefined ? {} : { by }) };
          results.set(mutant.id, result);
          appendFileSync(RESULTS, `${JSON.stringify(result)}\n`);
          if (outcome === "survived") console.log(`survived: ${mutant.file}:${mutant.line}  ${mutant.id}`);
          if (++judged % PROGRESS_STEP === 0)
            console.log(`${judged} of ${open.length} judged in ${Math.round((performance.now() - startMs) / 1000)} s`);
        }
      }),
    );
  } finally {
    for (const bench of benches) bench.close();
  }
}

/** Those that few tests run are judged quickest and survive most; those that are known to survive take all their tests, and are last. */
function inOrder(open: Mutant[], schedule: Schedule): Mutant[] {
  const harmless = readHarmless();
  const drawn = open.map((mutant) => ({
    mutant,
    isHarmless: Number(mutant.id in harmless),
    tests: schedule.testsFor(mutant).length,
  }));
  drawn.sort((a, b) => a.isHarmless - b.isHarmless || a.tests - b.tests);
  return drawn.map(({ mutant }) => mutant);
}

/** Measures the core as it is. */
async function makeSchedule(benches: Workbench[]): Promise<Schedule> {
  const { right, marked } = await measurements(ROOT, async (files) => {
    const all = { mutant: null, tests: null, files, limitsMs: {} };
    const measured = (benches[0] as Workbench).verdict({ ...all, isMarked: false });
    if (benches.length === 1) await measured;
    const second = benches.at(-1) as Workbench;
    const [right, marked] = await Promise.all([measured, second.verdict({ ...all, isMarked: true })]);
    if (right.outcome !== "survived") throw new Error(`The core as it is fails: ${right.by}. Type: npm test`);
    if (marked.outcome !== "survived") throw new Error(`The core with marks cannot be run: ${marked.by}`);
    return { right: right.reports, marked: marked.reports };
  });
  return new Schedule(right, marked, new Marks(ASSEMBLY));
}

function report(mutants: Mutant[], results: Map<string, Result>): number {
  const harmless = readHarmless();
  const of = (outcome: Verdict["outcome"]) => mutants.filter(({ id }) => results.get(id)?.outcome === outcome);
  const killed = of("killed").length;
  const survivors = of("survived");
  const unexplained = survivors.filter(({ id }) => !(id in harmless));
  const byTest = new Map<string, number>();
  for (const { id } of of("killed")) {
    const by = fileOf(results.get(id)?.by ?? "");
    byTest.set(by, (byTest.get(by) ?? 0) + 1);
  }
  const counted = killed + survivors.length;
  const share = killed / Math.max(counted, 1);
  console.log(`\nKilled by: ${[...byTest].map(([by, count]) => `${by} ${count}`).join(", ")}`);
  console.log(`Refused by the compiler, and not counted: ${of("invalid").length}`);
  for (const { id } of survivors) console.log(id in harmless ? `harmless: ${id}: ${harmless[id]}` : `SURVIVED: ${id}`);
  for (const { id } of of("killed"))
    if (id in harmless) console.log(`killed, so harmless.json need not name it: ${id}`);
  console.log(
    `\n${killed} of ${counted} killed, ${(100 * share).toFixed(1)} %; ${survivors.length} survived, ` +
      `${unexplained.length} of them without a reason`,
  );
  const isEnough = counted < COUNTED_MIN || share >= KILLED_SHARE_MIN;
  return counted > 0 && isEnough && unexplained.length === 0 ? 0 : 1;
}

process.exitCode = await main();
