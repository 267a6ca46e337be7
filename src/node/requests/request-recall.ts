// Asks the kernel to send requests again that nobody will answer: those that died with the server before this one, and
// those that did not fit into the receive buffer. The kernel would wait 15 s for their answers; told to try again, it sends
// them at once. Every request is safe to repeat, and the kernel ignores what it hears of a number it does not wait for, so
// all numbers are told that may have been lost. The kernel numbers its requests in the order in which it sends them.
//
// The last number stands in a file that outlives the process, beside the logs' state files.

import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { LAST_REQUEST } from "../state/state-files.ts";
import { allocateFile, type Mapping, mapFile, unmapFile } from "../system-calls.ts";
import { AskAgain } from "./netlink-datagrams.ts";

const FILE_BYTES = 8;
/** A server that starts: more than a kernel has under way at once, on either side of the last number seen. */
const NUMBERS_AROUND = 256;
/** After an overrun: so many numbers after the last one seen, since nothing may come that would tell how many were lost. */
const NUMBERS_AHEAD = 1024;
/** And so many before the first one seen then. Telling one takes about 2 µs. */
const NUMBERS_MISSED_MAX = 16_384;

export class RequestRecall {
  private readonly last: Uint32Array;
  private readonly again = new AskAgain();
  /** After an overrun, until a request comes: the last number that was told. */
  private toldUpTo: number | undefined;

  private constructor(
    private readonly send: (datagram: Uint8Array) => void,
    private readonly mapping: Mapping | undefined,
  ) {
    this.last =
      mapping === undefined ? new Uint32Array(1) : new Uint32Array(mapping.bytes.buffer, mapping.bytes.byteOffset, 1);
  }

  /**
   * `send` sends a datagram to the kernel. Opens or makes the file in `stateDirectory`, which is of this boot; without one
   * the last number ends with this process. Throws with `errno`.
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
    const last = this.last[0] as number;
    if (last !== 0) this.tell(last - NUMBERS_AROUND, 2 * NUMBERS_AROUND + 1);
  }

  /** Asks for what was lost after the last request that was seen: the receive buffer was full, and is empty now. */
  askForLost(): void {
    const last = this.last[0] as number;
    if (last !== 0) this.tell(last + 1, NUMBERS_AHEAD);
    this.toldUpTo = last + NUMBERS_AHEAD;
  }

  /** A request with this number was received. The first one after an overrun tells how many were lost before it. */
  saw(seq: number): void {
    this.last[0] = seq;
    if (this.toldUpTo === undefined) return;
    const missed = (seq - 1 - this.toldUpTo) | 0;
    this.toldUpTo = undefined;
    const count = Math.min(missed, NUMBERS_MISSED_MAX);
    if (count > 0) this.tell(seq - count, count);
  }

  private tell(first: number, count: number): void {
    for (let i = 0; i < count; i++) this.send(this.again.of(first + i));
  }

  close(): void {
    if (this.mapping !== undefined) unmapFile(this.mapping);
  }
}
