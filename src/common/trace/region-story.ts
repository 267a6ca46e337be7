// What is known of one region in one log of a mirror, up to an event of a trace.

import type { Abi } from "../abi.ts";
import type { LogDescription } from "../console.ts";
import { printable } from "../printable.ts";
import { RegionOnDevice } from "./region-on-device.ts";
import type { RegionState } from "./region-state.ts";

/** Causes of a region being out of sync, and so of its resync. "not recorded" stands for all that the trace does not tell. */
export const CAUSES = [
  "new mirror",
  "option sync",
  "power cut",
  "failed leg",
  "state lost",
  "state damaged",
  "reload",
  "grown",
  "device behind",
  "device not read",
  "another mirror's log",
  "unknown version",
  "clear not written",
  "not recorded",
] as const;
export type Cause = (typeof CAUSES)[number];

/** Why a region is out of sync. */
export interface Reason {
  cause: Cause;
  /** A clause that can follow "because". */
  clause: string;
  /** Address of the event that made it so, or found it so. */
  address: string;
}

export class RegionStory {
  /** Null until the log is restored whole. */
  state: RegionState | null = null;
  /** Of a disk log that was never resumed its device was not read yet, and what memory says of regions means nothing. */
  isRead = true;
  /** From the kernel's resume to the end of its suspend. */
  isInUse = false;
  /** Whether the kernel made this log for a server that knew more of it. */
  isLost = false;
  /** Of a log whose device is not read yet: the one that had the mirror before, null if the trace has none. */
  foregoing: RegionStory | null = null;
  /** Whether it was removed, and by what, in a clause. */
  removed: string | null = null;
  /** Address of the event since which it is marked, "" where it is not. */
  markedSince = "";
  reason: Reason | null = null;
  /** Address of the last event of its server, "" while that runs. */
  last = "";
  device: RegionOnDevice;
  /** The words behind the length of the mirror in its constructor string, such as `clustered-disk 253:1 1024 nosync`. */
  readonly table: readonly string[];
  readonly isDisk: boolean;

  constructor(
    abi: Abi,
    readonly luid: bigint,
    readonly description: LogDescription,
    region: number,
  ) {
    this.device = new RegionOnDevice(abi, region);
    this.table = description.constructor.split(" ").slice(1).map(printable);
    this.isDisk = description.device !== null;
  }

  get regionCount(): number {
    return this.description.regionCount;
  }

  has(option: "sync" | "nosync"): boolean {
    return this.description.options.includes(option);
  }

  /** Where the log is kept, in words. */
  get place(): string {
    return this.isDisk ? `on the device ${this.table[1]}` : "in memory";
  }
}
