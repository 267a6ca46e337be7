// The request thread's side of a log device, with the test in the part of the device's thread: which slots are filled, and
// which operation a slot's result is taken for. No file and no thread.

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Completion, Head } from "../src/common/engine.ts";
import {
  CLOSE,
  type DeviceChannel,
  PART_BYTES,
  READ,
  SLOTS,
  type Slot,
  WRITE,
} from "../src/node/devices/device-channel.ts";
import { LogDevices } from "../src/node/devices/log-devices.ts";
import { seeded, seedFor } from "./harness.ts";

const EFFECTS = { EFFECT_KIND_OPEN: 3, EFFECT_KIND_READ: 4, EFFECT_KIND_WRITE: 5 };
const EIO = -5;
const ENOSPC = -28;

/** One device that is open as handle 1. */
class PlayedDevice {
  readonly memory = new Uint8Array(64 * PART_BYTES);
  readonly completed: { ticket: number; completion: Completion }[] = [];
  /** Slots that the device's thread has done. */
  done = 0;
  readonly devices: LogDevices;
  channel!: DeviceChannel;
  private tickets = 0;

  constructor() {
    this.devices = new LogDevices(
      EFFECTS,
      () => this.memory,
      (channel) => {
        this.channel = channel;
      },
    );
    this.devices.open(this.head(0, 0), "a log");
    this.finish(() => 0);
    this.collect();
    this.completed.length = 0;
  }

  head(sizeBytes: number, offsetBytes: number): Head {
    return { handle: 1, sizeBytes, offsetBytes, ticket: ++this.tickets };
  }

  write(sizeBytes: number, offsetBytes = 0): Head {
    const head = this.head(sizeBytes, offsetBytes);
    this.devices.write(head, 0);
    return head;
  }

  get waiting(): number {
    return (this.channel.submitted() - this.done) >>> 0;
  }

  /** The device's thread ends `count` slots, each with the error that `result` says. */
  finish(result: (slot: Slot) => number, count = this.waiting): void {
    for (let i = 0; i < count; i++) {
      const slot = this.channel.slot(this.done);
      slot.error = result(slot);
      this.done = (this.done + 1) >>> 0;
    }
    this.channel.complete(this.done);
  }

  collect(): void {
    this.devices.collect(({ ticket }, completion) => {
      const { data, ...rest } = completion;
      this.completed.push({ ticket, completion: data === undefined ? rest : { ...rest, data: data.slice() } });
    });
  }
}

test("after a part of a large write has failed none of its other parts is tried, and the next write waits for its own slot", () => {
  const device = new PlayedDevice();
  const large = device.write((SLOTS + 4) * PART_BYTES);
  const second = device.write(4096, 7 * PART_BYTES);
  assert.is(device.waiting, SLOTS);
  device.finish(() => ENOSPC, 1);
  device.collect();
  // The slot that is free now is the second write's.
  assert.is(device.waiting, SLOTS);
  const next = device.channel.slot((device.done + SLOTS - 1) >>> 0);
  assert.equal([next.kind, next.sizeBytes, next.offsetBytes], [WRITE, 4096, 7 * PART_BYTES]);
  device.finish(() => 0, SLOTS - 1);
  device.collect();
  assert.equal(device.completed, [{ ticket: large.ticket, completion: { effect: 5, error: ENOSPC } }]);
  device.finish(() => EIO);
  device.collect();
  assert.equal(device.completed[1], { ticket: second.ticket, completion: { effect: 5, error: EIO } });
  assert.ok(device.devices.isIdle());
});

test("of several parts that fail the first one's error is told", () => {
  const device = new PlayedDevice();
  device.write(3 * PART_BYTES);
  let parts = 0;
  device.finish(() => [0, ENOSPC, EIO][parts++] ?? 0);
  device.collect();
  assert.is(device.completed[0]?.completion.error, ENOSPC);
});

test("whatever fails, and whenever it is looked at: each operation is completed once, in order, by its own slots", () => {
  const random = seeded(seedFor("log devices"));
  for (let round = 0; round < 300; round++) {
    const device = new PlayedDevice();
    /** Which operation a slot is for stands in its offset: operation n begins at n times 64 parts. */
    const operations: { ticket: number; parts: number; isRead: boolean; seen: number; error: number }[] = [];
    const finish = (count: number) =>
      device.finish((slot) => {
        const operation = operations[Math.floor(slot.offsetBytes / (64 * PART_BYTES))];
        if (operation === undefined) throw new Error(`A slot of no operation: ${slot.offsetBytes}.`);
        assert.ok(slot.sizeBytes > 0 && slot.sizeBytes <= PART_BYTES, `${slot.sizeBytes} bytes`);
        assert.is(slot.kind, operation.isRead ? READ : WRITE);
        assert.ok(++operation.seen <= operation.parts, "a part that it does not have");
        const error = random.below(8) === 0 ? -1 - random.below(100) : 0;
        operation.error ||= error;
        return error;
      }, count);
    const asked = 1 + random.below(8);
    while (operations.length < asked || !device.devices.isIdle()) {
      if (operations.length < asked && random.below(3) > 0) {
        const isRead = random.below(4) === 0;
        const parts = isRead ? 1 : 1 + random.below(random.below(2) ? 3 : 40);
        const head = device.head(parts * PART_BYTES - random.below(PART_BYTES), operations.length * 64 * PART_BYTES);
        operations.push({ ticket: head.ticket, parts, isRead, seen: 0, error: 0 });
        if (isRead) device.devices.read(head);
        else device.devices.write(head, 0);
      }
      finish(random.below(device.waiting + 1));
      device.collect();
      for (const [index, { ticket, completion }] of device.completed.entries()) {
        const operation = operations[index];
        assert.is(ticket, operation?.ticket, "in order");
        assert.is(completion.error, operation?.error, "the result of its own slots");
        if (completion.error === 0) assert.is(operation?.seen, operation?.parts);
      }
    }
    assert.is(device.completed.length, asked);
    assert.is(device.waiting, 0);
    device.devices.close(device.head(0, 0));
    assert.is(device.channel.slot(device.done).kind, CLOSE);
  }
});

test.run();
