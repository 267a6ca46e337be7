// Several luids of one mirror, and mirrors that would share what they must not: who may have a log device, what the luids of
// a mirror know of it, what becomes of those that the kernel has no table of any more, and what a log that is gone still does.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, type Reply, u64At } from "../src/common/kernel-frames.ts";
import { DeviceHost, fillClean } from "./device-host.ts";
import { debugWasm, exportsOf, releaseWasm, smallWasm, words } from "./harness.ts";

const debug = new WebAssembly.Module(debugWasm);
const EIO = -5;
const ESRCH = -3;
const EBUSY = -16;
const UUID = "LVM-disk";
const OLD = 5n;
const NEW = 9n;
const REGIONS = 128;
const DEVICE = "/dev/log";
const TEXT = `${REGIONS * 2} clustered-disk ${DEVICE} 2`;

const newHost = (module = debug) => {
  const made = new DeviceHost(new Engine(module));
  made.devices.set(DEVICE, new Uint8Array(8192));
  return made;
};

const deviceOf = (made: DeviceHost) => made.devices.get(DEVICE) as Uint8Array;
const construct = (made: DeviceHost, luid: bigint, text = TEXT) => made.ask("CTR", asciiBytes(text), UUID, luid);
const inSync = (made: DeviceHost, luid: bigint) => u64At(made.ask("GET_SYNC_COUNT", [], UUID, luid).data, 0);
const textOf = ({ data }: Reply) => String.fromCharCode(...data);
const stateOf = (made: DeviceHost, luid: bigint) => words.logs(made.engine).find((log) => log.luid === luid)?.state;

test("of two state files that both say resumed, the later luid has the mirror, whichever is restored first", () => {
  const made = newHost();
  construct(made, OLD);
  made.ask("RESUME", [], UUID, OLD);
  const [handle] = [...made.stateFiles.keys()] as [number];
  const old = (made.stateFiles.get(handle) as Uint8Array).slice();
  construct(made, NEW);
  made.ask("POSTSUSPEND", [], UUID, OLD);
  made.ask("RESUME", [], UUID, NEW);
  // The server ended when the one file was written and the other was not yet.
  const files = new Map([...made.stateFiles].map(([key, file]) => [key, key === handle ? old : file]));
  assert.is(files.size, 2);
  for (const order of [[...files], [...files].reverse()]) {
    const other = newHost();
    for (const [key, file] of order) {
      other.stateFiles.set(key, file.slice());
      other.engine.restoreLog(key, file, other.nowNs, other.handler);
    }
    const { EFFECT_KIND_WRITE } = other.engine.abi;
    while (other.pending.length > 0) {
      const writers = other.pending.filter(({ effect }) => effect === EFFECT_KIND_WRITE).map(({ head }) => head.handle);
      assert.not.ok(writers.includes(handle), "the earlier luid writes over what the later one has marked");
      other.complete();
    }
    const states = words.logs(other.engine).map(({ luid, state }) => [luid, state]);
    assert.equal(states.sort(), [
      [OLD, "suspended"],
      [NEW, "resumed"],
    ]);
  }
});

test("a table that is loaded once more at the same address comes after those that were loaded meanwhile", () => {
  const made = newHost();
  construct(made, OLD);
  construct(made, NEW);
  made.ask("RESUME", [], UUID, NEW);
  // The destructor of the first was not heard.
  assert.is(construct(made, OLD).error, 0);
  made.ask("POSTSUSPEND", [], UUID, NEW);
  assert.is(made.ask("RESUME", [], UUID, OLD).error, 0);
  assert.is(stateOf(made, OLD), "resumed");
  // A thread of the kernel that was held up resumes the table before.
  assert.is(made.ask("RESUME", [], UUID, NEW).error, 0);
  assert.equal([stateOf(made, OLD), stateOf(made, NEW)], ["resumed", "suspended"]);
});

test("a table that is loaded once more at the same address is the latest for the next server too", () => {
  const made = newHost();
  construct(made, OLD);
  construct(made, NEW);
  made.ask("RESUME", [], UUID, NEW);
  assert.is(construct(made, OLD).error, 0);
  made.restart(new Engine(debug));
  made.completeAll();
  made.ask("POSTSUSPEND", [], UUID, NEW);
  made.ask("RESUME", [], UUID, OLD);
  // A thread of the kernel that was held up resumes the table before.
  assert.is(made.ask("RESUME", [], UUID, NEW).error, 0);
  assert.equal([stateOf(made, OLD), stateOf(made, NEW)], ["resumed", "suspended"]);
});

// ---- luids whose state is lost

/** The server has lost the state of a mirror that was in sync: a kernel that reconnects makes and resumes this luid. */
function lost(): DeviceHost {
  const made = newHost();
  fillClean(deviceOf(made), REGIONS);
  reconnect(made, OLD);
  assert.is(isClean(made, OLD), false, "any region may be marked");
  return made;
}

function reconnect(made: DeviceHost, luid: bigint): void {
  assert.is(construct(made, luid, `${TEXT}\0`).error, 0);
  assert.is(made.ask("RESUME", [], UUID, luid).error, 0);
}

const isClean = (made: DeviceHost, luid: bigint) => u64At(made.ask("IS_CLEAN", [8], UUID, luid).data, 0) === 1;

test("the marks of a lost luid end with its suspend, though a luid that is known from its constructor on is loaded", () => {
  const made = lost();
  construct(made, NEW);
  made.ask("POSTSUSPEND", [], UUID, OLD);
  made.ask("RESUME", [], UUID, OLD);
  assert.is(isClean(made, OLD), true);
});

test("the marks of a lost luid end with its suspend, though the server ends before its resume", () => {
  const made = lost();
  made.ask("POSTSUSPEND", [], UUID, OLD);
  made.restart(new Engine(debug));
  made.completeAll();
  assert.is(made.ask("RESUME", [], UUID, OLD).error, 0);
  assert.is(isClean(made, OLD), true);
});

test("the marks of a lost luid end with its suspend, though another lost luid that is gone still flushes its legs", () => {
  const made = lost();
  made.ask("POSTSUSPEND", [], UUID, OLD);
  reconnect(made, NEW);
  made.ask("SET_REGION_SYNC", [3, 1], UUID, NEW);
  made.ask("CLEAR_REGION", [3], UUID, NEW);
  made.nowNs = made.wakeAtNs;
  made.engine.ticked(made.nowNs, made.handler);
  assert.is(made.pending.length, 1);
  const resume = made.request("RESUME", [], UUID, OLD);
  made.engine.forget(1, NEW, UUID, made.nowNs, made.handler);
  while (made.pending.length > 1) made.complete(1);
  assert.is(made.replyTo(resume)?.error, 0);
  assert.is(isClean(made, OLD), true);
});

test("a lost luid that a reload has replaced does not take the mirror back for a late thread of the kernel", () => {
  const made = lost();
  construct(made, NEW);
  made.ask("POSTSUSPEND", [], UUID, OLD);
  made.ask("RESUME", [], UUID, NEW);
  assert.is(made.ask("RESUME", [], UUID, OLD).error, 0);
  assert.equal([stateOf(made, OLD), stateOf(made, NEW)], ["suspended", "resumed"]);
});

// ---- luids that give way

test("nobody is woken for the lazy work of a luid that another has replaced", () => {
  const made = newHost();
  fillClean(deviceOf(made), REGIONS);
  construct(made, OLD);
  made.ask("RESUME", [], UUID, OLD);
  made.ask("FLUSH", [7], UUID, OLD);
  made.ask("CLEAR_REGION", [7], UUID, OLD);
  construct(made, NEW);
  assert.is.not(made.wakeAtNs, 0);
  // Its suspend is not heard.
  assert.is(made.ask("IN_SYNC", [7], UUID, NEW).error, ESRCH);
  assert.is(made.ask("RESUME", [], UUID, NEW).error, 0);
  assert.equal([stateOf(made, OLD), stateOf(made, NEW)], ["suspended", "resumed"]);
  assert.is(made.wakeAtNs, 0);
});

test("a log that is gone and still uses a device that hangs does not keep the next one from its mirror", () => {
  const made = newHost();
  construct(made, OLD, `${TEXT} nosync`);
  made.ask("RESUME", [], UUID, OLD);
  made.request("FLUSH", [3], UUID, OLD);
  made.engine.forget(0, OLD, UUID, made.nowNs, made.handler);
  const constructed = made.request("CTR", asciiBytes(TEXT), UUID, NEW);
  const resume = made.request("RESUME", [], UUID, NEW);
  assert.is(made.replyTo(resume), undefined, "it waits for the device");
  made.completeAll();
  assert.equal([made.replyTo(constructed)?.error, made.replyTo(resume)?.error], [0, 0]);
  assert.equal(
    words.logs(made.engine).map(({ luid, state }) => [luid, state]),
    [[NEW, "resumed"]],
  );
});

test("the luids of a mirror find each other by a UUID of any length, whatever their own numbers are", () => {
  for (const length of [1, 68, 128]) {
    const made = newHost();
    const uuid = "u".repeat(length);
    const luids = [1n, 0x5555_5555_5555_5555n, 0xffff_8880_0123_4567n];
    for (const luid of luids) {
      assert.is(made.ask("CTR", asciiBytes(TEXT), uuid, luid).error, 0, `${length} characters`);
      for (const other of luids) if (other < luid) made.ask("POSTSUSPEND", [], uuid, other);
      assert.is(made.ask("RESUME", [], uuid, luid).error, 0);
      assert.is(stateOf(made, luid), "resumed");
    }
  }
});

test("a luid that gets a log device is resumed at once, though the mirror's running luid has its log in memory", () => {
  const made = newHost();
  construct(made, OLD, `${REGIONS * 2} core 2`);
  made.ask("RESUME", [], UUID, OLD);
  construct(made, NEW);
  assert.is(made.ask("RESUME", [], UUID, NEW).error, 0);
  assert.equal([stateOf(made, OLD), stateOf(made, NEW)], ["resumed", "resumed"]);
});

// ---- two mirrors, one file

test("two mirrors with one regular file as log: the second is refused, by whatever path it comes", () => {
  const made = newHost();
  const file = new Uint8Array(8192);
  for (const path of ["/var/log.img", "/var/link.img"]) {
    made.devices.set(path, file);
    made.files.add(path);
    made.inodes.set(path, 77n);
  }
  const ask = (uuid: string, luid: bigint, path: string) =>
    made.ask("CTR", asciiBytes(`${REGIONS * 2} disk ${path} 2`), uuid, luid).error;
  assert.is(ask("LVM-a", 1n, "/var/log.img"), 0);
  assert.is(ask("LVM-b", 2n, "/var/log.img"), EBUSY);
  assert.match(made.notices.join(), /log of another mirror/);
  assert.is(ask("LVM-b", 2n, "/var/link.img"), EBUSY);
  assert.is(ask("LVM-a", 3n, "/var/link.img"), 0, "a reload of the same mirror");
  assert.is(made.ask("DTR", [], "LVM-a", 1n).error, 0);
  assert.is(ask("LVM-b", 2n, "/var/log.img"), EBUSY, "the reloaded luid has it still");
  assert.is(made.ask("DTR", [], "LVM-a", 3n).error, 0);
  assert.is(ask("LVM-b", 2n, "/var/log.img"), 0);
});

test("two mirrors with files of their own, of one file system or with one number in two, are none of each other's business", () => {
  const made = newHost();
  for (const [i, path] of ["/var/a.img", "/var/b.img"].entries()) {
    made.devices.set(path, new Uint8Array(8192));
    made.files.add(path);
    made.inodes.set(path, BigInt(100 + i));
  }
  assert.is(made.ask("CTR", asciiBytes(`${REGIONS * 2} disk /var/a.img 2`), "LVM-a", 1n).error, 0);
  assert.is(made.ask("CTR", asciiBytes(`${REGIONS * 2} disk /var/b.img 2`), "LVM-b", 2n).error, 0);
});

test("logs, mirrors and devices whose hashes are alike: whichever goes, the others are found", () => {
  // The small core has two chains for each; so three of five are in one of them.
  const mirrors = Array.from({ length: 5 }, (_, i) => ({
    uuid: `LVM-${i}`,
    luid: BigInt(i + 1),
    path: `/dev/log${i}`,
  }));
  for (const gone of mirrors) {
    const made = newHost(new WebAssembly.Module(smallWasm));
    const ask = (uuid: string, luid: bigint, path: string) =>
      made.ask("CTR", asciiBytes(`${REGIONS * 2} disk ${path} 2`), uuid, luid).error;
    for (const { uuid, luid, path } of mirrors) {
      made.devices.set(path, new Uint8Array(8192));
      assert.is(ask(uuid, luid, path), 0);
    }
    assert.is(made.ask("DTR", [], gone.uuid, gone.luid).error, 0);
    for (const { uuid, luid, path } of mirrors) {
      const isGone = luid === gone.luid;
      assert.is(made.ask("STATUS_TABLE", [], uuid, luid).error, isGone ? ESRCH : 0, `${uuid}, ${gone.uuid} has gone`);
      assert.is(ask(uuid, 9n, path), 0, `a reload of ${uuid}, ${gone.uuid} has gone`);
      assert.is(made.ask("DTR", [], uuid, 9n).error, 0);
      assert.is(ask("LVM-other", 9n, path), isGone ? 0 : EBUSY, `the device of ${uuid}, ${gone.uuid} has gone`);
      if (isGone) assert.is(made.ask("DTR", [], "LVM-other", 9n).error, 0);
    }
    assert.is(words.logs(made.engine).length, mirrors.length - 1);
  }
});

// ---- what a mirror knows of a device that has failed

/** The server dies and another takes up its state files, with all that is left under way done. */
function restart(made: DeviceHost, isFailing: boolean): void {
  made.restart(new Engine(debug));
  if (isFailing) made.completeFailing(EIO);
  else made.completeAll();
}

const REMOVALS = ["after the new luid resumes", "before the new luid resumes", "never"] as const;
/** The server is restarted before this step, or not at all. */
const RESTARTS = [-1, 0, 1, 2, 3, 4, 5] as const;

for (const removal of REMOVALS) {
  for (const restartAt of RESTARTS) {
    const when = restartAt < 0 ? "" : `, a server that is restarted before step ${restartAt}`;
    test(`a device that was away when the mirror resumed is not believed after a reload: old luid goes ${removal}${when}`, () => {
      const made = newHost();
      fillClean(deviceOf(made), REGIONS);
      construct(made, OLD);
      const failing = (type: "RESUME" | "POSTSUSPEND") => {
        const seq = made.request(type, [], UUID, OLD);
        made.completeFailing(EIO);
        return made.replyTo(seq)?.error;
      };
      let isFailing = true;
      const steps: (() => void)[] = [
        () => assert.is(made.ask("PRESUSPEND", [], UUID, OLD).error, 0),
        () => assert.is(failing("POSTSUSPEND"), EIO),
        // The device is back, with bits of the past.
        () => {
          isFailing = false;
        },
        () => {
          if (removal === "before the new luid resumes") assert.is(made.ask("DTR", [], UUID, OLD).error, 0);
        },
        () => {
          assert.is(made.ask("RESUME", [], UUID, NEW).error, 0);
          assert.is(inSync(made, NEW), 0, "the old bits are not believed");
        },
        () => {
          if (removal === "after the new luid resumes") assert.is(made.ask("DTR", [], UUID, OLD).error, 0);
        },
      ];
      assert.is(failing("RESUME"), 0);
      assert.is(inSync(made, OLD), 0);
      assert.is(construct(made, NEW).error, 0);
      for (const [i, step] of steps.entries()) {
        if (i === restartAt) restart(made, isFailing);
        step();
      }
      assert.is(inSync(made, NEW), 0);
      // Once the device says what memory knows it is believed again.
      for (let region = 0; region < 100; region++) made.ask("SET_REGION_SYNC", [region, 1], UUID, NEW);
      made.ask("PRESUSPEND", [], UUID, NEW);
      assert.is(made.ask("POSTSUSPEND", [], UUID, NEW).error, 0);
      made.ask("CTR", asciiBytes(TEXT), UUID, 11n);
      assert.is(made.ask("RESUME", [], UUID, 11n).error, 0);
      assert.is(inSync(made, 11n), 100);
    });
  }
}

test("a device whose last write failed is not believed after a reload", () => {
  const made = newHost();
  fillClean(deviceOf(made), REGIONS);
  construct(made, OLD);
  made.ask("RESUME", [], UUID, OLD);
  assert.is(inSync(made, OLD), REGIONS);
  const flush = made.request("FLUSH", [7], UUID, OLD);
  made.completeFailing(EIO);
  assert.is(made.replyTo(flush)?.error, EIO);
  construct(made, NEW);
  const suspend = made.request("POSTSUSPEND", [], UUID, OLD);
  made.completeFailing(EIO);
  assert.is(made.replyTo(suspend)?.error, EIO);
  assert.is(made.ask("RESUME", [], UUID, NEW).error, 0);
  assert.is(u64At(made.ask("IN_SYNC", [7], UUID, NEW).data, 0), 0);
});

test("a luid that was loaded before the device failed knows of it from its own file, when the luid that saw it is gone", () => {
  const made = newHost();
  fillClean(deviceOf(made), REGIONS);
  construct(made, OLD);
  made.ask("RESUME", [], UUID, OLD);
  construct(made, NEW);
  const flush = made.request("FLUSH", [7], UUID, OLD);
  made.completeFailing(EIO);
  assert.is(made.replyTo(flush)?.error, EIO);
  made.request("POSTSUSPEND", [], UUID, OLD);
  made.completeFailing(EIO);
  assert.is(made.ask("DTR", [], UUID, OLD).error, 0);
  made.restart(new Engine(debug));
  made.completeAll();
  assert.is(made.ask("RESUME", [], UUID, NEW).error, 0);
  assert.is(u64At(made.ask("IN_SYNC", [7], UUID, NEW).data, 0), 0, "it was marked, and the device never heard of it");
});

test("a device that fails while another luid's constructor waits for it: nothing is written to the file that luid has not got", () => {
  const made = newHost();
  fillClean(deviceOf(made), REGIONS);
  construct(made, OLD);
  made.ask("RESUME", [], UUID, OLD);
  const constructed = made.request("CTR", asciiBytes(TEXT), UUID, NEW);
  made.request("FLUSH", [7], UUID, OLD);
  made.complete(1, EIO);
  made.completeAll();
  assert.is(made.replyTo(constructed)?.error, 0);
  assert.is(made.strayStateWrites, 0);
});

// ---- FORGET

/** Where a disk log is in its life when the host tells that no table names it. */
const PHASES: readonly [name: string, isCreated: boolean, arrive: (made: DeviceHost) => void][] = [
  ["opening", false, (made) => made.request("CTR", asciiBytes(TEXT), UUID, OLD)],
  ["open", true, (made) => construct(made, OLD)],
  [
    "loading",
    true,
    (made) => {
      construct(made, OLD);
      made.request("RESUME", [], UUID, OLD);
    },
  ],
  [
    "storing",
    true,
    (made) => {
      deviceOf(made).fill(0xff);
      construct(made, OLD);
      made.request("RESUME", [], UUID, OLD);
      const { EFFECT_KIND_READ } = made.engine.abi;
      while (made.pending.some(({ effect }) => effect === EFFECT_KIND_READ)) made.complete();
      assert.ok(made.pending.some(({ effect }) => effect === made.engine.abi.EFFECT_KIND_WRITE));
    },
  ],
  [
    "ready with a batch in flight",
    true,
    (made) => {
      fillClean(deviceOf(made), REGIONS);
      construct(made, OLD);
      made.ask("RESUME", [], UUID, OLD);
      made.request("FLUSH", [7], UUID, OLD);
      made.request("MARK_REGION", [70], UUID, OLD);
      assert.is(made.pending.length, 1);
    },
  ],
  [
    "ready with lazy work",
    true,
    (made) => {
      fillClean(deviceOf(made), REGIONS);
      construct(made, OLD);
      made.ask("RESUME", [], UUID, OLD);
      made.ask("FLUSH", [7], UUID, OLD);
      made.ask("CLEAR_REGION", [7], UUID, OLD);
    },
  ],
  [
    "suspended",
    true,
    (made) => {
      construct(made, OLD);
      for (const type of ["RESUME", "PRESUSPEND", "POSTSUSPEND"] as const) made.ask(type, [], UUID, OLD);
    },
  ],
];

for (const [phase, isCreated, arrive] of PHASES) {
  test(`a disk log is forgotten: ${phase}`, () => {
    const made = newHost();
    arrive(made);
    assert.is(made.stateFiles.size, isCreated ? 1 : 0);
    const isWrite = ({ effect }: { effect: number }) => effect === made.engine.abi.EFFECT_KIND_WRITE;
    const asked = made.pending.filter(isWrite).length;
    made.writes = [];
    made.engine.forget(0, OLD, UUID, made.nowNs, made.handler);
    assert.match(made.notices.join(), /no table of the kernel names this log/);
    assert.is(made.pending.filter(isWrite).length, asked, "nothing more is written");
    made.completeAll();
    made.tick(5);
    assert.is(made.writes.length, asked, "nor later");
    assert.equal(words.logs(made.engine), []);
    assert.is(made.stateFiles.size, 0);
    assert.is(made.strayStateWrites, 0);
    assert.is(made.opened.size, 0, "the device is let go");
    assert.is(made.wakeAtNs, 0);
    // Handle and device go to another mirror.
    const other = made.ask("CTR", asciiBytes(TEXT), "LVM-other", 6n);
    assert.is(other.error, 0);
    assert.is([...made.stateFiles.keys()][0], 0);
  });
}

test("a core log is forgotten: its handle and its memory are used again", () => {
  const made = newHost();
  const text = asciiBytes("20000000 core 2");
  assert.is(made.ask("CTR", text, "LVM-a", 1n).error, 0);
  made.ask("RESUME", [], "LVM-a", 1n);
  const before = made.engine.bytes().length;
  made.engine.forget(0, 1n, "LVM-a", made.nowNs, made.handler);
  assert.equal(words.logs(made.engine), []);
  assert.is(made.stateFiles.size, 0);
  assert.is(made.ask("CTR", text, "LVM-b", 2n).error, 0);
  assert.is([...made.stateFiles.keys()][0], 0);
  assert.is(made.engine.bytes().length, before);
});

test("what names no log is not forgotten", () => {
  const made = newHost();
  construct(made, OLD);
  made.ask("RESUME", [], UUID, OLD);
  const before = words.logs(made.engine);
  made.notices = [];
  for (const [handle, luid, uuid] of [
    [1, OLD, UUID],
    [4096, OLD, UUID],
    [0xffff_ffff, OLD, UUID],
    [1, 0n, ""],
    [0, NEW, UUID],
    [0, OLD, `${UUID}x`],
    [0, OLD, UUID.slice(1)],
    [0, OLD, UUID.slice(0, -1)],
    [0, OLD, ""],
  ] as const) {
    made.engine.forget(handle, luid, uuid, made.nowNs, made.handler);
    assert.equal(words.logs(made.engine), before, `${handle} ${luid} ${uuid}`);
  }
  assert.equal(made.notices, []);
  assert.is(made.stateFiles.size, 1);
});

test("a log that is forgotten once more while its device hangs is told of once, and goes once", () => {
  const made = newHost();
  construct(made, OLD, `${TEXT} nosync`);
  made.ask("RESUME", [], UUID, OLD);
  made.request("FLUSH", [7], UUID, OLD);
  for (let i = 0; i < 3; i++) made.engine.forget(0, OLD, UUID, made.nowNs, made.handler);
  assert.is(made.notices.filter((notice) => /no table of the kernel/.test(notice)).length, 1);
  made.completeAll();
  assert.equal(words.logs(made.engine), []);
});

test("a FORGET that is cut short or whose UUID does not end is ignored, and so is an input of a kind that there is not", () => {
  const made = newHost();
  construct(made, OLD);
  const { abi } = made.engine;
  const whole = abi.FORGET_UUID + ((abi.UUID_BYTES + 7) & ~7);
  const give = (kind: number, size: number, lastByte: number) => {
    const payload = made.engine
      .bytes()
      .subarray(abi.INPUT_PAYLOAD, abi.INPUT_PAYLOAD + whole)
      .fill(0);
    new DataView(payload.buffer, payload.byteOffset).setBigUint64(abi.FORGET_LUID, OLD, true);
    payload.set(asciiBytes(UUID), abi.FORGET_UUID);
    payload[whole - 1] = lastByte;
    return made.engine.handleRaw(kind, size, 0, made.nowNs, 0);
  };
  const { INPUT_KIND_FORGET: forget } = abi;
  assert.equal([give(forget, whole - 1, 0), give(forget, whole, 0x78)], [0, 0]);
  for (const kind of [0, forget + 1, 0xffff_ffff]) assert.is(give(kind, whole, 0), 0, `kind ${kind}`);
  assert.is(words.logs(made.engine).length, 1);
  assert.is.not(give(forget, whole, 0), 0);
  assert.equal(words.logs(made.engine), []);
});

// ---- constructors beside each other

test("while a device is opened again a kernel that reconnects is answered without the device's name, and a first constructor with it", () => {
  const made = newHost();
  construct(made, OLD);
  made.restart(new Engine(debug));
  const reconnecting = made.request("CTR", asciiBytes(`${TEXT}\0`), UUID, OLD);
  const first = made.request("CTR", asciiBytes(TEXT), UUID, OLD);
  const again = made.request("CTR", asciiBytes(`${TEXT}\0`), UUID, OLD);
  assert.equal(
    [reconnecting, first, again].map((seq) => made.replyTo(seq)),
    [undefined, undefined, undefined],
  );
  made.completeAll();
  const names = [reconnecting, first, again].map((seq) => {
    const reply = made.replyTo(seq) as Reply;
    assert.is(reply.error, 0);
    return textOf(reply);
  });
  assert.equal(names, ["", "98:16\0", ""]);
});

test("a FLUSH that comes while the legs are flushed is answered, though the device was closed for its foreign format", () => {
  for (const isEarly of [true, false]) {
    const made = newHost();
    construct(made, OLD);
    made.ask("RESUME", [], UUID, OLD);
    deviceOf(made)[4] = 9;
    made.restart(new Engine(debug));
    const { EFFECT_KIND_FLUSH_LEGS: legs, EFFECT_KIND_READ: read } = made.engine.abi;
    made.complete(); // the device is open
    let flush = isEarly ? made.request("FLUSH", [3], UUID, OLD) : 0;
    const indexOf = (effect: number) => made.pending.findIndex((operation) => operation.effect === effect);
    while (indexOf(read) >= 0) made.complete(indexOf(read));
    assert.is(made.opened.size, 0, "it is closed");
    assert.equal(
      made.pending.map(({ effect }) => effect),
      [legs],
    );
    if (!isEarly) flush = made.request("FLUSH", [3], UUID, OLD);
    made.completeAll();
    assert.is(made.replyTo(flush)?.error, EIO);
  }
});

/** Logs whose DTR has to wait for the device, and the CTR that comes then. */
const OVERTAKEN: readonly [name: string, begin: (made: DeviceHost) => void, text: string][] = [
  [
    "of a log with a write under way",
    (made) => {
      fillClean(deviceOf(made), REGIONS);
      construct(made, OLD);
      made.ask("RESUME", [], UUID, OLD);
      made.request("FLUSH", [7], UUID, OLD);
    },
    TEXT,
  ],
  [
    "of a log with a write under way, by a kernel that reconnects,",
    (made) => {
      fillClean(deviceOf(made), REGIONS);
      construct(made, OLD);
      made.ask("RESUME", [], UUID, OLD);
      made.request("FLUSH", [7], UUID, OLD);
    },
    `${TEXT}\0`,
  ],
  ["of a log whose device is being opened", (made) => made.request("CTR", asciiBytes(TEXT), UUID, OLD), TEXT],
  [
    "of a log whose device is being opened again",
    (made) => {
      construct(made, OLD);
      made.restart(new Engine(debug));
    },
    TEXT,
  ],
];

for (const [name, begin, text] of OVERTAKEN) {
  test(`a CTR while the DTR ${name} waits makes a new log, which stays when the old one has gone`, () => {
    const made = newHost();
    begin(made);
    const destroyed = made.request("DTR", [], UUID, OLD);
    assert.is(made.replyTo(destroyed), undefined, "it waits");
    const constructed = made.request("CTR", asciiBytes(text), UUID, OLD);
    made.completeAll();
    assert.is(made.replyTo(destroyed)?.error, 0);
    const reply = made.replyTo(constructed) as Reply;
    assert.is(reply.error, 0);
    assert.is(textOf(reply), text.endsWith("\0") ? "" : "98:16\0");
    assert.is(words.logs(made.engine).length, 1);
    assert.is(made.stateFiles.size, 1);
    assert.is(made.strayStateWrites, 0);
    assert.is(made.ask("RESUME", [], UUID, OLD).error, 0);
    assert.is(made.ask("FLUSH", [9], UUID, OLD).error, 0);
    assert.is(u64At(made.ask("IS_CLEAN", [7], UUID, OLD).data, 0), 0);
  });
}

// ---- a log that is gone

/** How a log goes while others of its mirror stay. */
const ENDS: readonly [name: string, end: (made: DeviceHost) => void][] = [
  [
    "replaced by a constructor of the same luid",
    (made) => made.request("CTR", asciiBytes(`${TEXT} block_on_error`), UUID, OLD),
  ],
  ["forgotten", (made) => made.engine.forget(0, OLD, UUID, made.nowNs, made.handler)],
  ["destroyed", (made) => made.request("DTR", [], UUID, OLD)],
];

for (const [name, end] of ENDS) {
  for (const errors of [0, 1, 2]) {
    const what = ["well", "with errors", "with one error and then well"][errors];
    test(`a log that is ${name} writes to no state file that was removed, though what is under way ends ${what}`, () => {
      for (const [, , arrive] of PHASES) {
        const made = newHost();
        arrive(made);
        if (words.logs(made.engine)[0]?.state !== "created") {
          made.request("MARK_REGION", [3], UUID, OLD);
          made.request("PRESUSPEND", [], UUID, OLD);
        }
        end(made);
        for (let steps = 0; made.pending.length > 0; steps++) {
          assert.ok(steps < 1000);
          made.complete(made.pending.length - 1, errors === 1 || (errors === 2 && steps === 0) ? EIO : 0);
        }
        made.tick(5);
        assert.is(made.strayStateWrites, 0);
        assert.is(made.engine.violatedInvariant(), 0);
      }
    });
  }
}

// ---- more luids than a mirror may have

for (const [core, module] of [
  ["small", new WebAssembly.Module(smallWasm)],
  ["release", new WebAssembly.Module(releaseWasm)],
] as const) {
  test(`more luids of one mirror than there can be: the oldest without the device goes, with a notice (${core} core)`, () => {
    const most = exportsOf(module).LUIDS_MAX as number;
    const made = newHost(module);
    const luids = () => words.logs(made.engine).map(({ luid }) => luid);
    assert.is(construct(made, 1n).error, 0);
    assert.is(made.ask("RESUME", [], UUID, 1n).error, 0);
    for (let luid = 2; luid <= most; luid++) assert.is(construct(made, BigInt(luid)).error, 0);
    assert.is(luids().length, most);
    assert.is(made.stateFiles.size, most);
    made.notices = [];
    assert.is(construct(made, 100n).error, 0);
    assert.not(luids().includes(2n), "the oldest that does not have the device");
    assert.ok(luids().includes(1n), "the device's stays");
    assert.is(luids().length, most);
    assert.is(made.stateFiles.size, most, "its state file went with it");
    assert.is(made.notices.filter((notice) => /too many logs/.test(notice)).length, 1, made.notices.join());
    assert.is(made.ask("FLUSH", [3], UUID, 1n).error, 0);
    // Those that have gone and still use a device that hangs go once.
    const hanging = newHost(module);
    const ask = (luid: number) => hanging.request("CTR", asciiBytes(TEXT), UUID, BigInt(luid));
    for (let luid = 1; luid <= most + 3; luid++) ask(luid);
    const gone = hanging.notices.filter((notice) => /too many logs/.test(notice));
    assert.equal(
      gone.map((notice) => /luid (\d+)/.exec(notice)?.[1]),
      ["1", "2", "3"],
    );
    // A table that is loaded once more at the same address is as new as its last constructor.
    const again = newHost(module);
    for (let luid = 1; luid <= most; luid++) construct(again, BigInt(luid));
    assert.is(construct(again, 1n).error, 0);
    assert.is(construct(again, 100n).error, 0);
    const left = words.logs(again.engine).map(({ luid }) => luid);
    assert.equal([left.includes(1n), left.includes(2n)], [true, false]);
    // Another mirror has luids of its own.
    made.devices.set("/dev/other", new Uint8Array(8192));
    assert.is(made.ask("CTR", asciiBytes(`${REGIONS * 2} disk /dev/other 2`), "LVM-other", 2n).error, 0);
    assert.is(words.logs(made.engine).length, most + 1);
    assert.is(made.strayStateWrites, 0);
    assert.is(made.engine.violatedInvariant(), 0);
  });
}

test("a server that comes back with state files of more luids than there can be keeps the latest", () => {
  const made = newHost();
  for (const luid of [1n, 2n, 3n, 4n]) construct(made, luid);
  made.restart(new Engine(new WebAssembly.Module(smallWasm)));
  made.completeAll();
  assert.equal(
    words.logs(made.engine).map(({ luid }) => luid),
    [2n, 3n, 4n],
  );
  assert.is(made.stateFiles.size, 3);
});

test("too many luids while one takes the device over: the one that gives it away goes, and the other is resumed", () => {
  const made = newHost(new WebAssembly.Module(smallWasm));
  construct(made, 1n);
  made.ask("RESUME", [], UUID, 1n);
  construct(made, 2n);
  made.ask("POSTSUSPEND", [], UUID, 1n);
  const resume = made.request("RESUME", [], UUID, 2n);
  for (const luid of [3n, 4n]) made.request("CTR", asciiBytes(TEXT), UUID, luid);
  made.completeAll();
  assert.is(made.replyTo(resume)?.error, 0);
  assert.equal(
    words.logs(made.engine).map(({ luid, state }) => [luid, state]),
    [
      [2n, "resumed"],
      [3n, "created"],
      [4n, "created"],
    ],
  );
});

test.run();
