// State files that were damaged, or cut short by a kill between two stores: what was out of sync or marked is so afterwards, and
// no acknowledgement is lost; what no part of a file vouches for is out of sync. And parts of files that lie about themselves.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine, type Head } from "../src/common/engine.ts";
import { asciiBytes, type Reply, type RequestName, u64At } from "../src/common/kernel-frames.ts";
import { DeviceHost, fillClean } from "./device-host.ts";
import { debugWasm, exportsOf, logsBytes, smallWasm, words } from "./harness.ts";
import { STATE_FIELDS, STATE_HEADER_BYTES, sealHeader } from "./state-header.ts";

const debug = new WebAssembly.Module(debugWasm);
const small = new WebAssembly.Module(smallWasm);
const REGIONS = 70;
const UUID = "LVM-disk";
const LUID = 5n;
const DEVICE = "/dev/log";
const ESRCH = -3;
const EIO = -5;
const KINDS = [`${REGIONS * 2} core 2`, `${REGIONS * 2} disk ${DEVICE} 2`] as const;

const newHost = (module = debug) => {
  const made = new DeviceHost(new Engine(module));
  made.devices.set(DEVICE, new Uint8Array(8192));
  return made;
};
/** As regionStates tells them: 0 clean, 1 marked, 2 and more out of sync. */
const statesOf = (made: DeviceHost) => [...words.regionStates(made.engine, UUID, LUID, 0, 0xffff_ffff)];
const fileOf = (made: DeviceHost) => made.stateFiles.get(0) as Uint8Array;

/** A log with regions of every kind: clean, marked, out of sync, failed to resync, and out of sync and marked. */
function varied(text: string, module = debug): DeviceHost {
  const made = newHost(module);
  const ask = (type: RequestName, data: number[] = []) => assert.is(made.ask(type, data).error, 0);
  made.construct(text);
  ask("RESUME");
  for (let region = 0; region < REGIONS; region++) if (region % 5 !== 1) ask("SET_REGION_SYNC", [region, 1]);
  const work = u64At(made.ask("GET_RESYNC_WORK").data, 1);
  ask("SET_REGION_SYNC", [work, 0]);
  ask("MARK_REGION", [3, 4, 6, 40, 68]);
  ask("FLUSH");
  ask("CLEAR_REGION", [4]);
  return made;
}

/** Another server takes up `file`, and everything that it begins ends well. */
function takeUp(made: DeviceHost, file: Uint8Array, module = debug): DeviceHost {
  const other = new DeviceHost(new Engine(module));
  other.devices.set(DEVICE, (made.devices.get(DEVICE) as Uint8Array).slice());
  other.stateFiles.set(0, file.slice());
  other.engine.restoreLog(0, file, other.nowNs, other.handler);
  other.completeAll();
  return other;
}

for (const text of KINDS) {
  test(`one flipped bit anywhere in a state file: the log is restored, and no region is better than it was (${text})`, () => {
    const made = varied(text);
    const file = fileOf(made);
    const before = statesOf(made);
    assert.equal(new Set(before).size >= 3, true, `${before}`);
    assert.equal(statesOf(takeUp(made, file)), before, "undamaged it is as it was");
    let repaired = 0;
    for (let bit = 0; bit < file.length * 8; bit++) {
      const damaged = file.slice();
      damaged[bit >>> 3] = (damaged[bit >>> 3] as number) ^ (1 << (bit & 7));
      const other = takeUp(made, damaged);
      const after = statesOf(other);
      assert.is(after.length, REGIONS, `bit ${bit}`);
      for (const [region, state] of after.entries()) {
        const was = before[region] as number;
        // A region that was out of sync stays so; one that was marked is marked or out of sync.
        if (was >= 2 ? state < 2 : state < was)
          assert.unreachable(`bit ${bit}: region ${region} was ${was} and is ${state}`);
      }
      if (other.notices.some((notice) => /two copies/.test(notice))) repaired++;
      else assert.equal(after, before, `bit ${bit} is told of, or has changed nothing`);
      assert.is(other.engine.violatedInvariant(), 0);
    }
    console.log(`${file.length * 8} bits, ${repaired} of them told of`);
    // Padding of the constructor string, the magic's own second copy and the like are of no consequence.
    assert.ok(repaired > file.length, `${repaired}`);
  });

  test(`a damaged second copy of the constructor's string is told of and written anew (${text})`, () => {
    const made = varied(text);
    const file = fileOf(made);
    const second = 2 * STATE_HEADER_BYTES + ((text.length + 7) & ~7);
    const damaged = file.slice();
    damaged[second] = (damaged[second] as number) ^ 1;
    const other = takeUp(made, damaged);
    assert.match(other.notices.join(), /two copies/);
    const [now] = [...other.stateFiles.values()] as [Uint8Array];
    const whole = 2 * STATE_HEADER_BYTES + 2 * ((text.length + 7) & ~7);
    assert.equal(now.subarray(second, whole), file.subarray(second, whole), "or the next damage is the last");
  });

  test(`a state file both of whose headers are damaged is refused, and the kernel's reconnect makes everything out of sync (${text})`, () => {
    const made = varied(text);
    const damaged = fileOf(made).slice();
    for (const at of [40, STATE_HEADER_BYTES + 77]) damaged[at] = (damaged[at] as number) ^ 1;
    const other = takeUp(made, damaged);
    assert.equal(words.logs(other.engine), []);
    assert.match(other.notices.join(), /state file/);
    assert.is(other.stateFiles.size, 0);
    assert.is(other.ask("IN_SYNC", [0]).error, ESRCH);
    // What a device says is believed, but that something is not marked is not.
    if (text.includes("disk")) return;
    assert.is(other.construct(`${text}\0`).error, 0);
    assert.is(other.ask("RESUME").error, 0);
    assert.is(u64At(other.ask("GET_SYNC_COUNT").data, 0), 0);
  });
}

// ---- what only a restart can lose

for (const text of KINDS) {
  test(`a server that ends between the constructor of a kernel that reconnects and its resume: what was lost stays lost (${text})`, () => {
    const made = newHost();
    // The device says clean of all of them: marks that the lost server had acknowledged may be missing there.
    fillClean(made.devices.get(DEVICE) as Uint8Array, REGIONS);
    const isDisk = text.includes("disk");
    made.construct(`${text}${isDisk ? "" : " nosync"}\0`);
    const other = takeUp(made, fileOf(made));
    assert.is(other.ask("RESUME").error, 0);
    // Of a disk log that is what the device says, each region marked; of one in memory nothing is known.
    assert.equal([...new Set(statesOf(other))], [isDisk ? 1 : 2]);
    const straight = made.ask("RESUME");
    assert.is(straight.error, 0);
    assert.equal(statesOf(other), statesOf(made), "as without the restart");
  });
}

test("a device that did not take a mark is not believed after a restart, whichever luid reads it then", () => {
  const made = newHost();
  made.construct(`${KINDS[1]} nosync`);
  made.ask("RESUME");
  const mark = made.request("FLUSH", [7]);
  made.completeFailing(EIO);
  const suspend = made.request("POSTSUSPEND");
  made.completeFailing(EIO);
  assert.equal([made.replyTo(mark)?.error, made.replyTo(suspend)?.error], [EIO, EIO]);
  const other = takeUp(made, fileOf(made));
  const ask = (type: RequestName, data: number[] | Uint8Array = []) => other.ask(type, data, UUID, 9n);
  assert.is(ask("CTR", asciiBytes(KINDS[1])).error, 0);
  assert.is(ask("RESUME").error, 0);
  assert.is(ask("IN_SYNC", [7]).data[0], 0);
});

// ---- a file that lies

/** Changes both copies of the header, and makes their checks hold. */
function forged(made: DeviceHost, change: (header: DataView) => void): Uint8Array {
  const file = fileOf(made).slice();
  for (const at of [0, STATE_HEADER_BYTES]) {
    const header = new DataView(file.buffer, at, STATE_HEADER_BYTES);
    change(header);
    const text = file.subarray(2 * STATE_HEADER_BYTES);
    sealHeader(file, at, text.subarray(0, header.getUint32(STATE_FIELDS.constructorBytes, true)));
  }
  return file;
}

test("a state file whose check holds is refused where what it says cannot be", () => {
  const made = varied(KINDS[0]);
  assert.equal(
    forged(made, () => {}),
    fileOf(made),
    "nothing changed, and the check is the core's",
  );
  const set = (field: keyof typeof STATE_FIELDS, value: number) => (header: DataView) =>
    header.setUint32(STATE_FIELDS[field], value, true);
  const lies: Record<string, (header: DataView) => void> = {
    "no state": set("state", 0),
    "the state of a log that is being restored": set("state", 5),
    "an unknown state": set("state", 99),
    "no UUID": (header) => {
      set("uuidBytes", 0)(header);
      header.setUint8(STATE_FIELDS.uuid, 0);
    },
    "a UUID, and a length of 0": set("uuidBytes", 0),
    "a shorter UUID than it says": set("uuidBytes", UUID.length + 1),
    "a longer UUID than it says": set("uuidBytes", UUID.length - 1),
    "a doubt that there is not": set("marksInDoubt", 3),
    "a constructor string that is none": set("constructorBytes", 3),
  };
  for (const [what, lie] of Object.entries(lies)) {
    const other = takeUp(made, forged(made, lie));
    assert.equal(words.logs(other.engine), [], what);
    assert.is(other.stateFiles.size, 0, what);
    assert.match(other.notices.join(), /state file is invalid/, what);
  }
});

test("what one copy of the header or of the constructor string has lost is there twice again after a restart", () => {
  const made = varied(KINDS[0]);
  const textBytes = (KINDS[0].length + 7) & ~7;
  const [header, text] = [STATE_FIELDS.luid, 2 * STATE_HEADER_BYTES];
  const copies = {
    header: [header, header + STATE_HEADER_BYTES],
    "constructor string": [text, text + textBytes],
  } as const;
  for (const [what, [first, second]] of Object.entries(copies)) {
    const file = fileOf(made).slice();
    file[first] = (file[first] as number) ^ 1;
    const other = takeUp(made, file);
    assert.match(other.notices.join(), /two copies in its state file differed in 1 place/, what);
    const mended = fileOf(other).slice();
    assert.equal(mended, fileOf(takeUp(other, mended)), what);
    mended[second] = (mended[second] as number) ^ 1;
    assert.equal(statesOf(takeUp(other, mended)), statesOf(made), what);
  }
});

// ---- a kill between two stores

/** What the kernel asks, and what it may rely on once it is answered. */
type Step = readonly [type: RequestName, data?: number[]];
const CONVERSATION: readonly Step[] = [
  ["RESUME"],
  ["SET_REGION_SYNC", [0, 1]],
  ["SET_REGION_SYNC", [1, 1]],
  ["SET_REGION_SYNC", [65, 1]],
  ["MARK_REGION", [0, 65]],
  ["FLUSH"],
  ["CLEAR_REGION", [0]],
  ["FLUSH", [1]],
  ["GET_RESYNC_WORK"],
  ["SET_REGION_SYNC", [2, 0]],
  ["SET_REGION_SYNC", [65, 0]],
  ["SET_REGION_SYNC", [2, 1]],
  ["CLEAR_REGION", [1, 65]],
  ["PRESUSPEND"],
  ["POSTSUSPEND"],
  ["RESUME"],
  ["MARK_REGION", [1]],
  ["FLUSH"],
];

class Killed extends Error {}

/** A server that dies when it has carried out `effects` more effects; state writes are stored 8 bytes at a time. */
function mortal(made: DeviceHost): { left: number } {
  const life = { left: Number.POSITIVE_INFINITY };
  const spend = () => {
    if (life.left === 0) throw new Killed();
    life.left--;
  };
  const handler = made.handler as unknown as { [name: string]: unknown };
  for (const name of Object.keys(handler)) {
    if (name === "stateWrite") continue;
    const effect = handler[name] as (...args: unknown[]) => unknown;
    handler[name] = (...args: unknown[]) => {
      spend();
      return effect(...args);
    };
  }
  made.handler.stateWrite = (head: Head, address: number) => {
    for (let at = 0; at < head.sizeBytes; at += 8) {
      spend();
      const bytes = made.engine.read(address + at, Math.min(8, head.sizeBytes - at));
      made.stateFiles.get(head.handle)?.set(bytes, head.offsetBytes + at);
    }
  };
  return life;
}

/** The log as the kernel sees it: what it answers of each region. */
function seen(made: DeviceHost): string {
  const [log] = words.logs(made.engine);
  return `${log?.state} ${statesOf(made).join("")}`;
}

/**
 * Has the conversation, with a server that dies after so many effects and another that goes on. Each region must be as it was
 * before the step in which it died, or as after it, by `trail`: what an undisturbed server knows after each step.
 */
function converse(
  text: string,
  effectsLeft: number,
  trail: readonly number[][] | null,
): { seen: string; trail: number[][]; wasKilled: boolean } {
  const made = newHost();
  assert.is(made.construct(text).error, 0);
  const life = mortal(made);
  life.left = effectsLeft;
  const answered = new Set<number>();
  let wasKilled = false;
  const mine: number[][] = [statesOf(made)];
  for (const [step, [type, data]] of CONVERSATION.entries()) {
    let seq = 0;
    try {
      seq = made.request(type, data ?? []);
      made.completeAll();
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      wasKilled = true;
    }
    const isAnswered = made.replies.some((reply) => !answered.has(reply.seq) && reply.seq === seq);
    if (!wasKilled || life.left === Number.POSITIVE_INFINITY) {
      assert.ok(isAnswered, `${type} is answered`);
      mine.push(statesOf(made));
      continue;
    }
    // Another server takes up what is left; what was not answered is asked again.
    const before = made.replies.length;
    life.left = Number.POSITIVE_INFINITY;
    made.restart(new Engine(debug));
    const now = statesOf(made);
    for (const [region, state] of now.entries()) {
      const allowed = [trail?.[step]?.[region], trail?.[step + 1]?.[region]];
      assert.ok(
        allowed.includes(state),
        `killed in step ${step}, ${type}: region ${region} is ${state}, not ${allowed}`,
      );
    }
    made.completeAll();
    const wasAnswered = made.replies.slice(0, before).some((reply) => reply.seq > 0 && reply.seq === lastSeq(made));
    if (!wasAnswered) assert.is(made.ask(type, data ?? []).error, 0, `${type} again`);
  }
  return { seen: seen(made), trail: mine, wasKilled };
}

/** The number of the last request. */
function lastSeq(made: DeviceHost): number {
  return (made as unknown as { seq: number }).seq;
}

for (const text of KINDS) {
  test(`a server killed between any two stores of its state file leaves what was acknowledged, and nothing needless (${text})`, () => {
    const { seen: expected, trail } = converse(text, 1_000_000, null);
    let kills = 0;
    for (let effects = 0; ; effects++) {
      const { seen: left, wasKilled } = converse(text, effects, trail);
      if (!wasKilled) break;
      kills++;
      assert.is(left, expected, `killed after ${effects} effects`);
    }
    console.log(`${kills} kills: ${expected}`);
    assert.ok(kills > 100);
  });
}

// ---- parts that lie

/**
 * Gives an engine a part of the state file of log 0, and says of it what is told; the input may be shorter than that takes. Returns
 * the size of its effects.
 */
function givePart(
  engine: Engine,
  bytes: Uint8Array,
  says: Pick<Head, "sizeBytes" | "offsetBytes" | "ticket">,
  inputBytes = engine.abi.HEAD_BYTES + bytes.length,
): number {
  const { abi } = engine;
  const memory = engine.bytes();
  const view = new DataView(memory.buffer, abi.INPUT_PAYLOAD);
  view.setUint32(abi.HEAD_HANDLE, 0, true);
  view.setUint32(abi.HEAD_SIZE, says.sizeBytes, true);
  view.setBigUint64(abi.HEAD_OFFSET, BigInt(says.offsetBytes), true);
  view.setBigUint64(abi.HEAD_TICKET, BigInt(says.ticket), true);
  memory.set(bytes, abi.INPUT_PAYLOAD + abi.HEAD_BYTES);
  return engine.handleRaw(abi.INPUT_KIND_RESTORE, inputBytes, 0, 1, 0);
}

test("parts of a state file whose sizes or offsets lie change nothing", () => {
  for (const module of [debug, small]) {
    // Its sets are more than one part of the small core.
    const made = newHost(module);
    made.construct(`${2 * 9000} core 2 nosync`);
    const file = fileOf(made);
    const { engine } = new DeviceHost(new Engine(module));
    const { abi } = engine;
    const give = (sizeBytes: number, offsetBytes: number, bytes: Uint8Array, ticket = file.length) =>
      givePart(engine, bytes, { sizeBytes, offsetBytes, ticket });
    const state = () => logsBytes(engine);
    const room = abi.RESTORE_BYTES;
    const first = file.subarray(0, Math.min(room, 1024));
    const liesOfSize = [0, 1, first.length - 8, first.length - 1, first.length + 1, first.length + 8];
    const wraps = [
      0x7fff_ffff,
      0x8000_0000,
      0xffff_ffff,
      2 ** 32 - abi.HEAD_BYTES,
      2 ** 32 - abi.HEAD_BYTES + first.length,
    ];
    const unchanged = (what: string, lie: () => number) => {
      const before = state();
      assert.is(lie(), 0, `${what}: effects`);
      assert.ok(before.equals(state()), `${what}: something has changed`);
    };
    for (const size of [...liesOfSize, ...wraps])
      unchanged(`first part says ${size}`, () => give(size >>> 0, 0, first));
    const headless = { sizeBytes: 2 ** 32 - 8, offsetBytes: 0, ticket: file.length };
    unchanged("less than a head", () => givePart(engine, first, headless, abi.HEAD_BYTES - 8));
    unchanged("a later part comes first", () => give(8, first.length, file.subarray(first.length, first.length + 8)));
    assert.is(give(first.length, 0, first), 0);
    const second = file.subarray(first.length, first.length + 512);
    for (const size of [0, 7, 504, 511, 513, 520, ...wraps]) {
      unchanged(`second part says ${size}`, () => give(size >>> 0, first.length, second));
    }
    unchanged("an odd size", () => give(509, first.length, second.subarray(0, 509)));
    for (const offset of [first.length - 8, first.length + 8, first.length + 1, 2 ** 40, 2 ** 53]) {
      unchanged(`offset ${offset}`, () => give(512, offset, second));
    }
    unchanged("another size of the whole", () => give(512, first.length, second, file.length + 8));
    for (let at = first.length; at < file.length; at += 512) {
      const part = file.subarray(at, at + 512);
      if (at + 512 >= file.length) {
        const longer = new Uint8Array(part.length + 8);
        unchanged("more than is left", () => give(longer.length, at, longer));
      }
      give(part.length, at, part);
      if (at + 512 >= file.length) break;
      unchanged(`the part at ${at} once more`, () => give(part.length, at, part));
    }
    const [log] = words.logs(engine);
    assert.is(log?.inSyncRegions, 9000);
    for (const bytes of [8, 0])
      unchanged(`a part of ${bytes} bytes behind the end`, () => give(bytes, file.length, new Uint8Array(bytes)));
    assert.is(engine.violatedInvariant(), 0);
  }
});

test("a state file is refused whose handle another log has, or no log can have, and so is one of no bytes", () => {
  const made = newHost(small);
  made.construct("200 core 2");
  made.ask("CTR", asciiBytes("200 core 2"), "LVM-other", 9n);
  const file = made.stateFiles.get(1) as Uint8Array;
  const other = newHost(small);
  const restore = (handle: number, bytes: Uint8Array) =>
    other.engine.restorePart(handle, bytes.length, 0, bytes, other.nowNs, other.handler);
  restore(0, fileOf(made));
  const { HANDLE_COUNT } = exportsOf(small) as { HANDLE_COUNT: number };
  for (const handle of [0, HANDLE_COUNT, 0xffff_ffff]) restore(handle, file);
  assert.equal(
    words.logs(other.engine).map(({ uuid }) => uuid),
    [UUID],
  );
  other.notices = [];
  other.stateFiles.set(3, new Uint8Array(0));
  restore(3, new Uint8Array(0));
  assert.match(other.notices.join(), /state file is invalid/);
  assert.is(other.stateFiles.has(3), false);
  restore(1, file);
  assert.is(words.logs(other.engine).length, 2);
});

test("a first part that ends with the second copy of the constructor string has both; of one that ends before, that copy is lost", () => {
  const text = "18000 core 2 nosync  ".padEnd(24);
  const made = newHost(small);
  made.construct(text);
  const file = fileOf(made);
  const end = 2 * STATE_HEADER_BYTES + 2 * text.length;
  for (const missing of [0, 8, text.length, text.length + 8]) {
    const other = newHost(small);
    const { engine, nowNs, handler } = other;
    const { abi } = engine;
    // What stands in the input area behind the part is no part of it.
    engine.bytes().set(file.subarray(0, end), abi.INPUT_PAYLOAD + abi.HEAD_BYTES);
    for (let at = 0, next = end - missing; at < file.length; at = next, next += 512)
      engine.restorePart(0, file.length, at, file.subarray(at, next), nowNs, handler);
    other.goOn();
    const isThere = missing <= text.length;
    assert.is(words.logs(engine)[0]?.inSyncRegions, isThere ? 9000 : undefined, "it takes one of them");
    assert.is(/two copies/.test(other.notices.join()), isThere && missing > 0, `${missing} bytes are missing`);
  }
});

test("a request for a log whose state file is still coming waits for its end, and so do those behind it", () => {
  const made = newHost(small);
  made.construct(`${2 * 9000} core 2 nosync`);
  const file = fileOf(made);
  const other = newHost(small);
  other.stateFiles.set(0, file.slice());
  const first = file.subarray(0, other.engine.abi.RESTORE_BYTES);
  givePart(other.engine, first, { sizeBytes: first.length, offsetBytes: 0, ticket: file.length });
  assert.is(words.logs(other.engine).length, 1);
  const asked = [other.request("IN_SYNC", [0]), other.request("GET_SYNC_COUNT")];
  const elsewhere = other.request("IN_SYNC", [0], "LVM-else", 9n);
  other.goOn();
  assert.equal(
    other.replies.map(({ seq }) => seq),
    [elsewhere],
    "a log that is not there waits for nobody",
  );
  for (let offsetBytes = first.length; offsetBytes < file.length; offsetBytes += first.length) {
    const part = file.subarray(offsetBytes, offsetBytes + first.length);
    givePart(other.engine, part, { sizeBytes: part.length, offsetBytes, ticket: file.length });
  }
  // The last part came without the host's handler: its wake-up is due.
  other.wakeAtNs = other.nowNs;
  other.tick();
  const behind = other.request("GET_REGION_SIZE");
  other.goOn();
  assert.equal(
    other.replies.map(({ seq }) => seq),
    [elsewhere, ...asked, behind],
  );
  assert.ok(other.replies.slice(1).every(({ error }) => error === 0));
  assert.is(u64At((other.replyTo(asked[1] as number) as Reply).data, 0), 9000);
});

test.run();
