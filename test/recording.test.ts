// Recording beside the request path: the ring, the files, the flight recorder. No privilege needed: an engine is driven
// here, and the thread that writes the file is the server's own.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { readEvent } from "../src/common/trace/event.ts";
import { KIND_TRAP } from "../src/common/trace/format.ts";
import { type ReplaySummary, replay } from "../src/common/trace/replay.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { FlightRecorder, readFlight } from "../src/node/flight-recorder.ts";
import { keepFlight, keepLostFlight, putFlightAside, saveFlight } from "../src/node/flights.ts";
import { Recorder, type RecorderNews, type RecorderOrder } from "../src/node/recorder.ts";
import { flightPath } from "../src/node/runtime-paths.ts";
import { TraceFiles } from "../src/node/trace-files.ts";
import { TraceRing } from "../src/node/trace-ring.ts";
import { Peer, releaseWasm, seeded, seedFor } from "./harness.ts";

// Worker threads have no TypeScript loader: what starts one runs as it is built.
const { FileRecording } = (await import(
  new URL("../dist/node/file-recording.js", import.meta.url).href
)) as typeof import("../src/node/file-recording.ts");

const module = new WebAssembly.Module(releaseWasm);
const { abi } = new Engine(module);
const FACTS = { application: "dm-ulog test", coreSha256: "00", life: "a life" };
const CLOCK_NS = 1_700_000_000_000_000_000n;
const MIB = 1024 * 1024;
const folders: string[] = [];

function folder(): string {
  const made = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "dm-ulog-recording-"));
  folders.push(made);
  return made;
}

/** A mirror's life, without end: construction, then marks, clears, questions and refusals. */
class Life {
  readonly peer = new Peer(new Engine(module));
  private readonly random = seeded(1);

  begin(regions = 1000): this {
    this.peer.construct(`${regions * 2} clustered-core 2`);
    this.peer.ask("RESUME");
    return this;
  }

  /** Lives on for so many requests; `settle` is called between them. */
  go(requests: number, settle: () => void = () => {}): void {
    for (let i = 0; i < requests; i++) {
      const region = this.random.below(1010);
      const choice = this.random.below(4);
      if (choice === 0) this.peer.ask("CLEAR_REGION", [region]);
      else if (choice === 1) this.peer.ask("IN_SYNC", [region]);
      else this.peer.ask("FLUSH", [region, region + 1]);
      settle();
    }
  }
}

/** Opens and replays a trace, which must be as the engine was. */
function replayed(bytes: Uint8Array): { trace: Trace; summary: ReplaySummary } {
  const trace = Trace.open(new Uint8Array(bytes), abi);
  assert.is(trace.problem, null);
  const summary = replay(trace, module);
  assert.ok(summary.isEqual, JSON.stringify(summary.difference));
  assert.is(summary.cutEvent, null);
  return { trace, summary };
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

test("ring: what goes in comes out, in order, around its end; what does not fit leaves no trace", () => {
  const random = seeded(seedFor("ring"));
  const ring = TraceRing.ofSize(64 * 1024);
  const reader = new TraceRing(ring.shared);
  const event = new Int32Array(16 * 1024);
  const sent: number[] = [];
  let refused = 0;
  let next = 1;
  let taken = 0;
  const takeAll = (bytesMax: number) => {
    for (let piece = reader.next(bytesMax); piece.length > 0; piece = reader.next(bytesMax)) {
      const words = new Int32Array(piece.slice().buffer);
      for (const word of words) assert.is(word, sent[taken++]);
      reader.consumed(piece.length);
    }
  };
  for (let round = 0; round < 20_000; round++) {
    // Now and then an event that is copied in bulk, or larger than the ring.
    const count = random.below(50) === 0 ? 5 + random.below(16_000) : 5 + random.below(100);
    for (let i = 0; i < count; i++) event[i] = next + i;
    if (ring.push(event, 0, count * 4)) {
      for (let i = 0; i < count; i++) sent.push(next++);
    } else refused++;
    if (random.below(30) === 0) takeAll(4 + 4 * random.below(4096));
  }
  takeAll(65_536);
  assert.is(taken, sent.length);
  assert.ok(refused > 100, "it was full at times");
  assert.ok(sent.length > 10 * 16_384, "it went around");
});

test("ring: a mark stands where it was set, one at a time", () => {
  const ring = TraceRing.ofSize(4096);
  const reader = new TraceRing(ring.shared);
  const event = Int32Array.of(1, 2, 3, 7, 2 ** 31, 0);
  ring.introduce(12, -5n);
  assert.equal([reader.abiVersion, reader.clockUnixNs], [12, -5n]);
  assert.ok(ring.push(event, 0, 24));
  const mark = { start: "snapshot", firstEvent: 2 ** 40 + 3, timeNs: 2 ** 45 + 1, isAfterLoss: true } as const;
  reader.wantSection();
  assert.ok(ring.isSectionWanted && ring.takesMark);
  ring.mark(mark);
  assert.not.ok(ring.isSectionWanted);
  assert.not.ok(ring.takesMark, "the one before waits");
  assert.ok(ring.push(event, 1, 20));
  assert.is(reader.nextMark(), undefined);
  assert.is(reader.next(4096).length, 24);
  reader.consumed(24);
  assert.is(reader.next(4096).length, 0, "the mark comes first");
  assert.equal(reader.nextMark(), mark);
  reader.markTaken();
  assert.is(reader.next(4096).length, 20);
  assert.is(reader.lastTimeNs, 2 ** 31 * 2 ** 32);
  reader.setBlocked(true);
  assert.not.ok(ring.push(event, 0, 24));
  assert.not.ok(ring.takesMark);
});

test("a ring that nobody empties loses events; a section with a snapshot goes on", () => {
  const life = new Life();
  const { port1: snapshots, port2 } = new MessageChannel();
  const ring = TraceRing.ofSize(128 * 1024);
  const news: RecorderNews[] = [];
  const recorder = new Recorder(life.peer.engine, FACTS, CLOCK_NS, undefined, (told) => news.push(told));
  assert.is(life.peer.engine.tap, null, "an engine that nobody records has no tap");
  recorder.start({ ring: ring.shared, snapshots });
  const reader = new TraceRing(ring.shared);
  assert.is(reader.nextMark()?.start, "fresh");
  reader.markTaken();

  life.begin().go(2000, () => recorder.settle());
  assert.is(news.length, 1, "told once");
  const [lag] = news;
  assert.is(lag?.kind, "recording lags");
  assert.is(receiveMessageOnPort(port2), undefined, "no snapshot is taken for a ring that is full");
  let held = 0;
  for (let piece = reader.next(MIB); piece.length > 0; piece = reader.next(MIB)) {
    held += piece.length;
    reader.consumed(piece.length);
  }
  assert.ok(held > 100 * 1024, `${held} bytes were kept`);
  recorder.settle();
  const mark = reader.nextMark();
  assert.is(mark?.start, "snapshot");
  assert.ok(mark?.isAfterLoss);
  assert.is(mark?.firstEvent, life.peer.engine.inputCount);
  const copy = receiveMessageOnPort(port2)?.message as SharedArrayBuffer;
  assert.ok(Buffer.from(copy).equals(Buffer.from(life.peer.engine.snapshot())));
  recorder.stop();
  assert.ok(reader.isEnded);
  assert.is(life.peer.engine.tap, null);
  port2.close();
});

/** What a server's main and request thread do, on this one thread. */
class Recorded {
  readonly life = new Life();
  readonly log: string[] = [];
  readonly recorder: Recorder;
  readonly recording: InstanceType<typeof FileRecording>;
  private readonly ordersEnd;

  constructor(flight?: FlightRecorder) {
    const { port1: orders, port2: ordersEnd } = new MessageChannel();
    this.ordersEnd = ordersEnd;
    this.recording = new FileRecording(FACTS, orders, this.obey, (sentence) => this.log.push(sentence));
    this.recorder = new Recorder(this.life.peer.engine, FACTS, CLOCK_NS, flight, (news) =>
      this.log.push(this.recording.describe(news)),
    );
  }

  /** As a ring of the bell. */
  readonly obey = (): void => {
    for (let got = receiveMessageOnPort(this.ordersEnd); got; got = receiveMessageOnPort(this.ordersEnd)) {
      this.recorder.obey(got.message as RecorderOrder);
    }
  };

  async go(rounds: number, requests: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      this.life.go(requests, () => this.recorder.settle());
      await sleep(5);
    }
  }

  close(): void {
    this.recorder.close();
    this.ordersEnd.close();
  }
}

test("recorded from the first event on, in files that each replay alone, and together have every event", async () => {
  const path = join(folder(), "trace.pcapng");
  const recorded = new Recorded();
  const { target, ready } = recorded.recording.prepare({ path, sizeBytes: MIB, filesMax: 100 });
  recorded.recorder.start(target);
  recorded.life.begin();
  await ready;
  await recorded.go(120, 100);
  const events = recorded.life.peer.engine.inputCount;
  assert.is(await recorded.recording.stop(), path);
  assert.is(recorded.recording.path, undefined);
  assert.equal(recorded.log, [`Recorded to ${path}.`]);

  const numbers = readdirSync(join(path, "..")).map((name) => Number(name.split(".").at(2) ?? 0));
  assert.ok(numbers.length >= 3, `${numbers.length} files`);
  let next = 0;
  const files: Uint8Array[] = [];
  for (const number of numbers.sort((a, b) => b - a)) {
    const name = number === 0 ? path : `${path}.${number}`;
    files.push(readFileSync(name));
    const { trace, summary } = replayed(files.at(-1) as Uint8Array);
    assert.is(trace.sections.length, 1);
    const [section] = trace.sections;
    assert.is(section?.start, next === 0 ? "fresh" : "snapshot");
    assert.is(section?.firstEvent, next);
    assert.is(section?.clockUnixNs, CLOCK_NS);
    assert.is(section?.life, "a life");
    assert.is(summary.events, trace.eventCount);
    assert.ok(section?.isEnded, "ended, not cut");
    next += trace.eventCount;
    assert.ok(number === 0 || statSync(name).size >= MIB);
    assert.is(statSync(name).mode & 0o777, 0o600);
  }
  assert.is(next, events);
  assert.is(replayed(concatenated(files)).summary.events, events);
  recorded.close();
});

test("switched on and off while the engine runs; a trace that is there stays as FILE.1, and no more than wanted stay", async () => {
  const path = join(folder(), "t");
  const recorded = new Recorded();
  recorded.life.begin().go(100);
  for (let turn = 0; turn < 4; turn++) {
    await recorded.recording.start({ path, sizeBytes: MIB, filesMax: 3 });
    await assertRejects(recorded.recording.start({ path: `${path}2`, sizeBytes: 1, filesMax: 1 }), /record --stop/);
    const firstEvent = recorded.life.peer.engine.inputCount;
    await recorded.go(1, 50 + turn);
    assert.is(await recorded.recording.stop(), path);
    assert.is(recorded.life.peer.engine.tap, null);
    recorded.life.go(10);
    const { trace, summary } = replayed(readFileSync(path));
    assert.is(trace.numberOf(0), firstEvent);
    assert.is(summary.events, 50 + turn);
  }
  assert.equal(readdirSync(join(path, "..")), ["t", "t.1", "t.2"]);
  assert.is(replayed(readFileSync(`${path}.2`)).summary.events, 51);
  assert.is(await recorded.recording.stop(), undefined);
  recorded.close();
});

test("what is no trace is never overwritten, and a file that cannot be made is told in a sentence", async () => {
  const directory = folder();
  const passwords = join(directory, "passwords");
  writeFileSync(passwords, "root:x:0:0");
  const recorded = new Recorded();
  recorded.life.begin();
  const options = { sizeBytes: MIB, filesMax: 2 };
  await assertRejects(recorded.recording.start({ path: passwords, ...options }), /is no trace/);
  writeFileSync(join(directory, "t.1"), "a letter");
  await assertRejects(recorded.recording.start({ path: join(directory, "t"), ...options }), /t\.1 is there already/);
  await assertRejects(recorded.recording.start({ path: directory, ...options }), /is no file/);
  await assertRejects(recorded.recording.start({ path: join(directory, "no/such"), ...options }), /ENOENT/);
  assert.is(recorded.life.peer.engine.tap, null);
  assert.equal(readdirSync(directory), ["passwords", "t.1"]);
  assert.is(readFileSync(passwords, "utf8"), "root:x:0:0");
  recorded.close();
});

test("a disk that is full: told, every event before it is there, and a section goes on when there is room", async () => {
  const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi").default;
  const libc = koffi.load(null);
  const setrlimit = libc.func("int setrlimit(int, const uint64_t *)") as (resource: number, limits: bigint[]) => number;
  const getrlimit = libc.func("int getrlimit(int, _Out_ uint64_t *)") as (resource: number, limits: bigint[]) => number;
  const RLIMIT_FSIZE = 1;
  const limits = [0n, 0n];
  getrlimit(RLIMIT_FSIZE, limits);
  const path = join(folder(), "t");
  const recorded = new Recorded();
  process.on("SIGXFSZ", () => {});
  recorded.life.begin();
  await recorded.recording.start({ path, sizeBytes: 100 * MIB, filesMax: 2 });
  await recorded.go(1, 100);
  await sleep(100);
  setrlimit(RLIMIT_FSIZE, [BigInt(MIB), limits[1] as bigint]);
  for (let i = 0; i < 200 && recorded.log.length < 2; i++) await recorded.go(1, 100);
  setrlimit(RLIMIT_FSIZE, limits);
  assert.match(recorded.log.join("\n"), /has stopped, and goes on when it can: EFBIG/);
  replayed(readFileSync(path));
  for (let i = 0; i < 1000 && recorded.log.length < 3; i++) await recorded.go(1, 10);
  assert.match(recorded.log[2] as string, /goes on with event/);
  await recorded.go(1, 100);
  await recorded.recording.stop();
  const { trace, summary } = replayed(readFileSync(path));
  assert.is(trace.sections.length, 2);
  const [before, after] = trace.sections;
  assert.ok((after?.firstEvent ?? 0) > (before?.firstEvent ?? 0) + (before?.eventCount ?? 0), "some are missing");
  assert.ok((after?.eventCount ?? 0) >= 100);
  assert.is(summary.events, trace.eventCount);
  recorded.close();
});

test("files: an append that fails leaves the file as it was", () => {
  const path = join(folder(), "t");
  const files = new TraceFiles({ path, sizeBytes: 1, filesMax: 1 });
  files.append([new Uint8Array(10).fill(1)]);
  const broken = function* () {
    yield new Uint8Array(5).fill(2);
    throw new Error("no more");
  };
  assert.throws(() => files.append(broken()), /no more/);
  files.append([new Uint8Array(2).fill(3)]);
  assert.equal([...readFileSync(path)], [...new Array(10).fill(1), 3, 3]);
  assert.is(files.sizeBytes, 12);
  files.close();
});

test("flight recorder: the last events, at least those of one half, replay from a snapshot", () => {
  const directory = folder();
  const recorded = new Recorded(FlightRecorder.create(directory, 4 * MIB));
  const flight = () => replayed(readFlight(flightPath(directory)) as Uint8Array);
  recorded.life.begin();
  let turns = 0;
  for (let round = 0; round < 60; round++) {
    recorded.life.go(1 + round * 10, () => recorded.recorder.settle());
    const { trace, summary } = flight();
    const end = trace.numberOf(trace.eventCount - 1) + 1;
    assert.is(end, recorded.life.peer.engine.inputCount, "to the last event");
    assert.is(summary.events, trace.eventCount);
    if (trace.numberOf(0) > 0) {
      turns++;
      assert.is(trace.sections[0]?.start, "snapshot");
      assert.ok(trace.eventCount > 1000, `${trace.eventCount} events`);
    }
  }
  assert.ok(turns > 10);
  assert.equal(recorded.log, []);
  recorded.close();
});

test("flight recorder: an engine too large to copy is recorded for looking, and an event too large for it leaves a gap", () => {
  const directory = folder();
  const recorded = new Recorded(FlightRecorder.create(directory, MIB));
  const { recorder, life } = recorded;
  life.begin(1_000_000);
  assert.ok(life.peer.engine.bytes().length > MIB / 4);
  life.go(5000, () => recorder.settle());
  let trace = Trace.open(readFlight(flightPath(directory)) as Uint8Array, abi);
  assert.is(trace.sections[0]?.start, "unknown");
  assert.ok(trace.eventCount > 400);
  assert.is(trace.problem, null);
  assert.throws(() => replay(trace, module), /looked at, not replayed/);

  // Nothing settles: the half fills, and the events that find no room are lost.
  life.go(5000);
  const before = Trace.open(readFlight(flightPath(directory)) as Uint8Array, abi);
  const last = before.numberOf(before.eventCount - 1);
  assert.ok(last < life.peer.engine.inputCount - 1);
  recorder.settle();
  const firstEvent = life.peer.engine.inputCount;
  life.go(1);
  trace = Trace.open(readFlight(flightPath(directory)) as Uint8Array, abi);
  assert.is(trace.sections.at(-1)?.firstEvent, firstEvent);
  recorded.close();
});

test("flight recorder: what a killed process wrote is there to the last event, and the next server keeps it", async () => {
  for (const afterMs of [50, 300]) {
    const directory = folder();
    const said = join(folder(), "said");
    const count = await killSoon(writer(directory, said), said, afterMs);
    putFlightAside({ runtimeDirectory: directory });
    const own = FlightRecorder.create(directory, MIB);
    const sentence = keepLostFlight({ runtimeDirectory: directory });
    assert.match(sentence ?? "", /did not end by itself.*crashes\/crash-.*\.pcapng/);
    const [name] = readdirSync(join(directory, "crashes"));
    const { trace } = replayed(readFileSync(join(directory, "crashes", name as string)));
    const last = trace.numberOf(trace.eventCount - 1) + 1;
    assert.ok(count > 0 && last >= count, `${last} events, ${count} said`);
    assert.ok(last <= count + 1);
    assert.is(keepLostFlight({ runtimeDirectory: directory }), undefined, "once");
    own.close();
    putFlightAside({ runtimeDirectory: directory });
    assert.is(keepLostFlight({ runtimeDirectory: directory }), undefined, "nobody misses what ended well");
  }
});

test("flight recorder: saved on demand and on failure, a bounded number of times", () => {
  const directory = folder();
  const crashDirectory = join(folder(), "kept");
  const flights = { runtimeDirectory: directory, crashDirectory };
  assert.is(keepFlight(flights), undefined);
  assert.throws(() => saveFlight(flights, join(directory, "saved")), /--flight-recorder 0/);
  const recorded = new Recorded(FlightRecorder.create(directory, 4 * MIB));
  recorded.life.begin().go(50);
  saveFlight(flights, join(directory, "saved"));
  assert.is(replayed(readFileSync(join(directory, "saved"))).summary.events, 52);
  writeFileSync(join(directory, "letter"), "no trace");
  assert.throws(() => saveFlight(flights, join(directory, "letter")), /is no trace/);

  for (let i = 0; i < 7; i++) {
    recorded.life.go(1);
    assert.match(keepFlight(flights) ?? "", /Its last events are in .*kept\/crash-/);
  }
  const kept = readdirSync(crashDirectory).sort();
  assert.is(kept.length, 4);
  const counts = kept.map((name) => replayed(readFileSync(join(crashDirectory, name))).summary.events);
  assert.equal(
    counts.sort((a, b) => a - b),
    [56, 57, 58, 59],
    "the newest",
  );
  recorded.close();
});

test("an invariant that does not hold is told, once", () => {
  const recorded = new Recorded(FlightRecorder.create(folder(), 4 * MIB));
  recorded.life.begin().go(10);
  const { engine } = recorded.life.peer;
  spoil(engine);
  assert.ok(engine.violatedInvariant() !== 0);
  recorded.life.go(20_000, () => recorded.recorder.settle());
  assert.is(recorded.log.length, 1);
  assert.match(recorded.log[0] as string, /Invariant \d+ of the engine does not hold/);
  recorded.close();
});

test("a core that traps: the input and the words are the flight recorder's last event", () => {
  const directory = folder();
  const peer = Peer.debug();
  const recorder = new Recorder(peer.engine, FACTS, CLOCK_NS, FlightRecorder.create(directory, 4 * MIB), () => {});
  peer.construct("2000 clustered-core 2");
  spoil(peer.engine);
  assert.throws(() => peer.ask("RESUME"));
  const trace = Trace.open(readFlight(flightPath(directory)) as Uint8Array, abi);
  assert.is(trace.eventCount, 2);
  const { effects } = readEvent(trace, 1);
  assert.is(effects.length, 1);
  assert.is(effects[0]?.kind, KIND_TRAP);
  recorder.close();
});

/** Turns the bit of a region's mark, which a count no longer goes with. */
function spoil(engine: Engine): void {
  const memory = new DataView(engine.bytes().buffer);
  const log = memory.getUint32(abi.CORE + abi.CORE_FIRST_LOG, true);
  const set = memory.getUint32(log + abi.LOG_MARKED, true);
  const bits = memory.getUint32(set + abi.REGION_SET_BITS, true);
  memory.setUint8(bits, memory.getUint8(bits) ^ 1);
}

/** A process that records a mirror's life into a flight recorder, and after each event says how many there were. */
function writer(directory: string, said: string): ChildProcess {
  const url = (path: string) => JSON.stringify(fileURLToPath(new URL(path, import.meta.url)));
  const program = `
    import { openSync, writeSync } from "node:fs";
    import { Peer, releaseWasm } from ${url("harness.ts")};
    import { Engine } from ${url("../src/common/engine.ts")};
    import { Recorder } from ${url("../src/node/recorder.ts")};
    import { FlightRecorder } from ${url("../src/node/flight-recorder.ts")};
    const engine = new Engine(new WebAssembly.Module(releaseWasm));
    const flight = FlightRecorder.create(${JSON.stringify(directory)}, ${4 * MIB});
    const recorder = new Recorder(engine, ${JSON.stringify(FACTS)}, 0n, flight, () => {});
    const peer = new Peer(engine);
    const said = openSync(${JSON.stringify(said)}, "w");
    const count = new BigUint64Array(1);
    peer.construct("2000 clustered-core 2");
    peer.ask("RESUME");
    for (let i = 0; ; i++) {
      peer.ask("FLUSH", [i % 1000]);
      recorder.settle();
      count[0] = BigInt(engine.inputCount);
      writeSync(said, new Uint8Array(count.buffer), 0, 8, 0);
    }`;
  return spawn(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", program], { stdio: "inherit" });
}

/** Kills the process a moment after it first said something. Resolves with the last number that it said. */
async function killSoon(child: ChildProcess, said: string, afterMs: number): Promise<number> {
  const closed = once(child, "close");
  while (child.exitCode === null && !(statSync(said, { throwIfNoEntry: false })?.size === 8)) await sleep(5);
  await sleep(afterMs);
  assert.ok(child.kill("SIGKILL"), "it was still running");
  await closed;
  return Number(readFileSync(said).readBigUInt64LE());
}

async function assertRejects(promise: Promise<unknown>, words: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.match(error?.message ?? "nothing was rejected", words);
}

test.after(() => {
  for (const made of folders) rmSync(made, { recursive: true, force: true });
});

test.run();
