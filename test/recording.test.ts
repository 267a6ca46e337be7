// Recording beside the request path: the event log, the files, the flight recorder. No privilege needed: an engine is driven
// here, and the thread that writes the file is the server's own.

import type { ChildProcess } from "node:child_process";
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
import { EventLog, EventLogReader, halfBytesOf, logBytesOf } from "../src/node/recording/event-log.ts";
import { createFlight, mapFlight, readFlight } from "../src/node/recording/flight-recorder.ts";
import {
  keepFlight,
  keepLastFlight,
  keepLostFlight,
  putFlightAside,
  saveFlight,
} from "../src/node/recording/flights.ts";
import { Recorder, type RecorderOrder } from "../src/node/recording/recorder.ts";
import { RecordingChannel } from "../src/node/recording/recording-channel.ts";
import { TraceFiles } from "../src/node/recording/trace-files.ts";
import { flightPath } from "../src/node/state/runtime-paths.ts";
import { Peer, releaseWasm, seeded, seedFor } from "./harness.ts";
import { killSoon, startProgram } from "./killed-process.ts";

// Worker threads have no TypeScript loader: what starts one runs as it is built.
const { FileRecording } = (await import(
  new URL("../dist/node/recording/file-recording.js", import.meta.url).href
)) as typeof import("../src/node/recording/file-recording.ts");

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

/** Appends an event of `count` words that go on from `next`. Returns whether there was room. */
function append(log: EventLog, next: number, count: number): boolean {
  const { buffer } = log;
  if (!buffer.reserve(count * 4)) return false;
  for (let i = 0; i < count; i++) buffer.words[(buffer.size >>> 2) + i] = next + i;
  buffer.size += count * 4;
  log.publish(next, 1);
  return true;
}

test("event log: a reader that keeps up gets all, in order; one that does not is told", () => {
  const random = seeded(seedFor("event log"));
  const memory = new Uint8Array(new SharedArrayBuffer(logBytesOf(16 * 1024)));
  const log = new EventLog(memory);
  const reader = new EventLogReader(memory);
  let next = 1;
  let seen = 1;
  let missed = 0;
  for (let round = 0; round < 20_000; round++) {
    const count = 5 + random.below(300);
    if (!append(log, next, count)) {
      const hasGap = random.below(40) === 0;
      if (hasGap) next += count;
      log.turn(hasGap);
      // Now and then a beginning stands before the events: it is none of the reader's business.
      if (random.below(2) === 0) log.buffer.size += 4 * random.below(50);
      log.publishBeginning();
      if (!hasGap) assert.ok(append(log, next, count));
    }
    if (log.position.offset > 0) next = (log.buffer.words[(log.buffer.size >>> 2) - 1] as number) + 1;
    if (random.below(60) !== 0) continue;
    for (;;) {
      const piece = reader.next(undefined);
      if (piece === undefined) {
        missed++;
        reader.moveTo(log.position);
        seen = next;
        break;
      }
      if (piece.length === 0) break;
      for (const word of new Int32Array(piece.slice().buffer)) assert.is(word, seen++);
      assert.ok(reader.isThere());
      reader.consumed(piece.length);
    }
    if (log.buffer.size > 0) assert.is(seen, next, "to the last event");
  }
  assert.ok(missed > 10, `${missed} times events were missed`);
  assert.is(reader.lastTimeNs % 2 ** 32 < next && reader.lastTimeNs > 2 ** 32, true);
});

test("event log: what is being read and given up meanwhile is noticed; nothing beyond a mark is read", () => {
  const memory = new Uint8Array(logBytesOf(halfBytesOf(3 * 4096 * 2)));
  const log = new EventLog(memory);
  const reader = new EventLogReader(memory);
  append(log, 1, 10);
  const end = log.position;
  append(log, 11, 10);
  assert.is(reader.next(end)?.length, 40);
  reader.consumed(40);
  assert.ok(reader.isAt(end));
  assert.is(reader.next(end)?.length, 0);
  assert.is(reader.next(undefined)?.length, 40);
  log.turn(false);
  log.publishBeginning();
  assert.ok(reader.isThere(), "the other half was given up");
  assert.is(reader.next(undefined)?.length, 40);
  log.turn(false);
  assert.not.ok(reader.isThere());
  assert.is(reader.next(undefined), undefined);
});

test("channel: a mark arrives as it was set, and the next one waits", () => {
  const channel = new RecordingChannel();
  const other = new RecordingChannel(channel.shared);
  channel.introduce(12, -5n);
  assert.equal([other.abiVersion, other.clockUnixNs], [12, -5n]);
  other.wantSection();
  assert.ok(channel.isSectionDue);
  const mark = { at: { age: 3, offset: 8 }, start: "snapshot", firstEvent: 2 ** 40 + 3, timeNs: 2 ** 45 + 1 } as const;
  channel.mark(mark);
  assert.not.ok(channel.isSectionDue);
  other.wantSection();
  assert.not.ok(channel.isSectionDue, "the one before waits");
  assert.equal(other.marked, mark);
  other.markTaken();
  assert.is(other.marked, undefined);
  assert.ok(channel.isSectionDue);
  channel.end();
  assert.ok(other.isEnded);
});

/** What a server's main and request thread do, on this one thread. */
class Recorded {
  readonly life = new Life();
  readonly log: string[] = [];
  readonly recorder: Recorder;
  readonly recording: InstanceType<typeof FileRecording>;
  private readonly ordersEnd;

  /** With a flight recorder where its folder is given. */
  constructor(directory?: string, sizeBytes = 4 * MIB) {
    const flight = directory === undefined ? undefined : createFlight(directory, sizeBytes);
    const { port1: orders, port2: ordersEnd } = new MessageChannel();
    this.ordersEnd = ordersEnd;
    this.recording = new FileRecording(FACTS, flight, orders, this.obey, (sentence) => this.log.push(sentence));
    const memory = flight === undefined ? undefined : mapFlight(flight);
    this.recorder = new Recorder(this.life.peer.engine, FACTS, CLOCK_NS, memory, ({ invariant }) =>
      this.log.push(`invariant ${invariant}`),
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

for (const withFlight of [false, true]) {
  test(`recorded from the first event on${withFlight ? ", out of the flight recorder" : ""}, in files that each replay alone and together have every event`, async () => {
    const path = join(folder(), "trace.pcapng");
    const recorded = new Recorded(withFlight ? folder() : undefined);
    const { target, launch } = recorded.recording.prepare({ path, sizeBytes: MIB, filesMax: 100 });
    recorded.recorder.start(target);
    recorded.life.begin();
    await launch();
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
}

test("a file that is written too slowly: told, and a section goes on with a snapshot", async () => {
  const path = join(folder(), "t");
  const recorded = new Recorded(folder(), MIB);
  recorded.life.begin();
  await recorded.recording.start({ path, sizeBytes: 100 * MIB, filesMax: 1 });
  // More than both halves in one go, while the file's thread sleeps: it is woken by events alone after 2 MiB.
  for (let i = 0; i < 100 && recorded.log.length < 2; i++) await recorded.go(1, 5000);
  do await recorded.go(60, 1);
  while (!recorded.log.at(-1)?.includes("continues with"));
  await recorded.go(1, 100);
  await recorded.recording.stop();
  assert.match(recorded.log[1] as string, /loses events, because the disk of .* is too slow/);
  assert.match(recorded.log[2] as string, /continues with event/);
  const { trace, summary } = replayed(readFileSync(path));
  assert.ok(trace.sections.length >= 2);
  assert.is(summary.events, trace.eventCount);
  assert.is(trace.numberOf(trace.eventCount - 1) + 1, recorded.life.peer.engine.inputCount);
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
  await assertRejects(recorded.recording.start({ path: passwords, ...options }), /is not a trace/);
  writeFileSync(join(directory, "t.1"), "a letter");
  await assertRejects(recorded.recording.start({ path: join(directory, "t"), ...options }), /t\.1 already exists/);
  await assertRejects(recorded.recording.start({ path: directory, ...options }), /is not a regular file/);
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
  assert.match(recorded.log.join("\n"), /has paused and will continue when possible: EFBIG/);
  replayed(readFileSync(path));
  for (let i = 0; i < 1000 && recorded.log.length < 3; i++) await recorded.go(1, 10);
  assert.match(recorded.log[2] as string, /continues with event/);
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
  const recorded = new Recorded(directory);
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

test("flight recorder: an engine too large to copy is recorded for looking, ", () => {
  const directory = folder();
  const recorded = new Recorded(directory, MIB);
  const { recorder, life } = recorded;
  life.begin(1_000_000);
  assert.ok(life.peer.engine.bytes().length > MIB / 4);
  life.go(5000, () => recorder.settle());
  const trace = Trace.open(readFlight(flightPath(directory)) as Uint8Array, abi);
  assert.is(trace.sections[0]?.start, "unknown");
  assert.ok(trace.eventCount > 400);
  assert.is(trace.problem, null);
  assert.throws(() => replay(trace, module), /looked at, not replayed/);

  recorded.close();
});

test("flight recorder: where nothing settles the other half goes on without a snapshot; an enormous event leaves a gap", () => {
  const directory = folder();
  const recorded = new Recorded(directory, 6 * MIB);
  const { recorder, life } = recorded;
  const { engine } = life.peer;
  const flight = () => Trace.open(readFlight(flightPath(directory)) as Uint8Array, abi);
  life.begin();
  life.go(6000);
  assert.equal(
    flight().sections.map(({ start }) => start),
    ["fresh", "unknown"],
  );
  const { summary } = replayed(readFlight(flightPath(directory)) as Uint8Array);
  assert.is(summary.events, engine.inputCount, "one goes on where the other ends");

  // The tap is told of effects that are larger than a half: a write of 4 MiB from the beginning of memory.
  const before = engine.inputCount;
  const view = new DataView(engine.bytes().buffer);
  const effect = [abi.EFFECT_KIND_WRITE, abi.HEAD_BYTES + 8, 1, 4 * MIB];
  for (const [i, word] of effect.entries()) view.setUint32(abi.EFFECTS + i * 4, word, true);
  recorder.handled(abi.EFFECT_PAYLOAD + abi.HEAD_BYTES + 8);
  recorder.carriedOut();
  life.go(3);
  recorder.settle();
  life.go(2);
  const [first, second] = flight().sections;
  assert.is(second?.start, "snapshot");
  assert.is(second?.firstEvent, before + 3);
  assert.is(second?.eventCount, 2);
  assert.is(first?.eventCount, 0, "the half that had no room for it");
  recorded.close();
});

test("flight recorder: what a killed process wrote is there to the last event, and the next server keeps it", async () => {
  for (const afterMs of [50, 300]) {
    const directory = folder();
    const said = join(folder(), "said");
    const count = await killSoon(writer(directory, said), said, afterMs);
    putFlightAside({ runtimeDirectory: directory });
    const own = new EventLog(mapFlight(createFlight(directory, MIB)));
    const sentence = keepLostFlight({ runtimeDirectory: directory });
    assert.match(sentence ?? "", /previous server was killed or crashed.*crashes\/crash-.*\.pcapng/);
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
  const recorded = new Recorded(directory);
  recorded.life.begin().go(50);
  saveFlight(flights, join(directory, "saved"));
  assert.is(replayed(readFileSync(join(directory, "saved"))).summary.events, 52);
  writeFileSync(join(directory, "letter"), "no trace");
  assert.throws(() => saveFlight(flights, join(directory, "letter")), /is not a trace/);

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

test("flight recorder: a server that fails leaves one trace, and none in a folder that may be on its mirror", () => {
  const directory = folder();
  const flights = { runtimeDirectory: directory };
  assert.is(keepLastFlight(flights), undefined);
  const recorded = new Recorded(directory);
  recorded.life.begin().go(50);
  assert.match(keepLastFlight(flights) ?? "", /Its last events are in .*crashes\/crash-1/);
  putFlightAside(flights);
  assert.is(keepLostFlight(flights), undefined, "the next server has nothing to save");

  const other = folder();
  const crashDirectory = join(folder(), "kept");
  const kept = { runtimeDirectory: other, crashDirectory };
  assert.is(keepLastFlight(kept), undefined);
  const failing = new Recorded(other);
  failing.life.begin().go(50);
  assert.match(keepLastFlight(kept) ?? "", /The next server saves the last events in .*kept\. Until then/);
  assert.not.ok(existsSync(crashDirectory));
  putFlightAside(kept);
  assert.match(keepLostFlight(kept) ?? "", /previous server was killed or crashed.*kept\/crash-1/);
  recorded.close();
  failing.close();
});

test("an invariant that does not hold is told, once", () => {
  const recorded = new Recorded(folder());
  recorded.life.begin().go(10);
  const { engine } = recorded.life.peer;
  spoil(engine);
  assert.ok(engine.violatedInvariant() !== 0);
  recorded.life.go(20_000, () => recorded.recorder.settle());
  assert.is(recorded.log.length, 1);
  assert.match(recorded.log[0] as string, /^invariant [1-9]/);
  recorded.close();
});

test("a core that traps: the input and the words are the flight recorder's last event", () => {
  const directory = folder();
  const peer = Peer.debug();
  const recorder = new Recorder(peer.engine, FACTS, CLOCK_NS, mapFlight(createFlight(directory, 4 * MIB)), () => {});
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
    import { Recorder } from ${url("../src/node/recording/recorder.ts")};
    import { createFlight, mapFlight } from ${url("../src/node/recording/flight-recorder.ts")};
    const engine = new Engine(new WebAssembly.Module(releaseWasm));
    const flight = mapFlight(createFlight(${JSON.stringify(directory)}, ${4 * MIB}));
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
  return startProgram(program);
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
