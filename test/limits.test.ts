// What happens at a limit of the core (assembly/limits.ts): nothing that was acknowledged is lost, nobody is told to ask again
// at once, nothing traps. The small core has limits that a test reaches; it checks its invariants after every input.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest, type RequestName } from "../src/common/kernel-frames.ts";
import { DeviceHost, putLogHeader } from "./device-host.ts";
import {
  debugWasm,
  exportsOf,
  logsBytes,
  Peer,
  releaseWasm,
  seeded,
  seedFor,
  smallWasm,
  withMemoryMax,
  words,
} from "./harness.ts";
import { STATE_FIELDS, STATE_HEADER_BYTES, sealHeader } from "./state-header.ts";

const small = new WebAssembly.Module(smallWasm);
const debug = new WebAssembly.Module(debugWasm);
const limits = exportsOf(small) as { readonly [name: string]: number } & {
  EXTENTS_MAX: number;
  HANDLE_COUNT: number;
  CONSTRUCTOR_BYTES_MAX: number;
  INPUT_PAYLOAD_BYTES_MAX: number;
  EFFECTS_BYTES_MAX: number;
};
/** Of the small core, which does not export it. */
const LAZY_BLOCKS_MAX = 3;
const ESRCH = -3;
const EIO = -5;
const EAGAIN = -11;
const ENOMEM = -12;
const EINVAL = -22;
const MAGIC = [0x72, 0x52, 0x69, 0x4d];

/** Regions of the first block of 4 KiB, which has the header too, and of each other. */
const FIRST_BLOCK_REGIONS = 24_576;
const BLOCK_REGIONS = 32_768;
/** More than a batch of the small core can take, whichever of them are to be written: a write takes two blocks. */
const BLOCKS = 4 * limits.EXTENTS_MAX + 3;
const REGIONS = FIRST_BLOCK_REGIONS + (BLOCKS - 1) * BLOCK_REGIONS;
const DEVICE_BYTES = BLOCKS * 4096;
const DEVICE = "/dev/log";

/** A region in each second block: none of them can share a write. */
const SCATTERED = Array.from({ length: Math.ceil(BLOCKS / 2) }, (_, i) =>
  i === 0 ? 0 : FIRST_BLOCK_REGIONS + (2 * i - 1) * BLOCK_REGIONS,
);

function host(regions: number, options = "", bytes = DEVICE_BYTES, module = small): DeviceHost {
  const made = new DeviceHost(new Engine(module));
  made.devices.set(DEVICE, new Uint8Array(bytes));
  assert.is(made.construct(`${regions * 2} disk ${DEVICE} 2${options}`).error, 0);
  return made;
}

const deviceOf = (made: DeviceHost) => made.devices.get(DEVICE) as Uint8Array;
const bitOf = (bytes: Uint8Array, region: number) => ((bytes[1024 + (region >>> 3)] as number) >>> (region & 7)) & 1;

/** Regions that a log on the device would call clean now: none where no header vouches for its bits. */
function vouchedClean(device: Uint8Array): number {
  if (MAGIC.some((byte, i) => device[i] !== byte)) return 0;
  const held = new DataView(device.buffer).getUint32(8, true);
  let clean = 0;
  for (let region = 0; region < held; region++) clean += bitOf(device, region);
  return clean;
}

// ---- more blocks than a batch holds

test("a new log of more blocks than a batch holds: no header vouches for blocks that were not written", () => {
  const made = host(REGIONS);
  deviceOf(made).fill(0xff);
  made.request("RESUME");
  let batches = 0;
  while (made.step()) {
    if (made.pending.length >= limits.EXTENTS_MAX) batches++;
    assert.is(vouchedClean(deviceOf(made)), 0, "a power cut now");
  }
  assert.ok(batches > 1, "it took more than one batch");
  assert.equal([...deviceOf(made).subarray(0, 4)], MAGIC);
  assert.is(words.logs(made.engine)[0]?.inSyncRegions, 0);
});

test("a log that grows by more blocks than a batch holds: no header vouches for blocks that were not written", () => {
  const made = host(REGIONS);
  const before = 20_000;
  deviceOf(made).fill(0xff);
  putLogHeader(deviceOf(made), before);
  made.request("RESUME");
  while (made.step()) {
    const clean = vouchedClean(deviceOf(made));
    assert.ok(clean === before || clean === 0, `a power cut now leaves ${clean} regions clean`);
  }
  assert.is(vouchedClean(deviceOf(made)), before);
  assert.is(new DataView(deviceOf(made).buffer).getUint32(8, true), REGIONS);
});

test("neighbouring blocks go out in writes as large as they may be", () => {
  const made = host(REGIONS, " nosync");
  made.ask("RESUME");
  made.writes = [];
  made.ask(
    "FLUSH",
    [2, 3, 4, 7].map((block) => FIRST_BLOCK_REGIONS + block * BLOCK_REGIONS),
  );
  assert.equal(
    made.writes.map(({ size }) => size),
    [8192, 4096, 4096],
  );
});

test("a FLUSH whose marks take more than one batch is answered when the last of them is durable", () => {
  const made = host(REGIONS, " nosync");
  assert.is(made.ask("RESUME").error, 0);
  assert.ok(SCATTERED.length > 2 * limits.EXTENTS_MAX);
  made.request("MARK_REGION", SCATTERED);
  const flushes = [made.request("FLUSH"), made.request("FLUSH")];
  while (made.pending.length > 0) {
    made.complete(made.pending.length - 1);
    const isDurable = SCATTERED.every((region) => bitOf(deviceOf(made), region) === 0);
    for (const seq of flushes)
      assert.is(made.replyTo(seq) === undefined, !isDurable, `${made.pending.length} writes left`);
  }
  for (const seq of flushes) assert.is(made.replyTo(seq)?.error, 0);
});

test("a FLUSH that comes while one of several batches is under way waits for the batch with its own mark", () => {
  const made = host(REGIONS, " nosync");
  made.ask("RESUME");
  made.request("FLUSH", SCATTERED);
  const region = (SCATTERED.at(-1) as number) - BLOCK_REGIONS;
  const late = made.request("FLUSH", [region]);
  while (made.pending.length > 0) {
    made.complete();
    if (made.replyTo(late) !== undefined) assert.is(bitOf(deviceOf(made), region), 0);
  }
  assert.is(made.replyTo(late)?.error, 0);
});

test("a write that fails in the first of several batches fails the FLUSH, and all is tried again", () => {
  const made = host(REGIONS, " nosync");
  made.ask("RESUME");
  const seq = made.request("FLUSH", SCATTERED);
  made.complete(1, EIO);
  made.completeAll();
  const first = made.replyTo(seq);
  const isDurable = () => SCATTERED.every((region) => bitOf(deviceOf(made), region) === 0);
  assert.ok(first?.error === EIO || isDurable(), "an answer of success stands for what is durable");
  assert.is(made.ask("FLUSH").error, 0);
  assert.ok(isDurable());
});

test("lazy work of more blocks than an input composes goes out in several, and all of it", () => {
  const made = host(REGIONS, " nosync");
  made.ask("RESUME");
  made.ask("FLUSH", SCATTERED);
  made.ask("CLEAR_REGION", SCATTERED);
  made.tick(2);
  assert.is(made.wakeAtNs, made.nowNs + 1, "one follows the other at once");
  made.tick(SCATTERED.length);
  for (const region of SCATTERED) assert.is(bitOf(deviceOf(made), region), 1, `region ${region}`);
  assert.is(made.wakeAtNs, 0);
});

test("blocks in which regions never rest do not keep the others from the device", () => {
  const made = host(REGIONS, " nosync");
  made.ask("RESUME");
  made.ask("FLUSH", SCATTERED);
  made.ask("CLEAR_REGION", SCATTERED);
  const busy = SCATTERED.slice(0, 2 * LAZY_BLOCKS_MAX);
  let atOnce = 0;
  for (let i = 0; i < 4 * SCATTERED.length; i++) {
    made.ask("FLUSH", busy);
    made.ask("CLEAR_REGION", busy);
    const writes = made.writes.length;
    made.tick();
    if (made.writes.length === writes && made.wakeAtNs === made.nowNs + 1) atOnce++;
  }
  assert.ok(atOnce > 0, "a part of the round that had nothing to write does not hold up the next");
  for (const region of SCATTERED.slice(busy.length)) assert.is(bitOf(deviceOf(made), region), 1, `region ${region}`);
});

test("a suspend in the midst of lazy work leaves none of it for later", () => {
  const made = host(REGIONS, " nosync");
  made.ask("RESUME");
  made.ask("FLUSH", SCATTERED);
  made.ask("CLEAR_REGION", SCATTERED);
  made.tick(2);
  const written = SCATTERED.filter((region) => bitOf(deviceOf(made), region) === 1);
  assert.ok(written.length > 0 && written.length < SCATTERED.length, "a round is under way");
  assert.is(made.ask("POSTSUSPEND").error, 0);
  for (const region of SCATTERED) assert.is(bitOf(deviceOf(made), region), 1, `region ${region}`);
  assert.is(made.ask("RESUME").error, 0);
  assert.is(made.ask("FLUSH", [0]).error, 0);
  assert.is(made.wakeAtNs, 0, "nothing is due");
});

/** One in each block. More blocks than one input of the small core composes where nothing has to be written, which is 10. */
const ONE_IN_EACH = Array.from({ length: BLOCKS }, (_, block) =>
  block === 0 ? 0 : FIRST_BLOCK_REGIONS + (block - 1) * BLOCK_REGIONS,
);

test("a suspend that composes many blocks of which none is to be written goes on with a tick, and writes what is behind them", () => {
  const made = host(REGIONS, " nosync");
  const last = ONE_IN_EACH.at(-1) as number;
  made.ask("RESUME");
  made.ask("FLUSH", ONE_IN_EACH);
  made.ask("CLEAR_REGION", ONE_IN_EACH);
  made.ask("MARK_REGION", ONE_IN_EACH.slice(0, -1));
  const suspend = made.request("POSTSUSPEND");
  made.completeAll();
  assert.is(made.replyTo(suspend), undefined, "the rest comes with a tick");
  assert.is(bitOf(deviceOf(made), last), 0);
  made.goOn();
  assert.is(made.replyTo(suspend)?.error, 0);
  assert.is(bitOf(deviceOf(made), last), 1, "what was cleared before the suspend is clean on the device after it");
});

test("a suspend and a resume compose many blocks and may write none, as the legs cannot be flushed: both are answered", () => {
  const made = host(REGIONS, " nosync");
  const { EFFECT_KIND_FLUSH_LEGS } = made.engine.abi;
  const ask = (type: RequestName) => {
    const seq = made.request(type);
    while (made.pending.length > 0) made.complete(0, made.pending[0]?.effect === EFFECT_KIND_FLUSH_LEGS ? EIO : 0);
    assert.is(made.replyTo(seq), undefined, `${type}: the rest comes with a tick`);
    for (let steps = 0; steps < BLOCKS; steps++) made.step();
    assert.is(made.replyTo(seq)?.error, 0, type);
    for (const region of ONE_IN_EACH) assert.is(bitOf(deviceOf(made), region), 0, `${type}: region ${region}`);
  };
  made.ask("RESUME");
  made.ask("FLUSH", ONE_IN_EACH);
  made.ask("CLEAR_REGION", ONE_IN_EACH);
  ask("POSTSUSPEND");
  ask("RESUME");
  made.tick(20);
  for (const region of ONE_IN_EACH) assert.is(bitOf(deviceOf(made), region), 1, `region ${region}`);
});

test("a tick composes no more lazy blocks than it may, though they are neighbours", () => {
  const made = host(REGIONS, " nosync");
  made.ask("RESUME");
  made.ask("FLUSH", ONE_IN_EACH);
  made.ask("CLEAR_REGION", ONE_IN_EACH);
  made.tick();
  made.nowNs = made.wakeAtNs;
  made.engine.ticked(made.nowNs, made.handler);
  const { EFFECT_KIND_WRITE } = made.engine.abi;
  const writes = made.pending.filter(({ effect }) => effect === EFFECT_KIND_WRITE);
  assert.is(
    writes.reduce((sum, { head }) => sum + head.sizeBytes, 0),
    LAZY_BLOCKS_MAX * 4096,
  );
});

test("a luid that waits for the suspend of another is resumed with the tick that ends it", () => {
  const made = host(REGIONS, " nosync");
  made.ask("RESUME");
  assert.is(made.ask("CTR", asciiBytes(`${REGIONS * 2} disk ${DEVICE} 2`), "LVM-disk", 9n).error, 0);
  assert.is(made.ask("IN_SYNC", [0], "LVM-disk", 9n).error, ESRCH, "it is to be resumed");
  for (const type of ["FLUSH", "CLEAR_REGION", "MARK_REGION"] as const) made.ask(type, ONE_IN_EACH);
  const suspend = made.request("POSTSUSPEND");
  made.completeAll();
  assert.is(made.replyTo(suspend), undefined, "the rest comes with a tick");
  const resume = made.request("RESUME", [], "LVM-disk", 9n);
  made.goOn();
  assert.equal([made.replyTo(suspend)?.error, made.replyTo(resume)?.error], [0, 0]);
});

test("a destructor that comes while a suspend waits for its turn takes no second turn, and nothing is left to do", () => {
  const made = host(REGIONS, " nosync");
  made.ask("RESUME");
  for (const type of ["FLUSH", "CLEAR_REGION"] as const) made.ask(type, ONE_IN_EACH);
  // The legs cannot be flushed, so each of them has to compose all blocks, and none of them writes.
  const begin = (type: RequestName) => {
    const seq = made.request(type);
    made.complete(0, EIO);
    assert.equal([made.replyTo(seq), made.pending.length], [undefined, 0], `${type} waits for its turn`);
    return seq;
  };
  const [suspend, destroy] = [begin("POSTSUSPEND"), begin("DTR")];
  made.goOn();
  assert.equal([made.replyTo(suspend)?.error, made.replyTo(destroy)?.error], [0, 0]);
  assert.is(made.wakeAtNs, 0);
  assert.is(made.engine.violatedInvariant(), 0);
});

test("a destructor in the midst of a suspend that could not flush the legs writes all that is lazy, from the first block on", () => {
  const made = host(REGIONS, " nosync");
  made.ask("RESUME");
  for (const type of ["FLUSH", "CLEAR_REGION"] as const) made.ask(type, ONE_IN_EACH);
  made.request("POSTSUSPEND");
  made.complete(0, EIO);
  const destroy = made.request("DTR");
  made.goOn();
  assert.is(made.replyTo(destroy)?.error, 0);
  for (const region of ONE_IN_EACH) assert.is(bitOf(deviceOf(made), region), 1, `region ${region}`);
});

test("a log that goes while it waits for its turn, between two others, takes nobody's turn with it", () => {
  const made = new DeviceHost(new Engine(small));
  const uuids = ["LVM-0", "LVM-1", "LVM-2"];
  const marked = ONE_IN_EACH.slice(0, 12);
  for (const [handle, uuid] of uuids.entries()) {
    made.devices.set(`/dev/log${handle}`, new Uint8Array(DEVICE_BYTES));
    const sectors = 2 * ((marked.at(-1) as number) + 1);
    made.ask("CTR", asciiBytes(`${sectors} disk /dev/log${handle} 2 nosync`), uuid);
    for (const type of ["RESUME", "FLUSH", "CLEAR_REGION", "MARK_REGION"] as const)
      assert.is(made.ask(type, type === "RESUME" ? [] : marked, uuid).error, 0);
  }
  const suspends = uuids.map((uuid) => made.request("POSTSUSPEND", [], uuid));
  assert.not.ok(suspends.some((seq) => made.replyTo(seq)));
  made.engine.forget(1, 5n, uuids[1] as string, made.nowNs, made.handler);
  for (let steps = 0; steps < BLOCKS; steps++) made.step();
  assert.equal(
    suspends.map((seq) => made.replyTo(seq)?.error),
    [0, 0, 0],
  );
  assert.is(words.logs(made.engine).length, 2);
  assert.is(made.wakeAtNs, 0, "nothing is left to do");
});

// ---- a device that hangs

/** Asks again and again while nothing gets done, each time with another seq. Returns the last. */
function insist(made: DeviceHost, type: RequestName, data: number[] = []): number {
  let seq = 0;
  for (let i = 0; i < 20; i++) seq = made.request(type, data);
  assert.not.ok(
    made.replies.some(({ error }) => error === EAGAIN),
    `${type}: the kernel is told to ask again at once`,
  );
  assert.is(made.replyTo(seq), undefined, `${type} waits`);
  return seq;
}

/** The device works again. */
function answered(made: DeviceHost, ...seqs: number[]): void {
  made.completeAll();
  for (const seq of seqs) {
    const replies = made.replies.filter((reply) => reply.seq === seq);
    assert.equal(
      replies.map(({ error }) => error),
      [0],
      `the last of them, ${seq}`,
    );
  }
  assert.not.ok(made.replies.some(({ error }) => error === EAGAIN));
}

for (const [name, module] of [
  ["small", small],
  ["debug", debug],
] as const) {
  test(`a hung log device: whoever asks last of each kind is answered when it is back, and nobody EAGAIN (${name} core)`, () => {
    const made = new DeviceHost(new Engine(module));
    made.devices.set(DEVICE, new Uint8Array(DEVICE_BYTES));
    const constructors: number[] = [];
    for (let i = 0; i < 20; i++) constructors.push(made.request("CTR", asciiBytes(`256 disk ${DEVICE} 2 nosync`)));
    answered(made, constructors.at(-1) as number);
    const resumed = insist(made, "RESUME");
    answered(made, resumed);
    const flush = insist(made, "FLUSH", [7]);
    answered(made, flush);
    const unsync = insist(made, "SET_REGION_SYNC", [9, 0]);
    const suspend = insist(made, "POSTSUSPEND");
    answered(made, unsync, suspend);
    const again = insist(made, "RESUME");
    answered(made, again);
    made.request("FLUSH", [20]);
    const destroy = insist(made, "DTR");
    answered(made, destroy);
    assert.equal(words.logs(made.engine), []);
    // Of the seven kinds that were asked 20 times each, all but those that were kept, and were answered with the last.
    const { CORE, CORE_WAITERS_LET_GO } = exportsOf(module) as { CORE: number; CORE_WAITERS_LET_GO: number };
    const letGo = new DataView(made.engine.bytes().buffer).getBigUint64(CORE + CORE_WAITERS_LET_GO, true);
    assert.is(Number(letGo), 7 * 20 + 1 - made.replies.length);
  });
}

test("a request that is asked again while it waits takes the place of its older self, and of no other that waits", () => {
  const made = host(128, " nosync");
  made.ask("RESUME");
  const flush = made.request("FLUSH", [7]);
  const suspends = [1, 2, 3].map(() => made.request("POSTSUSPEND"));
  answered(made, flush, suspends.at(-1) as number);
});

test("of more requests than can wait, the earliest are let go", () => {
  const made = host(128, " nosync");
  made.ask("RESUME");
  const flushes = [7, 8, 9, 10].map((region) => made.request("FLUSH", [region]));
  const suspends = [1, 2, 3].map(() => made.request("POSTSUSPEND"));
  made.completeAll();
  const errors = (seqs: number[]) => seqs.map((seq) => made.replyTo(seq)?.error);
  assert.equal(
    [errors(flushes), errors(suspends)],
    [
      [undefined, undefined, 0, 0],
      [undefined, undefined, 0],
    ],
  );
});

test("a completion for a handle that there is not changes nothing", () => {
  const made = host(128, " nosync");
  made.ask("RESUME");
  made.request("FLUSH", [7]);
  const { EFFECT_KIND_WRITE: effect } = made.engine.abi;
  const state = () => logsBytes(made.engine);
  const before = state();
  const answered = made.replies.length;
  const [{ head }] = made.pending as [(typeof made.pending)[number]];
  for (let beyond = 0; beyond < 64; beyond++) {
    for (const handle of [limits.HANDLE_COUNT + beyond, 2 ** 31 + beyond, 0xffff_ffff - beyond])
      made.engine.completed({ ...head, handle }, { effect, error: 0 }, made.nowNs, made.handler);
  }
  assert.ok(before.equals(state()));
  assert.is(made.replies.length, answered);
  assert.is(made.engine.violatedInvariant(), 0);
});

test("nothing is written at address 0, where a level would stand that a set does not have", () => {
  const made = new DeviceHost(new Engine(debug));
  const FREE = 0x100;
  assert.ok(made.engine.abi.INPUT_KIND >= FREE && made.engine.abi.CORE >= FREE);
  const canary = new Uint8Array(FREE).fill(0x5a);
  made.engine.bytes().set(canary);
  made.devices.set(DEVICE, new Uint8Array(DEVICE_BYTES));
  for (const regions of [1, 64, 65, 4096, 5000, 300_000]) {
    for (const type of ["core", `disk ${DEVICE}`]) {
      assert.is(made.construct(`${regions * 2} ${type} 2`).error, 0);
      made.ask("RESUME");
      made.ask("SET_REGION_SYNC", [0, 1]);
      made.ask("FLUSH", [0]);
      const [[handle, file]] = [...made.stateFiles] as [[number, Uint8Array]];
      const copy = file.slice();
      made.ask("DTR");
      made.engine.restoreLog(handle, copy, made.nowNs, made.handler);
      made.completeAll();
      made.ask("DTR");
    }
  }
  assert.equal(made.engine.read(0, FREE), canary);
});

test("an input may be as large as its area, and no larger", () => {
  const quietNs = (size: number) => {
    const made = host(128, " nosync");
    made.ask("RESUME");
    const { abi } = made.engine;
    const bytes = made.engine
      .bytes()
      .subarray(abi.INPUT_PAYLOAD, abi.INPUT_PAYLOAD + abi.CONFIGURE_BYTES)
      .fill(0);
    // The quiet time stands at its beginning.
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, 77, true);
    made.engine.handleRaw(abi.INPUT_KIND_CONFIGURE, size, 0, made.nowNs, 0);
    made.ask("FLUSH", [7]);
    made.ask("CLEAR_REGION", [7]);
    return made.wakeAtNs - made.nowNs;
  };
  const { CONFIGURE_BYTES } = new Engine(small).abi;
  assert.is(quietNs(CONFIGURE_BYTES), 77);
  assert.is.not(quietNs(CONFIGURE_BYTES - 1), 77, "nor smaller than what it is to say");
  assert.is(quietNs(limits.INPUT_PAYLOAD_BYTES_MAX), 77);
  assert.is.not(quietNs(limits.INPUT_PAYLOAD_BYTES_MAX + 1), 77);
});

// ---- time

test("a TICK that comes 1 ns early asks for the wake-up again", () => {
  const made = host(128, " nosync");
  made.ask("RESUME");
  made.ask("FLUSH", [7]);
  made.ask("CLEAR_REGION", [7]);
  const dueNs = made.wakeAtNs;
  assert.ok(dueNs > made.nowNs);
  made.wakeAtNs = 0;
  made.nowNs = dueNs - 1;
  made.engine.ticked(made.nowNs, made.handler);
  assert.is(made.wakeAtNs, dueNs);
  made.tick(2);
  assert.is(bitOf(deviceOf(made), 7), 1);
});

/** The deadline of each log, ns, as its record says; 0 for none. */
function deadlines({ engine }: DeviceHost): number[] {
  const { abi } = engine;
  const view = new DataView(engine.bytes().buffer);
  const all: number[] = [];
  for (
    let at = view.getUint32(abi.CORE + abi.CORE_FIRST_LOG, true);
    at !== 0;
    at = view.getUint32(at + abi.LOG_NEXT, true)
  ) {
    const disk = view.getUint32(at + abi.LOG_DISK, true);
    // A disk's record begins with its deadline (deadlines.ts).
    all.push(Number(view.getBigUint64(disk, true)));
  }
  return all;
}

test("the host is asked for the earliest deadline of all logs, whatever they do", () => {
  const random = seeded(seedFor("limits"));
  const made = new DeviceHost(new Engine(debug));
  const LOGS = 40;
  const uuid = (log: number) => `LVM-${log}`;
  made.engine.configure({ lazyRegionsMax: 6 }, made.nowNs, made.handler);
  for (let log = 0; log < LOGS; log++) {
    made.devices.set(`/dev/${log}`, new Uint8Array(4096));
    made.ask("CTR", asciiBytes(`256 disk /dev/${log} 2 nosync`), uuid(log), BigInt(log));
    made.ask("RESUME", [], uuid(log), BigInt(log));
  }
  const told = new Set<number>();
  for (let step = 0; step < 3000; step++) {
    const log = random.below(LOGS);
    const regions = [random.below(12)];
    const ask = (type: RequestName, data: number[] = []) => made.request(type, data, uuid(log), BigInt(log));
    made.nowNs += random.below(2_000_000);
    const due = made.wakeAtNs !== 0 && made.nowNs >= made.wakeAtNs;
    switch (due ? 0 : random.below(6)) {
      case 0:
        made.wakeAtNs = due ? 0 : made.wakeAtNs;
        made.engine.ticked(made.nowNs, made.handler);
        break;
      case 1:
        ask("FLUSH", regions);
        break;
      case 2:
      case 3:
        ask("CLEAR_REGION", regions);
        break;
      case 4:
        ask("POSTSUSPEND");
        made.completeAll();
        ask("RESUME");
        break;
      default:
        if (made.pending.length > 0) made.complete(random.below(made.pending.length), random.below(8) === 0 ? EIO : 0);
    }
    const all = deadlines(made).filter((ns) => ns !== 0);
    assert.is(made.wakeAtNs, all.length === 0 ? 0 : Math.min(...all), `step ${step}`);
    told.add(all.length);
  }
  assert.ok(Math.max(...told) > LOGS / 4, `at most ${Math.max(...told)} at once`);
});

// ---- effects

/** Takes the largest number of bytes of effects of an input. */
class Meter {
  effectsBytes = 0;
  handled(effectsBytes: number): void {
    this.effectsBytes = Math.max(this.effectsBytes, effectsBytes);
  }
  trapped(): void {}
}

test("a tick at which all logs that there can be have as much to do as they can have fits the effects area", () => {
  const made = new DeviceHost(new Engine(small));
  const meter = new Meter();
  made.engine.tap = meter;
  const all = Array.from({ length: limits.HANDLE_COUNT }, (_, i) => i);
  const ask = (log: number, type: RequestName, data: Uint8Array | number[] = []) => {
    assert.is(made.ask(type, data, `LVM-${log}`, BigInt(log)).error, 0);
  };
  for (const log of all) {
    made.devices.set(`/dev/${log}`, new Uint8Array(DEVICE_BYTES));
    ask(log, "CTR", asciiBytes(`${REGIONS * 2} disk /dev/${log} 2 nosync`));
    ask(log, "RESUME");
    ask(log, "FLUSH", [...SCATTERED, 7]);
    ask(log, "CLEAR_REGION", SCATTERED);
  }
  made.nowNs += 10_000_000_000;
  made.tick();
  for (const log of all) ask(log, "CLEAR_REGION", [7]);
  made.nowNs += 10_000_000_000;
  made.wakeAtNs = 0;
  made.engine.ticked(made.nowNs, made.handler);
  const asked = (effect: number) => made.pending.filter((operation) => operation.effect === effect).length;
  assert.ok(asked(made.engine.abi.EFFECT_KIND_WRITE) >= limits.HANDLE_COUNT);
  assert.is(asked(made.engine.abi.EFFECT_KIND_FLUSH_LEGS), limits.HANDLE_COUNT);
  assert.ok(meter.effectsBytes <= limits.EFFECTS_BYTES_MAX, `${meter.effectsBytes} bytes`);
  made.completeAll();
  made.tick(100);
  for (const log of all)
    for (const region of [...SCATTERED, 7]) assert.is(bitOf(made.devices.get(`/dev/${log}`) as Uint8Array, region), 1);
});

test("a MARK as large as an input may be is answered; one that is larger is dropped and counted", () => {
  const peer = new Peer(new Engine(small));
  const meter = new Meter();
  peer.engine.tap = meter;
  const { abi } = peer.engine;
  const most = Math.floor((limits.INPUT_PAYLOAD_BYTES_MAX - abi.FRAME_BYTES) / 8);
  peer.construct(`${most * 130} core 2 nosync`);
  peer.ask("RESUME");
  // Each in a word of its own.
  const regions = Array.from({ length: most }, (_, i) => i * 65);
  assert.is(peer.ask("MARK_REGION", regions).error, 0);
  assert.is(peer.describe().dirtyRegions, most);
  assert.is(peer.ask("FLUSH", regions).error, 0);
  assert.is(peer.ask("CLEAR_REGION", regions).error, 0);
  assert.is(peer.describe().dirtyRegions, 0);
  assert.ok(
    meter.effectsBytes > most * 40 && meter.effectsBytes <= limits.EFFECTS_BYTES_MAX,
    `${meter.effectsBytes} bytes`,
  );
  const frame = { type: "MARK_REGION", uuid: peer.uuid, luid: peer.luid, seq: 99, data: [...regions, 1] } as const;
  assert.equal(peer.deliver(encodeRequest(abi, frame)), []);
  assert.is(Number(peer.counters().droppedTruncated), 1);
  assert.is(peer.describe().dirtyRegions, 0);
});

// ---- handles, strings, sizes

test("when all handles are used a constructor is refused with ENOMEM and a notice, and one that is given back is used again", () => {
  const engine = new Engine(small);
  const peers = Array.from({ length: limits.HANDLE_COUNT + 1 }, (_, i) => new Peer(engine, `LVM-${i}`, BigInt(i + 1)));
  const last = peers.pop() as Peer;
  for (const peer of peers) assert.is(peer.construct("256 core 2").error, 0);
  const refused = last.construct("256 core 2");
  assert.is(refused.error, ENOMEM);
  assert.match(refused.notices.join(), /as many as one server keeps/);
  assert.is(words.logs(engine).length, limits.HANDLE_COUNT);
  assert.is(peers[3]?.ask("DTR").error, 0);
  assert.is(last.construct("256 core 2").error, 0);
  assert.is(engine.violatedInvariant(), 0);
});

test("a constructor string of as many bytes as may be is taken, a longer one is refused", () => {
  for (const module of [small, debug, new WebAssembly.Module(releaseWasm)]) {
    const most = exportsOf(module).CONSTRUCTOR_BYTES_MAX as number;
    const peer = new Peer(new Engine(module));
    const text = "256 core 2";
    const longest = text + " ".repeat(most - text.length);
    const refused = peer.construct(`${longest} `);
    assert.is(refused.error, EINVAL);
    assert.is(refused.notices.length, 1);
    assert.equal(words.logs(peer.engine), []);
    assert.is(peer.construct(longest).error, 0);
    assert.is(peer.construct(`${longest}\0`).error, 0, "the NUL of a kernel that reconnects does not count");
    assert.is(peer.ask("STATUS_TABLE").data.length, longest.length - 4);
  }
});

test("a log with the longest constructor string comes back from its state file", () => {
  const made = new DeviceHost(new Engine(small));
  const longest = "256 core 2".padEnd(limits.CONSTRUCTOR_BYTES_MAX);
  assert.is(made.construct(longest).error, 0);
  made.restart(new Engine(small));
  assert.equal(made.ask("STATUS_TABLE").data.length, longest.length - 4);
});

/** Cores whose linear memory ends at 64 MiB, so that a log of billions of regions is no matter of this machine's memory. */
const cramped = new WebAssembly.Module(withMemoryMax(debugWasm, 1024));

test("as many regions as there can be, and more, are refused for want of memory, and nothing traps or grows", () => {
  for (const type of ["core", "disk /dev/log"]) {
    for (const regions of [
      0xffff_ffbfn,
      0xffff_ffc0n,
      0xffff_ffc1n,
      0xffff_fffen,
      0xffff_ffffn,
      0x1_0000_0000n,
      1n << 62n,
    ]) {
      const peer = new Peer(new Engine(cramped));
      const before = peer.engine.bytes().length;
      assert.is(peer.construct(`${regions * 2n} ${type} 2`).error, ENOMEM, `${regions} regions`);
      assert.is(peer.engine.bytes().length, before, `${regions} regions`);
      assert.is(peer.engine.violatedInvariant(), 0);
    }
  }
});

test("a state file of a log of too many regions is refused: its size is no small number by overflow", () => {
  const made = new DeviceHost(new Engine(debug));
  made.ask("CTR", asciiBytes("256 core 2"));
  const file = [...made.stateFiles.values()][0] as Uint8Array;
  // The same file for a string of the same length that says 2^32 - 2 regions, with checks that hold.
  const forged = forgeConstructor(file, "8589934588 core 2");
  const other = new DeviceHost(new Engine(cramped));
  other.stateFiles.set(0, forged);
  other.engine.restoreLog(0, forged, 1, other.handler);
  assert.equal(words.logs(other.engine), []);
  assert.match(other.notices.join(), /invalid or from another version/);
  assert.is(other.stateFiles.size, 0);
});

/** A state file without sets whose constructor string is another one. */
function forgeConstructor(file: Uint8Array, text: string): Uint8Array {
  const headers = 2 * STATE_HEADER_BYTES;
  const room = (text.length + 7) & ~7;
  const forged = new Uint8Array(headers + 2 * room);
  forged.set(file.subarray(0, headers));
  for (const copy of [0, 1]) {
    const at = copy * STATE_HEADER_BYTES;
    new DataView(forged.buffer, at).setUint32(STATE_FIELDS.constructorBytes, text.length, true);
    sealHeader(forged, at, asciiBytes(text));
    forged.set(asciiBytes(text), headers + copy * room);
  }
  return forged;
}

// ---- what is refused leaves no trace

test("a refused GET_RESYNC_WORK leaves no trace", () => {
  const made = host(128, "", DEVICE_BYTES, debug);
  const state = () => logsBytes(made.engine);
  const before = state();
  assert.is(made.ask("GET_RESYNC_WORK", [1]).error, EINVAL);
  assert.ok(before.equals(state()));
  made.ask("RESUME");
  const resumed = state();
  assert.is(made.ask("GET_RESYNC_WORK", [1, 2]).error, EINVAL);
  assert.ok(resumed.equals(state()));
});

test.run();
