// The last events of an engine, in memory that other threads may read: the flight recorder, and the source of a recording. It has
// two halves; while one fills, the other keeps the events before it. In a flight recorder each half begins with a section's
// header. Then whole events follow in the format of a trace.
//
//   +0      words: MAGIC, HALF_BYTES, IS_RUNNING, TIME (2), then for each half AGE, EVENTS_AT, USED, HAS_GAP
//   +4096   the halves
//
// Invariant: one thread writes and waits for nobody. USED counts whole events only, and is set after they are written. AGE
// numbers the halves in the order of their beginning and changes before anything else in the half does: a reader that finds it
// unchanged after reading has read valid data. Therefore the halves are intact wherever the process is killed.

import { TraceBuffer } from "../../common/trace/trace-buffer.ts";

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
/** The AGE of a half that has not begun, or is being given up. */
const NO_AGE = -1;
const TWO_TO_32 = 0x1_0000_0000;

export const HEAD_BYTES = 4096;
/** Where a word says whether the server runs, or did not end normally: 0 where nobody misses it. */
export const IS_RUNNING_OFFSET = IS_RUNNING * 4;

/** Bytes of a half, if the log takes about `sizeBytes` in total. */
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

  /** Whether to begin the other half soon: only an eighth is left, as room for the events until then. */
  get isNearlyFull(): boolean {
    return this.buffer.size > this.halfBytes - (this.halfBytes >>> 3);
  }

  /** The position of the next event. */
  get position(): LogPosition {
    return { age: this.age, offset: this.buffer.size };
  }

  /** Gives up the older half and continues there. `hasGap`: an event is missing between the halves. */
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

  /** `buffer` now holds a section's beginning; events will follow. */
  publishBeginning(): void {
    this.head[this.headWord + EVENTS_AT] = this.buffer.size;
    Atomics.store(this.head, this.headWord + USED, this.buffer.size);
  }

  /** `buffer` now holds whole events, the last of them at this time of the core, given as two halves of a u64. */
  publish(timeLow: number, timeHigh: number): void {
    this.head[TIME] = timeLow;
    this.head[TIME + 1] = timeHigh;
    Atomics.store(this.head, this.headWord + USED, this.buffer.size);
  }

  /** The server ends normally: nobody will need these events. */
  close(): void {
    Atomics.store(this.head, IS_RUNNING, 0);
  }
}

/** The reader's side, on another thread. */
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

  /** Continues at that place. */
  moveTo({ age, offset }: LogPosition): void {
    this.age = age;
    this.offset = offset;
  }

  /** Whether the reader is at that place. */
  isAt({ age, offset }: LogPosition): boolean {
    return this.age === age && this.offset === offset;
  }

  /**
   * The next events in one piece, at most up to `end`; empty if there are none yet. Undefined if events are missing.
   * They may be overwritten at any time: call `isThere` after using them to find out whether they were.
   */
  next(end: LogPosition | undefined): Uint8Array | undefined {
    const half = this.age & 1;
    const word = headWordOf(half);
    const hasTurned = Atomics.load(this.head, headWordOf(1 - half) + AGE) === this.age + 1;
    // Read this last: if the writer has switched halves, nothing more will be added here.
    const used = Atomics.load(this.head, word + USED);
    if (!this.isThere()) return undefined;
    const until = end?.age === this.age ? end.offset : used;
    const bytes = (this.halves[half] as Uint8Array).subarray(this.offset, until);
    if (bytes.length > 0 || !hasTurned || end?.age === this.age) return bytes;
    const next = headWordOf(1 - half);
    if (this.head[next + HAS_GAP] !== 0) return undefined;
    // A half whose beginning is not written yet has nothing to continue with.
    if (Atomics.load(this.head, next + USED) === 0) return bytes;
    this.moveTo({ age: this.age + 1, offset: this.head[next + EVENTS_AT] as number });
    return this.next(end);
  }

  /** Whether the reader's half still exists, which means that it has not been given up. */
  isThere(): boolean {
    return Atomics.load(this.head, headWordOf(this.age & 1) + AGE) === this.age;
  }

  /** Skips this many bytes, which have been used. */
  consumed(bytes: number): void {
    this.offset += bytes;
  }
}

/** The head of a log. */
export interface LogHead {
  halfBytes: number;
  /** Whether its writer is running, or has ended without `close`. */
  isRunning: boolean;
  /** The core's time of the last event, ns. */
  timeNs: number;
  /** In the order they were written. */
  halves: { index: number; age: number; eventsAt: number; usedBytes: number; hasGap: boolean }[];
}

/** Reads the beginning of a log's memory, HEAD_BYTES or less; undefined if it is not an event log. */
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
