// A mirror in the state of a busy one, inside an engine of its own, to which the measured requests go.
//
// Of its regions one in 256 has failed to resync, one in 32 is out of sync and pending, one in 16 is marked; those
// shares are kept throughout, at every size, by taking back what a measured request has changed.
//
// A second log of the same size, with as many pending regions and no failed ones, takes what would disturb those
// shares: suspends and a resync that runs through the whole mirror.

import { u64At } from "../src/common/kernel-frames.ts";
import { Client } from "./client.ts";
import { RandomRegions } from "./random.ts";

const FAILED_EVERY = 256;
const PENDING_EVERY = 32;
const MARKED_EVERY = 16;
/** Most regions that one request of today's kernels carries. */
export const GROUP_REGIONS = 32;

export class Mirror extends Client {
  /** Draws regions to ask about. */
  readonly toAsk: RandomRegions;
  /** Draws regions to mark, and the same ones later to clear. */
  readonly toMark: RandomRegions;
  readonly toClear: RandomRegions;
  /** Draws regions to put out of sync in the second log. */
  readonly toResync: RandomRegions;
  private readonly toFault: RandomRegions;
  private readonly toHeal: RandomRegions;

  constructor(
    module: WebAssembly.Module,
    regionCount: number,
    seed: number,
    /** Requests name only this many different regions, spread over the mirror; by default all. */
    readonly hotRegionCount?: number,
  ) {
    super(module, regionCount);
    const drawing = (stream: number, hot = regionCount) => new RandomRegions(seed + stream, regionCount, hot);
    this.toResync = drawing(0, hotRegionCount);
    for (const log of ["first", "second"] as const) {
      this.ask("CTR", { log, data: this.constructorText() });
      this.ask("RESUME", { log });
    }
    this.failRegions();
    this.refillSecond();

    // Clears and repairs lag behind marks and failures by the share that shall stay marked or out of sync.
    this.toFault = drawing(2);
    for (let i = 0; i < this.pendingCount(); i++) this.setSync("first", this.drawFault(), 0);
    this.toMark = drawing(3);
    for (let i = 0; i < Math.floor(regionCount / MARKED_EVERY); i += GROUP_REGIONS) {
      this.ask("MARK_REGION", { data: Array.from({ length: GROUP_REGIONS }, () => this.toMark.next()) });
    }
    this.toHeal = drawing(2);
    this.toClear = drawing(3);
    this.toAsk = drawing(1, hotRegionCount);
    if (hotRegionCount === undefined) return;
    [this.toFault, this.toHeal] = [drawing(4, hotRegionCount), drawing(4, hotRegionCount)];
    [this.toMark, this.toClear] = [drawing(5, hotRegionCount), drawing(5, hotRegionCount)];
  }

  /** Puts regions of the second log out of sync until its share is met again. */
  refillSecond(): void {
    const inSyncCount = () => u64At(this.ask("GET_SYNC_COUNT", { log: "second" }).data, 0);
    const share = Math.min(this.pendingCount(), Math.floor((this.hotRegionCount ?? this.regionCount) / 2));
    const missing = () => share - (this.regionCount - inSyncCount());
    for (let wanted = missing(); wanted > 0; wanted = missing()) {
      for (let i = 0; i < wanted; i++) this.setSync("second", this.toResync.next(), 0);
    }
  }

  /** A region to put out of sync. The failed ones stay as they are, so that their share does. */
  drawFault(): number {
    return notFailed(this.toFault.next());
  }

  drawHeal(): number {
    return notFailed(this.toHeal.next());
  }

  pendingCount(): number {
    return Math.floor(this.regionCount / PENDING_EVERY);
  }

  failedCount(): number {
    return Math.floor(this.regionCount / FAILED_EVERY);
  }

  private failRegions(): void {
    for (let i = 1; i <= this.failedCount(); i++) this.setSync("first", i * FAILED_EVERY - 1, 0);
    this.failPending("first", this.failedCount());
  }
}

export function isFailed(region: number): boolean {
  return region % FAILED_EVERY === FAILED_EVERY - 1;
}

function notFailed(region: number): number {
  return isFailed(region) ? region - 1 : region;
}
