// Requests that wait until their log is whole: while a log is being made, or parts of its state file are still to come, nothing of it
// can be asked. They are taken in the order they came, one with each tick, as soon as their log is whole.

import type { LogModel } from "./log-model.ts";
import type { Request } from "./wire.ts";

export interface Held {
  readonly request: Request;
  /** The log that this constructor has begun; null for any other request. */
  readonly makes: LogModel | null;
}

/** What a request takes of the room besides its bytes, and what these are padded to. */
const RECORD_BYTES = 8;

export class HeldRequests {
  private all: Held[] = [];

  constructor(private readonly roomBytes: number) {}

  get inOrder(): readonly Held[] {
    return this.all;
  }

  /** Keeps a request. Where the room is full, the earliest are let go: the kernel asks again. */
  add(held: Held): void {
    this.all.push(held);
    let bytes = this.all.reduce((sum, { request }) => sum + roomOf(request), 0);
    while (bytes > this.roomBytes) bytes -= roomOf((this.all.shift() as Held).request);
  }

  remove(held: Held): void {
    this.all = this.all.filter((one) => one !== held);
  }

  /** Whether a request of this log waits. */
  hasOf({ luid, uuid }: Request): boolean {
    return this.all.some(({ request }) => request.luid === luid && request.uuid === uuid);
  }
}

function roomOf({ headers, data }: Request): number {
  return RECORD_BYTES + ((headers.length + data.length + 7) & ~7);
}
