// What hostile clients can do to a native host: the processes that look on are tormented, and the server's answers are timed
// meanwhile. The crowd and those processes need processors too, as any load does.

import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { marksAndClears } from "./recording.ts";
import { median } from "./statistics.ts";
import { formatTable, verdictWord } from "./table.ts";
import { inWorkshop, type RoundTrips, type Workshop } from "./workshop.ts";

const TARGET = 1.1;
const CROWD = 1000;
const NS_PER_US = 1e3;
const FULL = { turns: 9, warmUp: 2000, count: 20_000 };
const QUICK = { turns: 2, warmUp: 100, count: 500 };

export function benchmarkHostile(options: BenchmarkOptions): Promise<BenchmarkResult> {
  return inWorkshop(async (workshop) => report(await takeTurns(workshop, options), options.quick));
}

async function takeTurns(workshop: Workshop, options: BenchmarkOptions): Promise<[RoundTrips, RoundTrips][]> {
  const { turns, ...scale } = options.quick ? QUICK : FULL;
  const { birth, questions } = marksAndClears(options);
  const born = workshop.prepare("born", birth);
  const asked = workshop.prepare("asked", questions);
  const server = await workshop.startNative(workshop.buildNative(options.corePath));
  await workshop.measure(server, born, { warmUp: 0, count: birth.length });
  const directory = ["--runtime-dir", server.runtime];
  const metrics = await workshop.startOnlooker("metrics", "--port", "0", ...directory);
  const view = await workshop.startOnlooker("view", "--live", "--port", "0", ...directory);
  const feed = new URL("live.pcapng", view);
  const measured: [RoundTrips, RoundTrips][] = [];
  for (let turn = 0; turn < turns; turn++) {
    const alone = await workshop.measure(server, asked, scale);
    const end = await workshop.startCrowd(CROWD, [metrics, view, feed]);
    const tormented = await workshop.measure(server, asked, scale);
    end();
    measured.push([alone, tormented]);
  }
  return measured;
}

function report(turns: [RoundTrips, RoundTrips][], quick: boolean): BenchmarkResult {
  let missed = 0;
  const figures: Record<string, unknown> = {};
  const rows = (["medianNs", "p99Ns"] as const).map((figure) => {
    const of = (way: 0 | 1) => turns.map((turn) => turn[way][figure]);
    const ratio = median(turns.map(([alone, tormented]) => tormented[figure] / alone[figure]));
    const isJudged = figure === "p99Ns" && !quick;
    if (isJudged && ratio > TARGET) missed++;
    const us = [of(0), of(1)].map((ns) => (median(ns) / NS_PER_US).toFixed(1));
    figures[figure] = { alone: Number(us[0]), tormented: Number(us[1]), ratio: Number(ratio.toFixed(3)) };
    const verdict = isJudged ? verdictWord(ratio <= TARGET) : "not judged";
    return [figure.replace("Ns", ""), ...us, ratio.toFixed(3), figure === "p99Ns" ? TARGET.toFixed(2) : "", verdict];
  });
  console.log(
    `Round trips of a mark or a clear in microseconds, with nobody and with ${CROWD} hostile clients of metrics and view.\n`,
  );
  console.log(formatTable(["", "nobody", "hostile", "ratio", "at most", "verdict"], rows));
  return { missed, figures };
}
