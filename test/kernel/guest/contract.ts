/** The interface between host and guest. */

/** The server that a run of the lab tests: the package's hosts, in Node.js and native, or the appliance in C. */
export const SERVER_KINDS = ["node", "native", "c"] as const;
export type ServerKind = (typeof SERVER_KINDS)[number];

/** Lies as plan.json in the lab's temporary folder. */
export interface BootPlan {
  seed: number;
  repositoryPath: string;
  appliancePath: string;
  nativePath: string;
  server: ServerKind;
  scenarios: string[];
  /** How often the power was cut so far in the first of these scenarios. */
  powerCuts: number;
  /** A folder of the host, into which every server is recorded. */
  recordFolder?: string | undefined;
}

/** The trace of a scenario's server; every server has one of its own. */
export function tracePart(folder: string, scenario: string, number: number): string {
  return `${folder}/${scenario}.${number}.part`;
}

/** One JSON line each, over a console of its own: the kernel writes into the other. */
export type GuestReport =
  | { event: "start"; scenario: string }
  | { event: "note"; text: string }
  /** The guest keeps writing, and wants to be killed after this time. */
  | { event: "cut power"; afterMs: number }
  | { event: "passed"; scenario: string }
  | { event: "failed"; scenario: string; reason: string };

/** Where the guest has that folder. */
export const RECORD_MOUNT = "/run/record";

/** File descriptor 3 of the guest's process on the host. */
export const REPORT_TERMINAL = "/dev/tty1";

/** The guest's disks, each a sparse file of the host. */
export const DISKS = ["/dev/ubda", "/dev/ubdb", "/dev/ubdc", "/dev/ubdd"] as const;
export const DISK_SIZE_BYTES = 64 * 1024 * 1024;
