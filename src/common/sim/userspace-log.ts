// One log as the kernel's dm-log-userspace keeps it: lists of marks and clears that wait for the next flush, a hint
// how far the mirror is in sync, and the way back to a server that went away.

import { asciiBytes, type RequestName, u64At } from "../kernel-frames.ts";
import { Alarm, SECOND_NS } from "./clock.ts";
import {
  type Connector,
  ESRCH,
  type LogName,
  REMOTE_RECOVERY_QUESTION_INTERVAL_NS,
  type Room,
  room,
} from "./connector.ts";
import { Signal, sleep, spawn, type Task } from "./task.ts";
import { Violation } from "./violation.ts";

/** Regions that one MARK, CLEAR or FLUSH carries at most. */
export const FLUSH_GROUP_REGIONS_MAX = 32;
/** Pause before each attempt to reach a server that is gone. */
export const RECONNECT_INTERVAL_NS = 2 * SECOND_NS;
/** With integrated flush, how long after a clear the flush comes where no mark brings one sooner. */
export const LAZY_FLUSH_DELAY_NS = 3 * SECOND_NS;
/** Bytes that the kernel takes for a log device's name in the answer to a first CTR. */
const DEVICE_NAME_BYTES_MAX = 128;
/** Bytes that `dmsetup status` has for the log's words. */
const STATUS_BYTES_MAX = 1024;
const REGION_BYTES = 8;
const PAIR_BYTES = 16;

/** A log device as a table has it. */
export interface LogTableDevice {
  /** A path or major:minor. */
  readonly name: string;
  /** What the server has to name in its answer, for the kernel to hold: major:minor; empty for a regular file. */
  readonly number: string;
}

/** What a mirror's table says of its log. */
export interface LogTable {
  uuid: string;
  lengthSectors: number;
  regionSizeSectors: number;
  /** `core`, `clustered-core`, `disk` or `clustered-disk`. */
  type: string;
  /** The log device of a disk log. */
  device?: LogTableDevice;
  /** What follows the region size: `sync`, `nosync`, `block_on_error`. */
  options: readonly string[];
  integratedFlush: boolean;
}

export class UserspaceLog implements LogName {
  readonly uuid: string;
  /**
   * Writes below this region need not ask IS_REMOTE_RECOVERING (drivers/md/dm-log-userspace-base.c, `in_sync_hint`). Each
   * answer to that question sets it, a count that says "all" raises it to the region count, and a resume alone makes it 0.
   */
  inSyncHint = 0;
  regionCount = 0;
  private readonly constructorText: string;
  private marks: number[] = [];
  private clears: number[] = [];
  private readonly lazyFlush: Alarm;
  private isLazyFlushRunning = false;
  private readonly lazyFlushEnded: Signal;

  constructor(
    private readonly connector: Connector,
    readonly luid: bigint,
    readonly table: LogTable,
  ) {
    this.uuid = table.uuid;
    const device = table.device === undefined ? [] : [table.device.name];
    const words = [table.lengthSectors, table.type, ...device, table.regionSizeSectors, ...table.options];
    this.constructorText = words.join(" ");
    this.lazyFlushEnded = new Signal(connector.clock);
    this.lazyFlush = new Alarm(connector.clock, LAZY_FLUSH_DELAY_NS, () => spawn(this.runLazyFlush()));
  }

  /** Loads the table: CTR and GET_REGION_SIZE. Returns 0 or a negative errno, after which there is no log. */
  *construct(): Task<number> {
    const text = asciiBytes(this.constructorText);
    const named = room(DEVICE_NAME_BYTES_MAX);
    const refusal = yield* this.connector.consult(this, "CTR", text, named);
    if (refusal !== 0) return refusal;
    const number = this.table.device?.number;
    const wanted = number ? `${number}\0` : "";
    const name = String.fromCharCode(...named.data);
    if (name !== wanted) throw new Violation(`the answer to CTR names ${JSON.stringify(name)} as the log device`);
    const size = room(REGION_BYTES);
    const error = yield* this.connector.consult(this, "GET_REGION_SIZE", undefined, size);
    if (error !== 0) {
      yield* this.connector.consult(this, "DTR");
      return error;
    }
    this.regionCount = Math.ceil(this.table.lengthSectors / u64At(size.data, 0));
    return 0;
  }

  *destroy(): Task {
    yield* this.endLazyFlush();
    yield* this.connector.consult(this, "DTR");
  }

  /** The answers to RESUME, PRESUSPEND and POSTSUSPEND are only reported. */
  *resume(): Task<number> {
    this.inSyncHint = 0;
    return yield* this.connector.consult(this, "RESUME");
  }

  *presuspend(): Task<number> {
    return yield* this.connector.consult(this, "PRESUSPEND");
  }

  *postsuspend(): Task<number> {
    yield* this.endLazyFlush();
    return yield* this.connector.consult(this, "POSTSUSPEND");
  }

  *isInSync(region: number): Task<boolean> {
    const into = room(REGION_BYTES);
    const error = yield* this.request("IN_SYNC", [region], into);
    return error === 0 && u64At(into.data, 0) === 1;
  }

  /** The region to recover, or null. Once the hint says that all is in sync, nobody is asked. */
  *getResyncWork(): Task<number | null> {
    if (this.inSyncHint >= this.regionCount) return null;
    const into = room(PAIR_BYTES);
    const error = yield* this.request("GET_RESYNC_WORK", undefined, into);
    return error === 0 && u64At(into.data, 0) === 1 ? u64At(into.data, 1) : null;
  }

  *setRegionSync(region: number, isInSync: boolean): Task {
    yield* this.request("SET_REGION_SYNC", [region, isInSync ? 1 : 0]);
  }

  *getSyncCount(): Task<number> {
    const into = room(REGION_BYTES);
    const error = yield* this.request("GET_SYNC_COUNT", undefined, into);
    if (error !== 0) return 0;
    const count = u64At(into.data, 0);
    if (count >= this.regionCount) this.inSyncHint = this.regionCount;
    return count;
  }

  /** Whether another machine may be recovering the region. Between two questions the answer is taken for yes. */
  *isRemoteRecovering(region: number): Task<boolean> {
    if (region < this.inSyncHint) return false;
    const { connector } = this;
    if (connector.remoteRecoveryQuestionNs > connector.clock.nowNs) {
      connector.putBackCount++;
      return true;
    }
    connector.remoteRecoveryQuestionCount++;
    connector.remoteRecoveryQuestionNs = connector.clock.nowNs + REMOTE_RECOVERY_QUESTION_INTERVAL_NS;
    const into = room(PAIR_BYTES);
    const error = yield* this.request("IS_REMOTE_RECOVERING", [region], into);
    if (error !== 0) return true;
    this.inSyncHint = u64At(into.data, 1);
    return u64At(into.data, 0) !== 0;
  }

  /** What `dmsetup status` shows of the log, or null where it could not be had. */
  *status(): Task<string | null> {
    const into = room(STATUS_BYTES_MAX);
    const error = yield* this.request("STATUS_INFO", undefined, into);
    return error === 0 ? String.fromCharCode(...into.data) : null;
  }

  markRegion(region: number): void {
    this.marks.push(region);
  }

  clearRegion(region: number): void {
    this.clears.push(region);
  }

  get hasToFlush(): boolean {
    return this.marks.length > 0 || this.clears.length > 0;
  }

  /** Sends the clears, then the marks, and has them made durable. Returns 0 or a negative errno. */
  *flush(): Task<number> {
    if (!this.hasToFlush) return 0;
    const { marks, clears } = this;
    this.marks = [];
    this.clears = [];
    const clearError = yield* this.sendGroups("CLEAR_REGION", clears);
    if (clearError !== 0) return clearError;
    if (!this.table.integratedFlush) {
      const markError = yield* this.sendGroups("MARK_REGION", marks);
      return markError !== 0 ? markError : yield* this.request("FLUSH");
    }
    for (const group of groupsOf(marks)) {
      const error = yield* this.request("FLUSH", group);
      if (error !== 0) return error;
    }
    if (marks.length > 0) this.lazyFlush.cancel();
    else if (!this.lazyFlush.isSet && !this.isLazyFlushRunning) this.lazyFlush.set();
    return 0;
  }

  /** A group that is refused is tried again region by region. */
  private *sendGroups(type: RequestName, regions: readonly number[]): Task<number> {
    for (const group of groupsOf(regions)) {
      if ((yield* this.request(type, group)) === 0) continue;
      for (const region of group) {
        const error = yield* this.request(type, [region]);
        if (error !== 0) return error;
      }
    }
    return 0;
  }

  /** A flush that was put off is sent, and one that is under way waited for. */
  private *endLazyFlush(): Task {
    if (this.lazyFlush.isSet) {
      this.lazyFlush.cancel();
      yield* this.runLazyFlush();
    }
    yield* this.lazyFlushEnded.until(() => !this.isLazyFlushRunning);
  }

  private *runLazyFlush(): Task {
    this.isLazyFlushRunning = true;
    yield* this.request("FLUSH");
    this.isLazyFlushRunning = false;
    this.lazyFlushEnded.notify();
  }

  private *reconstruct(text: Uint8Array): Task<boolean> {
    yield sleep(this.connector.clock, RECONNECT_INTERVAL_NS);
    this.connector.reconnectingCount++;
    if ((yield* this.connector.consult(this, "CTR", text)) === 0) return true;
    this.connector.reconnectingCount--;
    return false;
  }

  /** A request that waits for a server to come back: CTR with a NUL until one is answered, RESUME, the request again. */
  private *request(type: RequestName, data?: readonly number[], into: Room = room(0)): Task<number> {
    for (;;) {
      const error = yield* this.connector.consult(this, type, data, into);
      if (error !== -ESRCH) {
        if (error !== 0) this.connector.refusedCount++;
        return error;
      }
      const text = asciiBytes(`${this.constructorText}\0`);
      while (!(yield* this.reconstruct(text)));
      const resumeError = yield* this.connector.consult(this, "RESUME");
      this.connector.reconnectingCount--;
      if (resumeError !== 0) return -ESRCH;
    }
  }
}

function groupsOf(regions: readonly number[]): readonly (readonly number[])[] {
  if (regions.length === 0) return [];
  if (regions.length <= FLUSH_GROUP_REGIONS_MAX) return [regions];
  const groups: number[][] = [];
  for (let first = 0; first < regions.length; first += FLUSH_GROUP_REGIONS_MAX) {
    groups.push(regions.slice(first, first + FLUSH_GROUP_REGIONS_MAX));
  }
  return groups;
}
