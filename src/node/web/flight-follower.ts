// Follows a flight recorder from outside. It opens the file for reading only, so that nothing here can affect the engine. It
// reads copies, which are valid if their half has not been given up in the meantime.

import { closeSync, openSync, readSync } from "node:fs";
import { fileView } from "../../common/trace/packet.ts";
import { endOfWholeEvents } from "../../common/trace/pieces.ts";
import { readSectionHeader } from "../../common/trace/section-header.ts";
import { HEAD_BYTES, type LogHead, type LogPosition, readLogHead } from "../recording/event-log.ts";

/** The used part of the head. */
const HEAD_READ_BYTES = 128;

/** The head changes at most every few microseconds, and is read in one call. */
const ATTEMPTS_MAX = 1000;

/** The beginning of a half: a section's header, and the snapshot that it starts from. */
export interface Beginning {
  bytes: Uint8Array;
  /** Whether the engine's state is known. */
  isKnown: boolean;
  /** Of the first event. */
  at: LogPosition;
}

/** Consecutive events. */
export interface Piece {
  bytes: Uint8Array;
  /** The place after the last of them. */
  end: LogPosition;
}

export class FlightFollower {
  private readonly fd: number;
  private readonly halfBytes: number;

  /** Throws with `errno` if there is no such file. */
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

  /** The beginning of the current half; with `isOldest`, of the half before it, if that still exists. */
  beginning(isOldest: boolean): Beginning | undefined {
    const { halves } = this.head();
    // A half that is just beginning has no length yet.
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
   * The next whole events, about `bytesMax` at most; a larger event comes alone. Empty if there are none yet. Undefined if they
   * were overwritten.
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

  /** Undefined if the half was given up before everything was copied. */
  private copy(age: number, from: number, until: number): Uint8Array | undefined {
    const bytes = new Uint8Array(until - from);
    readSync(this.fd, bytes, 0, bytes.length, HEAD_BYTES + (age & 1) * this.halfBytes + from);
    return this.head().halves.some((half) => half.age === age) ? bytes : undefined;
  }

  /** The head at one moment: it is read until two reads are equal, so that it did not change in between. */
  private head(): LogHead {
    let before = this.headBytes();
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const bytes = this.headBytes();
      if (bytes.equals(before)) {
        const head = readLogHead(bytes);
        if (head === undefined) throw new Error("The flight recorder's file is no longer valid.");
        return head;
      }
      before = bytes;
    }
    throw new Error("The flight recorder changes faster than its head can be read.");
  }

  private headBytes(): Buffer {
    const bytes = Buffer.alloc(HEAD_READ_BYTES);
    readSync(this.fd, bytes, 0, bytes.length, 0);
    return bytes;
  }
}
