// The channel between the request thread and the thread of one log device: a ring of slots in shared memory. The
// request thread fills slots in order, and the device's thread empties them in the same order.
//
// Each slot has a buffer of its own, on a page boundary because direct I/O needs it. Untouched memory costs nothing, so a
// device that is written one block at a time costs 16 pages.
//
//   +0    words: SUBMITTED, COMPLETED, DEAD, HUNG_UP, RINGS
//   +64   slots of 64 bytes
//   then, from a page boundary on, the slots' buffers

import type { OpenedDevice } from "../../common/engine.ts";
import { addressOf } from "../system-calls.ts";

export const PAGE_BYTES = 4096;
/** Slots of a channel: how many operations can be under way on one device. Further ones wait on the request thread. */
export const SLOTS = 16;
/** The most that one slot reads or writes. */
export const PART_BYTES = 65536;
/** A read that is not on page boundaries is extended on both sides. */
const BUFFER_BYTES = PART_BYTES + 2 * PAGE_BYTES;

const SUBMITTED = 0;
const COMPLETED = 1;
const DEAD = 2;
const HUNG_UP = 3;
/** Counts events for the device's thread, which waits for a change of this word. */
const RINGS = 4;
const HEAD_BYTES = 64;
const SLOT_BYTES = 64;
const IDENTITY_OFFSET = 40;
const CHANNEL_BYTES = HEAD_BYTES + SLOTS * SLOT_BYTES + PAGE_BYTES + SLOTS * BUFFER_BYTES;

export const OPEN = 1;
export const READ = 2;
export const WRITE = 3;
export const CLOSE = 4;

/** One operation: first what to do, then its result. */
export class Slot {
  constructor(
    private readonly words: Int32Array,
    private readonly numbers: Float64Array,
    private readonly identity: BigUint64Array,
    readonly buffer: Uint8Array,
  ) {}

  get kind(): number {
    return this.words[0] as number;
  }
  /** 0, or a negative errno. */
  get error(): number {
    return this.words[1] as number;
  }
  set error(value: number) {
    this.words[1] = value;
  }
  get sizeBytes(): number {
    return this.words[2] as number;
  }
  get offsetBytes(): number {
    return this.numbers[2] as number;
  }
  /** After READ: the offset in the buffer of the requested bytes. */
  get dataStart(): number {
    return this.words[3] as number;
  }
  set dataStart(value: number) {
    this.words[3] = value;
  }
  /** After OPEN. */
  get device(): OpenedDevice {
    return {
      sizeBytes: this.numbers[3] as number,
      major: this.words[8] as number,
      minor: this.words[9] as number,
      fileSystem: this.identity[0] as bigint,
      inode: this.identity[1] as bigint,
    };
  }
  set device(device: OpenedDevice) {
    this.numbers[3] = device.sizeBytes;
    this.words[8] = device.major;
    this.words[9] = device.minor;
    this.identity[0] = device.fileSystem ?? 0n;
    this.identity[1] = device.inode ?? 0n;
  }

  ask(kind: number, sizeBytes: number, offsetBytes: number): void {
    this.words[0] = kind;
    this.words[1] = 0;
    this.words[2] = sizeBytes;
    this.numbers[2] = offsetBytes;
  }
}

export class DeviceChannel {
  private readonly words: Int32Array;
  private readonly slots: Slot[] = [];

  /** Both threads make one from the same memory; the first makes the memory too. */
  constructor(readonly shared: SharedArrayBuffer = new SharedArrayBuffer(CHANNEL_BYTES)) {
    this.words = new Int32Array(shared, 0, HEAD_BYTES / 4);
    const slotsEnd = HEAD_BYTES + SLOTS * SLOT_BYTES;
    const address = addressOf(new Uint8Array(shared)) + BigInt(slotsEnd);
    const buffers = slotsEnd + (-Number(address % BigInt(PAGE_BYTES)) & (PAGE_BYTES - 1));
    for (let i = 0; i < SLOTS; i++) {
      const start = HEAD_BYTES + i * SLOT_BYTES;
      this.slots.push(
        new Slot(
          new Int32Array(shared, start, SLOT_BYTES / 4),
          new Float64Array(shared, start, SLOT_BYTES / 8),
          new BigUint64Array(shared, start + IDENTITY_OFFSET, 2),
          new Uint8Array(shared, buffers + i * BUFFER_BYTES, BUFFER_BYTES),
        ),
      );
    }
  }

  /** The slot of the n-th operation. */
  slot(n: number): Slot {
    return this.slots[n % SLOTS] as Slot;
  }

  /** Request thread: operations before the n-th are filled in. */
  submit(n: number): void {
    Atomics.store(this.words, SUBMITTED, n | 0);
    this.ring();
  }

  /** Any thread: the request thread has ended and submits nothing more. */
  hangUp(): void {
    Atomics.store(this.words, HUNG_UP, 1);
    this.ring();
  }

  /** Device's thread: how many operations were submitted; waits until there are more than `taken`, or no more will come. */
  waitForMore(taken: number): number {
    for (;;) {
      const rings = Atomics.load(this.words, RINGS);
      const submitted = this.submitted();
      if (submitted !== taken || Atomics.load(this.words, HUNG_UP) !== 0) return submitted;
      Atomics.wait(this.words, RINGS, rings);
    }
  }

  submitted(): number {
    return Atomics.load(this.words, SUBMITTED) >>> 0;
  }

  /** Device's thread: operations before the n-th are done. */
  complete(n: number): void {
    Atomics.store(this.words, COMPLETED, n | 0);
  }

  /** How many operations are done. */
  completed(): number {
    return Atomics.load(this.words, COMPLETED) >>> 0;
  }

  /** The device's thread has ended: unfinished operations will never be done. */
  die(): void {
    Atomics.store(this.words, DEAD, 1);
  }

  isDead(): boolean {
    return Atomics.load(this.words, DEAD) !== 0;
  }

  private ring(): void {
    Atomics.add(this.words, RINGS, 1);
    Atomics.notify(this.words, RINGS);
  }
}
