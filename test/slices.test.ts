// Logs of large mirrors are made, restored and met with their devices in slices: other mirrors get their answers between them, and
// what comes out is what one input would have made of a small log. The small core works through 100 words of 64 regions at a time.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, type Reply, u64At } from "../src/common/kernel-frames.ts";
import { DeviceHost, putLogHeader } from "./device-host.ts";
import { debugWasm, exportsOf, releaseWasm, smallWasm, words } from "./harness.ts";

const small = new WebAssembly.Module(smallWasm);
const { SLICE_WORDS, HELD_BYTES, CORE_HELD_LET_GO } = exportsOf(small) as {
  SLICE_WORDS: number;
  HELD_BYTES: number;
  CORE_HELD_LET_GO: number;
};
const DEVICE = "/dev/log";
const ESRCH = -3;
/** Some slices for each of its sets, and a part of a word. */
const SLICES = 5;
const REGIONS = SLICES * 64 * SLICE_WORDS + 7;
/** Of a device that has so many blocks of 4 KiB: a slice takes at least one of them. */
const BLOCKS = 8;
const REGIONS_OF_BLOCKS = BLOCKS * 32_768 - 8192;
/** Each region in turn clean, marked, out of sync. */
const MARKED = Array.from({ length: 60 }, (_, i) => 1 + Math.floor((i * REGIONS) / 60));

const SMALL = { uuid: "LVM-small", luid: 9n };
const LARGE = { uuid: "LVM-disk", luid: 5n };

function newHost(deviceBytes = 65_536, module = small): DeviceHost {
  const made = new DeviceHost(new Engine(module));
  made.devices.set(DEVICE, new Uint8Array(deviceBytes));
  return made;
}

function addSmall(made: DeviceHost): void {
  assert.is(made.ask("CTR", asciiBytes("200 core 2 nosync"), SMALL.uuid, SMALL.luid).error, 0);
  assert.is(made.ask("RESUME", [], SMALL.uuid, SMALL.luid).error, 0);
}

/** The other mirror's request is answered in the input that brings it. */
function assertServed(made: DeviceHost): void {
  const seq = made.request("IN_SYNC", [3], SMALL.uuid, SMALL.luid);
  const reply = made.replyTo(seq);
  assert.ok(reply, "the small mirror waits for the large one");
  assert.is(u64At((reply as Reply).data, 0), 1);
}

/** Steps until nothing is left to do; between every two the other mirror is served. Returns how many steps it took. */
function finish(made: DeviceHost): number {
  let steps = 0;
  for (assertServed(made); made.step(); assertServed(made)) steps++;
  return steps;
}

function finishWithoutOthers(made: DeviceHost): void {
  while (made.step());
}

const statesOf = (made: DeviceHost, { uuid, luid } = LARGE) => [
  ...words.regionStates(made.engine, uuid, luid, 0, 0xffff_ffff),
];

for (const options of ["", " nosync"]) {
  test(`a large log is made between the answers to others (core${options})`, () => {
    const made = newHost();
    addSmall(made);
    const first = made.request("CTR", asciiBytes(`${2 * REGIONS} core 2${options}`));
    const again = made.request("CTR", asciiBytes(`${2 * REGIONS} core 2${options}`));
    assert.is(made.replyTo(first), undefined);
    // Its sets, and each of them once more for its file.
    assert.ok(finish(made) >= 4 * SLICES);
    assert.is(made.replyTo(first)?.error, 0);
    assert.is(made.replyTo(again)?.error, 0);
    assert.is(made.notices.filter((notice) => notice.includes(`created with ${REGIONS} regions`)).length, 1);
    const state = options === "" ? 2 : 0;
    assert.ok(statesOf(made).every((found) => found === state));
    assert.is(made.ask("RESUME").error, 0);
    assert.is(u64At(made.ask("GET_SYNC_COUNT").data, 0), options === "" ? 0 : REGIONS);

    const other = newHost();
    for (const [handle, file] of made.stateFiles) other.stateFiles.set(handle, file.slice());
    other.restart(new Engine(small));
    assert.equal(statesOf(other), statesOf(made));
  });
}

test("a destructor that comes while a log is made is answered behind its constructor, and nothing is left of the log", () => {
  const made = newHost();
  addSmall(made);
  const seqs = [made.request("CTR", asciiBytes(`${2 * REGIONS} core 2`)), made.request("DTR")];
  finish(made);
  assert.equal(
    made.replies.filter(({ seq }) => seqs.includes(seq)).map(({ seq, error }) => [seq, error]),
    seqs.map((seq) => [seq, 0]),
  );
  assert.is(made.stateFiles.size, 1);
  assert.is(words.logs(made.engine).length, 1);
});

test("a server that dies while a log is made leaves a file without a header, and the next one removes it", () => {
  const made = newHost();
  addSmall(made);
  made.request("CTR", asciiBytes(`${2 * REGIONS} core 2`));
  while (made.stateFiles.size < 2) made.step();
  made.step();
  made.restart(new Engine(small));
  assert.is(made.stateFiles.size, 1);
  assert.is(made.ask("IN_SYNC", [0]).error, ESRCH);
  assertServed(made);
});

test("a log that is being made is not given up, though no table names it yet", () => {
  const made = newHost();
  const seq = made.request("CTR", asciiBytes(`${2 * REGIONS} core 2`));
  made.engine.forget(0, LARGE.luid, LARGE.uuid, made.nowNs, made.handler);
  made.goOn();
  assert.is(made.replyTo(seq)?.error, 0);
  assert.not.match(made.notices.join(), /no table of the kernel/);
});

test("a log whose sets are made with the first slice is answered when its file is whole, and not before", () => {
  const made = newHost();
  const seq = made.request("CTR", asciiBytes(`${2 * 64 * (SLICE_WORDS - 1)} core 2`));
  assert.is(made.replyTo(seq), undefined);
  made.restart(new Engine(small));
  assert.equal(words.logs(made.engine), [], "a server that dies now leaves no log that was answered");
  assert.is(made.construct(`${2 * 64 * (SLICE_WORDS - 1)} core 2`).error, 0);
});

test("a luid that is being made does not keep the mirror's running luid waiting", () => {
  const made = newHost();
  assert.is(made.ask("CTR", asciiBytes("200 core 2 nosync"), LARGE.uuid, 9n).error, 0);
  assert.is(made.ask("RESUME", [], LARGE.uuid, 9n).error, 0);
  made.request("CTR", asciiBytes(`${2 * REGIONS} core 2`));
  assert.is(made.replyTo(made.request("IN_SYNC", [3], LARGE.uuid, 9n))?.error, 0);
});

test("a host that knows of work is not told again, however much later the next input comes", () => {
  const made = newHost();
  addSmall(made);
  const wakes: number[] = [];
  made.handler.wake = (atNs) => wakes.push(atNs);
  const beganNs = made.nowNs;
  made.request("CTR", asciiBytes(`${2 * REGIONS} core 2`));
  made.nowNs += 5;
  assertServed(made);
  assert.equal(wakes, [beganNs]);
});

test("requests that fill the room to its last byte all wait", () => {
  const made = newHost();
  const { FRAME_BYTES } = made.engine.abi;
  const count = HELD_BYTES / 256;
  // The length of each, and the request.
  const text = `${2 * REGIONS} core 2`.padEnd(256 - 8 - FRAME_BYTES);
  const seqs = Array.from({ length: count }, () => made.request("CTR", asciiBytes(text)));
  made.goOn();
  assert.equal(
    seqs.map((seq) => made.replyTo(seq)?.error),
    seqs.map(() => 0),
  );
});

test("where no more requests can wait, the earliest is let go, and the kernel asks again", () => {
  const made = newHost();
  addSmall(made);
  const text = asciiBytes(`${2 * REGIONS} core 2`);
  const room = Math.floor(HELD_BYTES / 200);
  const seqs = Array.from({ length: room + 3 }, () => made.request("CTR", text));
  finish(made);
  const answered = seqs.filter((seq) => made.replyTo(seq) !== undefined);
  const { abi } = made.engine;
  // The length of each, and the request, padded to a multiple of 8.
  const heldBytes = 8 + ((abi.FRAME_BYTES + text.length + 7) & ~7);
  assert.is(answered.length, Math.floor(HELD_BYTES / heldBytes));
  assert.equal(answered, seqs.slice(-answered.length));
  const letGo = new DataView(made.engine.bytes().buffer).getBigUint64(abi.CORE + CORE_HELD_LET_GO, true);
  assert.is(letGo, BigInt(seqs.length - answered.length), "and counted");
  assert.ok(made.replies.every(({ error }) => error === 0));
});

/** A disk log that has worked: marks, clears, regions out of sync. */
function worked(options: string, regions = REGIONS): DeviceHost {
  const made = newHost();
  addSmall(made);
  assert.is(made.construct(`${2 * regions} disk ${DEVICE} 2${options}`).error, 0);
  assert.is(made.ask("RESUME").error, 0);
  for (const region of MARKED) {
    assert.is(made.ask("SET_REGION_SYNC", [region, region % 3 === 0 ? 0 : 1]).error, 0);
    assert.is(made.ask("MARK_REGION", [region]).error, 0);
    if (region % 2 === 0) assert.is(made.ask("CLEAR_REGION", [region]).error, 0);
  }
  assert.is(made.ask("FLUSH").error, 0);
  return made;
}

test("parts of a large state file come between the answers to others, and requests for its log wait", () => {
  const made = worked("");
  const before = statesOf(made);
  const files = [...made.stateFiles];
  const other = new DeviceHost(new Engine(small));
  other.devices.set(DEVICE, made.devices.get(DEVICE) as Uint8Array);
  for (const [handle, file] of files) other.stateFiles.set(handle, file.slice());
  const { engine, nowNs, handler } = other;
  const { RESTORE_BYTES } = engine.abi;
  const give = (handle: number, file: Uint8Array, offset: number) =>
    engine.restorePart(handle, file.length, offset, file.subarray(offset, offset + RESTORE_BYTES), nowNs, handler);
  const next = new Map(files.map(([handle, file]) => [handle, give(handle, file, 0)]));
  const asked = [other.request("IN_SYNC", [MARKED[0] as number]), other.request("MARK_REGION", [1])];
  const flush = other.request("FLUSH");
  for (const [handle, file] of files) {
    let offset = next.get(handle) as number;
    while (offset < file.length) {
      if (handle > 0) assertServed(other);
      assert.ok(asked.every((seq) => other.replyTo(seq) === undefined));
      offset = give(handle, file, offset);
    }
  }
  finish(other);
  for (const seq of [...asked, flush]) assert.is(other.replyTo(seq)?.error, 0);
  before[1] = Math.max(before[1] as number, 1);
  assert.equal(statesOf(other), before);
});

test("requests of one log keep their order, whatever others wait for", () => {
  const text = asciiBytes(`${2 * REGIONS} core 2`);
  const made = newHost();
  const logs = [1n, 2n].map((luid) => ({ uuid: `LVM-${luid}`, luid }));
  for (const { uuid, luid } of logs) assert.is(made.ask("CTR", text, uuid, luid).error, 0);
  const other = newHost();
  const { engine, nowNs, handler } = other;
  const { RESTORE_BYTES } = engine.abi;
  const give = (handle: number, offset: number) => {
    const file = made.stateFiles.get(handle) as Uint8Array;
    engine.restorePart(handle, file.length, offset, file.subarray(offset, offset + RESTORE_BYTES), nowNs, handler);
    return offset + RESTORE_BYTES;
  };
  for (const handle of [0, 1]) give(handle, 0);
  const ask = (type: "GET_REGION_SIZE" | "GET_SYNC_COUNT", log: number) =>
    other.request(type, [], logs[log]?.uuid, logs[log]?.luid);
  // The first log waits longest, and its request stands before those of the second.
  const ofFirst = ask("GET_SYNC_COUNT", 0);
  const waiting = ask("GET_SYNC_COUNT", 1);
  const { length } = made.stateFiles.get(1) as Uint8Array;
  for (let offset = RESTORE_BYTES; offset < length; ) offset = give(1, offset);
  const behind = [ask("GET_REGION_SIZE", 1), ask("GET_SYNC_COUNT", 1)];
  assert.equal(other.replies, [], "the second is whole, and its first request has not been answered");
  finishWithoutOthers(other);
  assert.equal(
    other.replies.map(({ seq }) => seq),
    [waiting, ...behind],
  );
  for (let offset = RESTORE_BYTES; offset < length; ) offset = give(0, offset);
  finishWithoutOthers(other);
  assert.is(other.replyTo(ofFirst)?.error, 0);
});

test("a damaged large state file is repaired in slices", () => {
  const made = worked("");
  const before = statesOf(made);
  const file = made.stateFiles.get(1) as Uint8Array;
  // A word in the second copy of the sets.
  file[file.length - 900] = 0xff ^ (file[file.length - 900] as number);
  const other = new DeviceHost(new Engine(small));
  other.devices.set(DEVICE, made.devices.get(DEVICE) as Uint8Array);
  for (const [handle, bytes] of made.stateFiles) other.stateFiles.set(handle, bytes.slice());
  other.restart(new Engine(small));
  assert.match(other.notices.join(), /differed in 1/);
  const waiting = other.request("IN_SYNC", [0]);
  assert.is(other.replyTo(waiting), undefined);
  assert.ok(finish(other) >= 3 * SLICES);
  assert.is(other.replyTo(waiting)?.error, 0);
  const states = statesOf(other);
  assert.ok(before.every((state, region) => (states[region] as number) >= state));
  const repaired = other.stateFiles.get(1) as Uint8Array;
  const setsBytes = 3 * 8 * Math.ceil(REGIONS / 64);
  const second = repaired.length - setsBytes;
  assert.equal(repaired.subarray(second - setsBytes, second), repaired.subarray(second));
});

test("marks and clears that come while a restarted server looks at its device are on it afterwards, and no others", () => {
  const made = worked(" nosync", REGIONS_OF_BLOCKS);
  made.goOn();
  made.tick(4);
  const clean = statesOf(made);
  made.restart(new Engine(small));
  // Its device answers: reading and comparing it begins.
  made.completeAll();
  const dirty = new Set<number>();
  for (let turn = 0; made.step(); turn++) {
    // One in each block, so that some are done already and some are not.
    const regions = Array.from({ length: BLOCKS - 1 }, (_, block) => turn * 97 + block * 32_768);
    for (const region of regions.filter((region) => clean[region] === 0)) {
      made.request("MARK_REGION", [region]);
      dirty.add(region);
    }
    if (turn % 3 !== 0) continue;
    for (const region of regions) if (dirty.delete(region)) made.request("CLEAR_REGION", [region]);
  }
  assert.ok(dirty.size > BLOCKS);
  assert.is(made.ask("FLUSH").error, 0);
  const device = made.devices.get(DEVICE) as Uint8Array;
  const isClean = (region: number) => ((device[1024 + (region >>> 3)] as number) >>> (region & 7)) & 1;
  for (const region of dirty) assert.is(isClean(region), 0, `region ${region} is marked`);
  made.tick(6);
  const states = statesOf(made);
  for (let region = 0; region < REGIONS_OF_BLOCKS; region++) {
    assert.is(isClean(region), states[region] === 0 ? 1 : 0, `region ${region} at rest`);
  }
});

test("a destructor in the midst of that lets a foreign device be", () => {
  const made = newHost();
  assert.is(made.construct(`${2 * REGIONS_OF_BLOCKS} disk ${DEVICE} 2`).error, 0);
  const device = made.devices.get(DEVICE) as Uint8Array;
  device.fill(0xab);
  putLogHeader(device, REGIONS_OF_BLOCKS);
  device[4] = 77;
  const before = device.slice();
  const resume = made.request("RESUME");
  let destructor = 0;
  // The last part has been read, and the first slice is done.
  while (destructor === 0) {
    made.step();
    if (made.notices.some((notice) => notice.includes("version 77"))) destructor = made.request("DTR");
  }
  assert.is(made.replyTo(destructor), undefined);
  made.goOn();
  assert.is(made.replyTo(destructor)?.error, 0);
  assert.is.not(made.replyTo(resume), undefined);
  assert.equal(device, before);
});

test("the release core takes a mirror of 100 TiB in inputs of a few ms, and answers others between them", () => {
  const regions = 200_000_000;
  const release = new WebAssembly.Module(releaseWasm);
  const made = newHost(65_536, release);
  addSmall(made);
  made.handler.stateWrite = () => {};
  made.handler.stateCreate = () => {};
  const seq = made.request("CTR", asciiBytes(`${2 * regions} core 2`));
  const ticks = finish(made);
  assert.is(made.replyTo(seq)?.error, 0);
  // All but the first slice, and the answer. Each set is made, and then written to the file.
  const { SLICE_WORDS: sliceWords } = exportsOf(release) as { SLICE_WORDS: number };
  assert.is(ticks, Math.ceil((4 * regions) / 64 / sliceWords));
});

test("small logs are made at once, as ever", () => {
  const made = newHost(65_536, new WebAssembly.Module(debugWasm));
  const seq = made.request("CTR", asciiBytes("50000 core 2"));
  assert.is(made.replyTo(seq)?.error, 0);
  assert.is(made.wakeAtNs, 0);
});

test.run();
