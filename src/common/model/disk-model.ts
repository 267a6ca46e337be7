// What the model knows of a log's device beside its bytes: what is under way on it, which regions it may call clean although
// they are not, which it does not call clean although they are, and which of those may not be called so yet.

import { DeviceModel } from "./device-model.ts";
import type { LogModel } from "./log-model.ts";
import type { RuleNumber } from "./rules.ts";

export type OperationKind = "open" | "read" | "write" | "flush legs";

/** An effect whose completion is still to come. */
export interface Operation {
  readonly kind: OperationKind;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  readonly ticket: bigint;
  /** Of a write. */
  readonly bytes: Uint8Array;
}

/** A device that was opened. */
export interface DeviceFacts {
  readonly sizeBytes: bigint;
  readonly major: number;
  readonly minor: number;
  /** By which devices and regular files are told from each other; null where they cannot be. */
  readonly identity: string | null;
}

/** Regions that the device must speak the truth of before a request may be answered. */
export type Debt = Set<number>;

export class DiskModel {
  readonly device: DeviceModel;
  /** Of the last open that succeeded. */
  facts: DeviceFacts | null = null;
  isOpen = false;
  /** Whether the constructor was answered with success. */
  isConstructed = false;
  /** Why the last open failed; 0 where it did not. */
  openError = 0;
  readonly underWay = new Set<Operation>();
  /** A RESUME waits. */
  isResuming = false;
  /** A load is being read, or what it has made of the log is being written back. */
  isLoading = false;
  hasBeenLoaded = false;
  isStoring = false;
  /** The image was read since the RESUME that waits has come. */
  wasLoaded = false;
  /** An operation has failed since the last load began. */
  hasFailed = false;
  /** A write has failed, and others that began with it are under way. */
  isFailing = false;
  /** The device holds a log of a version that is not known: it is closed, and nothing is written to it. */
  isUnknownVersion = false;
  /** What the load that is under way made of the log is to be compared with its state file, by this rule. */
  mustCompare: RuleNumber | null = null;
  /** The marks of a lost log may end in this event. */
  mayDropMarks = false;
  /** The flush of the legs failed when it was last tried. */
  legsFailed = false;

  /** Not clean, and the device may call them clean. */
  readonly exposed = new Set<number>();
  /** Clean, and the device is not known to call them so. */
  readonly lagging = new Set<number>();
  /** Became clean, and no flush of the legs has begun since; or one has, and is under way. */
  readonly unsettled = new Set<number>();
  readonly settling = new Set<number>();
  /** Of requests that wait until a region is not exposed any more, or not lagging. */
  readonly flushDebts = new Set<Debt>();
  readonly drainDebts = new Set<Debt>();

  constructor(private readonly log: LogModel) {
    this.device = new DeviceModel(log.table.regionCount);
  }

  becameDirty(region: number): void {
    this.unsettled.delete(region);
    this.settling.delete(region);
    this.look(region);
  }

  becameClean(region: number): void {
    this.unsettled.add(region);
    this.look(region);
  }

  /** A flush of the legs begins. */
  legsBegin(): void {
    for (const region of this.unsettled) this.settling.add(region);
    this.unsettled.clear();
  }

  legsEnd(succeeded: boolean): void {
    this.legsFailed = !succeeded;
    if (!succeeded) for (const region of this.settling) this.unsettled.add(region);
    this.settling.clear();
  }

  /** The log's sets, or what is known of the device, are others now. */
  lookAtAll(): void {
    for (let region = 0; region < this.log.table.regionCount; region++) this.look(region);
  }

  lookAt(regions: readonly number[]): void {
    for (const region of regions) this.look(region);
  }

  /** Regions that must become durable before a FLUSH that comes now may be answered. */
  oweFlush(regions: Iterable<number>): Debt {
    return owe(regions, this.flushDebts);
  }

  /** Regions that must be called clean before a suspend that comes now may be answered. */
  oweDrain(): Debt {
    return owe(this.lagging, this.drainDebts);
  }

  /** Whether the device holds the log, as far as it could be read and written, and is asked for nothing but marks and clears. */
  get isReady(): boolean {
    return this.isOpen && this.hasBeenLoaded && !this.isLoading && !this.isStoring;
  }

  isUnderWay(kind: OperationKind): boolean {
    return [...this.underWay].some((operation) => operation.kind === kind);
  }

  private look(region: number): void {
    const isClean = this.log.isClean(region);
    const { exposed, lagging } = this;
    if (!isClean && this.device.mayCallClean(region)) exposed.add(region);
    else if (exposed.delete(region)) for (const debt of this.flushDebts) debt.delete(region);
    if (isClean && !this.device.surelyCallsClean(region)) lagging.add(region);
    else if (lagging.delete(region)) for (const debt of this.drainDebts) debt.delete(region);
  }
}

function owe(regions: Iterable<number>, debts: Set<Debt>): Debt {
  const debt = new Set(regions);
  debts.add(debt);
  return debt;
}
