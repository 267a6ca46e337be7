// What a recording costs where the state is large: the longest of a server's answers, with `dm-ulog record` beside it and without.
// The native host is recorded from outside; a copy of its memory in the recording would take a second.

import { rmSync } from "node:fs";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { marksAndClears } from "./recording.ts";
import { median } from "./statistics.ts";
import { formatTable, verdictWord } from "./table.ts";
import { inWorkshop, type RoundTrips, type Workshop } from "./workshop.ts";

/** Three sets of so many regions are 1 GiB. */
const REGION_COUNT = 2.82e9;
const MORE_MS_MAX = 5;
const NS_PER_US = 1e3;
const NS_PER_MS = 1e6;
const FULL = { turns: 15, regionCount: REGION_COUNT, warmUp: 200, count: 20_000 };
const QUICK = { turns: 1, regionCount: 1e7, warmUp: 10, count: 500 };

export function benchmarkLargeState(options: BenchmarkOptions): Promise<BenchmarkResult> {
  return inWorkshop(async (workshop) => report(await takeTurns(workshop, options), options.quick));
}

async function takeTurns(workshop: Workshop, options: BenchmarkOptions): Promise<[RoundTrips, RoundTrips][]> {
  const { turns, regionCount, ...scale } = options.quick ? QUICK : FULL;
  const { birth, questions } = marksAndClears(options, regionCount);
  const born = workshop.prepare("born", birth);
  const asked = workshop.prepare("asked", questions);
  const server = await workshop.startNative(workshop.buildNative(options.corePath));
  const { maxNs } = await workshop.measure(server, born, { warmUp: 0, count: birth.length });
  console.log(`A log of ${regionCount.toExponential(2)} regions was made in ${(maxNs / NS_PER_MS).toFixed(0)} ms.\n`);
  const measured: [RoundTrips, RoundTrips][] = [];
  for (let turn = 0; turn < turns; turn++) {
    const alone = await workshop.measure(server, asked, scale);
    const path = workshop.path("trace.pcapng");
    const recording = await workshop.startCommand("record", path, "--runtime-dir", server.runtime);
    const recorded = await workshop.measure(server, asked, scale);
    await recording.end();
    rmSync(path);
    measured.push([alone, recorded]);
  }
  return measured;
}

function report(turns: [RoundTrips, RoundTrips][], quick: boolean): BenchmarkResult {
  const figures: Record<string, unknown> = {};
  const rows = (["medianNs", "p99Ns", "maxNs"] as const).map((figure) => {
    const us = [0, 1].map((way) => median(turns.map((turn) => (turn[way] as RoundTrips)[figure])) / NS_PER_US);
    const [alone, recorded] = us.map((value) => Number(value.toFixed(1)));
    figures[figure] = { alone, recorded };
    return [figure.replace("Ns", ""), alone, recorded] as (string | number)[];
  });
  const moreMs = median(turns.map(([alone, recorded]) => recorded.maxNs - alone.maxNs)) / NS_PER_MS;
  figures.moreMs = Number(moreMs.toFixed(2));
  console.log(
    "Round trips of a mark or a clear in microseconds, the median of the turns, without a recording and with one.\n",
  );
  console.log(formatTable(["", "alone", "recorded"], rows));
  const isMet = moreMs <= MORE_MS_MAX;
  const verdict = quick ? "not judged" : verdictWord(isMet);
  console.log(
    `\nThe longest answer takes ${moreMs.toFixed(2)} ms more with a recording; at most ${MORE_MS_MAX} ms: ${verdict}.`,
  );
  return { missed: quick || isMet ? 0 : 1, figures };
}
