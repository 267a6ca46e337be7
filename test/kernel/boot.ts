import { ConsoleTail } from "./console-tail.ts";
import type { GuestReport } from "./guest/contract.ts";
import { DEFAULT_TIME_LIMIT_MS, type Scenario } from "./guest/scenario.ts";
import { Guest } from "./uml.ts";

const BOOT_TIME_LIMIT_MS = 60_000;
const HALT_TIME_LIMIT_MS = 15_000;

export interface BootOptions {
  labFolder: string;
  repositoryPath: string;
  seed: number;
  verbose: boolean;
  /** Column in which the times stand. */
  nameWidth: number;
}

function indent(text: string): string {
  return text.replace(/^/gm, "      ");
}

/** Runs scenarios one after the other in one guest, up to the first that fails. Returns a verdict for each one run. */
export async function runInOneBoot(queue: Scenario[], options: BootOptions): Promise<boolean[]> {
  const { labFolder, repositoryPath, seed, verbose, nameWidth } = options;
  const verdicts: boolean[] = [];
  const tail = new ConsoleTail();
  let startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;

  function isOver(): boolean {
    return verdicts.length === queue.length || verdicts.includes(false);
  }

  function settle(failure?: string): void {
    const scenario = queue[verdicts.length];
    if (!scenario || isOver()) throw new Error("The guest reports on more scenarios than it was given");
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    verdicts.push(failure === undefined);
    console.log(`${failure === undefined ? "ok  " : "FAIL"}  ${scenario.name.padEnd(nameWidth)}  ${seconds} s`);
    if (failure !== undefined) console.log(indent(failure));
  }

  function limit(timeLimitMs: number, what: string): void {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!isOver()) settle(`${what} ${timeLimitMs / 1000} s`);
      guest.kill();
    }, timeLimitMs);
  }

  function onReport(report: GuestReport): void {
    switch (report.event) {
      case "start":
        startedAt = performance.now();
        tail.clear();
        limit(queue[verdicts.length]?.timeLimitMs ?? DEFAULT_TIME_LIMIT_MS, "It took longer than");
        return;
      case "note":
        console.log(indent(report.text));
        return;
      case "passed":
        settle();
        break;
      case "failed":
        settle(report.reason);
        break;
    }
    limit(HALT_TIME_LIMIT_MS, "The guest did nothing more for");
  }

  function onConsole(line: string): void {
    if (verbose) console.log(`    | ${line}`);
    tail.add(line);
  }

  const plan = { seed, repositoryPath, scenarios: queue.map(({ name }) => name) };
  const guest = new Guest(labFolder, plan, { onReport, onConsole });
  limit(BOOT_TIME_LIMIT_MS, "The guest did not boot within");
  try {
    await guest.ended;
  } finally {
    clearTimeout(timer);
    guest.destroy();
  }
  if (!isOver()) settle("The guest ended by itself");
  if (verdicts.includes(false) && !verbose) console.log(indent(`The last lines of the guest's console:\n${tail}`));
  return verdicts;
}
