import { ConsoleTail } from "./console-tail.ts";
import type { GuestReport, ServerKind } from "./guest/contract.ts";
import { DEFAULT_TIME_LIMIT_MS, type Scenario } from "./guest/scenario.ts";
import { joinTraces, removeTraces } from "./traces.ts";
import { Machine } from "./uml.ts";

const BOOT_TIME_LIMIT_MS = 60_000;
const HALT_TIME_LIMIT_MS = 15_000;

export interface BootOptions {
  labFolder: string;
  repositoryPath: string;
  appliancePath: string;
  nativePath: string;
  server: ServerKind;
  seed: number;
  verbose: boolean;
  /** Column in which the times stand. */
  nameWidth: number;
  /** The folder for the scenarios' traces; undefined for none. */
  recordFolder: string | undefined;
}

function indent(text: string): string {
  return text.replace(/^/gm, "      ");
}

/**
 * Runs scenarios one after another on one machine, up to the first that fails. It boots once, and again after each
 * power cut. Returns a verdict for each scenario run.
 */
export async function runOnOneMachine(queue: Scenario[], options: BootOptions): Promise<boolean[]> {
  const { labFolder, repositoryPath, appliancePath, nativePath, server, seed, verbose, nameWidth, recordFolder } =
    options;
  const verdicts: boolean[] = [];
  const tail = new ConsoleTail();
  let startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  let cutTimer: NodeJS.Timeout | undefined;
  /** In the scenario under way. */
  let powerCuts = 0;
  /** The scenario's other lines, printed after its verdict because another machine may print in between. */
  const notes: string[] = [];
  let isCut = false;

  function isOver(): boolean {
    return verdicts.length === queue.length || verdicts.includes(false);
  }

  function settle(failure?: string): void {
    const scenario = queue[verdicts.length];
    if (!scenario || isOver()) throw new Error("The guest reports on more scenarios than it was given");
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    verdicts.push(failure === undefined);
    powerCuts = 0;
    console.log(`${failure === undefined ? "ok  " : "FAIL"}  ${scenario.name.padEnd(nameWidth)}  ${seconds} s`);
    for (const note of notes.splice(0)) console.log(indent(note));
    if (failure !== undefined) console.log(indent(failure));
    if (recordFolder !== undefined) joinTraces(recordFolder, scenario.name);
  }

  function limit(timeLimitMs: number, what: string): void {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!isOver()) settle(`${what} ${timeLimitMs / 1000} s`);
      machine.kill();
    }, timeLimitMs);
  }

  function cutPowerAfter(afterMs: number): void {
    cutTimer = setTimeout(() => {
      isCut = true;
      powerCuts++;
      tail.add(`The power was cut, for the ${powerCuts}. time in this scenario.`);
      machine.kill();
    }, afterMs);
  }

  function onReport(report: GuestReport): void {
    switch (report.event) {
      case "start":
        if (powerCuts === 0) {
          if (recordFolder !== undefined) removeTraces(recordFolder, report.scenario);
          startedAt = performance.now();
          tail.clear();
        }
        limit(queue[verdicts.length]?.timeLimitMs ?? DEFAULT_TIME_LIMIT_MS, "It took longer than");
        return;
      case "note":
        notes.push(report.text);
        return;
      case "cut power":
        cutPowerAfter(report.afterMs);
        return;
      case "passed":
        settle();
        break;
      case "failed":
        settle(report.reason);
        break;
    }
    clearTimeout(cutTimer);
    limit(HALT_TIME_LIMIT_MS, "The guest did nothing more for");
  }

  function onConsole(line: string): void {
    if (verbose) console.log(`    | ${line}`);
    tail.add(line);
  }

  const machine = new Machine(labFolder);
  try {
    do {
      isCut = false;
      const scenarios = queue.slice(verdicts.length).map(({ name }) => name);
      limit(BOOT_TIME_LIMIT_MS, "The guest did not boot within");
      await machine.boot(
        { seed, repositoryPath, appliancePath, nativePath, server, scenarios, powerCuts, recordFolder },
        { onReport, onConsole },
        queue[0]?.memoryMiB,
      );
      clearTimeout(cutTimer);
    } while (isCut && !isOver());
  } finally {
    clearTimeout(timer);
    machine.destroy();
  }
  if (!isOver()) settle("The guest ended by itself");
  if (verdicts.includes(false) && !verbose) console.log(indent(`The last lines of the guest's console:\n${tail}`));
  return verdicts;
}
