// What dm-raid1 keeps of the regions it is busy with (dm-region-hash). A region that is not here is clean or out of
// sync, and the log is asked which.
//
//   clean ──write──► dirty ──last write ends──► clean ──next pass of the worker──► not here (CLEAR is sent)
//   nosync ──resync work──► recovering ──copied──► not here (SET_REGION_SYNC 1, CLEAR) ; ──failed──► not here (…SYNC 0)
//   dirty ──a leg fails a write──► nosync, which stays until it is recovered or the table goes

import type { Io } from "./io.ts";
import type { Task } from "./task.ts";
import type { UserspaceLog } from "./userspace-log.ts";

export type HashState = "clean" | "dirty" | "nosync" | "recovering";

export interface HashedRegion {
  readonly region: number;
  state: HashState;
  /** Writes under way. */
  pending: number;
  /** Writes held until the recovery ends. */
  delayed: Io[];
}

export class RegionHash {
  private readonly regions = new Map<number, HashedRegion>();
  /** Regions whose last write has ended. */
  readonly clean = new Set<HashedRegion>();
  /** The region to recover, once no write to it is under way. */
  quiesced: HashedRegion | null = null;

  constructor(private readonly log: UserspaceLog) {}

  lookUp(region: number): HashedRegion | undefined {
    return this.regions.get(region);
  }

  /** A region that is not here is asked for and stays unknown. */
  *stateOf(region: number): Task<HashState> {
    const known = this.regions.get(region);
    if (known !== undefined) return known.state;
    return (yield* this.log.isInSync(region)) ? "clean" : "nosync";
  }

  /** A region that is not here is asked for and put here. */
  *find(region: number): Task<HashedRegion> {
    const known = this.regions.get(region);
    if (known !== undefined) return known;
    const state = (yield* this.log.isInSync(region)) ? "clean" : "nosync";
    const found: HashedRegion = { region, state, pending: 0, delayed: [] };
    this.regions.set(region, found);
    if (state === "clean") this.clean.add(found);
    return found;
  }

  /** A write to a region begins; the first one marks a clean region. */
  *increment(region: number): Task {
    const found = yield* this.find(region);
    found.pending++;
    if (found.state !== "clean") return;
    found.state = "dirty";
    this.clean.delete(found);
    this.log.markRegion(region);
  }

  /** A write to a region has ended. Returns whether that leaves something to do. */
  decrement(region: number): boolean {
    const found = this.regions.get(region) as HashedRegion;
    if (--found.pending > 0) return false;
    if (found.state === "recovering") {
      this.quiesced = found;
    } else if (found.state === "dirty") {
      found.state = "clean";
      this.clean.add(found);
    }
    return true;
  }

  /** Writes to the region are held from now on; those under way are waited for. */
  startRecovery(found: HashedRegion): void {
    found.state = "recovering";
    this.clean.delete(found);
    if (found.pending === 0) this.quiesced = found;
  }

  forget(found: HashedRegion): void {
    this.regions.delete(found.region);
  }
}
