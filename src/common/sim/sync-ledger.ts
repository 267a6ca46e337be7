// What the kernel has told a log of its regions, held against what the log answers: a region that the kernel brought in
// sync stays so, through every death of a server, until the kernel says otherwise, and is never resynced; one that it
// put out of sync is not called in sync.

import type { RequestName } from "../kernel-frames.ts";
import { u64At } from "../kernel-frames.ts";
import type { LogName } from "./connector.ts";
import { Violation } from "./violation.ts";

export class SyncLedger {
  /** By luid and region, where the kernel has said anything of it. */
  private readonly said = new Map<bigint, Map<number, boolean>>();

  sent(log: LogName, type: RequestName, data: Uint8Array | readonly number[]): void {
    const begins = type === "CTR" && data.at(-1) !== 0;
    if (begins || type === "DTR") this.said.delete(log.luid);
  }

  answered(
    log: LogName,
    type: RequestName,
    data: Uint8Array | readonly number[],
    error: number,
    reply: Uint8Array,
  ): void {
    // A log whose device could not be read when it was resumed may know nothing any more.
    if (type === "RESUME" && error !== 0) this.said.delete(log.luid);
    if (error !== 0) return;
    if (type === "SET_REGION_SYNC") {
      let regions = this.said.get(log.luid);
      if (regions === undefined) {
        regions = new Map();
        this.said.set(log.luid, regions);
      }
      regions.set(data[0] as number, data[1] === 1);
    } else if (type === "IN_SYNC") {
      const region = data[0] as number;
      this.check(log, region, u64At(reply, 0) === 1);
    } else if (type === "GET_RESYNC_WORK" && u64At(reply, 0) === 1) {
      this.check(log, u64At(reply, 1), false);
    }
  }

  /** All that servers knew is lost. */
  forget(): void {
    this.said.clear();
  }

  private check({ luid, uuid }: LogName, region: number, isInSync: boolean): void {
    const said = this.said.get(luid)?.get(region);
    if (said === undefined || said === isInSync) return;
    throw new Violation(
      said
        ? `region ${region} of ${uuid} was brought in sync, but the log calls it out of sync`
        : `region ${region} of ${uuid} was put out of sync, but the log calls it in sync`,
    );
  }
}
