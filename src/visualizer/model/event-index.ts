// What there is to know of every event without looking at its bytes again: when, what, of which log, what came of it.
// Filled by one pass over the events, each looked at in the memory of the engine that has just taken it.

import type { Abi } from "../../common/abi.ts";
import { CODE_COMPLETION, CODE_CONFIGURE, CODE_RESTORE, CODE_TICK, CODE_UNKNOWN } from "./codes.ts";
import { bytes, doubles, floats, halfWords, words } from "./columns.ts";
import { logKey, readLog, textAt } from "./log-memory.ts";

/** Something was refused or failed. */
export const FLAG_ERROR = 1;
/** A flush was answered. */
export const FLAG_FLUSHED = 2;
/** The core had something to tell a person, or a log became in sync or ceased to be. */
export const FLAG_STATE = 4;
/** A write to a log device began. */
export const FLAG_WRITE = 8;
/** Another engine begins with this event. */
export const FLAG_BIRTH = 16;

/** A log that some event speaks of. */
export interface KnownLog {
  key: string;
  luid: bigint;
  uuid: string;
  firstEvent: number;
  /** Regions when it was last seen; 0 for one that was never made. */
  regionCount: number;
}

/** Of an event that is of no log, or of one that is not known. */
export const NO_LOG = 0xffff;

/** The state of its log after an event. */
export interface StateAfter {
  outOfSync: number;
  dirty: number;
  urgentBlocks: number;
  lazyBlocks: number;
}

export class EventIndex {
  readonly logs: KnownLog[] = [];
  readonly timeNs = doubles();
  readonly code = bytes();
  readonly flags = bytes();
  readonly log = halfWords();
  /** Lines of the conversation before this event's. */
  readonly firstLine = words();
  lineCount = 0;
  readonly outOfSync = words();
  readonly dirty = words();
  readonly urgentBlocks = words();
  readonly lazyBlocks = words();
  /** From taking a request to sending its answer, ns; NaN for what has no answer, or none yet. */
  readonly answerNs = floats();
  /** Sums up to this event and with it. */
  readonly marks = words();
  readonly flushes = words();
  readonly flushesWithoutWrite = words();
  readonly writes = words();
  readonly writtenBytes = doubles();
  /** What writing the whole bitmap for each flush of a disk log would have come to. */
  readonly wholeBytes = doubles();
  errorCount = 0;

  private view32 = new Uint32Array(0);
  /** Requests that wait for an answer: event by seq. */
  private readonly waiting = new Map<number, number>();
  /** Log numbers by key, and by the log device's handle. */
  private readonly numbers = new Map<string, number>();
  private readonly byHandle = new Map<number, number>();
  /** Addresses of logs by number, as of `generation`. */
  private addresses: number[] = [];
  private generation = -1;
  private sawLog = NO_LOG;
  private readonly syncOf: boolean[] = [];

  constructor(private readonly abi: Abi) {}

  get length(): number {
    return this.timeNs.length;
  }

  /** Another engine's events follow: nothing that waited is answered any more. */
  beginLife(): void {
    this.waiting.clear();
    this.byHandle.clear();
    this.generation = -1;
  }

  /** Takes the event that `memory` holds in its input area and in `effectsBytes` of its effects area. */
  observe(memory: ArrayBuffer, effectsBytes: number, isBirth: boolean): void {
    const { abi } = this;
    if (this.view32.buffer !== memory) this.view32 = new Uint32Array(memory);
    const event = this.length;
    const nowNs = this.word(abi.INPUT_NOW) + this.word(abi.INPUT_NOW + 4) * 0x1_0000_0000;
    const code = this.codeOf();
    this.refreshLogs(memory);
    const log = this.logOf(memory, code);
    let flags = isBirth ? FLAG_BIRTH : 0;
    this.timeNs.push(nowNs);
    this.code.push(code);
    this.log.push(log);
    this.firstLine.push(this.lineCount++);
    this.answerNs.push(Number.NaN);
    if (code >= CODE_COMPLETION && code < CODE_TICK && this.word(abi.INPUT_PAYLOAD + abi.COMPLETION_ERROR) !== 0) {
      flags |= FLAG_ERROR;
    }
    if (code > CODE_UNKNOWN && code <= abi.REQUEST_TYPE_MAX) {
      this.waiting.set(this.word(abi.INPUT_PAYLOAD + abi.ULOG_SEQ), event);
    }
    const state = this.stateAfter(memory, log);
    flags |= this.observeEffects(effectsBytes, event, nowNs, state.imageBytes);
    if (log !== NO_LOG && state.exists) {
      const isInSync = state.outOfSync === 0;
      if (this.syncOf[log] !== undefined && this.syncOf[log] !== isInSync) flags |= FLAG_STATE;
      this.syncOf[log] = isInSync;
    }
    if (flags & FLAG_ERROR) this.errorCount++;
    this.flags.push(flags);
    this.outOfSync.push(state.outOfSync);
    this.dirty.push(state.dirty);
    this.urgentBlocks.push(state.urgentBlocks);
    this.lazyBlocks.push(state.lazyBlocks);
  }

  private observeEffects(effectsBytes: number, event: number, nowNs: number, imageBytes: number): number {
    const { abi } = this;
    const before = event - 1;
    let flags = 0;
    let marks = this.marksOf(event);
    let flushes = 0;
    let withoutWrite = 0;
    let writes = 0;
    let writtenBytes = 0;
    const end = abi.EFFECTS + effectsBytes;
    for (let at = abi.EFFECTS; at < end; ) {
      const kind = this.word(at + abi.EFFECT_KIND);
      const payload = at + abi.EFFECT_PAYLOAD;
      if (kind < abi.EFFECT_KIND_STATE_CREATE && kind !== abi.EFFECT_KIND_WAKE) this.lineCount++;
      if (kind === abi.EFFECT_KIND_SEND) {
        const seq = this.word(payload + abi.ULOG_SEQ);
        const isRefused = this.word(payload + abi.ULOG_ERROR) !== 0;
        const asked = this.waiting.get(seq);
        if (asked !== undefined) {
          this.waiting.delete(seq);
          this.answerNs.values[asked] = nowNs - this.timeNs.at(asked);
        }
        if (isRefused) flags |= FLAG_ERROR;
        if ((this.word(payload + abi.ULOG_TYPE) & 0xff) === abi.REQUEST_FLUSH && !isRefused) {
          flags |= FLAG_FLUSHED;
          flushes++;
          if (asked === event) withoutWrite++;
        } else if (isRefused && asked === event) {
          marks = 0;
        }
      } else if (kind === abi.EFFECT_KIND_NOTICE) {
        flags |= FLAG_STATE;
        // The second word of a notice is its error.
        if (this.word(payload + 4) !== 0) flags |= FLAG_ERROR;
      } else if (kind === abi.EFFECT_KIND_WRITE) {
        flags |= FLAG_WRITE;
        writes++;
        writtenBytes += this.word(payload + abi.HEAD_SIZE);
      }
      at = payload + ((this.word(at + abi.EFFECT_PAYLOAD_SIZE) + 7) & ~7);
    }
    this.marks.push(this.marks.at(before) + marks);
    this.flushes.push(this.flushes.at(before) + flushes);
    this.flushesWithoutWrite.push(this.flushesWithoutWrite.at(before) + withoutWrite);
    this.writes.push(this.writes.at(before) + writes);
    this.writtenBytes.push(this.writtenBytes.at(before) + writtenBytes);
    this.wholeBytes.push(this.wholeBytes.at(before) + flushes * imageBytes);
    return flags;
  }

  private codeOf(): number {
    const { abi } = this;
    switch (this.word(abi.INPUT_KIND)) {
      case abi.INPUT_KIND_DATAGRAM: {
        const frame = abi.INPUT_PAYLOAD;
        const isOurs =
          this.word(abi.INPUT_PAYLOAD_SIZE) >= abi.FRAME_BYTES &&
          this.word(frame + abi.CN_IDX) === abi.CN_IDX_DM &&
          this.word(frame + abi.CN_VAL) === abi.CN_VAL_DM_USERSPACE_LOG;
        const type = isOurs ? this.word(frame + abi.ULOG_TYPE) & 0xff : CODE_UNKNOWN;
        return type <= abi.REQUEST_TYPE_MAX ? type : CODE_UNKNOWN;
      }
      case abi.INPUT_KIND_COMPLETION:
        return CODE_COMPLETION + Math.min(this.word(abi.INPUT_PAYLOAD + abi.COMPLETION_EFFECT), 31);
      case abi.INPUT_KIND_TICK:
        return CODE_TICK;
      case abi.INPUT_KIND_RESTORE:
        return CODE_RESTORE;
      case abi.INPUT_KIND_CONFIGURE:
        return CODE_CONFIGURE;
      default:
        return CODE_UNKNOWN;
    }
  }

  /** Regions that a request marks. */
  private marksOf(event: number): number {
    const { abi } = this;
    const code = this.code.at(event);
    if (code !== abi.REQUEST_MARK_REGION && code !== abi.REQUEST_FLUSH) return 0;
    return this.word(abi.INPUT_PAYLOAD + abi.ULOG_DATA_SIZE) >>> 3;
  }

  private logOf(memory: ArrayBuffer, code: number): number {
    const { abi } = this;
    if (code > CODE_UNKNOWN && code <= abi.REQUEST_TYPE_MAX) return this.logOfFrame(memory);
    if (code !== CODE_RESTORE && (code < CODE_COMPLETION || code >= CODE_TICK)) return NO_LOG;
    const handle = this.word(abi.INPUT_PAYLOAD + abi.HEAD_HANDLE);
    const address = handle < 4096 ? this.word(abi.HANDLES + handle * 4) : 0;
    const found = address === 0 ? -1 : this.addresses.indexOf(address);
    // A log that ended with this very event is known from before.
    if (found < 0) return this.byHandle.get(handle) ?? NO_LOG;
    this.byHandle.set(handle, found);
    return found;
  }

  private logOfFrame(memory: ArrayBuffer): number {
    const { abi } = this;
    const frame = abi.INPUT_PAYLOAD;
    // Most events are of the log that the one before was of.
    if (this.sawLog !== NO_LOG && this.isSameFrame(memory, this.sawLog)) return this.sawLog;
    const luid = new DataView(memory).getBigUint64(frame + abi.ULOG_LUID, true);
    const uuid = textAt(memory, frame + abi.ULOG_UUID, abi.UUID_BYTES);
    this.sawLog = this.number(luid, uuid);
    return this.sawLog;
  }

  private isSameFrame(memory: ArrayBuffer, log: number): boolean {
    const { abi } = this;
    const address = this.addresses[log];
    if (address === undefined) return false;
    const frame = abi.INPUT_PAYLOAD;
    if (this.word(frame + abi.ULOG_LUID) !== this.word(address + abi.LOG_LUID)) return false;
    if (this.word(frame + abi.ULOG_LUID + 4) !== this.word(address + abi.LOG_LUID + 4)) return false;
    const bytes = new Uint8Array(memory);
    for (let i = 0; i < abi.UUID_BYTES; i++) {
      const character = bytes[frame + abi.ULOG_UUID + i];
      if (character !== bytes[address + abi.LOG_UUID + i]) return false;
      if (character === 0) return true;
    }
    return true;
  }

  private number(luid: bigint, uuid: string): number {
    const key = logKey(luid, uuid);
    let number = this.numbers.get(key);
    if (number === undefined) {
      number = Math.min(this.logs.length, NO_LOG - 1);
      this.numbers.set(key, number);
      if (number === this.logs.length) {
        this.logs.push({ key, luid, uuid, firstEvent: this.length, regionCount: 0 });
      }
    }
    return number;
  }

  private refreshLogs(memory: ArrayBuffer): void {
    const { abi } = this;
    const generation = this.word(abi.CORE + abi.CORE_GENERATION);
    if (generation === this.generation) return;
    this.generation = generation;
    this.addresses = [];
    this.sawLog = NO_LOG;
    for (let at = this.word(abi.CORE + abi.CORE_FIRST_LOG); at !== 0; at = this.word(at + abi.LOG_NEXT)) {
      const { luid, uuid, regionCount } = readLog(abi, memory, at);
      const number = this.number(luid, uuid);
      (this.logs[number] as KnownLog).regionCount = regionCount;
      this.addresses[number] = at;
    }
  }

  private stateAfter(memory: ArrayBuffer, log: number): StateAfter & { exists: boolean; imageBytes: number } {
    const address = log === NO_LOG ? undefined : this.addresses[log];
    if (address === undefined) {
      return { exists: false, outOfSync: 0, dirty: 0, urgentBlocks: 0, lazyBlocks: 0, imageBytes: 0 };
    }
    const { abi } = this;
    const population = (set: number) => this.word(this.word(set) + abi.REGION_SET_POPULATION);
    const disk = this.word(address + abi.LOG_DISK);
    return {
      exists: memory.byteLength > 0,
      outOfSync: population(address + abi.LOG_PENDING) + population(address + abi.LOG_FAILED),
      dirty: this.word(address + abi.LOG_DIRTY_COUNT),
      urgentBlocks: disk === 0 ? 0 : population(disk + abi.DISK_URGENT),
      lazyBlocks: disk === 0 ? 0 : population(disk + abi.DISK_LAZY),
      imageBytes: disk === 0 ? 0 : this.word(disk + abi.DISK_IMAGE_BYTES),
    };
  }

  private word(address: number): number {
    return this.view32[address >>> 2] as number;
  }
}
