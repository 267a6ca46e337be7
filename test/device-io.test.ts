// Log devices on regular files, legs, wake-ups: the host's side of the effects, without a core and without a kernel's
// mirror. No privilege needed; a real block device and a real mirror are the lab's (npm run test:kernel).

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MessageChannel, Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Completion, Head } from "../src/common/engine.ts";
import {
  parseDevices,
  parseTargets,
  parseTargetTypes,
  parseUserspaceMirror,
} from "../src/node/devices/device-mapper.ts";
import {
  END,
  type IoJob,
  type IoResult,
  type KeeperReport,
  type KeeperRequest,
  type LegsFlushed,
} from "../src/node/devices/io-jobs.ts";
import { LegFlusher } from "../src/node/devices/leg-flusher.ts";
import { LogDevice } from "../src/node/devices/log-device.ts";
import { LogDevices } from "../src/node/devices/log-devices.ts";
import { mappedFiles } from "../src/node/memory-lock.ts";
import { Bell } from "../src/node/requests/bell.ts";
import { WakeUp } from "../src/node/requests/wake-up.ts";

const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi").default;
const libc = koffi.load(null);
const flock = libc.func("int flock(int, int)") as (fd: number, operation: number) => number;
const fcntl = libc.func("int fcntl(int, int, int)") as (fd: number, command: number, argument: number) => number;
const setrlimit = libc.func("int setrlimit(int, const uint64_t *)") as (resource: number, limits: bigint[]) => number;
const getrlimit = libc.func("int getrlimit(int, _Out_ uint64_t *)") as (resource: number, limits: bigint[]) => number;

const folder = mkdtempSync(join(tmpdir(), "dm-ulog-devices-"));
const EFFECTS = { EFFECT_KIND_OPEN: 3, EFFECT_KIND_READ: 4, EFFECT_KIND_WRITE: 5 };
const MIB = 1024 * 1024;

const bell = new Bell();
const { port1, port2 } = new MessageChannel();
const keeper = new Worker(new URL("../dist/node/devices/io-keeper.js", import.meta.url), {
  workerData: { bell: bell.shared, runtimeDirectory: folder, port: port1 },
  transferList: [port1],
});
const memory = new Uint8Array(17 * MIB);
const devices = new LogDevices(
  EFFECTS,
  () => memory,
  ({ shared }) => port2.postMessage({ kind: "device", channel: shared } satisfies KeeperRequest),
);
const completions = new Map<number, Completion>();
const order: number[] = [];
let tickets = 0;

function head(handle: number, sizeBytes = 0, offsetBytes = 0): Head {
  return { handle, sizeBytes, offsetBytes, ticket: ++tickets };
}

function collect(): void {
  bell.taken();
  devices.collect(({ ticket }, completion) => {
    order.push(ticket);
    completions.set(ticket, { ...completion, ...(completion.data && { data: completion.data.slice() }) });
  });
}

/** Waits for the completion of what `head` named, at most 10 s. */
async function completion({ ticket }: Head): Promise<Completion> {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(1)) {
    collect();
    const found = completions.get(ticket);
    if (found !== undefined) return found;
  }
  throw new Error(`Operation ${ticket} was not completed.`);
}

async function open(handle: number, name: string): Promise<Completion> {
  const asked = head(handle);
  devices.open(asked, name);
  return completion(asked);
}

async function write(handle: number, sizeBytes: number, offsetBytes: number, address: number): Promise<Completion> {
  const asked = head(handle, sizeBytes, offsetBytes);
  devices.write(asked, address);
  return completion(asked);
}

async function read(handle: number, sizeBytes: number, offsetBytes: number): Promise<Completion> {
  const asked = head(handle, sizeBytes, offsetBytes);
  devices.read(asked);
  return completion(asked);
}

function file(name: string, sizeBytes: number): string {
  const path = join(folder, name);
  writeFileSync(path, "");
  truncateSync(path, sizeBytes);
  return path;
}

function fillMemory(address: number, sizeBytes: number, seed: number): Uint8Array {
  for (let i = 0; i < sizeBytes; i++) memory[address + i] = (i * 31 + (i >>> 12) * 7 + seed) & 0xff;
  return memory.subarray(address, address + sizeBytes);
}

test("what cannot be a log device is refused with its errno, and nothing is made", async () => {
  const missing = join(folder, "missing");
  assert.is((await open(1, missing)).error, -2, "ENOENT");
  assert.throws(() => readFileSync(missing), /ENOENT/);
  assert.is((await open(1, folder)).error, -15, "a directory: ENOTBLK");
  assert.is((await open(1, "/dev/full")).error, -15, "a character device: ENOTBLK");
  assert.ok([-6, -13, -1].includes((await open(1, "4095:1")).error), "a device without a driver");
  assert.throws(() => devices.read(head(1, 512)), /not open/);
});

test("a file is opened by its name or a link, with its size and without numbers", async () => {
  const path = file("log", MIB);
  symlinkSync(path, join(folder, "link"));
  const { dev: fileSystem, ino: inode } = statSync(path, { bigint: true });
  for (const name of [path, join(folder, "link")]) {
    assert.equal((await open(1, name)).device, { sizeBytes: MIB, major: 0, minor: 0, fileSystem, inode });
    devices.close(head(1));
  }
});

test("what is written is read back, of any size and at any place", async () => {
  for (const sizeBytes of [17 * MIB, 16 * MIB + 1024]) {
    const path = file(`log-${sizeBytes}`, sizeBytes);
    assert.is((await open(2, path)).error, 0);
    const large = fillMemory(4096, 16 * MIB, 1);
    assert.equal(await write(2, 16 * MIB, 0, 4096), { effect: 5, error: 0 });
    assert.is(Buffer.compare(readFileSync(path).subarray(0, 16 * MIB), large), 0);
    if (sizeBytes % 4096 !== 0) assert.is((await write(2, 1024, 16 * MIB, 0)).error, 0, "a tail that is no page");
    for (const [size, offset] of [
      [65536, 0],
      [65536, 5 * MIB],
      [65536, 1000],
      [512, 1024],
      [1, 16 * MIB - 1],
    ] as const) {
      const { data, error } = await read(2, size, offset);
      assert.is(error, 0);
      assert.is(Buffer.compare(data as Uint8Array, large.subarray(offset, offset + size)), 0, `${size} at ${offset}`);
    }
    assert.is((await read(2, 4096, sizeBytes - 512)).error, -5, "a short read is a failure");
    devices.close(head(2));
  }
});

test("many writes and reads may be under way, and are completed in order", async () => {
  const path = file("many", 2 * MIB);
  await open(3, path);
  const first = order.length;
  const asked: Head[] = [];
  for (let i = 0; i < 100; i++) {
    fillMemory(i * 4096, 4096, i);
    asked.push(head(3, 4096, i * 8192));
    devices.write(asked.at(-1) as Head, i * 4096);
    if (i % 10 === 9) {
      asked.push(head(3, 4096, i * 8192));
      devices.read(asked.at(-1) as Head);
    }
  }
  assert.is((await completion(asked.at(-1) as Head)).error, 0);
  assert.equal(
    order.slice(first),
    asked.map(({ ticket }) => ticket),
  );
  const last = completions.get(asked.at(-1)?.ticket as number)?.data as Uint8Array;
  assert.is(Buffer.compare(last, memory.subarray(99 * 4096, 100 * 4096)), 0, "a read sees the write before it");
  const content = readFileSync(path);
  for (let i = 0; i < 100; i++) {
    const written = content.subarray(i * 8192, i * 8192 + 4096);
    assert.is(Buffer.compare(written, memory.subarray(i * 4096, (i + 1) * 4096)), 0);
  }
  devices.close(head(3));
});

test("a short write fails, and so does one that is refused; the device goes on", async () => {
  await open(4, file("limited", MIB));
  const RLIMIT_FSIZE = 1;
  const limits = [0n, 0n];
  getrlimit(RLIMIT_FSIZE, limits);
  setrlimit(RLIMIT_FSIZE, [BigInt(512 * 1024), limits[1] as bigint]);
  const short = await write(4, 8192, 512 * 1024 - 4096, 0);
  setrlimit(RLIMIT_FSIZE, limits);
  assert.is(short.error, -5);
  assert.is((await write(4, 4096, 0, 0)).error, 0);
  devices.close(head(4));

  const memfd = (libc.func("int memfd_create(const char *, unsigned int)") as (name: string, flags: number) => number)(
    "sealed",
    2,
  );
  const F_ADD_SEALS = 1033;
  const F_SEAL_GROW = 4;
  assert.is(fcntl(memfd, F_ADD_SEALS, F_SEAL_GROW), 0);
  assert.is((await open(4, `/proc/self/fd/${memfd}`)).error, 0);
  assert.is((await write(4, MIB, 0, 0)).error, -1, "EPERM, from the first of its parts");
  devices.close(head(4));
  closeSync(memfd);
});

test("another server's lock is waited for; our own does not, since a table reload opens a log twice", async () => {
  const path = file("locked", 8192);
  const module = new URL("../dist/node/devices/log-device.js", import.meta.url).href;
  const program =
    `import { LogDevice } from ${JSON.stringify(module)}; LogDevice.open(${JSON.stringify(path)});` +
    'process.stdin.resume(); console.log("open");';
  const other = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(other.stdout, "data");
  assert.throws(
    () => LogDevice.open(path, undefined, 50),
    (error: NodeJS.ErrnoException) => error.errno === -16,
  );
  const opened = open(5, path);
  await sleep(100);
  devices.collect(() => assert.unreachable("opened beside another server"));
  const ended = once(other, "close");
  other.kill("SIGKILL");
  await ended;
  assert.is((await opened).error, 0, "opened when the other has ended");
  assert.is((await open(6, path)).error, 0, "the same log a second time");
  devices.close(head(5));
  await sleep(100);
  const third = openSync(path, "r+");
  assert.is(flock(third, 2 | 4), -1, "still locked when the first is closed");
  assert.is((await write(6, 4096, 0, 0)).error, 0);
  devices.close(head(6));
  for (let i = 0; i < 100 && flock(third, 2 | 4) !== 0; i++) await sleep(10);
  assert.is(flock(third, 2 | 4), 0, "free when both are closed");
  closeSync(third);
});

test("a device that hangs delays no other", async () => {
  // Opening a file on which someone has a lease waits until they let go.
  const hanging = file("hanging", MIB);
  const lease = openSync(hanging, constants.O_RDWR);
  const F_SETSIG = 10;
  const F_SETLEASE = 1024;
  const SIGURG = 23;
  fcntl(lease, F_SETSIG, SIGURG);
  if (fcntl(lease, F_SETLEASE, 1) !== 0) return; // The file system has none.
  const first = head(7);
  devices.open(first, hanging);
  devices.write(head(7, 4096, 0), 0);
  await sleep(50);

  const started = performance.now();
  await open(8, file("lively", MIB));
  for (let i = 0; i < 20; i++) assert.is((await write(8, 4096, i * 4096, 0)).error, 0);
  const elapsedMs = performance.now() - started;
  assert.not.ok(completions.has(first.ticket), "the other one still hangs");
  assert.ok(elapsedMs < 5000, `${elapsedMs} ms`);

  assert.is(fcntl(lease, F_SETLEASE, 2), 0);
  assert.is((await completion(first)).error, 0, "and goes on when it can");
  devices.close(head(7));
  devices.close(head(8));
  closeSync(lease);
});

test("legs that the kernel does not know cannot be flushed", async () => {
  const asked = head(9);
  port2.postMessage({ kind: "flush legs", head: asked, uuid: "LVM-nobody-has-this" } satisfies KeeperRequest);
  const answer = await new Promise<LegsFlushed>((resolve) => {
    port2.on("message", (report: KeeperReport) => {
      if (report.kind === "legs flushed") resolve(report);
    });
  });
  port2.unref();
  assert.equal(answer.head, asked);
  // -EACCES where the kernel has device-mapper and this is not root.
  assert.ok([-19, -13].includes(answer.error), `${answer.error}`);
});

test("legs: found, flushed all at once, each by one thread at a time, within a limit", async () => {
  let mirrors = [
    { uuid: "a", legs: ["254:1", "254:2"] },
    { uuid: "a", legs: ["254:1", "254:3"] },
  ];
  const running = new Map<string, (result: IoResult) => void>();
  const started: string[] = [];
  const run = (job: IoJob): Promise<IoResult> => {
    if (job.kind === "find mirrors") return Promise.resolve({ error: 0, mirrors });
    const { leg } = job as Extract<IoJob, { kind: "flush leg" }>;
    assert.not.ok(running.has(leg), "one flush of a leg at a time");
    started.push(leg);
    return new Promise((resolve) => running.set(leg, resolve));
  };
  const finish = async (error: number): Promise<void> => {
    for (const [leg, resolve] of [...running]) {
      running.delete(leg);
      resolve({ error, mirrors: [] });
    }
    await sleep(1);
  };
  const flusher = new LegFlusher(run, 100);
  assert.is(await flusher.flush(2, "b"), -19, "ENODEV");
  const first = flusher.flush(1, "a");
  await sleep(1);
  assert.equal(started, ["254:1", "254:2", "254:3"], "of every table that names the log, each leg once");
  const later = [flusher.flush(1, "a"), flusher.flush(1, "a")];
  await sleep(1);
  assert.is(started.length, 3, "a flush that began before is not theirs");
  await finish(-5);
  assert.is(await first, -5);
  await finish(0);
  assert.equal(await Promise.all(later), [0, 0]);
  assert.is(started.length, 6, "the later ones shared theirs");

  mirrors = [];
  const removed = flusher.flush(1, "a");
  await sleep(1);
  assert.is(started.length, 9, "the legs of a mirror that is being removed are those that it had");
  await finish(0);
  assert.is(await removed, 0);
  flusher.forget(1);
  assert.is(await flusher.flush(1, "a"), -19, "nothing is known of a log that is gone");
  mirrors = [{ uuid: "a", legs: ["254:1", "254:2", "254:3"] }];
  started.length = 6;

  const hanging = [flusher.flush(1, "a"), flusher.flush(1, "a"), flusher.flush(1, "a")];
  assert.equal(await Promise.all(hanging), [-110, -110, -110], "ETIMEDOUT");
  assert.is(started.length, 9, "a leg that hangs holds one thread, however often it is asked for");
});

test("the kernel's answers about its tables are understood", () => {
  const list = Buffer.alloc(400);
  list.writeUInt32LE(312, 16);
  list.writeBigUInt64LE(0xfd00n, 312);
  list.writeUInt32LE(24, 320);
  list.writeBigUInt64LE(0xfd01n, 336);
  list.write("first", 324);
  list.write("second", 348);
  assert.equal(parseDevices(list), [
    { device: 0xfd00n, name: "first" },
    { device: 0xfd01n, name: "second" },
  ]);
  assert.equal(parseDevices(list.fill(0, 312)), []);

  const types = Buffer.alloc(400);
  types.writeUInt32LE(312, 16);
  types.writeUInt32LE(24, 312);
  types.write("linear", 328);
  types.write("mirror", 352);
  assert.equal(parseTargetTypes(types), ["linear", "mirror"]);

  const table = Buffer.alloc(600);
  const texts = [
    "userspace 5 LVM-x integrated_flush clustered-disk 98:32 1024 2 98:0 0 98:16 2048 1 handle_errors",
    "core 2 1024 nosync 2 98:0 0 98:16 0",
  ];
  table.writeUInt32LE(312, 16);
  table.writeUInt32LE(2, 20);
  let at = 312;
  for (const text of texts) {
    const next = at - 312 + Math.ceil((40 + text.length + 1) / 8) * 8;
    table.writeUInt32LE(next, at + 20);
    table.writeBigUInt64LE(131_072n, at + 8);
    table.write("mirror", at + 24);
    table.write(text, at + 40);
    at = 312 + next;
  }
  assert.equal(
    parseTargets(table),
    texts.map((text) => ({ type: "mirror", text, lengthSectors: 131_072 })),
  );
  assert.equal(parseUserspaceMirror(texts[0] as string), { uuid: "LVM-x", legs: ["98:0", "98:16"] });
  assert.is(parseUserspaceMirror(texts[1] as string), undefined);
  assert.is(parseUserspaceMirror("userspace 9 LVM-x clustered-core 1024 2 98:0 0"), undefined, "cut off");
});

test("wake-ups: a timeout is set when it must be and not else", () => {
  const set: number[] = [];
  const wakeUp = new WakeUp((timeoutUs) => set.push(timeoutUs));
  const second = 1e9;
  wakeUp.wish(3 * second, 0);
  assert.equal(set, [100_000]);
  for (let i = 1; i < 1000; i++) wakeUp.wish((3 + i / 1000) * second, i * 1000);
  assert.equal(set, [100_000], "a time that moves about far away costs nothing");
  wakeUp.wish(second + 2_000_000, second);
  assert.equal(set, [100_000, 2000]);
  assert.not.ok(wakeUp.isDue(second));
  wakeUp.timedOut(second + 1_500_000);
  assert.equal(set.at(-1), 500, "woken early: waits for the rest");
  assert.ok(wakeUp.isDue(second + 2_000_000));
  assert.not.ok(wakeUp.isDue(second + 2_000_000), "once");
  wakeUp.timedOut(2 * second);
  assert.equal(set.at(-1), 0, "nothing wished for: waits for ever");
  wakeUp.wish(0, 2 * second);
  assert.is(set.length, 4);
});

test("the files of this program are found in its memory", () => {
  const files = mappedFiles(readFileSync("/proc/self/maps", "utf8"));
  assert.ok(files.some(({ path }) => path.endsWith("koffi.node")));
  assert.ok(files.every(({ sizeBytes }) => sizeBytes > 0));
});

test("all threads end", async () => {
  assert.is((await open(99, file("left open", MIB))).error, 0);
  const ended = once(keeper, "exit");
  keeper.postMessage(END);
  assert.equal(await ended, [0], "by themselves, also the one whose device is open");
  assert.ok(fstatSync(0));
  rmSync(folder, { recursive: true });
});

test.run();
