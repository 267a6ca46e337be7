// Disk logs: the kernel's format, what makes a flush wait, what never reaches the device, and what is left after a crash.

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LogDescription } from "../src/common/console.ts";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest, type Request, u64At } from "../src/common/kernel-frames.ts";
import { DeviceHost, fillClean } from "./device-host.ts";
import { debugWasm, words } from "./harness.ts";
import { STATE_FIELDS, STATE_HEADER_BYTES } from "./state-header.ts";

const EIO = -5;
const EINVAL = -22;
const ESRCH = -3;
/** Of the constructor string in a state file, behind both copies of the header. */
const TEXT_OFFSET = 2 * STATE_HEADER_BYTES;
const newEngine = () => new Engine(new WebAssembly.Module(debugWasm));

function host(regions = 128, options = "", deviceBytes = 1 << 20): DeviceHost {
  const made = new DeviceHost(newEngine());
  made.devices.set("/dev/log", new Uint8Array(deviceBytes));
  assert.is(made.construct(`${regions * 1024} clustered-disk /dev/log 1024${options}`).error, 0);
  return made;
}

function resumed(regions = 128, options = "", deviceBytes = 1 << 20): DeviceHost {
  const made = host(regions, options, deviceBytes);
  assert.is(made.ask("RESUME").error, 0);
  made.writes = [];
  return made;
}

const device = (made: DeviceHost) => made.devices.get("/dev/log") as Uint8Array;
const cleanOnDevice = (made: DeviceHost, region: number) =>
  (((device(made)[1024 + (region >>> 3)] as number) >> (region & 7)) & 1) === 1;
const inSync = (made: DeviceHost) => u64At(made.ask("GET_SYNC_COUNT").data, 0);

test("a new log has the kernel's bytes", () => {
  const made = resumed(128);
  const header = [0x72, 0x52, 0x69, 0x4d, 2, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
  assert.equal([...device(made).subarray(0, 16)], header);
  assert.equal([...device(made).subarray(1024, 1040)], new Array(16).fill(0));
  assert.match(made.notices.join(), /no log was on the log device/);
  assert.is(inSync(made), 0);
});

test("the header of a new log is written when its bits are: a torn write never vouches for old bits", () => {
  const made = host(128);
  device(made).fill(0xff);
  made.request("RESUME");
  made.complete(); // the image is read
  made.complete(); // the legs are flushed
  made.complete(); // the bits are written
  assert.equal([...device(made).subarray(0, 4)], [0, 0, 0, 0]);
  assert.is(device(made)[1024], 0);
  made.complete();
  assert.equal([...device(made).subarray(0, 4)], [0x72, 0x52, 0x69, 0x4d]);
});

test("no header of another size vouches for the bits that a resume writes, until all of them are written", () => {
  const made = resumed(128, " nosync");
  made.ask("POSTSUSPEND");
  device(made)[8] = 50;
  made.request("RESUME");
  made.complete(); // the image is read
  made.complete(); // the legs are flushed
  made.complete(); // the bits are written
  assert.equal([...device(made).subarray(0, 4)], [0, 0, 0, 0]);
  made.complete();
  assert.equal([...device(made).subarray(0, 9)], [0x72, 0x52, 0x69, 0x4d, 2, 0, 0, 0, 128]);
});

test("CTR names the device for the kernel to hold, but not a file, not to version 1, not when it reconnects", () => {
  const name = (reply: { data: Uint8Array }) => String.fromCharCode(...reply.data);
  const made = new DeviceHost(newEngine());
  made.devices.set("/dev/log", new Uint8Array(1 << 20));
  made.devices.set("/var/log.img", new Uint8Array(1 << 20));
  made.files.add("/var/log.img");
  assert.is(name(made.construct("131072 disk /dev/log 1024")), "98:16\0");
  assert.is(name(made.construct("131072 disk /dev/log 1024")), "98:16\0", "repeated");
  assert.is(name(made.construct("131072 disk /dev/log 1024\0")), "", "reconnecting");
  assert.is(name(made.ask("CTR", asciiBytes("131072 disk /var/log.img 1024"), "file", 6n)), "");
});

test("the device is named to a kernel of protocol version 2 or 3", () => {
  const made = new DeviceHost(newEngine());
  const { abi } = made.engine;
  made.devices.set("/dev/log", new Uint8Array(1 << 20));
  const name = (version: number) => {
    const request = { type: "CTR", uuid: "LVM-disk", luid: BigInt(version), seq: version, version } as const;
    const datagram = encodeRequest(abi, { ...request, data: asciiBytes("131072 disk /dev/log 1024") });
    made.engine.deliver(datagram, 0, made.nowNs, made.handler);
    made.completeAll();
    return String.fromCharCode(...(made.replyTo(version)?.data ?? []));
  };
  assert.equal([name(1), name(2), name(3)], ["", "98:16\0", "98:16\0"]);
});

test("an OPEN that says too little of its device is none: the constructor waits on", () => {
  const made = new DeviceHost(newEngine());
  const { abi } = made.engine;
  const seq = made.request("CTR", asciiBytes("131072 disk /dev/log 1024"));
  const [{ head }] = made.pending as [(typeof made.pending)[number]];
  const give = (bytes: number) => {
    const view = new DataView(made.engine.bytes().buffer, abi.INPUT_PAYLOAD);
    view.setUint32(abi.HEAD_HANDLE, head.handle, true);
    view.setUint32(abi.COMPLETION_EFFECT, abi.EFFECT_KIND_OPEN, true);
    view.setInt32(abi.COMPLETION_ERROR, 0, true);
    view.setBigUint64(abi.COMPLETION_DEVICE_BYTES, 1n << 20n, true);
    return made.engine.handleRaw(abi.INPUT_KIND_COMPLETION, bytes, 0, made.nowNs, 0);
  };
  assert.is(give(abi.COMPLETION_OPEN_BYTES - 1), 0);
  assert.is(made.replyTo(seq), undefined);
  assert.is.not(give(abi.COMPLETION_OPEN_BYTES), 0);
});

test("CTR is refused where the device is missing or too small", () => {
  const made = new DeviceHost(newEngine());
  assert.is(made.construct("131072 disk /dev/none 1024").error, -2);
  assert.match(made.notices.join(), /cannot be opened/);
  made.devices.set("/dev/tiny", new Uint8Array(1024));
  assert.is(made.construct("131072 disk /dev/tiny 1024").error, EINVAL);
  assert.match(made.notices.join(), /too small: the log needs 1040 bytes/);
  made.devices.set("/dev/just", new Uint8Array(1536));
  assert.is(made.construct("131072 disk /dev/just 1024").error, 0);
  assert.is(made.ask("RESUME").error, 0);
  assert.is(words.logs(made.engine).length, 1);
});

test("a RESUME that comes before the device is open is answered when the device is refused", () => {
  const made = new DeviceHost(newEngine());
  const constructed = made.request("CTR", asciiBytes("131072 disk /dev/none 1024"));
  const resume = made.request("RESUME");
  made.completeAll();
  assert.is(made.replyTo(constructed)?.error, -2);
  assert.is(made.replyTo(resume)?.error, -2);
  assert.equal(words.logs(made.engine), []);
});

test("a log written before is read: in sync is what was clean", () => {
  const made = host(128);
  const bytes = device(made);
  bytes.set([0x72, 0x52, 0x69, 0x4d, 2, 0, 0, 0, 0x80]);
  bytes.fill(0xff, 1024, 1040);
  bytes[1024 + 3] = 0xfe;
  bytes[1040] = 0xff;
  made.ask("RESUME");
  assert.is(inSync(made), 127);
  assert.is(u64At(made.ask("GET_RESYNC_WORK").data, 1), 24);
  assert.is(bytes[1040], 0, "bits beyond the last region are cleared");
});

test("what lies behind the last region in a block of its own is cleared on the device", () => {
  // The last of them fills its word of 64, or does not.
  for (const regions of [30_000, 30_016]) {
    const end = 1024 + Math.ceil(regions / 8);
    const made = resumed(regions, " nosync");
    made.ask("POSTSUSPEND");
    device(made).fill(0xff, end, 8192);
    assert.is(made.ask("RESUME").error, 0);
    assert.is(inSync(made), regions);
    assert.equal([...device(made).subarray(end, 8192)], new Array(8192 - end).fill(0), `${regions} regions`);
  }
});

test("version 1 is read as 2; a version nobody knows is left alone and nothing is in sync", () => {
  const old = host(128);
  device(old).set([0x72, 0x52, 0x69, 0x4d, 1, 0, 0, 0, 0x80]);
  device(old).fill(0xff, 1024, 1040);
  old.ask("RESUME");
  assert.is(inSync(old), 128);
  assert.is(device(old)[4], 2);
  // Also where the header says whose log it is already.
  old.ask("POSTSUSPEND");
  device(old)[4] = 1;
  old.ask("RESUME");
  assert.is(inSync(old), 128);
  assert.is(device(old)[4], 2);

  const later = host(128);
  device(later).set([0x72, 0x52, 0x69, 0x4d, 9, 0, 0, 0, 0x80]);
  device(later).fill(0xff, 1024, 1040);
  const before = device(later).slice();
  assert.is(later.ask("RESUME").error, 0, "a reconnecting kernel must hear what is in sync: nothing");
  assert.is(inSync(later), 0);
  later.ask("SET_REGION_SYNC", [3, 1]);
  assert.is(later.ask("FLUSH", [3]).error, EIO);
  later.tick(3);
  assert.equal(device(later), before);
  assert.match(String.fromCharCode(...later.ask("STATUS_INFO").data), / D$/);
});

test("a device that has grown brings regions that are out of sync, or in sync with nosync; a shrunk one drops them", () => {
  for (const [regions, options, expected] of [
    [200, "", 100],
    [200, " nosync", 200],
    [200, " sync", 0],
    [50, "", 50],
  ] as const) {
    const made = host(regions, options);
    device(made).set([0x72, 0x52, 0x69, 0x4d, 2, 0, 0, 0, 100]);
    device(made).fill(0xff, 1024, 1037);
    made.ask("RESUME");
    assert.is(inSync(made), expected, `${regions}${options}`);
    assert.is(device(made)[8], regions);
    assert.match(made.notices.join(), regions === 50 ? /had 100 regions, more/ : /had 100 regions, fewer/);
  }
});

test("FLUSH is answered when its marks are on the device, and not before", () => {
  const made = resumed(128, " nosync");
  assert.ok(cleanOnDevice(made, 7));
  const seq = made.request("FLUSH", [7]);
  assert.is(made.replyTo(seq), undefined);
  assert.ok(cleanOnDevice(made, 7));
  made.complete();
  assert.is(made.replyTo(seq)?.error, 0);
  assert.not.ok(cleanOnDevice(made, 7));
  assert.equal(made.writes, [{ offset: 0, size: 4096 }]);
});

test("a region that the device has as dirty is marked without a write", () => {
  const made = resumed(128, " nosync");
  made.ask("FLUSH", [7]);
  made.ask("CLEAR_REGION", [7]);
  made.writes = [];
  const seq = made.request("FLUSH", [7]);
  assert.is(made.replyTo(seq)?.error, 0);
  assert.equal(made.writes, []);
  const { flushes, flushesWithoutWrite } = words.counters(made.engine);
  assert.equal([flushes, flushesWithoutWrite], [2, 1]);
});

test("neighbouring blocks are one write, distant ones are several", () => {
  const made = resumed(200_000, " nosync");
  made.ask("FLUSH", [0, 30_000, 57_344, 190_000]);
  assert.equal(made.writes, [
    { offset: 0, size: 12288 },
    { offset: 24576, size: 4096 },
  ]);
});

test("flushes that come while a write is under way share the next one", () => {
  const made = resumed(128, " nosync");
  const first = made.request("FLUSH", [1]);
  const second = made.request("FLUSH", [2]);
  const third = made.request("FLUSH", [3]);
  assert.is(made.pending.length, 1);
  made.complete();
  assert.is(made.replyTo(first)?.error, 0);
  assert.is(made.replyTo(second), undefined);
  assert.is(made.pending.length, 1, "one write for both");
  made.complete();
  assert.is(made.replyTo(second)?.error, 0);
  assert.is(made.replyTo(third)?.error, 0);
  assert.not.ok(cleanOnDevice(made, 3));
});

test("a flush without marks of its own waits for the write under way that has some", () => {
  const made = resumed(128, " nosync");
  const marking = made.request("FLUSH", [1]);
  const plain = made.request("FLUSH");
  assert.is(made.replyTo(plain), undefined);
  made.complete();
  assert.is(made.replyTo(marking)?.error, 0);
  assert.is(made.replyTo(plain)?.error, 0);
  assert.is(made.pending.length, 0);
});

test("a clear reaches the device after a quiet time and after a flush of the legs, in that order", () => {
  const made = resumed(128, " nosync");
  made.ask("FLUSH", [7]);
  made.ask("CLEAR_REGION", [7]);
  assert.not.ok(cleanOnDevice(made, 7));
  const legs = made.engine.abi.EFFECT_KIND_FLUSH_LEGS;
  made.nowNs = made.wakeAtNs;
  made.engine.ticked(made.nowNs, made.handler);
  assert.equal(
    made.pending.map(({ effect }) => effect),
    [legs],
  );
  made.completeAll();
  assert.not.ok(cleanOnDevice(made, 7), "settled, not yet written");
  made.tick();
  assert.ok(cleanOnDevice(made, 7));
  assert.is(made.wakeAtNs, 0, "nothing more to wake up for");
});

test("a region marked while the legs are flushed is not written as clean", () => {
  const made = resumed(128, " nosync");
  made.ask("FLUSH", [7, 8]);
  made.ask("CLEAR_REGION", [7, 8]);
  made.nowNs = made.wakeAtNs;
  made.engine.ticked(made.nowNs, made.handler);
  made.request("FLUSH", [7]);
  made.request("CLEAR_REGION", [7]);
  made.completeAll();
  made.tick();
  assert.not.ok(cleanOnDevice(made, 7), "its clear came after the flush had begun");
  assert.ok(cleanOnDevice(made, 8));
  made.tick(2);
  assert.ok(cleanOnDevice(made, 7));
});

test("legs that cannot be flushed keep clears from the device, and say so once", () => {
  const made = resumed(128, " nosync");
  made.ask("FLUSH", [7]);
  made.ask("CLEAR_REGION", [7]);
  for (let i = 0; i < 3; i++) {
    made.nowNs = made.wakeAtNs;
    made.engine.ticked(made.nowNs, made.handler);
    made.complete(0, -19);
  }
  assert.not.ok(cleanOnDevice(made, 7));
  assert.is(made.notices.filter((notice) => /legs cannot be flushed.* 1 clean regions/.test(notice)).length, 1);
  made.tick(3);
  assert.ok(cleanOnDevice(made, 7));
});

test("a hot set stops touching the device", () => {
  const made = resumed(128, " nosync");
  for (let i = 0; i < 1000; i++) {
    assert.is(made.ask("FLUSH", [i % 4]).error, 0);
    made.ask("CLEAR_REGION", [i % 4]);
  }
  assert.ok(made.writes.length <= 4, `${made.writes.length} writes`);
});

test("a suspend writes all that is lazy before it is answered", () => {
  const made = resumed(128, " nosync");
  made.ask("FLUSH", [7]);
  made.ask("CLEAR_REGION", [7]);
  made.ask("PRESUSPEND");
  const seq = made.request("POSTSUSPEND");
  assert.is(made.replyTo(seq), undefined);
  made.completeAll();
  assert.is(made.replyTo(seq)?.error, 0);
  assert.ok(cleanOnDevice(made, 7));
  assert.is(made.ask("RESUME").error, 0);
  assert.is(inSync(made), 128);
  assert.is(made.ask("DTR").error, 0);
  assert.is(made.opened.size, 0);
  assert.equal(words.logs(made.engine), []);
});

test("a suspend that is not done when the destructor comes is answered before it", () => {
  const made = resumed(128, " nosync");
  made.ask("FLUSH", [7]);
  made.ask("CLEAR_REGION", [7]);
  const suspend = made.request("POSTSUSPEND");
  const destroy = made.request("DTR");
  assert.is(made.replyTo(suspend), undefined);
  made.completeAll();
  const answered = made.replies.filter(({ seq }) => seq === suspend || seq === destroy);
  assert.equal(
    answered.map(({ seq, error }) => [seq, error]),
    [
      [suspend, 0],
      [destroy, 0],
    ],
  );
});

test("a destructor that is asked again while it waits begins nothing anew", () => {
  const made = resumed(128, " nosync");
  const { EFFECT_KIND_FLUSH_LEGS: legs } = made.engine.abi;
  made.ask("FLUSH", [7]);
  made.ask("CLEAR_REGION", [7]);
  made.ask("MARK_REGION", [9]);
  const first = made.request("DTR");
  assert.equal(
    made.pending.map(({ effect }) => effect),
    [legs],
  );
  made.complete(0, EIO);
  const again = made.request("DTR");
  made.complete(); // the mark is written
  assert.equal([made.replyTo(first)?.error, made.replyTo(again)?.error], [0, 0]);
  assert.equal(made.pending, []);
});

test("the error that reading a log device ended with is told as it was", () => {
  const ENXIO = -6;
  const made = host(128, " nosync");
  const seq = made.request("RESUME");
  made.complete(0, ENXIO);
  made.completeAll();
  assert.is(made.replyTo(seq)?.error, 0);
  assert.match(made.notices.join(), /the log device has failed: .* \(errno 6\)/);
  assert.is(inSync(made), 0);
});

test("what a device says that could not be read is overwritten: after a power cut it would be believed", () => {
  // In 2 blocks of the device, and in 71.
  for (const [regions, blocks] of [
    [30_000, 2],
    [2_300_000, 71],
  ] as const) {
    const made = host(regions);
    fillClean(device(made), regions);
    made.request("RESUME");
    made.complete(0, EIO);
    made.goOn();
    assert.is(inSync(made), 0);
    assert.equal(new Set(device(made).subarray(1024, blocks * 4096)), new Set([0]));
  }
});

test("a constructor that repeats itself opens the device of a log whose device was missing after a restart", () => {
  const made = host(128);
  const bytes = device(made);
  made.devices.delete("/dev/log");
  made.restart(newEngine());
  made.completeAll();
  assert.is(made.construct("131072 clustered-disk /dev/log 1024").error, -2);
  made.devices.set("/dev/log", bytes);
  assert.is(String.fromCharCode(...made.construct("131072 clustered-disk /dev/log 1024").data), "98:16\0");
  assert.is(made.ask("RESUME").error, 0);
});

test("a flush that waits for a restored log's device fails when the log is removed first", () => {
  const made = resumed(128, " nosync");
  made.ask("FLUSH", [7]);
  made.restart(newEngine());
  const flush = made.request("FLUSH");
  const destroy = made.request("DTR");
  assert.is(made.replyTo(flush), undefined);
  made.completeAll();
  assert.equal([made.replyTo(flush)?.error, made.replyTo(destroy)?.error], [EIO, 0]);
});

test("a mark whose write failed is written by the next flush, though that one brings no mark", () => {
  const made = resumed(128, " nosync");
  made.ask("MARK_REGION", [7]);
  const failed = made.request("FLUSH");
  made.complete(0, EIO);
  assert.is(made.replyTo(failed)?.error, EIO);
  const seq = made.request("FLUSH");
  assert.is(made.replyTo(seq), undefined, "what the device may not hold is not vouched for");
  made.complete();
  assert.is(made.replyTo(seq)?.error, 0);
  assert.not.ok(cleanOnDevice(made, 7));
});

test("SET_REGION_SYNC to out of sync is durable before it is answered", () => {
  const made = resumed(128, " nosync");
  const seq = made.request("SET_REGION_SYNC", [9, 0]);
  assert.is(made.replyTo(seq), undefined);
  made.complete();
  assert.is(made.replyTo(seq)?.error, 0);
  assert.not.ok(cleanOnDevice(made, 9));
});

test("a failed write fails the flushes that waited, shows D until a resume, and is tried again", () => {
  const made = resumed(128, " nosync");
  const status = () => String.fromCharCode(...made.ask("STATUS_INFO").data);
  assert.is(status(), "3 clustered-disk 98:16 A");
  const seq = made.request("FLUSH", [7]);
  made.complete(0, EIO);
  assert.is(made.replyTo(seq)?.error, EIO);
  assert.is(status(), "3 clustered-disk 98:16 D");
  assert.match(made.notices.join(), /log device has failed: repair it/);
  assert.is(made.ask("FLUSH", [8]).error, 0, "the device works again");
  assert.not.ok(cleanOnDevice(made, 7));
  assert.not.ok(cleanOnDevice(made, 8));
  assert.is(status(), "3 clustered-disk 98:16 D", "no later success hides it");
  made.ask("PRESUSPEND");
  made.ask("POSTSUSPEND");
  assert.is(made.ask("RESUME").error, 0);
  assert.is(status(), "3 clustered-disk 98:16 A");
});

test("of a device that fails again and again, the first error is told, and told once", () => {
  const ENXIO = -6;
  const made = resumed(128, " nosync");
  for (const [region, error] of [EIO, ENXIO].entries()) {
    made.request("FLUSH", [region]);
    made.complete(0, error);
  }
  assert.match(words.logs(made.engine)[0]?.device?.error ?? "", /^EIO/);
  assert.is(made.notices.filter((notice) => /the log device has failed/.test(notice)).length, 1);
});

test("a device that cannot be read: nothing is in sync", () => {
  const made = host(128, " nosync");
  const seq = made.request("RESUME");
  made.complete(0, EIO);
  made.completeAll();
  assert.is(made.replyTo(seq)?.error, 0, "a reconnecting kernel must hear what is in sync: nothing");
  assert.is(inSync(made), 0);
  assert.match(String.fromCharCode(...made.ask("STATUS_INFO").data), / D$/);
});

test("a READ that brings nothing, or more than there is room for, has failed: nothing is in sync, and nothing is overwritten", () => {
  for (const sizeBytes of [0, 8192]) {
    const made = host(128, " nosync");
    const seq = made.request("RESUME");
    // The model holds for hosts that read what they are asked for.
    made.engine.tap = null;
    const [{ head, effect }] = made.pending.splice(0, 1) as [(typeof made.pending)[number]];
    const completion = { effect, error: 0, data: new Uint8Array(sizeBytes).fill(0xff) };
    made.engine.completed({ ...head, sizeBytes }, completion, made.nowNs, made.handler);
    made.completeAll();
    assert.is(made.replyTo(seq)?.error, 0);
    assert.is(inSync(made), 0);
    assert.match(String.fromCharCode(...made.ask("STATUS_INFO").data), / D$/);
  }
});

test("a device that was away while a region was copied says that it is clean when the legs are flushed, and not before", () => {
  const made = host(128);
  device(made).set([0x72, 0x52, 0x69, 0x4d, 2, 0, 0, 0, 128]);
  device(made).fill(0xff, 1024, 1040);
  made.request("RESUME");
  made.complete(0, EIO);
  made.completeAll();
  assert.is(made.ask("SET_REGION_SYNC", [3, 1]).error, 0);
  assert.is(made.ask("POSTSUSPEND").error, EIO);
  const { EFFECT_KIND_FLUSH_LEGS: legs } = made.engine.abi;
  const again = made.request("RESUME");
  while (made.pending.length > 0) made.complete(0, made.pending[0]?.effect === legs ? -19 : 0);
  assert.is(made.replyTo(again)?.error, 0);
  assert.is(inSync(made), 1);
  assert.not.ok(cleanOnDevice(made, 3));
  made.tick(3);
  assert.ok(cleanOnDevice(made, 3));
  assert.not.ok(cleanOnDevice(made, 4));
});

test("quiet time, lazy regions and block size are options", () => {
  const made = new DeviceHost(newEngine());
  made.devices.set("/dev/log", new Uint8Array(1 << 20));
  made.engine.configure(
    { quietNs: 5e6, lazyRegionsMax: 3, aheadRegions: 0, blockBytes: 8192 },
    made.nowNs,
    made.handler,
  );
  made.engine.configure({ blockBytes: 5000 }, made.nowNs, made.handler);
  made.construct("131072 disk /dev/log 1024 nosync");
  made.ask("RESUME");
  made.writes = [];
  made.ask("FLUSH", [1, 2, 3]);
  assert.equal(made.writes, [{ offset: 0, size: 4096 }], "no more than the log takes");
  made.ask("CLEAR_REGION", [1]);
  assert.is(made.wakeAtNs, made.nowNs + 5e6);
  made.ask("CLEAR_REGION", [2, 3]);
  assert.is(made.wakeAtNs, made.nowNs, "three are lazy: at once");

  const large = new DeviceHost(newEngine());
  large.devices.set("/dev/log", new Uint8Array(1 << 20));
  large.engine.configure({ blockBytes: 8192 }, 0, large.handler);
  large.construct("2097152 disk /dev/log 8 nosync");
  large.ask("RESUME");
  large.writes = [];
  large.ask("FLUSH", [0, 200_000]);
  assert.equal(large.writes, [
    { offset: 0, size: 8192 },
    { offset: 24576, size: 8192 },
  ]);
});

test("a block may have from 4096 to 65536 bytes, of which each is a power of two", () => {
  const made = new DeviceHost(newEngine());
  made.devices.set("/dev/log", new Uint8Array(1 << 20));
  let luid = 0n;
  const written = (blockBytes: number) => {
    const ask = (type: Request["type"], data: Request["data"] = []) => made.ask(type, data, "LVM-disk", luid);
    luid++;
    made.engine.configure({ blockBytes }, made.nowNs, made.handler);
    ask("CTR", asciiBytes("4194304 disk /dev/log 8 nosync"));
    ask("RESUME");
    made.writes = [];
    ask("FLUSH", [0]);
    ask("DTR");
    return made.writes[0]?.size;
  };
  assert.equal(
    [65_536, 131_072, 8192, 4096, 8192, 2048, 12_288].map(written),
    [65_536, 65_536, 8192, 4096, 8192, 8192, 8192],
  );
});

test("what a device has to do is told", () => {
  const made = resumed(128, " nosync");
  made.ask("FLUSH", [7]);
  made.ask("CLEAR_REGION", [7]);
  made.request("FLUSH", [9]);
  const { device } = words.logs(made.engine)[0] as LogDescription;
  assert.equal(device, {
    major: 98,
    minor: 16,
    isReady: true,
    error: null,
    urgentBlocks: 0,
    lazyBlocks: 1,
    unsettledRegions: 1,
    waitingRequests: 1,
  });
  made.complete(0, EIO);
  assert.match(words.logs(made.engine)[0]?.device?.error ?? "", /^EIO/);
  assert.is(words.counters(made.engine).deviceWrites, 4, "bits and header of the new log, and those of two flushes");
  assert.is(words.logs(host(128).engine)[0]?.device?.isReady, false, "before its first resume");
  // What became clean before the legs are flushed, and meanwhile.
  made.nowNs = made.wakeAtNs;
  made.engine.ticked(made.nowNs, made.handler);
  made.request("CLEAR_REGION", [9]);
  assert.is(words.logs(made.engine)[0]?.device?.unsettledRegions, 2);
});

/** A log without options whose device calls every region clean. */
function inSyncOnDevice(): DeviceHost {
  const made = resumed(128);
  for (let region = 0; region < 128; region++) made.ask("SET_REGION_SYNC", [region, 1]);
  made.ask("PRESUSPEND");
  made.ask("POSTSUSPEND");
  made.ask("RESUME");
  assert.is(inSync(made), 128);
  assert.ok(cleanOnDevice(made, 127));
  return made;
}

test("a server that lost a log's state takes every region for marked until the kernel has suspended", () => {
  const made = inSyncOnDevice();
  assert.is(made.ask("MARK_REGION", [7]).error, 0);
  // Another server finds the device and no state file; the kernel does not mark again what was answered.
  made.stateFiles.clear();
  made.restart(newEngine());
  assert.is(made.construct("131072 clustered-disk /dev/log 1024\0").error, 0);
  assert.match(made.notices.join(), /what this server knew of the log is lost/);
  assert.is(made.ask("RESUME").error, 0);
  assert.is(made.ask("FLUSH").error, 0);
  assert.is(inSync(made), 128, "what the device calls clean is in sync");
  assert.is(cleanOnDevice(made, 7), false, "but nobody knows what is marked");
  assert.is(cleanOnDevice(made, 127), false);

  made.restart(newEngine());
  made.ask("PRESUSPEND");
  assert.is(made.ask("POSTSUSPEND").error, 0);
  assert.is(made.ask("RESUME").error, 0);
  assert.is(inSync(made), 128);
  made.tick(2);
  assert.is(cleanOnDevice(made, 7), true);
  assert.is(cleanOnDevice(made, 127), true);
});

test("what a first resume makes of a device of several blocks is in the state file to the last region", () => {
  const regions = 60_000;
  for (const [kernel, expected] of [
    ["", 0],
    ["\0", 1],
  ] as const) {
    const made = new DeviceHost(newEngine());
    made.devices.set("/dev/log", new Uint8Array(1 << 20));
    fillClean(device(made), regions);
    made.construct(`${regions * 1024} clustered-disk /dev/log 1024${kernel}`);
    made.ask("RESUME");
    made.restart(newEngine());
    made.goOn();
    const states = words.regionStates(made.engine, "LVM-disk", 5n, 0, regions);
    assert.equal(
      [states.length, new Set(states)],
      [regions, new Set([expected])],
      "clean, or marked where it was lost",
    );
  }
});

test("a lost log whose table says nosync is out of sync: nobody knows whether it was ever resumed", () => {
  const made = resumed(128, " nosync");
  made.stateFiles.clear();
  made.restart(newEngine());
  made.construct("131072 clustered-disk /dev/log 1024 nosync\0");
  assert.is(made.ask("RESUME").error, 0);
  assert.is(inSync(made), 0);
});

test("a log that a reload has replaced writes nothing more to the device that its successor uses", () => {
  const made = resumed(128, " nosync");
  made.ask("FLUSH", [7]);
  made.ask("CTR", asciiBytes("131072 clustered-disk /dev/log 1024"), "LVM-disk", 9n);
  made.ask("PRESUSPEND");
  made.ask("POSTSUSPEND");
  made.ask("RESUME", [], "LVM-disk", 9n);
  assert.is(u64At(made.ask("GET_SYNC_COUNT", [], "LVM-disk", 9n).data, 0), 127);
  made.ask("FLUSH", [20], "LVM-disk", 9n);
  made.ask("CLEAR_REGION", [7]);
  made.writes = [];
  assert.is(made.ask("DTR").error, 0);
  assert.equal(made.writes, []);
  assert.not.ok(cleanOnDevice(made, 20));
});

test("a log whose suspend never arrived writes nothing more once its successor has resumed", () => {
  const made = resumed(128, " nosync");
  made.ask("FLUSH", [7]);
  made.ask("CTR", asciiBytes("131072 clustered-disk /dev/log 1024"), "LVM-disk", 9n);
  assert.is(
    made.ask("RESUME", [], "LVM-disk", 9n).error,
    0,
    "a kernel that reconnects resumes what is only loaded too",
  );
  assert.is(made.ask("IN_SYNC", [9], "LVM-disk", 9n).error, ESRCH, "it was meant: the kernel resumes again");
  const late = made.request("FLUSH", [8]);
  const tooLate = made.request("FLUSH", [9]);
  const resume = made.request("RESUME", [], "LVM-disk", 9n);
  assert.is(made.replyTo(resume), undefined, "it waits for the write under way");
  made.completeAll();
  assert.is(made.replyTo(late)?.error, 0);
  assert.is(made.replyTo(tooLate)?.error, EIO, "its mark is not on the device, and will not be");
  assert.ok(cleanOnDevice(made, 9));
  assert.is(made.replyTo(resume)?.error, 0);
  made.ask("FLUSH", [20], "LVM-disk", 9n);
  made.writes = [];
  made.tick(3);
  assert.equal(made.writes, []);
  assert.not.ok(cleanOnDevice(made, 20));
});

test("a log whose successor has resumed leaves the device to it, whatever a late thread of the kernel asks", () => {
  const made = resumed(128, " nosync");
  made.ask("CTR", asciiBytes("131072 clustered-disk /dev/log 1024"), "LVM-disk", 9n);
  made.ask("PRESUSPEND");
  made.ask("POSTSUSPEND");
  made.ask("RESUME", [], "LVM-disk", 9n);
  made.restart(newEngine());
  made.completeAll();
  assert.is(made.construct("131072 clustered-disk /dev/log 1024 nosync\0").error, 0);
  made.writes = [];
  assert.is(made.ask("RESUME").error, 0);
  assert.is(made.ask("CLEAR_REGION", [7]).error, 0);
  assert.is(made.ask("FLUSH").error, 0);
  assert.equal(made.writes, []);
  assert.is(made.ask("FLUSH", [20], "LVM-disk", 9n).error, 0);
  assert.not.ok(cleanOnDevice(made, 20));
});

test("a log whose successor resumes while it is resuming itself is done before, and leaves the device to it", () => {
  const made = host(128, " nosync");
  made.ask("CTR", asciiBytes("131072 clustered-disk /dev/log 1024"), "LVM-disk", 9n);
  const earlier = made.request("RESUME");
  const later = made.request("RESUME", [], "LVM-disk", 9n);
  assert.equal(new Set(made.pending.map(({ head }) => head.handle)).size, 1, "one of them reads");
  made.completeAll();
  assert.is(made.replyTo(earlier)?.error, 0);
  assert.is(made.replyTo(later)?.error, 0);
  assert.is(made.ask("FLUSH", [20], "LVM-disk", 9n).error, 0);
  assert.is(made.ask("FLUSH", [21]).error, EINVAL);
});

test("two luids of a mirror whose state is lost: whichever the kernel works with has the device, and no mark is lost", () => {
  const made = inSyncOnDevice();
  made.ask("FLUSH", [7]);
  made.stateFiles.clear();
  made.restart(newEngine());
  const reconnect = (luid: bigint) =>
    made.ask("CTR", asciiBytes("131072 clustered-disk /dev/log 1024\0"), "LVM-disk", luid);
  assert.is(reconnect(5n).error, 0);
  assert.is(made.ask("IN_SYNC", [8]).error, ESRCH, "the device is not read yet");
  assert.is(made.ask("RESUME").error, 0);
  // The earlier luid's last thread comes late.
  assert.is(reconnect(4n).error, 0);
  assert.is(made.ask("RESUME", [], "LVM-disk", 4n).error, 0);
  assert.is(made.ask("FLUSH", [20]).error, ESRCH, "the kernel is to resume the log it works with");
  assert.is(made.ask("RESUME").error, 0);
  assert.is(made.ask("FLUSH", [20]).error, 0);
  for (const region of [7, 8, 20]) assert.not.ok(cleanOnDevice(made, region), `region ${region}`);
  assert.is(u64At(made.ask("IN_SYNC", [8]).data, 0), 1);
  const suspendAndResume = () => {
    for (const type of ["PRESUSPEND", "POSTSUSPEND", "RESUME"] as const) made.ask(type);
    made.tick(2);
  };
  suspendAndResume();
  assert.not.ok(cleanOnDevice(made, 8), "the marks may be of the other luid's writes");
  made.ask("DTR", [], "LVM-disk", 4n);
  suspendAndResume();
  assert.ok(cleanOnDevice(made, 8), "the other luid is gone, and this one's writes have ended");
});

test("two mirrors cannot keep their logs on one device, but a reload of one mirror can", () => {
  const made = resumed(128);
  const other = made.ask("CTR", asciiBytes("131072 disk /dev/log 1024"), "LVM-other", 9n);
  assert.is(other.error, -16);
  assert.match(made.notices.join(), /log of another mirror/);
  assert.is(made.ask("CTR", asciiBytes("131072 disk /dev/log 1024"), "LVM-disk", 9n).error, 0);
});

test("other logs go on while one waits for its device", () => {
  const made = resumed(128, " nosync");
  made.devices.set("/dev/other", new Uint8Array(1 << 20));
  made.ask("CTR", asciiBytes("131072 disk /dev/other 1024 nosync"), "other", 6n);
  made.ask("RESUME", [], "other", 6n);
  const stuck = made.request("FLUSH", [1]);
  const free = made.request("FLUSH", [1], "other", 6n);
  made.complete(1);
  assert.is(made.replyTo(free)?.error, 0);
  assert.is(made.replyTo(stuck), undefined);
});

test("a power cut at any moment leaves marks that were flushed on the device", () => {
  const made = resumed(128, " nosync");
  made.ask("FLUSH", [3, 60]);
  const after = new DeviceHost(newEngine());
  after.devices.set("/dev/log", device(made).slice());
  after.construct("131072 clustered-disk /dev/log 1024");
  after.ask("RESUME");
  assert.is(inSync(after), 126);
  assert.is(u64At(after.ask("IN_SYNC", [60]).data, 0), 0);
});

test("a server that dies and comes back goes on: nothing is resynced, nothing is forgotten", () => {
  for (const kind of ["clustered-disk /dev/log", "clustered-core"]) {
    const made = new DeviceHost(newEngine());
    made.devices.set("/dev/log", new Uint8Array(1 << 20));
    made.construct(`131072 ${kind} 1024`);
    made.ask("RESUME");
    for (let region = 0; region < 100; region++) made.ask("SET_REGION_SYNC", [region, 1]);
    made.ask("SET_REGION_SYNC", [50, 0]);
    made.ask("FLUSH", [10, 11]);
    made.ask("CLEAR_REGION", [11]);
    const before = words.logs(made.engine)[0];
    made.restart(newEngine());
    const waiting = made.request("FLUSH", [12]);
    made.completeAll();
    assert.is(made.replyTo(waiting)?.error, 0);
    const after = words.logs(made.engine)[0];
    assert.is(after?.inSyncRegions, 99);
    assert.is(after?.state, before?.state);
    assert.is(after?.dirtyRegions, 2);
    assert.match(made.notices.join(), /restored/);
    assert.is(made.construct(`131072 ${kind} 1024\0`).error, 0, "and a kernel that reconnects finds it");
    assert.is(made.ask("RESUME").error, 0);
    assert.is(inSync(made), 99);
    made.tick(5);
    if (kind !== "clustered-core") {
      assert.not.ok(cleanOnDevice(made, 10));
      assert.not.ok(cleanOnDevice(made, 12));
      assert.not.ok(cleanOnDevice(made, 50));
      assert.ok(cleanOnDevice(made, 11));
    }
    assert.is(made.ask("DTR").error, 0);
    assert.is(made.stateFiles.size, 0);
  }
});

test("a suspend that comes while a log is restored or resumed is answered when that is done", () => {
  const made = resumed(128, " nosync");
  made.ask("PRESUSPEND");
  made.restart(newEngine());
  const early = made.request("POSTSUSPEND");
  made.completeAll();
  assert.is(made.replyTo(early)?.error, 0);
  assert.is(words.logs(made.engine)[0]?.state, "suspended");
  const resume = made.request("RESUME");
  made.complete(); // the image is read
  assert.is(made.replyTo(resume), undefined, "the legs are not known yet");
  made.completeAll();
  assert.is(made.replyTo(resume)?.error, 0);
});

test("a log that was constructed and not resumed keeps its state file when it is restored", () => {
  const made = host(128);
  made.restart(newEngine());
  const file = ([...made.stateFiles.values()][0] as Uint8Array).slice();
  let created = 0;
  const { stateCreate } = made.handler;
  made.handler.stateCreate = (head) => {
    created++;
    stateCreate?.(head);
  };
  made.completeAll();
  assert.is(created, 0);
  assert.equal([...made.stateFiles.values()][0], file);
  const name = made.construct("131072 clustered-disk /dev/log 1024").data;
  assert.is(String.fromCharCode(...name), "98:16\0", "and its constructor is answered as before");
  assert.is(made.ask("RESUME").error, 0);
});

test("a region that a killed server left in both sets that are out of sync is in sync once it was copied", () => {
  // In the first copy of the sets, or in both, which then differ in nothing.
  for (const copies of [[0], [0, 1]]) {
    const made = resumed(128, " nosync");
    const [[handle, file] = []] = made.stateFiles;
    const sets = (file?.length ?? 0) - 2 * 3 * 16;
    for (const copy of copies) for (const set of [0, 1]) (file as Uint8Array)[sets + copy * 3 * 16 + set * 16] = 1 << 3;
    made.stateFiles.set(handle as number, file as Uint8Array);
    made.restart(newEngine());
    made.completeAll();
    assert.is(inSync(made), 127);
    assert.is(made.ask("SET_REGION_SYNC", [3, 1]).error, 0);
    made.restart(newEngine());
    made.completeAll();
    assert.is(inSync(made), 128);
  }
});

test("a state file for a log that there is already is refused, and that log keeps its own", () => {
  const made = resumed(128);
  const [[handle, file]] = [...made.stateFiles] as [[number, Uint8Array]];
  made.engine.restoreLog(handle, file.slice(), made.nowNs, made.handler);
  assert.match(made.notices.join(), /invalid or from another version/);
  assert.is(made.stateFiles.size, 1);
});

test("a file that is no state file is refused and removed", () => {
  const made = resumed(128);
  const [handle, file] = [...made.stateFiles][0] as [number, Uint8Array];
  const broken: [string, Uint8Array][] = [
    ["empty header", new Uint8Array(file.length)],
    ["cut short", file.slice(0, 100)],
    ["longer than its log", new Uint8Array([...file, 0, 0, 0, 0, 0, 0, 0, 0])],
    ["two damaged headers", file.map((byte, i) => (i % STATE_HEADER_BYTES === STATE_FIELDS.state ? byte ^ 4 : byte))],
    ["two damaged constructors", file.map((byte, i) => (i >= TEXT_OFFSET && byte === 0x31 ? 0x78 : byte))],
  ];
  for (const [what, bytes] of broken) {
    const other = new DeviceHost(newEngine());
    other.stateFiles.set(handle, bytes);
    other.engine.restoreLog(handle, bytes, 0, other.handler);
    assert.is(other.stateFiles.size, 0, what);
    assert.match(other.notices.join(), /invalid or from another version/, what);
    assert.equal(words.logs(other.engine), [], what);
  }
});

test.run();
