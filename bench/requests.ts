// Requests per second through the core and the engine driver: a datagram is copied into linear memory, the core
// answers, the reply's error word is read where it stands. No socket, no thread, no encoding.

import type { Reply } from "../src/common/kernel-frames.ts";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { loadCore } from "./client.ts";
import { COMPLETION_TARGET, completionCosts } from "./completions.ts";
import { memoryLatencyNs } from "./memory-latency.ts";
import { Mirror } from "./mirror.ts";
import { type Scenario, type Step, scenariosFor } from "./request-steps.ts";
import { exponent, median } from "./statistics.ts";
import { type Cell, formatTable, verdictWord } from "./table.ts";

const REQUESTS_PER_SECOND_TARGET = 1e6;
const SLOWDOWN_TARGET = 1.5;
const NS_PER_MS = 1e6;
const NS_PER_SECOND = 1e9;
/** As many regions as the smallest mirror has: the same number is in use at every size, so that the mirror's size is all that differs. */
const HOT_REGIONS = 1000;
const BITS_PER_BYTE = 8;
const BITMAPS_PER_LOG = 3;

interface Scale {
  /** Mirrors by their regions, ascending; the largest is measured once more with requests to a hot set. */
  regionCounts: number[];
  runs: number;
  blocksPerRun: number;
  /** Blocks before each run that are not measured: they bring code and bitmaps back into the caches. */
  warmUpBlocks: number;
}

const FULL: Scale = { regionCounts: [1e3, 1e6, 1e8], runs: 9, blocksPerRun: 1200, warmUpBlocks: 120 };
const QUICK: Scale = { regionCounts: [1e3, 1e6], runs: 2, blocksPerRun: 40, warmUpBlocks: 10 };

/** One column of the table: a mirror, and the nanoseconds per request of each row, run by run. */
interface Subject {
  title: string;
  mirror: Mirror;
  scenarios: Scenario[];
  nsPerRequest: Map<string, number[]>;
  hash: number;
}

export function benchmarkRequests(options: BenchmarkOptions): BenchmarkResult {
  const scale = options.quick ? QUICK : FULL;
  const corePaths = [options.corePath, ...(options.against === undefined ? [] : [options.against])];
  const subjects = corePaths.map((path) => makeSubjects(loadCore(path), scale, options.seed));
  for (const subject of subjects.flat()) check(subject);
  for (let run = 0; run < scale.runs; run++) {
    const clockNs = clockCostNs();
    for (const i of (subjects[0] as Subject[]).keys()) {
      // Every other run begins with the other core, so that neither is always the first.
      for (const columns of run % 2 === 0 ? subjects : [...subjects].reverse()) {
        measure(columns[i] as Subject, scale, clockNs);
      }
    }
  }
  for (const { mirror } of subjects.flat()) {
    const violated = mirror.engine.violatedInvariant();
    if (violated !== 0) throw new Error(`Invariant ${violated} of the core does not hold after the measurement.`);
  }
  const [core, other] = subjects as [Subject[], Subject[]?];
  const result = report(core, options);
  reportLatency(scale, options.seed);
  const { one, many, logs } = completionCosts(loadCore(options.corePath), options.quick);
  const slowdown = many / one;
  const met = options.quick || slowdown <= COMPLETION_TARGET;
  const verdict = options.quick ? "not judged" : verdictWord(met);
  console.log(
    `The completion of a write: ${one.toFixed(0)} ns with one log, ${many.toFixed(0)} ns with ${logs}, ${slowdown.toFixed(2)} times ` +
      `as much (target ${COMPLETION_TARGET}): ${verdict}`,
  );
  if (!met) result.missed++;
  result.figures.completion = {
    oneLogNs: Math.round(one),
    manyLogsNs: Math.round(many),
    slowdown: Number(slowdown.toFixed(2)),
  };
  if (other !== undefined) reportRatios(core, other);
  return result;
}

function makeSubjects(module: WebAssembly.Module, scale: Scale, seed: number): Subject[] {
  const largest = scale.regionCounts.at(-1) as number;
  return [
    ...scale.regionCounts.map((regionCount) => ({ regionCount })),
    { regionCount: largest, hot: HOT_REGIONS },
  ].map(({ regionCount, hot }: { regionCount: number; hot?: number }) => {
    const mirror = new Mirror(module, regionCount, seed, hot);
    const title = `${exponent(regionCount)}${hot === undefined ? "" : ", hot"}`;
    return { title, mirror, scenarios: scenariosFor(mirror), nsPerRequest: new Map(), hash: 0x811c_9dc5 | 0 };
  });
}

/** Goes once through every scenario, decodes every reply and looks at it. */
function check(subject: Subject): void {
  for (const { before, steps, afterBlock, after } of subject.scenarios) {
    before?.();
    for (const step of steps) {
      step.prepare?.();
      for (const [index, datagram] of step.ring.entries()) {
        const reply = subject.mirror.exchange(datagram);
        if (reply.error !== 0 || !step.isPlausible(reply, index)) throw implausible(step, reply);
        for (const byte of reply.data) subject.hash = Math.imul(subject.hash ^ byte, 0x0100_0193);
      }
    }
    afterBlock?.();
    after?.();
  }
}

function implausible(step: Step, reply: Reply): Error {
  return new Error(`${step.name ?? "A restoring step"}: a reply with error ${reply.error} and data [${reply.data}]`);
}

function measure(subject: Subject, scale: Scale, clockNs: number): void {
  for (const scenario of subject.scenarios) {
    scenario.before?.();
    runBlocks(subject, scenario, scale.warmUpBlocks);
    for (const [i, { durationNs, requests }] of runBlocks(subject, scenario, scale.blocksPerRun).entries()) {
      const { name } = scenario.steps[i] as Step;
      if (name === undefined) continue;
      const ns = (durationNs - clockNs * scale.blocksPerRun) / requests;
      const runs = subject.nsPerRequest.get(name);
      if (runs === undefined) subject.nsPerRequest.set(name, [ns]);
      else runs.push(ns);
    }
    scenario.after?.();
  }
  if (subject.mirror.reader.errors !== 0) throw new Error("A measured request was refused.");
}

function runBlocks(
  { mirror }: Subject,
  scenario: Scenario,
  blocks: number,
): { durationNs: number; requests: number }[] {
  const { engine, reader, abi } = mirror;
  const totals = scenario.steps.map(() => ({ durationNs: 0, requests: 0 }));
  for (let block = 0; block < blocks; block++) {
    for (let i = 0; i < totals.length; i++) {
      const step = scenario.steps[i] as Step;
      const total = totals[i] as { durationNs: number; requests: number };
      step.prepare?.();
      const { ring, run } = step;
      const startMs = performance.now();
      const nowNs = Math.round(startMs * NS_PER_MS);
      if (run === undefined) {
        for (let at = 0; at < ring.length; at++) engine.deliver(ring[at] as Uint8Array, abi.KERNEL_PORT, nowNs, reader);
        total.requests += ring.length;
      } else {
        total.requests += run(nowNs);
      }
      total.durationNs += (performance.now() - startMs) * NS_PER_MS;
    }
    scenario.afterBlock?.();
  }
  return totals;
}

/** The measured duration of an empty block, which every block's duration contains. */
function clockCostNs(): number {
  const samples: number[] = [];
  for (let i = 0; i < 20_000; i++) {
    const startMs = performance.now();
    samples.push((performance.now() - startMs) * NS_PER_MS);
  }
  return median(samples);
}

function report(columns: Subject[], { quick }: BenchmarkOptions): BenchmarkResult {
  const [smallest, largest, hot] = [columns[0], columns.at(-2), columns.at(-1)] as [Subject, Subject, Subject];
  const rows: Cell[][] = [];
  const figures: Record<string, Record<string, number>> = {};
  let missed = 0;
  for (const name of smallest.nsPerRequest.keys()) {
    const perSecond = columns.map((column) => NS_PER_SECOND / median(nsOf(column, name)));
    const slowdown = ratioOfRuns(nsOf(largest, name), nsOf(smallest, name));
    const hotSlowdown = ratioOfRuns(nsOf(hot, name), nsOf(smallest, name));
    const judged = columns.flatMap((column, i) => (column === largest ? [] : [perSecond[i] as number]));
    const met = Math.min(...judged) > REQUESTS_PER_SECOND_TARGET && hotSlowdown <= SLOWDOWN_TARGET;
    if (!met && !quick) missed++;
    const verdict = quick ? "not judged" : verdictWord(met);
    rows.push([name, ...perSecond.map(asMillions), slowdown.toFixed(2), hotSlowdown.toFixed(2), verdict]);
    figures[name] = {
      ...Object.fromEntries(
        columns.map(({ title }, i) => [`${title} requestsPerSecond`, Math.round(perSecond[i] ?? 0)]),
      ),
      slowdown: Number(slowdown.toFixed(2)),
      hotSlowdown: Number(hotSlowdown.toFixed(2)),
    };
  }
  const heads = columns.map(({ title }) => title);
  const base = smallest.title;
  console.log(`Million requests per second by the mirror's regions, median of the runs, and how many times slower than at
${base}. Regions are drawn at random from the whole mirror; "hot": from ${HOT_REGIONS} of them, strewn over the mirror.
Targets: above ${REQUESTS_PER_SECOND_TARGET / 1e6}; at most ${SLOWDOWN_TARGET} times slower than ${base} with as many regions in use ("hot").
Regions drawn from all of ${largest.title} miss every cache, which costs what the last line says: shown, not judged.
`);
  console.log(formatTable(["request", ...heads, `${largest.title}/${base}`, `${hot.title}/${base}`, "verdict"], rows));
  const hashes = columns.map(({ hash, mirror }) => ((hash ^ mirror.reader.mixed) >>> 0).toString(16).padStart(8, "0"));
  const replies = columns.reduce((sum, { mirror }) => sum + mirror.reader.replies, 0);
  console.log(`\n${replies} replies measured, none refused; hashes of the replies: ${hashes.join(" ")}`);
  return { missed, figures };
}

/** The minimum cost of a request to a region that no cache holds, whatever the core does. */
function reportLatency(scale: Scale, seed: number): void {
  const texts = scale.regionCounts.map((regionCount) => {
    const bitmapBytes = Math.ceil((BITMAPS_PER_LOG * regionCount) / BITS_PER_BYTE);
    return `${memoryLatencyNs(bitmapBytes, seed).toFixed(0)} ns at ${exponent(regionCount)}`;
  });
  console.log(
    `One dependent read at random in as much memory as the bitmaps take, on this machine: ${texts.join(", ")}`,
  );
}

/** How the cost per request of another build compares, row by row: above 1 the other one is slower. */
function reportRatios(core: Subject[], other: Subject[]): void {
  const rows = [...(core[0] as Subject).nsPerRequest.keys()].map((name) => [
    name,
    ...core.map((column, i) => ratioOfRuns(nsOf(other[i] as Subject, name), nsOf(column, name)).toFixed(2)),
  ]);
  console.log("\nTime per request of the other core, as a multiple of this one's.\n");
  console.log(formatTable(["request", ...core.map(({ title }) => title)], rows));
}

function nsOf(column: Subject, name: string): number[] {
  return column.nsPerRequest.get(name) as number[];
}

/** Runs that followed each other are compared with each other: what disturbs the machine disturbs both. */
function ratioOfRuns(runs: number[], baseRuns: number[]): number {
  return median(runs.map((ns, i) => ns / (baseRuns[i] as number)));
}

function asMillions(perSecond: number): string {
  return (perSecond / 1e6).toFixed(2);
}
