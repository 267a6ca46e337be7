import type { Lab } from "./lab.ts";

export interface Scenario {
  name: string;
  /** One sentence for `--list`. */
  sentence: string;
  /** From the start of the scenario, or from a power cut, to its verdict or the next power cut. */
  timeLimitMs?: number;
  /** The feature that only the Node.js server has. The scenario does not run with another server, and the lab says so. */
  nodeOnly?: string;
  /** The feature that the appliance in C does not have, though both hosts of the package do. */
  hostsOnly?: string;
  /** Why the Node.js host must not be used for this. */
  notForNode?: string;
  /** The feature that the native host alone has, or why one host is enough. */
  nativeOnly?: string;
  /** Runs only where it is named, or with `--long`: it takes long, and what it shows seldom breaks by itself. */
  isLong?: boolean;
  /** Whether it measures, so that no other machine may run at the same time. */
  isAlone?: boolean;
  /** Memory of the machine, if it is not to have as much as the others; it then boots for this scenario alone. */
  memoryMiB?: number;
  /** Warnings and errors the kernel must log here. Each must appear, and any other fails the scenario. */
  expectedKernelLog?: RegExp[];
  /** Warnings and errors that may appear, depending on timing. */
  possibleKernelLog?: RegExp[];
  /** The same with a host, whose socket is kept open while no server runs, so that the kernel notices less than with the appliance. */
  keptKernelLog?: { expected?: RegExp[]; possible?: RegExp[] };
  /** Runs again in the next boot after each power cut that it asked for; `lab.powerCuts` counts them. */
  run(lab: Lab): Promise<void>;
}

/** Why one host is enough for a scenario of commands: each takes the lab half a minute and more. */
export const COMMANDS = "the commands, which are the same with both hosts";

export const DEFAULT_TIME_LIMIT_MS = 60_000;
