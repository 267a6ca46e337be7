// `npm run sim`: random lives of mirrors on the simulated kernel, one seed after the other.

import { readFileSync } from "node:fs";
import { Console } from "../common/console.ts";
import { FAULTS, type Fault, findFault, POLICIES } from "../common/sim/faults.ts";
import {
  runScenario,
  type ScenarioOptions,
  type ScenarioResult,
  ScenarioViolation,
  violationOf,
} from "../common/sim/scenario.ts";
import { actionCount, eventCount, shrink } from "../common/sim/shrink.ts";
import { smallWasmPath, wasmPath } from "./installation.ts";
import { LifeFiles, readChoices } from "./life-files.ts";
import { endQuietly } from "./quiet-end.ts";
import { formatCount } from "./sizes.ts";
import { loadCore } from "./trace-files.ts";

export interface SimulateOptions {
  /** The first seed. */
  seed: number;
  /** Simulated events for each seed. */
  events: number;
  /** How many seeds, one after the other. */
  seeds: number;
  /**
   * Which core lives: `release`; `small`, whose limits are so tiny that lives reach them and which checks its invariants; or the
   * path of a core.
   */
  core: string;
  /** Name of a deliberate fault or a policy, or `list`. */
  fault?: string;
  /** Folder for the traces of lives that fail. */
  traceDirectory: string;
  /** File for the trace of the first seed's life, whether it fails or not. */
  trace?: string;
  /** Whether to shrink a life that fails, and how long that may take, in seconds. */
  shrink?: boolean;
  shrinkSeconds: number;
  /** File with a shrunk life to run again. It brings its own seed, fault and length. */
  replayChoices?: string;
  out: NodeJS.WritableStream;
}

/** Returns the exit status: 0 if no violation was found, or if a deliberate fault was found. */
export async function simulate(options: SimulateOptions): Promise<number> {
  endQuietly(options.out);
  const print = (line = "") => options.out.write(`${line}\n`);
  if (options.fault === "list") {
    const list = (faults: readonly Fault[]) => {
      for (const { name, sentence } of faults) print(`${name.padEnd(20)} ${sentence}`);
    };
    list(FAULTS);
    print("\nNot faults, but what another server answers, to compare with:");
    list(POLICIES);
    return 0;
  }
  const choices = options.replayChoices === undefined ? null : readChoices(options.replayChoices);
  const faultName = choices === null ? options.fault : (choices.fault ?? undefined);
  const fault = faultName === undefined ? undefined : findFault(faultName);
  const isToBeFound = fault !== undefined && FAULTS.includes(fault);
  const { seed, seeds } = choices === null ? options : { seed: choices.seed, seeds: 1 };
  const path = pathOf(options.core);
  const { module } = await loadCore(path);
  const wasm = readFileSync(path);
  const words = await Console.create(readFileSync(wasmPath()));
  const lived = { eventCount: options.events, module, console: words, fault };
  const files = new LifeFiles(wasm, options.traceDirectory);

  const total: Partial<Record<keyof ScenarioResult, number>> = {};
  const startedMs = performance.now();
  let events = 0;
  for (let i = 0; i < seeds; i++) {
    const life: ScenarioOptions = { ...lived, seed: seed + i, script: choices?.script };
    showProgress(`${i} of ${seeds} seeds`);
    const begunMs = performance.now();
    try {
      const result = i === 0 && options.trace !== undefined ? files.record(life, options.trace) : runScenario(life);
      const perSecond = result.events / ((performance.now() - begunMs) / 1000);
      events += result.events;
      for (const [name, value] of Object.entries(result)) {
        if (typeof value !== "number") continue;
        const key = name as keyof ScenarioResult;
        total[key] = (total[key] ?? 0) + value;
      }
      showProgress("");
      print(
        `seed ${life.seed}  digest ${result.digest}  ${formatCount(result.events)} events, ` +
          `${formatCount(Math.round(perSecond))} events/s`,
      );
    } catch (error) {
      showProgress("");
      if (!(error instanceof ScenarioViolation)) throw error;
      print(`${isToBeFound ? "Found" : "VIOLATION"}: ${error.message}`);
      tellHowToSeeItAgain(life, error, files, options, print);
      return isToBeFound ? 0 : 1;
    }
  }
  const seconds = (performance.now() - startedMs) / 1000;
  print();
  print(summary(total));
  print(
    `${formatCount(Math.round(events / seconds))} events/s over all, ${seeds === 1 ? "one seed" : `${seeds} seeds`}.`,
  );
  if (!isToBeFound) {
    print("No violation.");
    return 0;
  }
  print(`The fault ${fault.name} was not found. Try more seeds or more events.`);
  return 1;
}

/** Where a core is that a person has named. */
function pathOf(core: string): string {
  if (core === "release") return wasmPath();
  return core === "small" ? smallWasmPath() : core;
}

/** Writes the files and prints the commands with which somebody can reproduce the violation. */
function tellHowToSeeItAgain(
  life: ScenarioOptions,
  found: ScenarioViolation,
  files: LifeFiles,
  { shrink: isToShrink, shrinkSeconds, events, replayChoices, core }: SimulateOptions,
  print: (line: string) => void,
): void {
  const coreWords = core === "release" ? "" : `--core ${core} `;
  if (!isToShrink) {
    const faultWords = life.fault ? ` --fault ${life.fault.name}` : "";
    const which = replayChoices
      ? `--replay-choices ${replayChoices}`
      : `--seed ${life.seed} --events ${events}${faultWords}`;
    print(`Run it again: npm run sim -- ${coreWords}${which}`);
    print(`Trace of every server's core: ${files.writeTrace(life)}`);
    return;
  }
  const endMs = performance.now() + shrinkSeconds * 1000;
  const { violation, lives } = shrink(found, {
    mayGoOn: () => performance.now() < endMs,
    live: (script) => violationOf({ ...life, script }),
    onAttempt: (attempts, best) =>
      showProgress(
        `${attempts} lives, ${formatCount(actionCount(best))} actions, ${formatCount(eventCount(best))} events`,
      ),
  });
  showProgress("");
  const { script } = violation;
  print(
    `Shrunk in ${formatCount(lives)} lives: ${formatCount(violation.eventNumber)} of ${formatCount(found.eventNumber)} events, ` +
      `${formatCount(actionCount(script))} of ${formatCount(actionCount(found.script))} actions, ` +
      `${script.boots.length} of ${found.script.boots.length} boots, ` +
      `${script.mirrors.length} of ${found.script.mirrors.length} mirrors.`,
  );
  print(`The violation now: ${violation.message}`);
  print(`Run it again: npm run sim -- ${coreWords}--replay-choices ${files.writeChoices(life, violation)}`);
  print(`Trace of every server's core: ${files.writeTrace({ ...life, script })}`);
}

function summary(total: Partial<Record<keyof ScenarioResult, number>>): string {
  const words: [keyof ScenarioResult, string][] = [
    ["mirrors", "mirrors"],
    ["diskLogs", "of them with a disk log"],
    ["regions", "regions"],
    ["datagrams", "datagrams"],
    ["writes", "writes"],
    ["reads", "reads, each the version written last"],
    ["fileSystemFlushes", "flushes by the writers"],
    ["legFlushes", "flushes of the legs' caches by the server"],
    ["marks", "marks"],
    ["markRequests", "requests with marks"],
    ["diskFlushes", "flushes of disk logs answered, with every mark durable"],
    ["diskFlushesWithoutWrite", "of them without a write"],
    ["deviceWrites", "writes to log devices"],
    ["failedDeviceWrites", "of them failed"],
    ["tornDeviceWrites", "of them torn by a failure, a crash or a power cut"],
    ["suspends", "suspends"],
    ["reloads", "table reloads"],
    ["removals", "removals"],
    ["tablesWithoutRoom", "tables refused, the server having as many logs as it can have"],
    ["legFailures", "legs failed"],
    ["deviceFailures", "log devices failed and repaired"],
    ["serverCrashes", "server crashes"],
    ["midwayCrashes", "of them between the effects of one input"],
    ["restoredLogs", "logs restored by the next server and compared"],
    ["stateLosses", "losses of all state files"],
    ["stalls", "slow servers"],
    ["timeouts", "requests timed out"],
    ["failedWrites", "writes failed by the kernel because the log's flush failed"],
    ["powerCuts", "power cuts"],
    ["resyncsAfterPowerCut", "regions of disk logs out of sync after them"],
    ["needlessResyncs", "of them although the legs did not differ"],
    ["remoteRecoveryQuestions", "questions whether another machine recovers a region"],
    ["putBackWrites", "times that a write was put back because the kernel might not ask yet"],
    ["checks", "checks of a region against its log in memory"],
    ["powerCutChecks", "checks of what a power cut would leave of a region"],
  ];
  return words.map(([name, what]) => `${formatCount(total[name] ?? 0).padStart(12)} ${what}`).join("\n");
}

/** Only on a terminal. */
function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
