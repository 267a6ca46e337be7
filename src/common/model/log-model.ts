// One log as one luid knows it, in plain sets. A region is out of sync or in sync, and marked or not; it is clean where it
// is in sync and not marked.

import type { DiskModel } from "./disk-model.ts";
import type { Doubt, Life, StateFile } from "./state-file.ts";
import type { Table } from "./table.ts";

/** The most regions of a log that the model follows: it keeps a number for each that is not clean. */
export const REGIONS_FOLLOWED_MAX = 2 ** 22;

/** A log is too large for the model. */
export class ModelLimit extends Error {
  override name = "ModelLimit";
}

/** The luids of one UUID. */
export interface MirrorModel {
  readonly uuid: string;
  readonly logs: Set<LogModel>;
  /** From a failure of the log device until it says again what memory knows: what it calls clean may be of the past. */
  isDeviceBehind: boolean;
}

export class LogModel {
  /** Where in its life the log is, as its state file says; the rules of the requests say why it may be there. */
  life: Life = "created";
  wasResumed = false;
  /** Its constructor was that of a kernel that reconnects, and the log was not known: what was known of it is lost. */
  isLost = false;
  doubt: Doubt = "none";
  readonly outOfSync = new Set<number>();
  readonly marked = new Set<number>();
  /** The region handed out as resync work and not yet reported. */
  recovering: number | null = null;
  /** Out of sync, and a recovery of it has failed since all others had their turn. */
  readonly failed = new Set<number>();
  /** Whether it is known which recoveries have failed; not of a log that comes from an earlier server, until a round of it begins. */
  isRoundKnown = true;
  /** Why nothing can be asked of it yet: it is being made, or its damaged state file is being written anew. */
  notWhole: "making" | "repairing" | null = null;
  /** The small number by which core and host speak of it; null before they do. */
  handle: number | null = null;
  stateFile: StateFile | null = null;
  /** What is known of its device; null for a log in memory. */
  disk: DiskModel | null = null;
  /** The destructor has come, and waits for the device. */
  isEnding = false;
  /** Another luid has taken its place, though its suspend was not heard. */
  wasDisplaced = false;
  /** No request finds it any more, and nothing may be written for it. */
  isLetGo = false;

  constructor(
    readonly luid: bigint,
    readonly mirror: MirrorModel,
    readonly table: Table,
    regionsMax: number,
  ) {
    if (table.regionCount > regionsMax) {
      const count = table.regionCount.toLocaleString("en-US");
      const most = regionsMax.toLocaleString("en-US");
      throw new ModelLimit(`The log ${mirror.uuid} has ${count} regions; the model follows logs of up to ${most}.`);
    }
    mirror.logs.add(this);
  }

  /** How sentences name it. */
  get name(): string {
    return this.mirror.uuid;
  }

  /** All of its regions. */
  get regions(): Iterable<number> {
    return Array(this.table.regionCount).keys();
  }

  /** Whether the core may have to make, save or load it in slices of so many words of 64 regions. */
  isLargeFor(sliceWords: number): boolean {
    const words = Math.ceil(this.table.regionCount / 64);
    // Three sets are made, and then written.
    return 4 * words > sliceWords;
  }

  get takesWork(): boolean {
    return this.life === "resumed" || this.life === "suspending";
  }

  isClean(region: number): boolean {
    return !this.outOfSync.has(region) && !this.marked.has(region);
  }

  /** Another luid of the mirror with a log device, which was resumed or is about to be: the mirror may be that one's. */
  get hasRival(): boolean {
    return [...this.mirror.logs].some(
      (other) => other !== this && other.disk !== null && (other.wasResumed || other.disk.isResuming),
    );
  }

  /** Every region is out of sync, or none. */
  setAll(isOutOfSync: boolean): void {
    this.outOfSync.clear();
    if (isOutOfSync) for (let region = 0; region < this.table.regionCount; region++) this.outOfSync.add(region);
  }

  mark(region: number): void {
    this.marked.add(region);
    this.disk?.becameDirty(region);
  }

  clear(region: number): void {
    if (this.marked.delete(region) && this.isClean(region)) this.disk?.becameClean(region);
  }

  /** The kernel says that a region is in sync. */
  setInSync(region: number): void {
    if (this.recovering === region) this.recovering = null;
    this.failed.delete(region);
    if (this.outOfSync.delete(region) && this.isClean(region)) this.disk?.becameClean(region);
  }

  /** The kernel says that a region is out of sync: its recovery failed, or a write did not reach every leg. */
  setOutOfSync(region: number): void {
    if (this.recovering === region) {
      this.recovering = null;
      this.failed.add(region);
    }
    this.outOfSync.add(region);
    this.disk?.becameDirty(region);
  }

  /** The region goes out as resync work. */
  handOut(region: number): void {
    this.recovering = region;
    if (!this.failed.has(region)) return;
    // All others had their turn: a new round begins.
    this.failed.clear();
    this.isRoundKnown = true;
  }

  /** Whether every region out of sync has had its turn since the round began. */
  get isRoundOver(): boolean {
    return this.failed.size === this.outOfSync.size;
  }

  /** The log is resumed: all that is out of sync is to be resynced again, what has failed before after the rest. */
  restartResync(): void {
    this.recovering = null;
    if (this.isRoundOver) this.failed.clear();
  }
}
