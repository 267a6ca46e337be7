// The flight recorder: the last events, in memory that outlives the process. One file in the runtime directory, mapped: a
// head and two halves. Each half is a section of a trace; while one fills the other keeps what was before it. The events
// that are certain to be there are those of one half.
//
//   +0      words: MAGIC, HALF_BYTES, IS_RUNNING, TIME (2), then for each half AGE, USED
//   +4096   the halves
//
// Invariant: USED counts whole events only, and is set after they are written; AGE changes before a half is written anew.
// So the halves of a process that was killed anywhere are whole, and one who reads while they are written sees that
// they have changed.

import { closeSync, existsSync, openSync, readSync, renameSync, rmSync } from "node:fs";
import { writeSectionEnd } from "../common/trace/section.ts";
import { TraceBuffer } from "../common/trace/trace-buffer.ts";
import { flightPath } from "./runtime-paths.ts";
import { allocateFile, mapFile, sizeOf } from "./system-calls.ts";

const MAGIC_VALUE = 0x31464c55;
const MAGIC = 0;
const HALF_BYTES = 1;
const IS_RUNNING = 2;
const TIME = 3;
const HALVES = 5;
const HALF_WORDS = 2;
const AGE = 0;
const USED = 1;
const HEAD_BYTES = 4096;
const TWO_TO_32 = 0x1_0000_0000;
/** Room for the blocks that end a section. */
const END_BYTES = 256;
/** A reader that finds the halves changed so often does not come to rest. */
const ATTEMPTS_MAX = 20;

/** The writer's side: the request thread's. */
export class FlightRecorder {
  /** The half that is being written. */
  buffer: TraceBuffer;
  private readonly head: Int32Array;
  private readonly halves: [TraceBuffer, TraceBuffer];
  private current = 0;

  private constructor(file: Uint8Array, halfBytes: number) {
    this.head = new Int32Array(file.buffer, file.byteOffset, HEAD_BYTES / 4);
    const half = (index: number) =>
      TraceBuffer.over(file.subarray(HEAD_BYTES + index * halfBytes, HEAD_BYTES + (index + 1) * halfBytes));
    this.halves = [half(0), half(1)];
    this.buffer = this.halves[0];
    this.head.fill(0, 0, HALVES + 2 * HALF_WORDS);
    this.head[HALF_BYTES] = halfBytes;
    this.head[MAGIC] = MAGIC_VALUE;
    Atomics.store(this.head, IS_RUNNING, 1);
  }

  /** Makes the file anew, of about `sizeBytes`. Throws with `errno` where there is no room. */
  static create(directory: string, sizeBytes: number): FlightRecorder {
    const halfBytes = Math.floor(sizeBytes / 2 / HEAD_BYTES) * HEAD_BYTES;
    const path = flightPath(directory);
    rmSync(path, { force: true });
    const fd = openSync(`${path}.new`, "w+", 0o600);
    try {
      allocateFile(fd, HEAD_BYTES + 2 * halfBytes);
      const { bytes } = mapFile(fd, HEAD_BYTES + 2 * halfBytes, { isTouched: true });
      const recorder = new FlightRecorder(bytes, halfBytes);
      renameSync(`${path}.new`, path);
      return recorder;
    } catch (error) {
      rmSync(`${path}.new`, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  /** Whether the other half is to be begun soon: an eighth is left, room for the events that come until then. */
  get isNearlyFull(): boolean {
    return this.buffer.size > this.capacityBytes - (this.capacityBytes >>> 3);
  }

  /** What a half holds. */
  get capacityBytes(): number {
    return this.buffer.words.length * 4;
  }

  /** Gives up the half that was written before the one in hand, and goes on there. */
  turn(): void {
    this.current = 1 - this.current;
    const word = this.wordOf(this.current);
    Atomics.store(this.head, word + USED, 0);
    Atomics.store(this.head, word + AGE, (this.head[this.wordOf(1 - this.current) + AGE] as number) + 1);
    this.buffer = this.halves[this.current] as TraceBuffer;
    this.buffer.clear();
  }

  /** What stands in `buffer` is whole events, the last at this time of the core, in two halves. */
  publish(timeLow: number, timeHigh: number): void {
    this.head[TIME] = timeLow;
    this.head[TIME + 1] = timeHigh;
    Atomics.store(this.head, this.wordOf(this.current) + USED, this.buffer.size);
  }

  /** The server ends as it should: nobody will miss what is here. */
  close(): void {
    Atomics.store(this.head, IS_RUNNING, 0);
  }

  private wordOf(half: number): number {
    return HALVES + half * HALF_WORDS;
  }
}

/**
 * What a flight recorder's file holds, as a trace whose sections begin where the halves do; also while it is written.
 * Undefined where there is no such file, or nothing in it.
 */
export function readFlight(path: string): Uint8Array | undefined {
  if (!existsSync(path)) return undefined;
  const fd = openSync(path, "r");
  try {
    const size = sizeOf(fd);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const before = readHead(fd);
      const halfBytes = before[HALF_BYTES] as number;
      if (before[MAGIC] !== MAGIC_VALUE || halfBytes <= 0 || size < HEAD_BYTES + 2 * halfBytes) return undefined;
      const trace = readHalves(fd, before, halfBytes);
      const after = readHead(fd);
      if (ages(before).every((age, half) => age === ages(after)[half])) {
        return trace;
      }
    }
    throw new Error("The flight recorder is written faster than it can be read. Try again.");
  } finally {
    closeSync(fd);
  }
}

/** Whether there is a flight recorder whose server is running, or did not end as it should. */
export function isFlightRunning(path: string): boolean {
  if (!existsSync(path)) return false;
  const fd = openSync(path, "r");
  try {
    const head = readHead(fd);
    return head[MAGIC] === MAGIC_VALUE && head[IS_RUNNING] !== 0;
  } finally {
    closeSync(fd);
  }
}

function readHalves(fd: number, head: Int32Array, halfBytes: number): Uint8Array | undefined {
  const parts = ages(head)
    .map((age, half) => ({ age, half, used: head[HALVES + half * HALF_WORDS + USED] as number }))
    .filter(({ used }) => used > 0 && used <= halfBytes)
    .sort((a, b) => a.age - b.age);
  if (parts.length === 0) return undefined;
  const trace = new Uint8Array(parts.reduce((sum, { used }) => sum + used, END_BYTES));
  const buffer = TraceBuffer.over(trace);
  for (const { half, used } of parts) {
    readSync(fd, trace, buffer.size, used, HEAD_BYTES + half * halfBytes);
    buffer.size += used;
  }
  writeSectionEnd(buffer, ((head[TIME] as number) >>> 0) + ((head[TIME + 1] as number) >>> 0) * TWO_TO_32);
  return buffer.content();
}

function readHead(fd: number): Int32Array {
  const head = new Int32Array(HALVES + 2 * HALF_WORDS);
  readSync(fd, new Uint8Array(head.buffer), 0, head.byteLength, 0);
  return head;
}

function ages(head: Int32Array): number[] {
  return [0, 1].map((half) => head[HALVES + half * HALF_WORDS + AGE] as number);
}
