// The requests whose cost grows with the mirror: those of a log's life, and a resume that begins a new round.

import { readFileSync } from "node:fs";
import { Console } from "../src/common/console.ts";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { Client } from "./client.ts";
import { exponent, median } from "./statistics.ts";
import { formatTable } from "./table.ts";

const FAILED_EVERY = 256;
const NS_PER_MS = 1e6;

const HEAD = `What a log's life costs, in ms, median of the rounds; GB/s of the memory of its three bitmaps. The first CTR of a
process grows linear memory, later ones use it again. RESUME* follows a suspend and takes back one region in 256,
strewn over the mirror, whose recovery had failed.
`;

export async function benchmarkLives(options: BenchmarkOptions): Promise<BenchmarkResult> {
  const regionCounts = options.quick ? [1e3, 1e6] : [1e3, 1e6, 1e8];
  const rounds = options.quick ? 3 : 11;
  const lives = [];
  for (const regionCount of regionCounts) lives.push(await measureLives(options.corePath, regionCount, rounds));
  console.log(HEAD);
  const heads = ["regions", "MB", "first CTR", "CTR", "GB/s", "RESUME", "DTR", "whole life", "RESUME*", "GB/s"];
  const rows = lives.map((life) => [
    exponent(life.regionCount),
    (life.memoryBytes / 1e6).toFixed(3),
    life.firstCtrMs.toFixed(3),
    life.ctrMs.toFixed(3),
    gigabytesPerSecond(life.memoryBytes, life.ctrMs),
    life.resumeMs.toFixed(3),
    life.dtrMs.toFixed(3),
    (life.ctrMs + life.resumeMs + life.dtrMs).toFixed(3),
    life.resumeWithFailedMs.toFixed(3),
    gigabytesPerSecond(life.memoryBytes, life.resumeWithFailedMs),
  ]);
  console.log(formatTable(heads, rows));
  return { missed: 0, figures: Object.fromEntries(lives.map((life) => [exponent(life.regionCount), life])) };
}

async function measureLives(corePath: string, regionCount: number, rounds: number) {
  const wasm = new Uint8Array(readFileSync(corePath));
  const client = new Client(new WebAssembly.Module(wasm), regionCount);
  const data = client.constructorText({ sync: "default" });

  const firstCtrMs = durationMs(() => client.ask("CTR", { data }));
  const memoryBytes = (await Console.create(wasm)).logs(client.engine)[0]?.memoryBytes as number;
  client.ask("DTR");
  const durations = Array.from({ length: rounds }, () => ({
    ctrMs: durationMs(() => client.ask("CTR", { data })),
    resumeMs: durationMs(() => client.ask("RESUME")),
    dtrMs: durationMs(() => client.ask("DTR")),
  }));

  // Region 0 is pending and the others have failed: if none were pending, the two sets would only be swapped.
  client.ask("CTR", { data: client.constructorText() });
  client.ask("RESUME");
  for (let region = FAILED_EVERY; region < regionCount; region += FAILED_EVERY) client.setSync("first", region, 0);
  const resumes = Array.from({ length: rounds }, () => {
    client.failPending("first", Math.ceil(regionCount / FAILED_EVERY) - 1);
    client.setSync("first", 0, 0);
    client.ask("POSTSUSPEND");
    const resumeMs = durationMs(() => client.ask("RESUME"));
    client.setSync("first", 0, 1);
    return resumeMs;
  });
  if (client.engine.violatedInvariant() !== 0) throw new Error("An invariant of the core does not hold.");
  return {
    regionCount,
    memoryBytes,
    firstCtrMs,
    ctrMs: median(durations.map(({ ctrMs }) => ctrMs)),
    resumeMs: median(durations.map(({ resumeMs }) => resumeMs)),
    dtrMs: median(durations.map(({ dtrMs }) => dtrMs)),
    resumeWithFailedMs: median(resumes),
  };
}

function durationMs(action: () => void): number {
  const startMs = performance.now();
  action();
  return performance.now() - startMs;
}

function gigabytesPerSecond(bytes: number, durationMs: number): string {
  return (bytes / (durationMs * NS_PER_MS)).toFixed(2);
}
