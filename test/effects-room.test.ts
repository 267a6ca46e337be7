// The effects area holds what any input asks for: as many logs as there can be, each with as much to do as it can have.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, type RequestName } from "../src/common/kernel-frames.ts";
import { DeviceHost } from "./device-host.ts";
import { releaseWasm } from "./harness.ts";

const module = new WebAssembly.Module(releaseWasm);
/** So many logs that all have four blocks to write overflowed the area once: 3200 * (4 * 40 + 176) bytes. */
const LOGS = 3200;
/** Regions of a block of 4 KiB, and of the first one, which has the header too. */
const BLOCK_REGIONS = 32_768;
const FIRST_BLOCK_REGIONS = BLOCK_REGIONS - 8192;
const BLOCKS = 7;
const REGIONS = FIRST_BLOCK_REGIONS + (BLOCKS - 1) * BLOCK_REGIONS;
/** In four blocks that do not touch each other. */
const SCATTERED = [0, 1, 3, 5].map((blocks) => (blocks === 0 ? 0 : FIRST_BLOCK_REGIONS + blocks * BLOCK_REGIONS));
const DEVICE_BYTES = BLOCKS * 4096;

/** Keeps what an input had in effects. */
class Meter {
  effectsBytes = 0;
  handled(effectsBytes: number): void {
    this.effectsBytes = Math.max(this.effectsBytes, effectsBytes);
  }
  trapped(): void {}
}

test("a tick at which every log has lazy work asks for no more than there is room for, and the rest follows", () => {
  const engine = new Engine(module);
  const { abi } = engine;
  const host = new DeviceHost(engine);
  const ask = (i: number, type: RequestName, data: Uint8Array | number[] = []) => {
    assert.is(host.ask(type, data, `LVM-${i}`, BigInt(i)).error, 0);
    host.replies = [];
  };
  const everyLog = (deed: (i: number) => void) => {
    for (let i = 0; i < LOGS; i++) deed(i);
  };
  // Linear memory grows once for all: each growth costs a garbage collection.
  ask(LOGS, "CTR", asciiBytes(`${LOGS * REGIONS * 4} core 2`));
  ask(LOGS, "DTR");
  // A log whose regions are all out of sync: nothing is written before one comes in sync.
  const device = new Uint8Array(DEVICE_BYTES);
  device.set([0x72, 0x52, 0x69, 0x4d, 2]);
  new DataView(device.buffer).setUint32(8, REGIONS, true);
  host.devices.set("/dev/log", device);
  host.files.add("/dev/log");
  const text = asciiBytes(`${REGIONS * 2} disk /dev/log 2`);
  everyLog((i) => {
    ask(i, "CTR", text);
    ask(i, "RESUME");
    for (const region of SCATTERED) ask(i, "SET_REGION_SYNC", [region, 1]);
  });
  const meter = new Meter();
  engine.tap = meter;
  // The first tick has the legs flushed. A server that was held up meets the second one of all logs at once, and each has
  // blocks to write, and the legs to flush for another region.
  host.nowNs += 10_000_000_000;
  while (host.wakeAtNs !== 0 && host.wakeAtNs <= host.nowNs) host.tick();
  everyLog((i) => ask(i, "SET_REGION_SYNC", [7, 1]));
  host.nowNs += 10_000_000_000;
  let ticks = 0;
  for (; host.wakeAtNs !== 0 && host.wakeAtNs <= host.nowNs; ticks++) {
    host.wakeAtNs = 0;
    engine.ticked(host.nowNs, host.handler);
  }
  const asked = (effect: number) => host.pending.filter((operation) => operation.effect === effect).length;
  console.log(`${LOGS} logs: ${ticks} ticks, at most ${meter.effectsBytes} bytes of effects`);
  assert.is(asked(abi.EFFECT_KIND_WRITE), LOGS * SCATTERED.length);
  assert.is(asked(abi.EFFECT_KIND_FLUSH_LEGS), LOGS);
  assert.ok(meter.effectsBytes <= abi.EFFECTS_BYTES_MAX, `${meter.effectsBytes} bytes of effects`);
  assert.is(engine.violatedInvariant(), 0);
});

test.run();
