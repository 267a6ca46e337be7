// One mirror with one table, as dm-raid1 runs it: a worker that passes over what there is to do whenever it is woken,
// and sleeps in the log's requests meanwhile.
//
// The rule that the dirty log lives by: no leg is written in a region in sync before the region's mark is flushed, and
// no write is completed before every leg in sync has it or the log knows that one has not.

import { Alarm, MICROSECOND_NS, MILLISECOND_NS, type VirtualClock } from "./clock.ts";
import type { Io } from "./io.ts";
import type { Legs } from "./legs.ts";
import type { Random } from "./random.ts";
import { type HashedRegion, RegionHash } from "./region-hash.ts";
import { Signal, sleep, spawn, type Task } from "./task.ts";
import type { UserspaceLog } from "./userspace-log.ts";

/** The leg that recovery copies from, and that holds the truth of a region out of sync. It never fails here. */
export const FIRST_LEG = 0;
/** Time between waking the worker and its pass. */
const WAKE_NS = 5 * MICROSECOND_NS;
/** Writes that the log put back are tried again after this time. */
const RETRY_DELAY_NS = 200 * MILLISECOND_NS;

/** What watches a mirror. */
export interface MirrorObserver {
  /** A write to every leg of a region in sync begins. */
  dispatched(mirror: Mirror, region: number): void;
}

export class Mirror {
  readonly hash: RegionHash;
  observer: MirrorObserver | undefined;
  /** A deliberate fault: writes do not wait for their mark. */
  writesBeforeMark = false;
  /** I/Os that have been taken and not ended. */
  ioCount = 0;
  /** Whether every region was last seen in sync. */
  isInSync = false;
  /** Whether a flush of the log failed. Writes that need a mark fail from then on, until the table is changed. */
  hasLogFailed = false;

  private reads: Io[] = [];
  private writes: Io[] = [];
  /** Writes that some leg failed. */
  private failures: Io[] = [];
  private recovered: HashedRegion[] = [];
  private failedRecovered: HashedRegion[] = [];
  private readonly legErrors: number[];

  private isWoken = false;
  private isPassing = false;
  private readonly passed: Signal;
  private readonly retry: Alarm;

  private mayRecover = false;
  private isRecovering = false;

  constructor(
    private readonly clock: VirtualClock,
    private readonly random: Random,
    readonly log: UserspaceLog,
    readonly legs: Legs,
  ) {
    this.hash = new RegionHash(log);
    this.legErrors = new Array<number>(legs.legCount).fill(0);
    this.passed = new Signal(clock);
    this.retry = new Alarm(clock, RETRY_DELAY_NS, () => this.wake());
  }

  /** Whether nothing is under way: no I/O, no recovery, nothing for the worker to do. */
  get isQuiet(): boolean {
    return this.ioCount === 0 && !this.isRecovering && !this.isPassing && !this.isWoken;
  }

  take(io: Io): void {
    this.ioCount++;
    this.queue(io);
  }

  *resume(): Task<number> {
    const error = yield* this.log.resume();
    this.mayRecover = true;
    this.wake();
    return error;
  }

  /** Ends the recovery under way and tells the log. */
  *presuspend(): Task<number> {
    this.mayRecover = false;
    yield* this.passed.until(() => !this.isRecovering);
    return yield* this.log.presuspend();
  }

  /** Waits for all that was taken, then tells the log. What the worker has left to tell it may come later. */
  *postsuspend(): Task<number> {
    yield* this.passed.until(() => this.ioCount === 0);
    return yield* this.log.postsuspend();
  }

  /** Waits until the worker has nothing to do; then the mirror can go. */
  *drain(): Task {
    yield* this.passed.until(() => !this.isPassing && !this.isWoken);
    // One that is gone must not wake again: it would bring its log back.
    this.retry.cancel();
  }

  wake(): void {
    if (this.isWoken) return;
    this.isWoken = true;
    if (!this.isPassing) this.clock.after(WAKE_NS, () => spawn(this.work()));
  }

  private queue(io: Io): void {
    (io.kind === "read" ? this.reads : this.writes).push(io);
    this.wake();
  }

  private complete(io: Io, version: number): void {
    this.ioCount--;
    io.done(version);
    if (this.ioCount === 0) this.passed.notify();
  }

  private *work(): Task {
    this.isPassing = true;
    while (this.isWoken) {
      this.isWoken = false;
      const { reads, writes, failures } = this;
      this.reads = [];
      this.writes = [];
      this.failures = [];
      yield* this.updateStates();
      yield* this.recover();
      if (reads.length > 0) yield* this.doReads(reads);
      if (writes.length > 0) yield* this.doWrites(writes);
      if (failures.length > 0) yield* this.doFailures(failures);
      if (this.isWoken) yield sleep(this.clock, WAKE_NS);
    }
    this.isPassing = false;
    this.passed.notify();
  }

  /** Tells the log which regions have become clean or are recovered. */
  private *updateStates(): Task {
    const clean = [...this.hash.clean];
    this.hash.clean.clear();
    const { recovered, failedRecovered } = this;
    this.recovered = [];
    this.failedRecovered = [];
    for (const found of [...clean, ...recovered, ...failedRecovered]) this.hash.forget(found);
    for (const found of recovered) {
      this.log.clearRegion(found.region);
      yield* this.endRecovery(found, true);
    }
    for (const found of failedRecovered) yield* this.endRecovery(found, false);
    for (const found of clean) this.log.clearRegion(found.region);
    if (this.log.hasToFlush) yield* this.log.flush();
  }

  private *endRecovery(found: HashedRegion, isInSync: boolean): Task {
    yield* this.log.setRegionSync(found.region, isInSync);
    const { delayed } = found;
    found.delayed = [];
    for (const io of delayed) this.queue(io);
    this.isRecovering = false;
    this.passed.notify();
  }

  /** Keeps one region under recovery, and asks whether all is in sync until it is. */
  private *recover(): Task {
    if (this.mayRecover && !this.isRecovering) {
      this.isRecovering = true;
      const region = yield* this.log.getResyncWork();
      if (region === null) {
        this.isRecovering = false;
        this.passed.notify();
      } else {
        this.hash.startRecovery(yield* this.hash.find(region));
      }
    }
    const { quiesced } = this.hash;
    if (quiesced !== null) {
      this.hash.quiesced = null;
      this.copy(quiesced);
    }
    if (!this.isInSync && (yield* this.log.getSyncCount()) >= this.log.regionCount) {
      this.isInSync = true;
      this.legErrors.fill(0);
    }
  }

  private copy(found: HashedRegion): void {
    let underWay = this.legs.legCount - 1;
    let isCopied = true;
    for (let leg = FIRST_LEG + 1; leg < this.legs.legCount; leg++) {
      this.legs.copy(FIRST_LEG, leg, found.region, (isLegCopied) => {
        if (!isLegCopied) {
          isCopied = false;
          this.failLeg(leg);
        }
        if (--underWay > 0) return;
        (isCopied ? this.recovered : this.failedRecovered).push(found);
        this.wake();
      });
    }
  }

  private failLeg(leg: number): void {
    (this.legErrors[leg] as number)++;
  }

  /** A region in sync is read from any leg that has not failed, one out of sync from the first. */
  private *doReads(reads: readonly Io[]): Task {
    for (const io of reads) {
      const state = yield* this.hash.stateOf(io.region);
      const isInSync = state === "clean" || state === "dirty";
      const leg = isInSync ? this.chooseLeg() : FIRST_LEG;
      this.legs.read(leg, io.block, (version) => {
        if (version === 0) {
          this.failLeg(leg);
          this.queue(io);
        } else {
          this.complete(io, version);
        }
      });
    }
  }

  private chooseLeg(): number {
    let leg = this.random.below(this.legs.legCount);
    while (this.legErrors[leg] !== 0) leg = (leg + 1) % this.legs.legCount;
    return leg;
  }

  private *doWrites(writes: readonly Io[]): Task {
    const toAll: Io[] = [];
    const toFirst: Io[] = [];
    const held: Io[] = [];
    for (const io of writes) {
      if (io.kind === "flush") {
        toAll.push(io);
        continue;
      }
      if (io.region >= this.log.inSyncHint && (yield* this.log.isRemoteRecovering(io.region))) {
        this.writes.push(io);
        if (!this.retry.isSet) this.retry.set();
        continue;
      }
      const state = this.hash.lookUp(io.region)?.state ?? (yield* this.hash.stateOf(io.region));
      (state === "nosync" ? toFirst : state === "recovering" ? held : toAll).push(io);
    }
    for (const io of toAll) if (io.kind === "write") yield* this.hash.increment(io.region);
    for (const io of toFirst) yield* this.hash.increment(io.region);
    if (this.writesBeforeMark) for (const io of toAll) this.toAllLegs(io);
    if (this.log.hasToFlush && (yield* this.log.flush()) !== 0) this.hasLogFailed = true;
    if (this.hasLogFailed) {
      for (const io of toAll) this.endWrite(io, 0);
    } else if (!this.writesBeforeMark) {
      for (const io of toAll) this.toAllLegs(io);
    }
    for (const io of held) (yield* this.hash.find(io.region)).delayed.push(io);
    for (const io of toFirst) {
      this.legs.write(FIRST_LEG, io.block, io.version, () => this.endWrite(io, io.version));
    }
  }

  private toAllLegs(io: Io): void {
    if (io.kind === "flush") this.legs.flush((isFlushed) => this.complete(io, isFlushed ? 1 : 0));
    else this.writeAllLegs(io);
  }

  private writeAllLegs(io: Io): void {
    this.observer?.dispatched(this, io.region);
    const { legCount } = this.legs;
    let underWay = legCount;
    let isWritten = true;
    for (let leg = 0; leg < legCount; leg++) {
      this.legs.write(leg, io.block, io.version, (isLegWritten) => {
        if (!isLegWritten) {
          isWritten = false;
          this.failLeg(leg);
        }
        if (--underWay > 0) return;
        if (isWritten) {
          this.endWrite(io, io.version);
        } else {
          this.failures.push(io);
          this.wake();
        }
      });
    }
  }

  /** A write that a leg failed completes once the log knows that its region is out of sync. */
  private *doFailures(failures: readonly Io[]): Task {
    for (const io of failures) {
      this.isInSync = false;
      yield* this.log.setRegionSync(io.region, false);
      const found = yield* this.hash.find(io.region);
      const wasRecovering = found.state === "recovering";
      found.state = "nosync";
      if (wasRecovering) yield* this.endRecovery(found, false);
      this.endWrite(io, io.version);
    }
  }

  private endWrite(io: Io, version: number): void {
    if (io.kind === "write" && this.hash.decrement(io.region)) this.wake();
    this.complete(io, version);
  }
}
