// The cost of viewers to the kernel: round trips of a server with a live view, without viewers and with many, some of them
// stuck. All are measured in one run, in turns.

import { fileURLToPath } from "node:url";
import { FLIGHT_BYTES_DEFAULT } from "../src/node/recording/flight-sizes.ts";
import { LOOPBACK } from "../src/node/web/defaults.ts";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { marksAndClears } from "./recording.ts";
import { median } from "./statistics.ts";
import { type Cell, formatTable, verdictWord } from "./table.ts";
import { inWorkshop, type Onlookers, type RoundTrips, type UlogServer, type Workshop } from "./workshop.ts";

const TARGET = 1.05;
const IDLE = 20;
const STUCK = 5;
const NS_PER_US = 1e3;
const MIB = 1024 * 1024;
const PAGE = fileURLToPath(new URL("../dist/visualizer/", import.meta.url));

interface Scale {
  turns: number;
  /** Time without measurement, in ms, after viewers have connected or left: the buffers of stuck viewers fill up. */
  warmUpMs: number;
  /** Blocks of a turn, and round trips of a block. */
  blocks: number;
  count: number;
}

const FULL: Scale = { turns: 9, warmUpMs: 4500, blocks: 4, count: 20_000 };
const QUICK: Scale = { turns: 2, warmUpMs: 0, blocks: 1, count: 500 };

const WAYS = ["nobody looks on", `${IDLE} idle and ${STUCK} stuck ones look on`] as const;

/** The blocks of each way, turn by turn, and how much was taken. */
interface Measured {
  turns: [RoundTrips[], RoundTrips[]][];
  takenBytes: number;
  seconds: number;
}

export function benchmarkView(options: BenchmarkOptions): Promise<BenchmarkResult> {
  return inWorkshop(async (workshop) => report(await takeTurns(workshop, options), options.quick));
}

async function takeTurns(workshop: Workshop, options: BenchmarkOptions): Promise<Measured> {
  const scale = options.quick ? QUICK : FULL;
  const { birth, questions } = marksAndClears(options);
  const born = workshop.prepare("born", birth);
  const asked = workshop.prepare("asked", questions);
  const server = await workshop.startUlog(options.corePath, undefined, {
    runtimeDirectory: workshop.makeRuntimeDirectory("view"),
    flightBytes: FLIGHT_BYTES_DEFAULT,
    view: { port: 0, address: LOOPBACK, page: PAGE },
  });
  await workshop.measure(server, born, { warmUp: 0, count: birth.length });
  const onlookers = await workshop.startOnlookers(server.viewUrl as string);
  const measured: Measured = { turns: [], takenBytes: 0, seconds: 0 };
  for (let turn = 0; turn < scale.turns; turn++) {
    const alone = await measureTurn(workshop, server, asked, scale, onlookers, 0, 0);
    const startMs = performance.now();
    const seen = await measureTurn(workshop, server, asked, scale, onlookers, IDLE, STUCK);
    measured.turns.push([alone, seen]);
    measured.takenBytes += await onlookers.be(0, 0);
    measured.seconds += (performance.now() - startMs) / 1000;
  }
  return measured;
}

async function measureTurn(
  workshop: Workshop,
  server: UlogServer,
  asked: string,
  { warmUpMs, blocks, count }: Scale,
  onlookers: Onlookers,
  idle: number,
  stuck: number,
): Promise<RoundTrips[]> {
  await onlookers.be(idle, stuck);
  const measure = () => workshop.measure(server, asked, { warmUp: count / 10, count });
  for (const endMs = performance.now() + warmUpMs; performance.now() < endMs; ) await measure();
  const measured: RoundTrips[] = [];
  for (let block = 0; block < blocks; block++) measured.push(await measure());
  return measured;
}

function report({ turns, takenBytes, seconds }: Measured, quick: boolean): BenchmarkResult {
  const figures: Record<string, unknown> = {};
  const of = (blocks: RoundTrips[], figure: keyof RoundTrips) => median(blocks.map((block) => block[figure]));
  let missed = 0;
  const rows: Cell[][] = [];
  for (const figure of ["medianNs", "meanNs", "p99Ns"] as const) {
    const [alone, seen] = [0, 1].map((way) => turns.map((turn) => of(turn[way] as RoundTrips[], figure)));
    const ratio = median((seen as number[]).map((ns, turn) => ns / (alone?.[turn] as number)));
    const name = figure.replace("Ns", "");
    const isJudged = figure === "medianNs";
    const met = ratio <= TARGET;
    if (isJudged && !met && !quick) missed++;
    const us = [alone, seen].map((ns) => (median(ns as number[]) / NS_PER_US).toFixed(1)) as [string, string];
    const verdict = quick || !isJudged ? "not judged" : verdictWord(met);
    rows.push([name, ...us, ratio.toFixed(3), isJudged ? TARGET.toFixed(2) : "", verdict]);
    figures[name] = { alone: Number(us[0]), seen: Number(us[1]), ratio: Number(ratio.toFixed(3)) };
  }
  const rate = takenBytes / seconds / MIB;
  figures["taken by those who look on, MiB/s"] = Number(rate.toFixed(1));
  console.log(
    "Round trips of a mark or a clear in microseconds, of a client that waits for each answer. Each figure is the",
  );
  console.log("median of the turns; a ratio is the median of the ratios of turns that followed each other.\n");
  console.log(formatTable(["", ...WAYS, "ratio", "at most", "verdict"], rows));
  console.log(`\nThe idle ones took ${rate.toFixed(1)} MiB/s together, the stuck ones nothing.`);
  return { missed, figures };
}
