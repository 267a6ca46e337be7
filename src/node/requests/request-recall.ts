// Asks the kernel to send requests again that nobody will answer: those that died with the server before this one, and
// those that did not fit into the receive buffer. The kernel would wait 15 s for their answers; told to try again, it sends
// them at once. Every request is safe to repeat, and the kernel ignores what it hears of a number it does not wait for, so
// all numbers are told that may have been lost. The kernel numbers its requests in the order in which it sends them.
//
// What is told stands in a file that outlives the process, beside the logs' state files: the last number that was seen, of which
// those around it are told, and, whatever came after them, the numbers of requests that wait for their answers:
//
//   u32 last number | u32 how many wait | u32 number of each, in any order
//
// A request that is answered before the next input is never among them. A process may be killed between any two stores: a number
// then stands there twice, or one that was answered, and no harm is done.

import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { LAST_REQUEST } from "../state/state-files.ts";
import { allocateFile, type Mapping, mapFile, unmapFile } from "../system-calls.ts";
import { AskAgain } from "./netlink-datagrams.ts";

/** Requests that wait. A kernel has four of each log at the most, and the core has 4,096 logs. */
export const WAITING_MAX = 16_384;
const FILE_BYTES = 8 + 4 * WAITING_MAX;
const LAST = 0;
const COUNT = 1;
const WAITING = 2;
/** The kernel has given up what it has not heard of for 15 s, and sent it again with another number. */
const GIVEN_UP_NS = 16e9;
/** For each that begins to wait, so many are looked at: what was given up goes faster than others come. */
const LOOKS = 2;
/**
 * A server that starts: more than a kernel has under way at once, on either side of the last number seen. What came after it was not
 * received; what came before it may be an older server's, which kept the last number alone.
 */
const NUMBERS_AROUND = 256;
/** After an overrun: so many numbers after the last one seen, since nothing may come that would tell how many were lost. */
const NUMBERS_AHEAD = 1024;
/** And so many before the first one seen then. Telling one takes about 2 µs. */
const NUMBERS_MISSED_MAX = 16_384;

export class RequestRecall {
  /** The file. */
  private readonly numbers: Uint32Array;
  private readonly again = new AskAgain();
  /** The last request that was seen has not been answered so far. */
  private isInHand = false;
  /** When each of those that wait began to. */
  private readonly sinceNs = new Float64Array(WAITING_MAX);
  /** Which of them is looked at next. */
  private hand = 0;
  /** After an overrun, until a request comes: the last number that was told. */
  private toldUpTo: number | undefined;

  private constructor(
    private readonly send: (datagram: Uint8Array) => void,
    private readonly mapping: Mapping | undefined,
  ) {
    const memory = mapping?.bytes ?? new Uint8Array(FILE_BYTES);
    this.numbers = new Uint32Array(memory.buffer, memory.byteOffset, FILE_BYTES / 4);
    this.numbers[COUNT] = Math.min(this.numbers[COUNT] as number, WAITING_MAX);
  }

  /**
   * `send` sends a datagram to the kernel. Opens or makes the file in `stateDirectory`, which is of this boot; without one
   * the numbers end with this process. Throws with `errno`.
   */
  static open(send: (datagram: Uint8Array) => void, stateDirectory: string | undefined): RequestRecall {
    if (stateDirectory === undefined) return new RequestRecall(send, undefined);
    const fd = openSync(join(stateDirectory, LAST_REQUEST), constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      allocateFile(fd, FILE_BYTES);
      return new RequestRecall(send, mapFile(fd, FILE_BYTES));
    } finally {
      closeSync(fd);
    }
  }

  /** Asks for what an earlier server took with it. */
  askForUnanswered(): void {
    const { numbers } = this;
    for (let i = 0; i < (numbers[COUNT] as number); i++) this.tell(numbers[WAITING + i] as number, 1);
    numbers[COUNT] = 0;
    const last = numbers[LAST] as number;
    if (last !== 0) this.tell(last - NUMBERS_AROUND, 2 * NUMBERS_AROUND + 1);
  }

  /** Asks for what was lost after the last request that was seen: the receive buffer was full, and is empty now. */
  askForLost(): void {
    const last = this.numbers[LAST] as number;
    if (last !== 0) this.tell(last + 1, NUMBERS_AHEAD);
    this.toldUpTo = last + NUMBERS_AHEAD;
  }

  /** A request with this number was received. The first one after an overrun tells how many were lost before it. */
  saw(seq: number): void {
    this.numbers[LAST] = seq;
    this.isInHand = true;
    if (this.toldUpTo === undefined) return;
    const missed = (seq - 1 - this.toldUpTo) | 0;
    this.toldUpTo = undefined;
    const count = Math.min(missed, NUMBERS_MISSED_MAX);
    if (count > 0) this.tell(seq - count, count);
  }

  /** The answer to this number was sent. */
  answered(seq: number): void {
    if (this.isInHand && seq === this.numbers[LAST]) {
      this.isInHand = false;
      return;
    }
    let index = (this.numbers[COUNT] as number) - 1;
    while (index >= 0 && this.numbers[WAITING + index] !== seq) index--;
    if (index >= 0) this.remove(index);
  }

  /** All is done that the request seen last has led to: if it was not answered, it waits from now on. */
  handled(nowNs: number): void {
    if (!this.isInHand) return;
    this.isInHand = false;
    this.removeGivenUp(nowNs);
    const count = this.numbers[COUNT] as number;
    if (count === WAITING_MAX) return;
    this.sinceNs[count] = nowNs;
    this.numbers[WAITING + count] = this.numbers[LAST] as number;
    this.numbers[COUNT] = count + 1;
  }

  private removeGivenUp(nowNs: number): void {
    for (let looks = 0; looks < LOOKS; looks++) {
      if (this.hand >= (this.numbers[COUNT] as number)) this.hand = 0;
      if (nowNs - (this.sinceNs[this.hand] as number) <= GIVEN_UP_NS) this.hand++;
      else if (this.numbers[COUNT] !== 0) this.remove(this.hand);
    }
  }

  /** The last one takes the place. */
  private remove(index: number): void {
    const last = (this.numbers[COUNT] as number) - 1;
    this.sinceNs[index] = this.sinceNs[last] as number;
    this.numbers[WAITING + index] = this.numbers[WAITING + last] as number;
    this.numbers[COUNT] = last;
  }

  private tell(first: number, count: number): void {
    for (let i = 0; i < count; i++) this.send(this.again.of(first + i));
  }

  close(): void {
    if (this.mapping !== undefined) unmapFile(this.mapping);
  }
}
