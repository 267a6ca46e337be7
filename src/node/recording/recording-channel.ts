// The channel between the request thread and the thread that writes a recording's file, in addition to the event log: it says
// where sections begin, and when one is wanted.
//
// A section begins with a snapshot of linear memory. The file's thread requests it with WANTED; the request thread posts a copy
// and sets a mark. There is at most one mark: the next one waits until the file's thread has reached it.

import type { LogPosition } from "./event-log.ts";

const MARKED = 0;
const MARK_AGE = 1;
const MARK_OFFSET = 2;
const MARK_START = 3;
const MARK_EVENT = 4;
const MARK_TIME = 6;
const WANTED = 8;
const ENDED = 9;
const WAKE = 10;
const ABI_VERSION = 11;
const CLOCK = 12;
const WORDS = 16;
const TWO_TO_32 = 0x1_0000_0000;

export interface SectionMark {
  /** Of the section's first event. */
  at: LogPosition;
  /** The engine's state at that point: for "snapshot" a copy of its memory was posted. */
  start: "fresh" | "snapshot";
  firstEvent: number;
  /** The core's time, ns. */
  timeNs: number;
}

export class RecordingChannel {
  private readonly words: Int32Array;
  private seenWake = 0;

  /** Every thread makes one from the same memory; the first makes the memory too. */
  constructor(readonly shared: SharedArrayBuffer = new SharedArrayBuffer(WORDS * 4)) {
    this.words = new Int32Array(shared);
  }

  /** Request thread, before its first mark: what the engine is. `clockUnixNs` is Unix time at the core's time 0, in ns. */
  introduce(abiVersion: number, clockUnixNs: bigint): void {
    this.words[ABI_VERSION] = abiVersion;
    new DataView(this.shared).setBigInt64(CLOCK * 4, clockUnixNs, true);
  }

  get abiVersion(): number {
    return this.words[ABI_VERSION] as number;
  }
  get clockUnixNs(): bigint {
    return new DataView(this.shared).getBigInt64(CLOCK * 4, true);
  }

  /** Request thread: whether a section is wanted, and can begin. */
  get isSectionDue(): boolean {
    return Atomics.load(this.words, WANTED) !== 0 && Atomics.load(this.words, MARKED) === 0;
  }

  /** Request thread: begins a section. */
  mark({ at, start, firstEvent, timeNs }: SectionMark): void {
    const { words } = this;
    words[MARK_AGE] = at.age;
    words[MARK_OFFSET] = at.offset;
    words[MARK_START] = start === "fresh" ? 0 : 1;
    setNumber(words, MARK_EVENT, firstEvent);
    setNumber(words, MARK_TIME, timeNs);
    Atomics.store(words, WANTED, 0);
    Atomics.store(words, MARKED, 1);
    this.wake();
  }

  /** The file's thread wants a section to begin. */
  wantSection(): void {
    Atomics.store(this.words, WANTED, 1);
  }

  /** The mark that was set, until it is taken. */
  get marked(): SectionMark | undefined {
    const { words } = this;
    if (Atomics.load(words, MARKED) === 0) return undefined;
    return {
      at: { age: words[MARK_AGE] as number, offset: words[MARK_OFFSET] as number },
      start: words[MARK_START] === 0 ? "fresh" : "snapshot",
      firstEvent: getNumber(words, MARK_EVENT),
      timeNs: getNumber(words, MARK_TIME),
    };
  }

  /** The mark has been used, and another may be set. */
  markTaken(): void {
    Atomics.store(this.words, MARKED, 0);
  }

  /** Nothing more will be recorded. Any thread may say so for a request thread that has ended. */
  end(): void {
    Atomics.store(this.words, ENDED, 1);
    this.wake();
  }

  /** Whether the log now holds the last events. */
  get isEnded(): boolean {
    return Atomics.load(this.words, ENDED) !== 0;
  }

  /** Request thread: there is urgent work. */
  wake(): void {
    Atomics.add(this.words, WAKE, 1);
    Atomics.notify(this.words, WAKE);
  }

  /** Waits for urgent work, at most this long. */
  wait(timeoutMs: number): void {
    Atomics.wait(this.words, WAKE, this.seenWake, timeoutMs);
    this.seenWake = Atomics.load(this.words, WAKE);
  }
}

function setNumber(words: Int32Array, at: number, value: number): void {
  words[at] = value;
  words[at + 1] = Math.floor(value / TWO_TO_32);
}

function getNumber(words: Int32Array, at: number): number {
  return ((words[at] as number) >>> 0) + ((words[at + 1] as number) >>> 0) * TWO_TO_32;
}
