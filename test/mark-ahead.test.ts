// Marks ahead of a writer that moves on from region to region: how many writes they save, and what bounds them.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine, type EngineOptions } from "../src/common/engine.ts";
import { DeviceHost } from "./device-host.ts";
import { debugWasm } from "./harness.ts";

const BLOCK_BYTES = 4096;
const HEADER_BYTES = 1024;
/** The first block holds the header too. */
const REGIONS_IN_FIRST_BLOCK = (BLOCK_BYTES - HEADER_BYTES) * 8;

function resumed(regions: number, options: EngineOptions = {}): DeviceHost {
  const made = new DeviceHost(new Engine(new WebAssembly.Module(debugWasm)));
  made.devices.set("/dev/log", new Uint8Array(1 << 20));
  made.engine.configure(options, made.nowNs, made.handler);
  assert.is(made.construct(`${regions * 1024} clustered-disk /dev/log 1024 nosync`).error, 0);
  assert.is(made.ask("RESUME").error, 0);
  made.writes = [];
  return made;
}

function isClean(made: DeviceHost, region: number): boolean {
  const byte = (made.devices.get("/dev/log") as Uint8Array)[HEADER_BYTES + (region >>> 3)] as number;
  return ((byte >>> (region & 7)) & 1) === 1;
}

const notClean = (made: DeviceHost, from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => from + i).filter((region) => !isClean(made, region));

/** Marks regions one after the other. Returns how many writes that took. */
function writesOf(made: DeviceHost, regions: Iterable<number>): number {
  const before = made.writes.length;
  for (const region of regions) {
    assert.is(made.ask("FLUSH", [region]).error, 0);
    assert.not.ok(isClean(made, region), `the mark of region ${region} is durable when it is answered`);
  }
  return made.writes.length - before;
}

function* sequence(from: number, count: number): Generator<number> {
  for (let i = 0; i < count; i++) yield from + i;
}

test("a sequential writer of 1,000 regions costs 25 writes, and one in 65 from then on", () => {
  const made = resumed(10_000);
  // After 8 regions, 8 more with one write; then as many as were marked before: 17, 35, and 64 at the most.
  assert.is(writesOf(made, sequence(100, 1000)), 8 + 3 + Math.ceil((1000 - 135) / 65));
});

test("a suspend marks nothing ahead: what is clean is clean on the device when it is answered", () => {
  const made = resumed(10_000);
  for (const region of sequence(100, 20)) assert.is(made.ask("MARK_REGION", [region]).error, 0);
  assert.is(made.ask("POSTSUSPEND").error, 0);
  assert.equal(notClean(made, 0, 10_000), [...sequence(100, 20)]);
});

test("without it, each region costs a write; 3 regions ahead, one in four", () => {
  assert.is(writesOf(resumed(10_000, { aheadRegions: 0 }), sequence(100, 100)), 100);
  assert.is(writesOf(resumed(10_000, { aheadRegions: 3 }), sequence(100, 107)), 8 + (107 - 11) / 4);
});

test("marks of one request count as those of several", () => {
  const made = resumed(10_000);
  // A kernel tells of the last first.
  made.ask("FLUSH", [57, 56, 55, 54, 53, 52, 51, 50]);
  assert.equal(notClean(made, 40, 80), [...sequence(50, 16)]);
});

test("seven regions one behind the other take nothing along, nor do marks at random places", () => {
  const made = resumed(10_000);
  assert.is(writesOf(made, [5000, 70, 9000, 3]), 4);
  assert.is(writesOf(made, sequence(200, 7)), 7);
  assert.equal(notClean(made, 0, 10_000), [3, 70, ...sequence(200, 7), 5000, 9000]);
  const small = resumed(128);
  const regions = [64, 3, 100, 31, 77, 12, 5, 90, 66, 2, 120, 41, 8, 99, 65, 50, 4, 101, 7, 32];
  assert.is(writesOf(small, regions), regions.length);
  assert.equal(notClean(small, 0, 128).length, regions.length);
});

test("four writers are followed at a time, and what is marked already is passed over", () => {
  const made = resumed(100_000);
  const rounds = 200;
  let writes = 0;
  for (let i = 0; i < rounds; i++) writes += writesOf(made, [1000 + i, 30_000 + i, 60_000 + i, 90_000 + i]);
  assert.ok(writes < 4 * 16, `${writes} writes`);
  const again = resumed(10_000);
  again.ask("FLUSH", [120]);
  assert.ok(writesOf(again, sequence(100, 100)) <= 12);
});

test("what was marked ahead and never written to is clean on the device again after the quiet time", () => {
  const made = resumed(10_000);
  writesOf(made, sequence(100, 8));
  assert.equal(notClean(made, 90, 130), [...sequence(100, 16)]);
  made.ask("CLEAR_REGION", [...sequence(100, 8)]);
  made.tick(3);
  assert.equal(notClean(made, 90, 130), []);
  assert.is(writesOf(made, [108]), 1);
});

test("it is clean again after the quiet time, though what the writer has marked itself stays so", () => {
  const made = resumed(10_000);
  writesOf(made, sequence(100, 8));
  made.tick(3);
  assert.equal(notClean(made, 90, 130), [...sequence(100, 8)]);
});

test("a suspend leaves none of it on the device", () => {
  const made = resumed(10_000);
  writesOf(made, sequence(100, 8));
  made.ask("CLEAR_REGION", [...sequence(100, 8)]);
  made.ask("PRESUSPEND");
  assert.is(made.ask("POSTSUSPEND").error, 0);
  assert.equal(notClean(made, 90, 130), []);
});

test("it ends with the block, and with the mirror", () => {
  const made = resumed(100_000);
  const end = REGIONS_IN_FIRST_BLOCK;
  writesOf(made, sequence(end - 20, 17));
  assert.equal(notClean(made, end - 5, end + 5).at(-1), end - 1);
  made.writes = [];
  assert.is(writesOf(made, [end]), 1, "the next block is written for its own first mark");
  assert.equal(made.writes, [{ offset: BLOCK_BYTES, size: BLOCK_BYTES }]);
  assert.is(notClean(made, end, end + 64).length, 1 + 21, "and what came before it counts for it");

  const last = resumed(100);
  writesOf(last, sequence(84, 8));
  assert.equal(notClean(last, 0, 128), [...sequence(84, 44)], "the last region is one of those ahead");

  const small = resumed(100);
  writesOf(small, sequence(60, 40));
  assert.equal(notClean(small, 60, 128).length, 128 - 60, "bits behind the last region are never set");
});

test("no more regions wait for their clear than may be lazy", () => {
  const made = resumed(10_000, { lazyRegionsMax: 5 });
  writesOf(made, sequence(100, 32));
  assert.ok(notClean(made, 100, 200).length <= 32 + 5);
  for (const [waiting, ahead] of [
    [2, 1],
    [3, 0],
    [4, 0],
  ] as const) {
    const full = resumed(10_000, { lazyRegionsMax: 3, quietNs: 1e15 });
    const lazy = [9000, 9002, 9004, 9006].slice(0, waiting);
    full.ask("FLUSH", lazy);
    full.ask("CLEAR_REGION", lazy);
    writesOf(full, sequence(10, 8));
    assert.equal(notClean(full, 0, 100), [...sequence(10, 8 + ahead)], `${waiting} of 3 wait already`);
  }
});

test("a region ahead that gets out of sync stays so on the device", () => {
  const made = resumed(10_000);
  writesOf(made, sequence(100, 8));
  assert.is(made.ask("SET_REGION_SYNC", [110, 0]).error, 0);
  made.ask("CLEAR_REGION", [...sequence(100, 8)]);
  made.tick(4);
  assert.equal(notClean(made, 90, 130), [110]);
});

test("the next server finds what was marked ahead, and ends it", () => {
  const made = resumed(10_000);
  writesOf(made, sequence(100, 8));
  made.restart(new Engine(new WebAssembly.Module(debugWasm)));
  made.completeAll();
  made.tick(3);
  assert.equal(notClean(made, 90, 130), [...sequence(100, 8)]);
  assert.is(writesOf(made, sequence(108, 16)), 8, "and learns anew where the writer goes");
});

test.run();
