import type { Lab } from "./lab.ts";

export interface Scenario {
  name: string;
  /** One sentence for `--list`. */
  sentence: string;
  /** From the start of the scenario to its verdict. */
  timeLimitMs?: number;
  /** Warnings and errors the kernel must log here. Each must appear, and any other fails the scenario. */
  expectedKernelLog?: RegExp[];
  run(lab: Lab): Promise<void>;
}

export const DEFAULT_TIME_LIMIT_MS = 60_000;
