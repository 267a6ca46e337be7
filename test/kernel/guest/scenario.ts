import type { Lab } from "./lab.ts";

export interface Scenario {
  name: string;
  /** One sentence for `--list`. */
  sentence: string;
  /** From the start of the scenario, or from a power cut, to its verdict or the next power cut. */
  timeLimitMs?: number;
  /** What of it only the Node.js server has. It is not run with another one, and the lab says so. */
  nodeOnly?: string;
  /** Whether it measures, and so wants no other machine beside its own. */
  isAlone?: boolean;
  /** Warnings and errors the kernel must log here. Each must appear, and any other fails the scenario. */
  expectedKernelLog?: RegExp[];
  /** The same where it is a matter of moments whether they come. */
  possibleKernelLog?: RegExp[];
  /** Runs anew in the next boot after each power cut that it asked for; `lab.powerCuts` tells how many there were. */
  run(lab: Lab): Promise<void>;
}

export const DEFAULT_TIME_LIMIT_MS = 60_000;
