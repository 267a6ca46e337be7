// Follows a flight recorder from outside: its file is opened for reading alone, so that nothing done here can reach the
// engine. What is read is a copy, and is good where the half it came from has not been given up since.

import { closeSync, openSync, readSync } from "node:fs";
import { fileView } from "../../common/trace/packet.ts";
import { endOfWholeEvents } from "../../common/trace/pieces.ts";
import { readSectionHeader } from "../../common/trace/section-header.ts";
import { HEAD_BYTES, type LogHead, type LogPosition, readLogHead } from "../event-log.ts";

/** Of the head, what says anything. */
const HEAD_READ_BYTES = 128;

/** The head changes every few microseconds at most, and is read in one. */
const ATTEMPTS_MAX = 1000;

/** How a half begins: a section's header, and the snapshot that it starts from. */
export interface Beginning {
  bytes: Uint8Array;
  /** Whether what the engine knew is told. */
  isKnown: boolean;
  /** Of the first event. */
  at: LogPosition;
}

/** Events that stand behind each other. */
export interface Piece {
  bytes: Uint8Array;
  /** Behind the last of them. */
  end: LogPosition;
}

export class FlightFollower {
  private readonly fd: number;
  private readonly halfBytes: number;

  /** Throws with `errno` where there is no such file. */
  constructor(path: string) {
    this.fd = openSync(path, "r");
    this.halfBytes = this.head().halfBytes;
  }

  close(): void {
    closeSync(this.fd);
  }

  /** The core's time of the last event, ns. */
  get lastTimeNs(): number {
    return this.head().timeNs;
  }

  /** Where the half in hand begins; with `isOldest` the one before it, as long as it is there. */
  beginning(isOldest: boolean): Beginning | undefined {
    const { halves } = this.head();
    // One that is being begun has no length yet.
    const there = halves.filter(({ age, usedBytes }) => age >= 0 && usedBytes > 0);
    const half = there.at(isOldest ? 0 : -1);
    if (half === undefined) return undefined;
    const { age, eventsAt } = half;
    const bytes = this.copy(age, 0, eventsAt);
    if (bytes === undefined) return undefined;
    const view = fileView(bytes);
    const { start } = readSectionHeader(view, 0, view.words[1] as number);
    return { bytes, isKnown: start !== "unknown", at: { age, offset: eventsAt } };
  }

  /**
   * The next whole events, about `bytesMax` at most but for a larger event, which comes alone; none where there are none yet.
   * Undefined where they are overwritten.
   */
  read({ age, offset }: LogPosition, bytesMax: number): Piece | undefined {
    const { halves } = this.head();
    const half = halves.find((one) => one.age === age);
    if (half === undefined) return undefined;
    if (offset < half.usedBytes) return this.whole({ age, offset }, half.usedBytes, bytesMax);
    const next = halves.find((one) => one.age === age + 1);
    if (next === undefined || next.usedBytes === 0) {
      return { bytes: new Uint8Array(0), end: { age, offset } };
    }
    return next.hasGap ? undefined : this.read({ age: age + 1, offset: next.eventsAt }, bytesMax);
  }

  private whole({ age, offset }: LogPosition, usedBytes: number, bytesMax: number): Piece | undefined {
    for (let size = bytesMax; ; size *= 2) {
      const end = Math.min(usedBytes, offset + size);
      const bytes = this.copy(age, offset, end);
      if (bytes === undefined) return undefined;
      const wholeBytes = end === usedBytes ? bytes.length : endOfWholeEvents(bytes);
      if (wholeBytes === 0) continue;
      return { bytes: bytes.subarray(0, wholeBytes), end: { age, offset: offset + wholeBytes } };
    }
  }

  /** Undefined where the half was given up before all was copied. */
  private copy(age: number, from: number, until: number): Uint8Array | undefined {
    const bytes = new Uint8Array(until - from);
    readSync(this.fd, bytes, 0, bytes.length, HEAD_BYTES + (age & 1) * this.halfBytes + from);
    return this.head().halves.some((half) => half.age === age) ? bytes : undefined;
  }

  /** As it was at one moment: what changes while it is read is not the same when it is read again. */
  private head(): LogHead {
    let before = this.headBytes();
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const bytes = this.headBytes();
      if (bytes.equals(before)) {
        const head = readLogHead(bytes);
        if (head === undefined) throw new Error("The flight recorder is not one any more.");
        return head;
      }
      before = bytes;
    }
    throw new Error("The flight recorder is written faster than its head can be read.");
  }

  private headBytes(): Buffer {
    const bytes = Buffer.alloc(HEAD_READ_BYTES);
    readSync(this.fd, bytes, 0, bytes.length, 0);
    return bytes;
  }
}
