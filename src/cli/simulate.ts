// `npm run sim`: random lives of mirrors on the simulated kernel, one seed after the other.

import { readFileSync } from "node:fs";
import { Console } from "../common/console.ts";
import { FAULTS, findFault } from "../common/sim/faults.ts";
import { runScenario, type ScenarioResult, ScenarioViolation } from "../common/sim/scenario.ts";
import { wasmPath } from "./installation.ts";

export interface SimulateOptions {
  /** The first seed. */
  seed: number;
  /** Simulated events for each seed. */
  events: number;
  /** How many seeds, one after the other. */
  seeds: number;
  /** Name of a deliberate fault, or `list`. */
  fault?: string;
  out: NodeJS.WritableStream;
}

const count = (value: number) => value.toLocaleString("en-US");

/** Returns the exit status: 0 where no violation was found, or where a deliberate fault was. */
export async function simulate({ seed, events, seeds, fault: faultName, out }: SimulateOptions): Promise<number> {
  const print = (line = "") => out.write(`${line}\n`);
  if (faultName === "list") {
    for (const { name, sentence } of FAULTS) print(`${name.padEnd(20)} ${sentence}`);
    return 0;
  }
  const fault = faultName === undefined ? undefined : findFault(faultName);
  const wasm = readFileSync(wasmPath());
  const module = new WebAssembly.Module(wasm);
  const words = await Console.create(wasm);

  const total: Partial<Record<keyof ScenarioResult, number>> = {};
  const startedMs = performance.now();
  let eventCount = 0;
  for (let i = 0; i < seeds; i++) {
    const options = { seed: seed + i, eventCount: events, module, console: words, fault };
    showProgress(`${i} of ${seeds} seeds`);
    const begunMs = performance.now();
    try {
      const result = runScenario(options);
      const perSecond = result.events / ((performance.now() - begunMs) / 1000);
      eventCount += result.events;
      for (const [name, value] of Object.entries(result)) {
        if (typeof value !== "number") continue;
        const key = name as keyof ScenarioResult;
        total[key] = (total[key] ?? 0) + value;
      }
      showProgress("");
      print(
        `seed ${options.seed}  digest ${result.digest}  ${count(result.events)} events, ` +
          `${count(Math.round(perSecond))} events/s`,
      );
    } catch (error) {
      showProgress("");
      if (!(error instanceof ScenarioViolation)) throw error;
      print(`${fault ? "Found" : "VIOLATION"}: ${error.message}`);
      const faultWords = fault ? ` --fault ${fault.name}` : "";
      print(`Again: npm run sim -- --seed ${options.seed} --events ${events}${faultWords}`);
      return fault ? 0 : 1;
    }
  }
  const seconds = (performance.now() - startedMs) / 1000;
  print();
  print(summary(total));
  print(
    `${count(Math.round(eventCount / seconds))} events/s over all, ${seeds === 1 ? "one seed" : `${seeds} seeds`}.`,
  );
  if (fault === undefined) {
    print("No violation.");
    return 0;
  }
  print(`The fault ${fault.name} was not found. Try more seeds or more events.`);
  return 1;
}

function summary(total: Partial<Record<keyof ScenarioResult, number>>): string {
  const words: [keyof ScenarioResult, string][] = [
    ["mirrors", "mirrors"],
    ["diskLogs", "of them with a disk log"],
    ["regions", "regions"],
    ["datagrams", "datagrams"],
    ["writes", "writes"],
    ["reads", "reads, each the version written last"],
    ["fileSystemFlushes", "flushes by who writes"],
    ["legFlushes", "flushes of the legs' caches by the server"],
    ["marks", "marks"],
    ["markRequests", "requests with marks"],
    ["diskFlushes", "flushes of disk logs answered, every mark durable"],
    ["diskFlushesWithoutWrite", "of them without a write"],
    ["deviceWrites", "writes to log devices"],
    ["failedDeviceWrites", "of them failed"],
    ["tornDeviceWrites", "of them torn by a failure, a crash or a power cut"],
    ["suspends", "suspends"],
    ["reloads", "table reloads"],
    ["removals", "removals"],
    ["legFailures", "legs failed"],
    ["deviceFailures", "log devices failed and repaired"],
    ["serverCrashes", "server crashes"],
    ["midwayCrashes", "of them in the midst of an input's effects"],
    ["restoredLogs", "logs taken up by the next server and compared"],
    ["stateLosses", "times that all state files were lost"],
    ["stalls", "slow servers"],
    ["timeouts", "requests timed out"],
    ["failedWrites", "writes failed by the kernel, the log's flush having failed"],
    ["powerCuts", "power cuts"],
    ["resyncsAfterPowerCut", "regions of disk logs out of sync after them"],
    ["needlessResyncs", "of them with legs that did not differ"],
    ["checks", "looks at a region and its log in memory"],
    ["powerCutChecks", "looks at a region and what a power cut would leave of it"],
  ];
  return words.map(([name, what]) => `${count(total[name] ?? 0).padStart(12)} ${what}`).join("\n");
}

/** On a terminal alone. */
function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
