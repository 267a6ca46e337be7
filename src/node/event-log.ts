// The last events of an engine, in memory that others may look at: the flight recorder, and what a recording is written
// from. Two halves; while one fills, the other keeps what was before it. Each begins with a section's header where the memory
// is a flight recorder's, then whole events follow, as they stand in a trace.
//
//   +0      words: MAGIC, HALF_BYTES, IS_RUNNING, TIME (2), then for each half AGE, EVENTS_AT, USED, HAS_GAP
//   +4096   the halves
//
// Invariant: one thread writes and waits for nobody. USED counts whole events only, and is set after they are written. AGE,
// which numbers the halves in the order they are begun, changes before anything in the half does: a reader who finds it
// unchanged after reading has read what was there. So the halves of a process that was killed anywhere are whole.

import { TraceBuffer } from "../common/trace/trace-buffer.ts";

const MAGIC_VALUE = 0x32464c55;
const MAGIC = 0;
const HALF_BYTES = 1;
const IS_RUNNING = 2;
const TIME = 3;
const HALVES = 5;
const HALF_WORDS = 4;
const AGE = 0;
const EVENTS_AT = 1;
const USED = 2;
const HAS_GAP = 3;
/** Of a half that is not begun, or is being given up. */
const NO_AGE = -1;
const TWO_TO_32 = 0x1_0000_0000;

export const HEAD_BYTES = 4096;

/** Bytes of a half, of a log that takes about `sizeBytes` in all. */
export function halfBytesOf(sizeBytes: number): number {
  return Math.floor(sizeBytes / 2 / HEAD_BYTES) * HEAD_BYTES;
}

/** Bytes of the memory of a log with such halves. */
export function logBytesOf(halfBytes: number): number {
  return HEAD_BYTES + 2 * halfBytes;
}

/** A place in a log. */
export interface LogPosition {
  /** Of the half. */
  age: number;
  /** In the half. */
  offset: number;
}

/** The writer's side. */
export class EventLog {
  /** The half that is being written. */
  buffer: TraceBuffer;
  /** What a half holds, in bytes. */
  readonly halfBytes: number;
  private readonly head: Int32Array;
  private readonly halves: TraceBuffer[];
  /** Of the half that is being written. */
  private age = 0;
  private headWord = HALVES;

  /** `memory` has `logBytesOf` some half, and belongs to this alone. */
  constructor(readonly memory: Uint8Array) {
    this.halfBytes = halfBytesOf(memory.length - HEAD_BYTES);
    this.head = headOf(memory);
    this.halves = [0, 1].map((index) => TraceBuffer.over(halfOf(memory, this.halfBytes, index)));
    this.buffer = this.halves[0] as TraceBuffer;
    this.head.fill(0);
    this.head[headWordOf(1) + AGE] = NO_AGE;
    this.head[HALF_BYTES] = this.halfBytes;
    this.head[MAGIC] = MAGIC_VALUE;
    Atomics.store(this.head, IS_RUNNING, 1);
  }

  /** Whether the other half is to be begun soon: an eighth is left, room for the events that come until then. */
  get isNearlyFull(): boolean {
    return this.buffer.size > this.halfBytes - (this.halfBytes >>> 3);
  }

  /** Where the next event will stand. */
  get position(): LogPosition {
    return { age: this.age, offset: this.buffer.size };
  }

  /** Gives up the half that was written before the one in hand, and goes on there. `hasGap`: an event is missing between them. */
  turn(hasGap: boolean): void {
    this.age++;
    const word = headWordOf(this.age & 1);
    Atomics.store(this.head, word + AGE, NO_AGE);
    this.head[word + EVENTS_AT] = 0;
    this.head[word + HAS_GAP] = hasGap ? 1 : 0;
    Atomics.store(this.head, word + USED, 0);
    Atomics.store(this.head, word + AGE, this.age);
    this.headWord = word;
    this.buffer = this.halves[this.age & 1] as TraceBuffer;
    this.buffer.clear();
  }

  /** What stands in `buffer` is a section's beginning, and events will follow. */
  publishBeginning(): void {
    this.head[this.headWord + EVENTS_AT] = this.buffer.size;
    Atomics.store(this.head, this.headWord + USED, this.buffer.size);
  }

  /** What stands in `buffer` is whole events, the last at this time of the core, in two halves. */
  publish(timeLow: number, timeHigh: number): void {
    this.head[TIME] = timeLow;
    this.head[TIME + 1] = timeHigh;
    Atomics.store(this.head, this.headWord + USED, this.buffer.size);
  }

  /** The server ends as it should: nobody will miss what is here. */
  close(): void {
    Atomics.store(this.head, IS_RUNNING, 0);
  }
}

/** The side of one who follows the writer from another thread. */
export class EventLogReader {
  private readonly head: Int32Array;
  private readonly halves: Uint8Array[];
  private age = 0;
  private offset = 0;

  constructor(memory: Uint8Array) {
    this.head = headOf(memory);
    this.halves = [0, 1].map((index) => halfOf(memory, this.head[HALF_BYTES] as number, index));
  }

  /** The core's time of the last event, ns. */
  get lastTimeNs(): number {
    return timeOf(this.head);
  }

  /** Goes on there. */
  moveTo({ age, offset }: LogPosition): void {
    this.age = age;
    this.offset = offset;
  }

  /** Whether the reader stands there. */
  isAt({ age, offset }: LogPosition): boolean {
    return this.age === age && this.offset === offset;
  }

  /**
   * The next events in one piece, at most up to `end`; empty where there are none yet. Undefined where events are missing.
   * They may be overwritten at any time: `isThere` tells, after they were used, whether they were not.
   */
  next(end: LogPosition | undefined): Uint8Array | undefined {
    const half = this.age & 1;
    const word = headWordOf(half);
    const hasTurned = Atomics.load(this.head, headWordOf(1 - half) + AGE) === this.age + 1;
    // Read last: where the writer has turned, this is all that will ever be there.
    const used = Atomics.load(this.head, word + USED);
    if (!this.isThere()) return undefined;
    const until = end?.age === this.age ? end.offset : used;
    const bytes = (this.halves[half] as Uint8Array).subarray(this.offset, until);
    if (bytes.length > 0 || !hasTurned || end?.age === this.age) return bytes;
    const next = headWordOf(1 - half);
    if (this.head[next + HAS_GAP] !== 0) return undefined;
    // Before its beginning is written there is nothing there to go on with.
    if (Atomics.load(this.head, next + USED) === 0) return bytes;
    this.moveTo({ age: this.age + 1, offset: this.head[next + EVENTS_AT] as number });
    return this.next(end);
  }

  /** Whether the half that the reader stands in has not been given up. */
  isThere(): boolean {
    return Atomics.load(this.head, headWordOf(this.age & 1) + AGE) === this.age;
  }

  /** So many bytes are done with. */
  consumed(bytes: number): void {
    this.offset += bytes;
  }
}

/** What the head of a log says. */
export interface LogHead {
  halfBytes: number;
  /** Whether its writer is running, or has ended without `close`. */
  isRunning: boolean;
  /** The core's time of the last event, ns. */
  timeNs: number;
  /** In the order they were written. */
  halves: { index: number; age: number; eventsAt: number; usedBytes: number; hasGap: boolean }[];
}

/** Reads the beginning of a log's memory, HEAD_BYTES or less; undefined where they are none. */
export function readLogHead(bytes: Uint8Array): LogHead | undefined {
  const head = headOf(bytes);
  const halfBytes = head[HALF_BYTES] as number;
  if (head[MAGIC] !== MAGIC_VALUE || halfBytes <= 0) return undefined;
  const halves = [0, 1].map((index) => {
    const word = headWordOf(index);
    return {
      index,
      age: head[word + AGE] as number,
      eventsAt: head[word + EVENTS_AT] as number,
      usedBytes: head[word + USED] as number,
      hasGap: head[word + HAS_GAP] !== 0,
    };
  });
  return {
    halfBytes,
    isRunning: head[IS_RUNNING] !== 0,
    timeNs: timeOf(head),
    halves: halves.sort((a, b) => a.age - b.age),
  };
}

function headOf(memory: Uint8Array): Int32Array {
  return new Int32Array(memory.buffer, memory.byteOffset, HALVES + 2 * HALF_WORDS);
}

function halfOf(memory: Uint8Array, halfBytes: number, index: number): Uint8Array {
  return memory.subarray(HEAD_BYTES + index * halfBytes, HEAD_BYTES + (index + 1) * halfBytes);
}

function headWordOf(half: number): number {
  return HALVES + half * HALF_WORDS;
}

function timeOf(head: Int32Array): number {
  return ((head[TIME] as number) >>> 0) + ((head[TIME + 1] as number) >>> 0) * TWO_TO_32;
}
