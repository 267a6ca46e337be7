// The request thread's side of the log devices: hands operations to their threads and takes back what came of them,
// without ever waiting.

import type { Completion, Head } from "../../common/engine.ts";
import { EIO } from "../system-calls.ts";
import { CLOSE, DeviceChannel, OPEN, PART_BYTES, READ, SLOTS, type Slot, WRITE } from "./device-channel.ts";

/** Takes the completion of an operation. It may ask for more operations. */
export type Deliver = (head: Head, completion: Completion) => void;

/** The numbers by which the core knows the kinds of effects: its exports. */
export interface DeviceEffects {
  EFFECT_KIND_OPEN: number;
  EFFECT_KIND_READ: number;
  EFFECT_KIND_WRITE: number;
}

/** Offers `open`, `read`, `write` and `close` of an EffectHandler. Where a device's thread is lost, all fail with -EIO. */
export class LogDevices {
  /** Something was asked of a device whose thread is lost: `collect` is due though no bell rings for it. */
  hasLost = false;
  private readonly devices = new Map<number, Device>();

  /**
   * @param memory the core's memory as it is now, in which a WRITE's bytes stay until its completion
   * @param start gives a channel a thread
   */
  constructor(
    private readonly effects: DeviceEffects,
    private readonly memory: () => Uint8Array,
    private readonly start: (channel: DeviceChannel) => void,
  ) {}

  /** Opens a path or `major:minor`; completed with the device. Where that fails there is nothing to close. */
  open(head: Head, name: string): void {
    if (this.devices.has(head.handle)) throw new Error(`The core opens device ${head.handle} a second time.`);
    const channel = new DeviceChannel();
    this.start(channel);
    const device = new Device(channel, this.memory);
    this.devices.set(head.handle, device);
    device.ask(OPEN, this.effects.EFFECT_KIND_OPEN, head, Buffer.from(name, "latin1"));
  }

  /** Reads at most PART_BYTES; completed with the bytes. */
  read(head: Head): void {
    if (head.sizeBytes > PART_BYTES) throw new RangeError(`A read of ${head.sizeBytes} bytes is too large.`);
    this.ask(READ, this.effects.EFFECT_KIND_READ, head);
  }

  /** Writes any number of bytes from `address` of the core's memory; completed once they are durable. */
  write(head: Head, address: number): void {
    this.ask(WRITE, this.effects.EFFECT_KIND_WRITE, head, address);
  }

  /** Ends the device's thread. Nothing may be under way on it. */
  close(head: Head): void {
    this.ask(CLOSE, 0, head);
    this.devices.delete(head.handle);
  }

  /** Delivers what is done by now. */
  collect(deliver: Deliver): void {
    this.hasLost = false;
    for (const [handle, device] of this.devices) {
      device.collect((head, completion) => {
        const isOpen = completion.effect !== this.effects.EFFECT_KIND_OPEN || completion.error === 0;
        if (!isOpen) this.devices.delete(handle);
        deliver(head, completion);
      });
    }
  }

  /** Whether nothing is under way on any device. */
  isIdle(): boolean {
    for (const device of this.devices.values()) if (!device.isIdle) return false;
    return true;
  }

  private ask(kind: number, effect: number, head: Head, address = 0): void {
    const device = this.devices.get(head.handle);
    if (device === undefined) throw new Error(`The core speaks of device ${head.handle}, which is not open.`);
    device.ask(kind, effect, head, undefined, address);
    if (device.isLost) this.hasLost = true;
  }
}

interface Operation {
  kind: number;
  effect: number;
  head: Head;
  /** OPEN: the device's name. */
  name: Uint8Array | undefined;
  /** WRITE: where its bytes are in the core's memory. */
  address: number;
  /** How many slots it takes, how many it was given, and how many of those are done. */
  parts: number;
  handedParts: number;
  doneParts: number;
  error: number;
}

/** One device. Operations are handed to its thread and done in order. */
class Device {
  /** Asked for and not completed, oldest first. */
  private readonly operations: Operation[] = [];
  /** How many of them were handed to the thread with all their parts. */
  private handed = 0;
  private submitted = 0;
  private collected = 0;

  constructor(
    private readonly channel: DeviceChannel,
    private readonly memory: () => Uint8Array,
  ) {}

  /** Whether nothing is under way. */
  get isIdle(): boolean {
    return this.operations.length === 0;
  }

  /** Whether something waits that will never be done. */
  get isLost(): boolean {
    return this.operations.length > 0 && this.channel.isDead();
  }

  ask(kind: number, effect: number, head: Head, name?: Uint8Array, address = 0): void {
    const parts = kind === WRITE ? Math.max(1, Math.ceil(head.sizeBytes / PART_BYTES)) : 1;
    this.operations.push({ kind, effect, head, name, address, parts, handedParts: 0, doneParts: 0, error: 0 });
    this.hand();
  }

  collect(deliver: Deliver): void {
    if (this.operations.length === 0) return;
    // Looked at first: what was completed before the thread died is delivered as it is.
    const isDead = this.channel.isDead();
    const completed = this.channel.completed();
    while (this.collected !== completed) {
      const slot = this.channel.slot(this.collected);
      this.collected = (this.collected + 1) >>> 0;
      const oldest = this.operations[0] as Operation;
      oldest.doneParts++;
      if (slot.error !== 0) {
        // The first error is the cause; later ones may follow from it. Parts not handed yet need not be tried.
        oldest.error ||= slot.error;
        oldest.parts = oldest.handedParts;
      }
      if (oldest.doneParts < oldest.parts) continue;
      this.operations.shift();
      if (this.handed > 0) this.handed--;
      deliver(oldest.head, completionOf(oldest, slot));
    }
    if (!isDead) {
      this.hand();
      return;
    }
    for (const { head, effect } of this.operations.splice(0)) deliver(head, { effect, error: -EIO });
    this.handed = 0;
  }

  /** Fills free slots with what waits. */
  private hand(): void {
    const before = this.submitted;
    for (let next = this.operations[this.handed]; next !== undefined; next = this.operations[this.handed]) {
      // Looked at before a slot is filled: a part that failed has left the operation with no more parts than were handed.
      if (next.handedParts >= next.parts) {
        this.handed++;
        continue;
      }
      if ((this.submitted - this.collected) >>> 0 >= SLOTS) break;
      this.fill(this.channel.slot(this.submitted), next);
      this.submitted = (this.submitted + 1) >>> 0;
    }
    if (this.submitted !== before) this.channel.submit(this.submitted);
  }

  private fill(slot: Slot, operation: Operation): void {
    const { kind, head, name, address } = operation;
    const start = operation.handedParts++ * PART_BYTES;
    const size = name?.length ?? Math.min(head.sizeBytes - start, PART_BYTES);
    slot.ask(kind, size, head.offsetBytes + start);
    if (name !== undefined) slot.buffer.set(name);
    if (kind === WRITE) slot.buffer.set(this.memory().subarray(address + start, address + start + size));
  }
}

function completionOf({ kind, effect, error }: Operation, slot: Slot): Completion {
  if (error !== 0) return { effect, error };
  if (kind === OPEN) return { effect, error, device: slot.device };
  if (kind === READ) {
    return { effect, error, data: slot.buffer.subarray(slot.dataStart, slot.dataStart + slot.sizeBytes) };
  }
  return { effect, error };
}
