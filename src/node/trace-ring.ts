// How a recording passes from the request thread to the thread that writes the file: a ring of bytes in shared memory,
// whole events one behind the other. The request thread never waits: what finds no room is lost, and the next that is
// recorded begins a section.
//
// A section's beginning is no bytes in the ring but a mark beside it, since the file's thread writes header and snapshot.
// There is one mark at most: the next one waits until the file's thread has come to it.
//
// Invariant: positions count bytes since the beginning, modulo 2^32, and are multiples of 4. The request thread alone moves
// WRITTEN, the file's thread alone moves READ; bytes between the two are not written to.

const WRITTEN = 0;
const READ = 1;
const MARKED = 2;
const MARK_AT = 3;
const MARK_START = 4;
const MARK_EVENT = 5;
const MARK_TIME = 7;
const WANTED = 9;
const BLOCKED = 10;
const ENDED = 11;
const LAST_TIME = 12;
const MARK_AFTER_LOSS = 14;
const WAKE = 15;
const CLOCK = 16;
const ABI_VERSION = 18;
const HEAD_BYTES = 128;
const TWO_TO_32 = 0x1_0000_0000;
/** From here on a copy by the machine's own means is faster than one by words, though it allocates views. */
const BULK_BYTES = 8192;

/** 16 MiB: at 100,000 requests in a second, a quarter of a second that the disk may take for something else. */
export const RING_BYTES = 16 * 1024 * 1024;

/** What an engine knew before a section's first event. */
export type RingStart = "fresh" | "snapshot";

export interface SectionMark {
  /** A snapshot has been posted before the mark was set. */
  start: RingStart;
  /** Number of the section's first event. */
  firstEvent: number;
  /** The core's time, ns. */
  timeNs: number;
  /** Whether events before it are lost. */
  isAfterLoss: boolean;
}

export class TraceRing {
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly dataWords: Int32Array;
  private readonly mask: number;
  /** As in shared memory, for the thread that moves them. */
  private written: number;
  private read: number;
  private seenWake = 0;

  /** Both threads make one from the same memory; the first makes the memory too, a power of two of bytes. */
  constructor(readonly shared: SharedArrayBuffer = new SharedArrayBuffer(HEAD_BYTES + RING_BYTES)) {
    this.words = new Int32Array(shared, 0, HEAD_BYTES / 4);
    this.bytes = new Uint8Array(shared, HEAD_BYTES);
    this.dataWords = new Int32Array(shared, HEAD_BYTES);
    this.mask = this.bytes.length - 1;
    this.written = Atomics.load(this.words, WRITTEN) >>> 0;
    this.read = Atomics.load(this.words, READ) >>> 0;
  }

  /** One of another size, for tests: `sizeBytes` is a power of two. */
  static ofSize(sizeBytes: number): TraceRing {
    return new TraceRing(new SharedArrayBuffer(HEAD_BYTES + sizeBytes));
  }

  /** Takes all pages of the ring from the system, so that the request thread need not. Before anybody writes. */
  warmUp(): void {
    this.bytes.fill(0);
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

  private wake(): void {
    Atomics.add(this.words, WAKE, 1);
    Atomics.notify(this.words, WAKE);
  }

  // The request thread's side.

  /** Appends an event's blocks, `size` bytes from word `first` on. Returns false where there is no room: it is lost. */
  push(words: Int32Array, first: number, size: number): boolean {
    const { dataWords, mask, written } = this;
    const free = dataWords.length * 4 - ((written - Atomics.load(this.words, READ)) >>> 0);
    if (size > free || this.isBlocked) return false;
    const at = (written & mask) >>> 2;
    const count = size >>> 2;
    const beforeEnd = Math.min(count, dataWords.length - at);
    if (size > BULK_BYTES) {
      dataWords.set(words.subarray(first, first + beforeEnd), at);
      dataWords.set(words.subarray(first + beforeEnd, first + count), 0);
    } else {
      let from = first;
      for (let to = at, end = at + beforeEnd; to < end; ) dataWords[to++] = words[from++] as number;
      for (let to = 0, end = count - beforeEnd; to < end; ) dataWords[to++] = words[from++] as number;
    }
    // Time stands in a packet's block as high word, low word.
    this.words[LAST_TIME] = words[first + 4] as number;
    this.words[LAST_TIME + 1] = words[first + 3] as number;
    this.written = (written + size) >>> 0;
    Atomics.store(this.words, WRITTEN, this.written);
    // The file's thread looks by itself now and then; it is woken where it would look too late.
    if (((written ^ this.written) & ~(mask >>> 2)) !== 0) this.wake();
    return true;
  }

  /** Whether a section can begin: the file's thread has come to the one before, and has caught up by half. */
  get takesMark(): boolean {
    const waiting = (this.written - Atomics.load(this.words, READ)) >>> 0;
    return Atomics.load(this.words, MARKED) === 0 && !this.isBlocked && waiting <= this.bytes.length / 2;
  }

  /** Begins a section with the next event. */
  mark({ start, firstEvent, timeNs, isAfterLoss }: SectionMark): void {
    const { words } = this;
    words[MARK_AT] = this.written;
    words[MARK_START] = start === "fresh" ? 0 : 1;
    setNumber(words, MARK_EVENT, firstEvent);
    setNumber(words, MARK_TIME, timeNs);
    words[MARK_AFTER_LOSS] = isAfterLoss ? 1 : 0;
    Atomics.store(words, WANTED, 0);
    Atomics.store(words, MARKED, 1);
    this.wake();
  }

  /** Whether the file's thread wants a section to begin. */
  get isSectionWanted(): boolean {
    return Atomics.load(this.words, WANTED) !== 0;
  }

  /** Whether the file cannot be written: nothing is taken. */
  get isBlocked(): boolean {
    return Atomics.load(this.words, BLOCKED) !== 0;
  }

  /** Nothing more will be written. Any thread may say so for a request thread that is gone. */
  end(): void {
    Atomics.store(this.words, ENDED, 1);
    this.wake();
  }

  // The side of the file's thread.

  /** Waits for something to hurry for, at most so long. Events alone are none, until a quarter of the ring is full of them. */
  wait(timeoutMs: number): void {
    Atomics.wait(this.words, WAKE, this.seenWake, timeoutMs);
    this.seenWake = Atomics.load(this.words, WAKE);
  }

  /** The next bytes that stand in one piece, at most `bytesMax`; none where a mark comes first, or there are none. */
  next(bytesMax: number): Uint8Array {
    // The mark is looked at last: it is set before anything behind it is written.
    const written = Atomics.load(this.words, WRITTEN) >>> 0;
    const isMarked = Atomics.load(this.words, MARKED) !== 0;
    const end = isMarked ? (this.words[MARK_AT] as number) >>> 0 : written;
    const at = this.read & this.mask;
    const size = Math.min((end - this.read) >>> 0, bytesMax, this.bytes.length - at);
    return this.bytes.subarray(at, at + size);
  }

  /** So many of the bytes are done with. */
  consumed(size: number): void {
    this.read = (this.read + size) >>> 0;
    Atomics.store(this.words, READ, this.read);
  }

  /** The mark, where it comes next. */
  nextMark(): SectionMark | undefined {
    const { words } = this;
    if (Atomics.load(words, MARKED) === 0 || (words[MARK_AT] as number) >>> 0 !== this.read) return undefined;
    return {
      start: words[MARK_START] === 0 ? "fresh" : "snapshot",
      firstEvent: getNumber(words, MARK_EVENT),
      timeNs: getNumber(words, MARK_TIME),
      isAfterLoss: words[MARK_AFTER_LOSS] !== 0,
    };
  }

  /** The mark is done with, and there may be another. */
  markTaken(): void {
    Atomics.store(this.words, MARKED, 0);
  }

  wantSection(): void {
    Atomics.store(this.words, WANTED, 1);
  }

  setBlocked(isBlocked: boolean): void {
    Atomics.store(this.words, BLOCKED, isBlocked ? 1 : 0);
  }

  /** Whether nothing more will be written: what stands in the ring is the last. */
  get isEnded(): boolean {
    return Atomics.load(this.words, ENDED) !== 0;
  }

  /** The core's time of the last event, ns. */
  get lastTimeNs(): number {
    return getNumber(this.words, LAST_TIME);
  }
}

function setNumber(words: Int32Array, at: number, value: number): void {
  words[at] = value;
  words[at + 1] = value / TWO_TO_32;
}

function getNumber(words: Int32Array, at: number): number {
  return ((words[at] as number) >>> 0) + ((words[at + 1] as number) >>> 0) * TWO_TO_32;
}
