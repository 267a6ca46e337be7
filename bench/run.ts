// npm run bench -- [names…] [--quick] [--seed N] [--core FILE] [--against FILE] [--json FILE]

import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { benchmarkDiskLogs } from "./disk-logs.ts";
import { benchmarkHostile } from "./hostile.ts";
import { benchmarkLargeState } from "./large-state.ts";
import { benchmarkLives } from "./lives.ts";
import { benchmarkRecording } from "./recording.ts";
import { benchmarkRequests } from "./requests.ts";
import { benchmarkRoundTrip } from "./round-trip.ts";
import { benchmarkTrace } from "./trace.ts";
import { benchmarkView } from "./view.ts";

const benchmarks: Record<string, (options: BenchmarkOptions) => BenchmarkResult | Promise<BenchmarkResult>> = {
  requests: benchmarkRequests,
  lives: benchmarkLives,
  "disk-logs": benchmarkDiskLogs,
  "round-trip": benchmarkRoundTrip,
  trace: benchmarkTrace,
  recording: benchmarkRecording,
  view: benchmarkView,
  hostile: benchmarkHostile,
  "large-state": benchmarkLargeState,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    seed: { type: "string", default: "20" },
    core: { type: "string", default: fileURLToPath(new URL("../dist/dm-ulog.wasm", import.meta.url)) },
    against: { type: "string" },
    json: { type: "string" },
  },
});

async function main(): Promise<number> {
  const names = positionals.length > 0 ? positionals : Object.keys(benchmarks);
  const unknown = names.filter((name) => !(name in benchmarks));
  if (unknown.length > 0)
    throw new Error(`No benchmark ${unknown.join(", ")}; there are ${Object.keys(benchmarks).join(", ")}.`);
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed)) throw new Error(`--seed takes an integer, not "${values.seed}".`);
  const options: BenchmarkOptions = {
    quick: values.quick,
    seed,
    corePath: values.core,
    ...(values.against === undefined ? {} : { against: values.against }),
  };

  const machine = {
    processors: availableParallelism(),
    model: cpus()[0]?.model ?? "unknown",
    node: process.version,
    kernel: `${process.platform} ${release()}`,
    coreBytes: readFileSync(options.corePath).length,
  };
  console.log(`${machine.processors} processors ${machine.model}, Node.js ${machine.node}, ${machine.kernel}`);
  console.log(
    `seed ${seed}, core of ${machine.coreBytes} bytes${options.quick ? ", quick: too short to judge by" : ""}`,
  );
  const figures: Record<string, unknown> = {};
  let missed = 0;
  for (const name of names) {
    console.log(`\n== ${name}\n`);
    const result = await (benchmarks[name] as (typeof benchmarks)[string])(options);
    figures[name] = result.figures;
    missed += result.missed;
  }
  if (!options.quick) console.log(`\n${missed === 0 ? "Every target was met." : `Targets missed: ${missed}`}`);
  if (values.json !== undefined) {
    const note = "One run on one machine. Ratios carry over to others, absolute figures do not.";
    const record = { note, date: new Date().toISOString().slice(0, 10), machine, seed, figures };
    writeFileSync(values.json, `${JSON.stringify(record, rounded, 2)}\n`);
  }
  return missed === 0 ? 0 : 1;
}

/** Four decimals are more than any of these figures is good for. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toFixed(4)) : value;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
