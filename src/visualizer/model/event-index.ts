// What the page must know about every event beyond the trace's own table: its result, and the state of its log after it. One pass
// over the events fills it, reading the memory of the engine that has just taken each event.

import type { Abi } from "../../common/abi.ts";
import { EVENT_ERROR, EVENT_NOTICED, NO_LOG } from "../../common/trace/event-table.ts";
import { logKey, readLogs } from "../../common/trace/log-memory.ts";
import type { Trace } from "../../common/trace/trace.ts";
import { codeOf } from "./codes.ts";
import { bytes, doubles, floats, words } from "./columns.ts";

/** Something was refused or failed. */
export const FLAG_ERROR = 1;
/** A flush was answered with success. */
export const FLAG_FLUSHED = 2;
/** The core gave a notice, or a log became completely in sync or no longer is. */
export const FLAG_STATE = 4;
/** A write to a log device began. */
export const FLAG_WRITE = 8;

/** How a log stands: counts of regions and of blocks. */
interface Standing {
  outOfSync: number;
  dirty: number;
  urgentBlocks: number;
  lazyBlocks: number;
  imageBytes: number;
}

/** Room is made for this many events at once, because checking every array for every event would take longer than everything else. */
const ROOM_EVENTS = 8192;

/** No seq: those are of 32 bits. */
const NOBODY = -1;

const NOTHING: Standing = { outOfSync: 0, dirty: 0, urgentBlocks: 0, lazyBlocks: 0, imageBytes: 0 };

export class EventIndex {
  readonly flags = bytes();
  readonly code = bytes();
  /** Lines of the conversation before this event's. */
  readonly firstLine = words();
  lineCount = 0;
  /** The event's log after it; zeros where it is of none, or its state is not known. */
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
  /** The bytes if each flush of a disk log wrote the whole bitmap. */
  readonly wholeBytes = doubles();
  errorCount = 0;
  /** Events in the index. */
  length = 0;

  private readonly columns: readonly { reserve(length: number): void }[] = [
    this.flags,
    this.code,
    this.firstLine,
    this.outOfSync,
    this.dirty,
    this.urgentBlocks,
    this.lazyBlocks,
    this.answerNs,
    this.marks,
    this.flushes,
    this.flushesWithoutWrite,
    this.writes,
    this.writtenBytes,
    this.wholeBytes,
  ];
  private readonly sums = { marks: 0, flushes: 0, withoutWrite: 0, writes: 0, writtenBytes: 0, wholeBytes: 0 };
  private view32 = new Uint32Array(0);
  /** The seq of the request in hand while it has no answer: most have one at once, and need no place in the map. */
  private askedNow = NOBODY;
  /** Requests that wait for an answer: event by seq. */
  private readonly waiting = new Map<number, number>();
  /** Addresses of logs in memory by their number in the trace, as of a generation of the core's list and a number of names. */
  private addresses: (number | undefined)[] = [];
  private addressesOf = { generation: -1, names: -1 };
  /** By log: whether it was all in sync when it was last seen. */
  private readonly wasInSync: (boolean | undefined)[] = [];

  constructor(
    private readonly abi: Abi,
    private readonly trace: Trace,
  ) {}

  /** The time of an event, ns; 0 before the first. */
  timeNs(event: number): number {
    return event < 0 ? 0 : (this.trace.events.timesNs[event] as number);
  }

  /** The log that an event is of, or NO_LOG. */
  log(event: number): number {
    return this.trace.events.logs[event] ?? NO_LOG;
  }

  /** Another engine's events follow: waiting requests will not be answered any more. */
  beginLife(): void {
    this.waiting.clear();
    this.addressesOf = { generation: -1, names: -1 };
  }

  /**
   * Takes the next event. `memory` holds its input in the input area and `effectsBytes` of effects in the effects area; where
   * `isState` is false it holds nothing else.
   */
  observe(memory: ArrayBuffer, effectsBytes: number, isState: boolean): void {
    const { abi, trace } = this;
    if (this.view32.buffer !== memory) this.view32 = new Uint32Array(memory);
    const event = this.length;
    if (event % ROOM_EVENTS === 0) for (const column of this.columns) column.reserve(event + ROOM_EVENTS);
    const code = codeOf(abi, trace.events, event);
    const log = this.log(event);
    const recorded = trace.events.flags[event] as number;
    let flags = (recorded & EVENT_ERROR) !== 0 ? FLAG_ERROR : 0;
    if (recorded & EVENT_NOTICED) flags |= FLAG_STATE;
    if (flags & FLAG_ERROR) this.errorCount++;
    this.code.values[event] = code;
    this.firstLine.values[event] = this.lineCount++;
    this.answerNs.values[event] = Number.NaN;
    const isRequest = code > 0 && code <= abi.REQUEST_TYPE_MAX;
    this.askedNow = isRequest ? this.word(abi.INPUT_PAYLOAD + abi.ULOG_SEQ) : NOBODY;
    const standing = isState && log !== NO_LOG ? this.standing(memory, log) : NOTHING;
    flags |= this.observeEffects(effectsBytes, event, code, standing.imageBytes);
    if (this.askedNow !== NOBODY) this.waiting.set(this.askedNow, event);
    if (standing !== NOTHING) {
      const isInSync = standing.outOfSync === 0;
      if (this.wasInSync[log] !== undefined && this.wasInSync[log] !== isInSync) flags |= FLAG_STATE;
      this.wasInSync[log] = isInSync;
    }
    this.flags.values[event] = flags;
    this.outOfSync.values[event] = standing.outOfSync;
    this.dirty.values[event] = standing.dirty;
    this.urgentBlocks.values[event] = standing.urgentBlocks;
    this.lazyBlocks.values[event] = standing.lazyBlocks;
    this.length++;
  }

  private observeEffects(effectsBytes: number, event: number, code: number, imageBytes: number): number {
    const { abi } = this;
    const isMarking = code === abi.REQUEST_MARK_REGION || code === abi.REQUEST_FLUSH;
    let marks = isMarking ? (this.trace.events.regionCounts[event] as number) : 0;
    let flags = 0;
    let flushes = 0;
    let withoutWrite = 0;
    let writes = 0;
    let writtenBytes = 0;
    const end = abi.EFFECTS + effectsBytes;
    for (let at = abi.EFFECTS; at < end; ) {
      const kind = this.word(at + abi.EFFECT_KIND);
      const payload = at + abi.EFFECT_PAYLOAD;
      if (isListed(abi, kind)) this.lineCount++;
      if (kind === abi.EFFECT_KIND_SEND) {
        const isRefused = this.word(payload + abi.ULOG_ERROR) !== 0;
        const asked = this.answered(payload, event);
        if (isRefused && asked === event) marks = 0;
        if (!isRefused && (this.word(payload + abi.ULOG_TYPE) & abi.REQUEST_TYPE_MASK) === abi.REQUEST_FLUSH) {
          flags |= FLAG_FLUSHED;
          flushes++;
          if (asked === event) withoutWrite++;
        }
      } else if (kind === abi.EFFECT_KIND_WRITE) {
        flags |= FLAG_WRITE;
        writes++;
        writtenBytes += this.word(payload + abi.HEAD_SIZE);
      }
      at = payload + ((this.word(at + abi.EFFECT_PAYLOAD_SIZE) + 7) & ~7);
    }
    const { sums } = this;
    sums.marks += marks;
    sums.flushes += flushes;
    sums.withoutWrite += withoutWrite;
    sums.writes += writes;
    sums.writtenBytes += writtenBytes;
    sums.wholeBytes += flushes * imageBytes;
    this.marks.values[event] = sums.marks;
    this.flushes.values[event] = sums.flushes;
    this.flushesWithoutWrite.values[event] = sums.withoutWrite;
    this.writes.values[event] = sums.writes;
    this.writtenBytes.values[event] = sums.writtenBytes;
    this.wholeBytes.values[event] = sums.wholeBytes;
    return flags;
  }

  /** The event of the request that a datagram answers, if it is known. */
  private answered(payload: number, event: number): number | undefined {
    const seq = this.word(payload + this.abi.ULOG_SEQ);
    if (seq === this.askedNow) {
      this.askedNow = NOBODY;
      this.answerNs.values[event] = 0;
      return event;
    }
    const asked = this.waiting.get(seq);
    if (asked === undefined) return undefined;
    this.waiting.delete(seq);
    this.answerNs.values[asked] = this.timeNs(event) - this.timeNs(asked);
    return asked;
  }

  private standing(memory: ArrayBuffer, log: number): Standing {
    const address = this.addressOf(memory, log);
    if (address === undefined) return NOTHING;
    const { abi } = this;
    const disk = this.word(address + abi.LOG_DISK);
    return {
      outOfSync: this.population(address + abi.LOG_PENDING) + this.population(address + abi.LOG_FAILED),
      dirty: this.word(address + abi.LOG_DIRTY_COUNT),
      urgentBlocks: disk === 0 ? 0 : this.population(disk + abi.DISK_URGENT),
      lazyBlocks: disk === 0 ? 0 : this.population(disk + abi.DISK_LAZY),
      imageBytes: disk === 0 ? 0 : this.word(disk + abi.DISK_IMAGE_BYTES),
    };
  }

  /** Members of the set whose address stands at `at`. */
  private population(at: number): number {
    return this.word(this.word(at) + this.abi.REGION_SET_POPULATION);
  }

  private addressOf(memory: ArrayBuffer, log: number): number | undefined {
    const { abi, trace } = this;
    const generation = this.word(abi.CORE + abi.CORE_GENERATION);
    const names = trace.logs.length;
    if (generation !== this.addressesOf.generation || names !== this.addressesOf.names) {
      this.addressesOf = { generation, names };
      const byKey = new Map(readLogs(abi, memory).map(({ key, address }) => [key, address]));
      this.addresses = trace.logs.map(({ luid, uuid }) => byKey.get(logKey(luid, uuid)));
    }
    return this.addresses[log];
  }

  private word(address: number): number {
    return this.view32[address >>> 2] as number;
  }
}

/** Whether an effect has a line of its own in the conversation: state files and wake-ups would drown the rest. */
export function isListed(abi: Abi, kind: number): boolean {
  return kind !== abi.EFFECT_KIND_WAKE && (kind < abi.EFFECT_KIND_STATE_CREATE || kind > abi.EFFECT_KIND_STATE_DELETE);
}
