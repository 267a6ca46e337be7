// Traces: what was recorded is read back as it was, replays to the same bytes on every build of the core, and shows any
// state in between.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Engine } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest } from "../src/common/kernel-frames.ts";
import { Random } from "../src/common/sim/random.ts";
import { runScenario } from "../src/common/sim/scenario.ts";
import { cut, merge } from "../src/common/trace/edit.ts";
import { readEvent } from "../src/common/trace/event.ts";
import { EVENT_ERROR, EVENT_NOTICED, NO_LOG } from "../src/common/trace/event-table.ts";
import { EventWriter } from "../src/common/trace/event-writer.ts";
import { PACKET_CAPTURED, SNAPLEN, TraceError } from "../src/common/trace/format.ts";
import { Recording } from "../src/common/trace/recording.ts";
import { replay } from "../src/common/trace/replay.ts";
import { writeSectionHeader } from "../src/common/trace/section.ts";
import { SNAPSHOT_PACKET_BYTES_MAX, SnapshotWriter } from "../src/common/trace/snapshot.ts";
import { TimeTravel } from "../src/common/trace/time-travel.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { TraceBuffer } from "../src/common/trace/trace-buffer.ts";
import { EventWords } from "../src/common/trace/words.ts";
import { DeviceHost } from "./device-host.ts";
import { debugWasm, Peer, seedFor, words } from "./harness.ts";
import { facts, joined, type RecordedLife, recordLives, releaseModule } from "./recorded-lives.ts";

const debugModule = new WebAssembly.Module(debugWasm);
const { abi } = new Engine(releaseModule);
const seed = seedFor("trace");
const EVENTS = 3000;
const NOTHING = { send: () => {}, notice: () => {} };

const open = (bytes: Uint8Array) => Trace.open(bytes, abi);

test("the core never writes to the input area", () => {
  let inputs = 0;
  const watch = (engine: Engine) => {
    const handle = engine.handleRaw.bind(engine);
    engine.handleRaw = (kind, size, port, low, high) => {
      const payload = engine.read(abi.INPUT_PAYLOAD, abi.INPUT_PAYLOAD_BYTES_MAX);
      const effectsBytes = handle(kind, size, port, low, high);
      const head = new DataView(engine.bytes().buffer);
      assert.is(head.getUint32(abi.INPUT_KIND, true), kind);
      assert.is(head.getUint32(abi.INPUT_PAYLOAD_SIZE, true), size);
      assert.is(head.getUint32(abi.INPUT_NOW, true), low % 2 ** 32);
      assert.is(head.getUint32(abi.INPUT_PORT, true), port);
      const after = engine.bytes().subarray(abi.INPUT_PAYLOAD, abi.INPUT_PAYLOAD + abi.INPUT_PAYLOAD_BYTES_MAX);
      assert.is(Buffer.compare(payload, after), 0);
      inputs++;
      return effectsBytes;
    };
  };
  for (let i = 0; i < 5; i++) {
    runScenario({ seed: seed + i, eventCount: EVENTS, module: debugModule, console: words, onEngine: watch });
  }
  assert.ok(inputs > 3000, `${inputs} inputs`);
});

test("every event is read as it was, whatever the life", () => {
  const inputs = new Set<number>();
  const effects = new Set<number>();
  for (let i = 0; i < 20; i++) {
    for (const life of recordLives(seed + i, EVENTS)) {
      const trace = open(life.trace);
      assert.is(trace.problem, null);
      assert.is(trace.eventCount, life.events.length);
      for (const [index, event] of life.events.entries()) {
        assert.equal(plain(readEvent(trace, index)), plain(event));
        assert.is(trace.events.kinds[index], event.input.kind);
        inputs.add(event.input.kind);
        for (const { kind } of event.effects) effects.add(kind);
      }
    }
  }
  assert.equal([...inputs].sort(), [1, 2, 3, 4, 5, 6]);
  for (const kind of effects) assert.ok(kind >= abi.EFFECT_KIND_SEND && kind <= abi.EFFECT_KIND_STATE_DELETE);
  assert.ok(effects.size >= 11, `effects ${[...effects]}`);
});

test("a life replays to the same bytes, and so does the debug build", () => {
  for (let i = 0; i < 10; i++) {
    const lives = recordLives(seed + 100 + i, EVENTS);
    const trace = open(joined(lives.map((life) => life.trace)));
    const count = lives.reduce((sum, { events }) => sum + events.length, 0);
    const release = replay(trace, releaseModule);
    assert.is(release.difference, null);
    assert.ok(release.isEqual);
    assert.is(release.events, count);
    assert.is(release.cutEvent, null);
    const debug = replay(trace, debugModule);
    assert.ok(debug.isEqual);
    assert.is(debug.digest, release.digest);
    const datagrams = lives.flatMap(({ events }) => events).filter(({ input }) => input.kind === 1).length;
    assert.is(
      release.requests.reduce((sum, requests) => sum + requests, 0),
      datagrams,
    );
  }
});

test("the digest is what README.md says", () => {
  const [life] = recordLives(seed + 11, EVENTS) as [RecordedLife];
  let low = 0x811c9dc5;
  let high = 0x050c5d1f;
  const add = (bytes: Buffer) => {
    const padded = Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
    const words = [bytes.length, ...Array.from({ length: padded.length / 4 }, (_, i) => padded.readUInt32LE(i * 4))];
    for (const word of words) {
      low = Math.imul(low ^ word, 0x01000193);
      low ^= low >>> 15;
      high = Math.imul(high ^ word, 0x01000193) ^ (low >>> 7);
    }
  };
  const pad = (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 7)]);
  for (const { effects } of life.events) {
    const sends = effects.filter(({ kind }) => kind === abi.EFFECT_KIND_SEND);
    for (const { payload } of sends) add(Buffer.from(payload));
    if (effects.length === 0 || (effects.length === 1 && sends.length === 1)) continue;
    const records = effects.flatMap(({ kind, payload, written }) => {
      const head = Buffer.alloc(8);
      head.writeUInt32LE(kind, 0);
      head.writeUInt32LE(payload.length, 4);
      return kind === abi.EFFECT_KIND_SEND ? [head] : [head, pad(payload), pad(written ?? new Uint8Array(0))];
    });
    add(Buffer.concat(records));
  }
  const digest = [high, low].map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("");
  assert.is(replay(open(life.trace), releaseModule).digest, digest);
});

test("what the debug build records, the release build replays", () => {
  const lives = recordLives(seed + 7, EVENTS, debugModule);
  assert.ok(replay(open(joined(lives.map(({ trace }) => trace))), releaseModule).isEqual);
});

test("a recording may begin anywhere: with a snapshot, which either build starts from", () => {
  for (const from of [1, 37, 200]) {
    const lives = recordLives(seed + from, EVENTS, releaseModule, from);
    assert.ok(lives.length > 0);
    for (const { trace: bytes, events, engine } of lives) {
      const trace = open(bytes);
      assert.is(trace.sections[0]?.start, "snapshot");
      assert.is(trace.numberOf(0), from);
      assert.is(trace.indexOf(from + events.length - 1), events.length - 1);
      assert.is(trace.indexOf(from - 1), -1);
      const { isEqual, digest } = replay(trace, releaseModule);
      assert.ok(isEqual);
      assert.equal(replay(trace, debugModule).digest, digest);
      const last = new TimeTravel(trace, releaseModule).seek(events.length - 1);
      assert.is(Buffer.compare(last.bytes(), engine.bytes()), 0);
      assert.is(last.inputCount, engine.inputCount);
    }
  }
});

test("large events are cut into packets that other tools take, and memory may grow", () => {
  const engine = new Engine(releaseModule);
  const recording = new Recording(engine, facts);
  const host = new DeviceHost(engine);
  // All of it is to be written anew.
  host.devices.set("/dev/log", new Uint8Array(1 << 20).fill(0xff));
  host.ask("CTR", asciiBytes("8000000 clustered-disk /dev/log 2"));
  host.ask("RESUME");
  for (let i = 0; i < 8; i++) {
    host.request(
      "FLUSH",
      Array.from({ length: 32 }, (_, k) => i * 400_000 + k * 7),
    );
  }
  host.completeAll();
  host.ask("CTR", asciiBytes("20000000 core 2"), "LVM-other", 9n);
  host.ask("POSTSUSPEND");
  const bytes = recording.finish();
  const trace = open(bytes);
  const largest = readEvent(trace, trace.eventCount - 3).effects;
  assert.ok(trace.events.timesNs.length >= trace.eventCount && largest.length > 0);
  const written = Array.from({ length: trace.eventCount }, (_, i) => readEvent(trace, i).effects).flat();
  assert.ok(
    Math.max(...written.map((effect) => effect.written?.length ?? 0)) > SNAPLEN,
    "an effect larger than a packet",
  );
  let packets = 0;
  for (let at = 0; at < bytes.length / 4; at += (trace.view.words[at + 1] as number) / 4) {
    if (trace.view.words[at] !== 6) continue;
    packets++;
    assert.ok((trace.view.words[at + PACKET_CAPTURED] as number) <= SNAPLEN);
  }
  assert.ok(packets > trace.eventCount * 2);
  const result = replay(trace, releaseModule);
  assert.ok(result.isEqual);
  assert.is(replay(trace, debugModule).digest, result.digest);
});

test("datagrams of strangers, cut ones, unknown inputs and any time are kept as they are", () => {
  const engine = new Engine(releaseModule);
  const recording = new Recording(engine, facts);
  const huge = new Uint8Array(abi.INPUT_PAYLOAD_BYTES_MAX + 1000).fill(7);
  engine.deliver(new Uint8Array(0), 0, 0, NOTHING);
  engine.deliver(huge, 0, 1, NOTHING);
  engine.deliver(Uint8Array.of(1, 2, 3, 4, 5), 0xfedc_ba98, 2 ** 53 - 1, NOTHING);
  engine.handleRaw(abi.INPUT_KIND_DATAGRAM, 0xffff_ffff, 0, 0xffff_ffff, 0xffff_ffff);
  engine.handleRaw(77, 3, 0, 1, 0x8000_0000);
  engine.handleRaw(abi.INPUT_KIND_COMPLETION, 0xffff_fff0, 0, 5, 0);
  const trace = open(recording.finish());
  assert.is(trace.eventCount, 6);
  const inputs = Array.from({ length: 6 }, (_, i) => readEvent(trace, i).input);
  assert.equal(
    inputs.map(({ sizeBytes }) => sizeBytes),
    [0, huge.length, 5, 0xffff_ffff - 16, 3, 0xffff_fff0],
  );
  assert.is(inputs[1]?.payload.length, abi.INPUT_PAYLOAD_BYTES_MAX);
  assert.is(inputs[2]?.senderPort, 0xfedc_ba98);
  assert.equal([inputs[3]?.timeLow, inputs[3]?.timeHigh], [-1, -1]);
  assert.is(trace.events.timesNs[2], 2 ** 53 - 1);
  assert.is(inputs[4]?.kind, 77);
  const result = replay(trace, releaseModule);
  assert.ok(result.isEqual);
  assert.is(result.events, 6);
  assert.is(new TimeTravel(trace, releaseModule).seek(5).inputCount, 6);
});

test("the table says what each event is about without decoding it", () => {
  const peer = new Peer(new Engine(releaseModule));
  const recording = new Recording(peer.engine, facts);
  peer.construct("1000 clustered-core 2");
  peer.ask("RESUME");
  peer.ask("MARK_REGION", [1, 2, 3]);
  peer.ask("IS_CLEAN", [1]);
  peer.ask("MARK_REGION", [5000]);
  peer.ask("GET_SYNC_COUNT", [], { luid: 5n });
  peer.ask("RESUME", [], { uuid: "LVM-other" });
  peer.ask("FLUSH", [4]);
  const trace = open(recording.finish());
  const { types, logs, flags, regionCounts } = trace.events;
  const count = trace.eventCount;
  const { requestNames } = new EventWords(abi, words);
  assert.equal(
    [...types.subarray(0, count)].map((type) => requestNames[type]),
    ["CTR", "RESUME", "MARK_REGION", "IS_CLEAN", "MARK_REGION", "GET_SYNC_COUNT", "RESUME", "FLUSH"],
  );
  assert.equal([...regionCounts.subarray(0, count)], [0, 0, 3, 1, 1, 0, 0, 1]);
  assert.equal([...logs.subarray(0, count)], [0, 0, 0, 0, 0, 1, 2, 0]);
  assert.equal(
    [...flags.subarray(0, count)].map((flag) => (flag & EVENT_ERROR) !== 0),
    [false, false, false, false, true, true, true, false],
  );
  assert.ok((flags[0] as number) & EVENT_NOTICED);
  assert.equal(trace.logs, [
    { luid: peer.luid, uuid: "LVM-test" },
    { luid: 5n, uuid: "LVM-test" },
    { luid: peer.luid, uuid: "LVM-other" },
  ]);
});

test("a completion belongs to the log that the device is opened for", () => {
  const host = new DeviceHost(new Engine(releaseModule));
  const recording = new Recording(host.engine, facts);
  for (const [i, uuid] of ["LVM-a", "LVM-b"].entries()) {
    host.devices.set(`/dev/${uuid}`, new Uint8Array(1 << 20));
    host.ask("CTR", asciiBytes(`1000 clustered-disk /dev/${uuid} 2 nosync`), uuid, BigInt(i));
    host.ask("RESUME", [], uuid, BigInt(i));
    host.request("FLUSH", [i], uuid, BigInt(i));
    host.complete(0, i === 0 ? 0 : -5);
  }
  const trace = open(recording.finish());
  const { kinds, types, logs, flags } = trace.events;
  let completions = 0;
  let isB = false;
  for (let i = 0; i < trace.eventCount; i++) {
    if (kinds[i] === abi.INPUT_KIND_DATAGRAM && types[i] === abi.REQUEST_CTR)
      isB = trace.logs[logs[i] as number]?.uuid === "LVM-b";
    if (kinds[i] !== abi.INPUT_KIND_COMPLETION) continue;
    completions++;
    assert.is(trace.logs[logs[i] as number]?.uuid, isB ? "LVM-b" : "LVM-a");
  }
  assert.ok(completions >= 8);
  assert.is(types[trace.eventCount - 1], abi.EFFECT_KIND_WRITE);
  assert.ok((flags[trace.eventCount - 1] as number) & EVENT_ERROR);
  assert.is([...logs.subarray(0, trace.eventCount)].includes(NO_LOG), false);
});

test("a file that grows is read on where it ended", () => {
  const whole = joined(recordLives(seed + 3, EVENTS).map(({ trace }) => trace));
  const all = open(whole);
  const grown = Trace.begin(whole.slice(0, 2000), abi);
  const random = new Random(seed);
  for (let size = 2000; size < whole.length; size += random.below(20_000)) {
    grown.extend(whole.slice(0, size));
    while (!grown.scan(10));
  }
  grown.extend(whole);
  assert.ok(grown.scan());
  assert.is(grown.problem, null);
  assert.is(grown.eventCount, all.eventCount);
  for (const name of ["offsets", "timesNs", "kinds", "types", "logs", "flags", "regionCounts"] as const) {
    assert.equal(grown.events[name].slice(0, all.eventCount), all.events[name].slice(0, all.eventCount), name);
  }
  assert.equal(grown.sections, all.sections);
  assert.is(replay(grown, releaseModule).digest, replay(all, releaseModule).digest);
});

test("bytes that begin at an odd address are read too", () => {
  const [life] = recordLives(seed + 4, 500);
  const bytes = new Uint8Array((life?.trace.length ?? 0) + 3);
  bytes.set(life?.trace ?? [], 3);
  assert.is(open(bytes.subarray(3)).eventCount, life?.events.length);
});

test("a buffer of the caller's takes whole events, and says when it is full", () => {
  const peer = new Peer(new Engine(releaseModule));
  const writer = new EventWriter(peer.engine);
  const full: Uint8Array[] = [];
  // The first has room for the constructor, whose bitmaps are kept.
  let buffer = TraceBuffer.over(new Uint8Array(new SharedArrayBuffer(100_000)));
  writeSectionHeader(buffer, {
    ...facts,
    abiVersion: abi.ABI_VERSION,
    start: "fresh",
    firstEvent: 0,
    life: "",
    clockUnixNs: null,
  });
  let events = 0;
  peer.engine.tap = {
    handled: (effectsBytes) => {
      events++;
      const size = buffer.size;
      if (writer.write(buffer, effectsBytes)) return;
      assert.is(buffer.size, size);
      full.push(buffer.content().slice());
      buffer = TraceBuffer.over(new Uint8Array(new SharedArrayBuffer(4096)));
      assert.ok(writer.write(buffer, effectsBytes));
    },
    trapped: () => {},
  };
  peer.construct("500000 clustered-core 2");
  peer.ask("RESUME");
  for (let i = 0; i < 100; i++) peer.ask("MARK_REGION", [i]);
  full.push(buffer.content().slice());
  assert.ok(full.length > 10);
  const trace = open(joined(full));
  assert.is(trace.eventCount, events);
  assert.not.ok(trace.isWhole(events - 1), "no end was written, so the last event may lack outputs");
  assert.is(replay(trace, releaseModule).events, events);
  const last = trace.endOf(events - 1) - 4;
  assert.is(replay(open(joined(full).subarray(0, last)), releaseModule).cutEvent, events - 1);

  const snapshot: Uint8Array[] = [];
  const memory = peer.engine.bytes();
  const snapshotWriter = new SnapshotWriter(memory, events, 0);
  for (let isDone = false; !isDone; ) {
    const part = TraceBuffer.over(new Uint8Array(SNAPSHOT_PACKET_BYTES_MAX + 1000));
    if (snapshot.length === 0) {
      writeSectionHeader(part, {
        ...facts,
        abiVersion: abi.ABI_VERSION,
        start: "snapshot",
        firstEvent: events,
        life: "",
        clockUnixNs: null,
      });
    }
    isDone = snapshotWriter.write(part);
    snapshot.push(part.content());
  }
  const recorded = TraceBuffer.growing();
  peer.engine.tap = { handled: (effectsBytes) => writer.write(recorded, effectsBytes), trapped: () => {} };
  peer.ask("MARK_REGION", [400]);
  assert.ok(snapshot.length > 1);
  assert.ok(replay(open(joined([...snapshot, recorded.content()])), releaseModule).isEqual);
});

test("a trap is recorded with its input, and a replay traps too", () => {
  const peer = Peer.resumed(100);
  peer.ask("MARK_REGION", [1]);
  // Claims a mark that is in no bitmap: the debug build checks its invariants after every input.
  const { address } = recordOf(peer.engine);
  const marked = new DataView(peer.engine.bytes().buffer);
  const bits = marked.getUint32(marked.getUint32(address + abi.LOG_MARKED, true) + abi.REGION_SET_BITS, true);
  marked.setUint8(bits, 0);
  const recording = new Recording(peer.engine, facts);
  assert.throws(() => peer.ask("MARK_REGION", [2]), /unreachable/);
  const trace = open(recording.finish());
  assert.is(trace.eventCount, 1);
  assert.ok((trace.events.flags[0] as number) & EVENT_ERROR);
  const event = readEvent(trace, 0);
  const inWords = new EventWords(abi, words);
  assert.match(inWords.input(event.input), /^MARK_REGION #\d+ log LVM-test .* region 2$/);
  assert.match(inWords.effect(event.effects[0] as (typeof event.effects)[0]), /^the core trapped: unreachable/);
  assert.ok(replay(trace, debugModule).isEqual);
  // The release build does not look, and answers.
  const { difference } = replay(trace, releaseModule);
  const report = inWords.difference(trace, difference as NonNullable<typeof difference>);
  assert.match(report, /expected: the core trapped/);
  assert.match(report, /got: state write of log 0: 8 bytes at \d+/);
});

test("a difference is told in words, with the log as it is then", () => {
  const peer = new Peer(new Engine(releaseModule));
  const recording = new Recording(peer.engine, facts);
  peer.construct("1000 clustered-core 2 nosync");
  peer.ask("RESUME");
  peer.ask("MARK_REGION", [1, 2]);
  peer.ask("IN_SYNC", [7]);
  const bytes = recording.finish();
  const trace = open(bytes);
  // Of the last reply: behind its payload of 8 bytes come 24 bytes of options and 4 of length.
  const payload = trace.endOf(3) - 28 - 8;
  assert.is(bytes[payload], 1);
  bytes[payload] = 0;
  const { difference, isEqual, events } = replay(open(bytes), releaseModule);
  assert.not.ok(isEqual);
  assert.is(events, 3);
  assert.is(difference?.number, 3);
  const report = new EventWords(abi, words).difference(open(bytes), difference as NonNullable<typeof difference>);
  assert.equal(report.split("\n"), [
    "Event 1:3 at 0.000000001 s: IN_SYNC #4 log LVM-test luid 18446612682089119744 v3: region 7",
    "Effect 1 differs from the recording (1 effects were recorded, the core gave 1).",
    "  expected: IN_SYNC reply #4 log LVM-test luid 18446612682089119744 v3: out of sync",
    "       got: IN_SYNC reply #4 log LVM-test luid 18446612682089119744 v3: in sync",
    "They differ from byte 196 on:",
    "  expected: 00 00 00 00 00 00 00 00",
    "       got: 01 00 00 00 00 00 00 00",
    "The log at this point: LVM-test (luid 18446612682089119744, clustered-core) resumed, 500 of 500 regions in sync, 2 dirty, 0 failed",
  ]);
});

test("missing events begin a section that can be looked at and not replayed", () => {
  const [life] = recordLives(seed + 5, 1000);
  const bytes = life?.trace as Uint8Array;
  const whole = open(bytes);
  const [from, to] = [whole.events.offsets[20] as number, whole.endOf(24)];
  const trace = open(joined([bytes.subarray(0, from), bytes.subarray(to)]));
  assert.is(trace.eventCount, whole.eventCount - 5);
  assert.is(trace.sections.length, 2);
  assert.equal([trace.numberOf(19), trace.numberOf(20)], [19, 25]);
  assert.equal(plain(readEvent(trace, 20)), plain(readEvent(whole, 25)));
  const result = replay(trace, releaseModule);
  assert.ok(result.isEqual);
  assert.equal([result.events, result.skippedEvents], [20, whole.eventCount - 25]);
  const travel = new TimeTravel(trace, releaseModule);
  assert.ok(travel.canSeek(19));
  assert.not.ok(travel.canSeek(20));
  assert.throws(
    () => travel.seek(20),
    (error: Error) => error instanceof TraceError && /not recorded/.test(error.message),
  );
});

test("time travel: the memory after any event, in any order, however few the copies", () => {
  const lives = recordLives(seed + 6, EVENTS).slice(0, 4);
  const trace = open(joined(lives.map((life) => life.trace)));
  const reference = new TimeTravel(trace, releaseModule, { stepEvents: 1e9 });
  const states = Array.from({ length: trace.eventCount }, (_, i) => digestOf(reference.seek(i).bytes()));
  const random = new Random(seed);
  for (const options of [
    {},
    { stepEvents: 50 },
    { stepEvents: 7, memoryBytes: 3_000_000 },
    { stepEvents: 20, memoryBytes: 0 },
  ]) {
    const travel = new TimeTravel(trace, releaseModule, options);
    const prepares = random.oneIn(2);
    if (prepares) while (!travel.prepare(100));
    for (let i = 0; i < 150; i++) {
      const index = random.below(trace.eventCount);
      const engine = travel.seek(index);
      assert.is(digestOf(engine.bytes()), states[index], `event ${index}`);
      assert.is(engine.inputCount, trace.numberOf(index) + 1);
      if (random.oneIn(3) && trace.sectionOf(index).firstIndex < index) {
        assert.is(digestOf(travel.seekBefore(index).bytes()), states[index - 1]);
      }
      assert.ok(travel.snapshotBytes <= (options.memoryBytes ?? Infinity));
    }
  }
  assert.is(digestOf(reference.seekBefore(0).bytes()), digestOf(new Engine(releaseModule).bytes()));
  assert.throws(() => reference.seek(trace.eventCount), isTraceError);
  assert.throws(() => reference.seek(-1), isTraceError);
});

test("copies take the room of what changes between them", () => {
  const peer = new Peer(new Engine(releaseModule));
  const recording = new Recording(peer.engine, facts);
  peer.construct("40000000 clustered-core 2");
  peer.ask("RESUME");
  for (let i = 0; i < 2000; i++) peer.ask("MARK_REGION", [i]);
  const trace = open(recording.finish());
  const travel = new TimeTravel(trace, releaseModule, { stepEvents: 10 });
  travel.prepare();
  const engineBytes = peer.engine.bytes().length;
  assert.ok(engineBytes > 7_500_000);
  assert.ok(travel.snapshotBytes > 2_500_000, "the set that is full");
  assert.ok(travel.snapshotBytes < 2 * engineBytes, `${travel.snapshotBytes} bytes`);
});

test("a piece of a trace replays by itself, and the pieces make the whole again", () => {
  const lives = recordLives(seed + 8, EVENTS).slice(0, 3);
  const bytes = joined(lives.map((life) => life.trace));
  const trace = open(bytes);
  const { digest } = replay(trace, releaseModule);
  const random = new Random(seed);
  for (let i = 0; i < 20; i++) {
    const from = random.below(trace.eventCount);
    const to = random.between(from + 1, trace.eventCount);
    const piece = open(joined(cut(trace, from, to, releaseModule)));
    assert.is(piece.problem, null);
    assert.is(piece.eventCount, to - from);
    assert.is(piece.numberOf(0), trace.numberOf(from));
    const result = replay(piece, releaseModule);
    assert.ok(result.isEqual);
    assert.is(result.events, to - from);
    assert.equal(plain(readEvent(piece, 0)), plain(readEvent(trace, from)));

    const rest = open(joined(cut(trace, Math.max(0, from - random.below(40)), trace.eventCount, releaseModule)));
    const start = open(joined(cut(trace, 0, to, releaseModule)));
    const again = open(joined(merge(random.oneIn(2) ? [start, rest] : [rest, start])));
    assert.is(again.eventCount, trace.eventCount);
    const merged = replay(again, releaseModule);
    assert.ok(merged.isEqual);
    assert.is(merged.events, trace.eventCount);
    if (trace.numberOf(from) !== 0) assert.is(merged.digest, digest);
  }
  assert.throws(() => cut(trace, trace.eventCount, trace.eventCount + 1, releaseModule), isTraceError);
});

test("sections of one life that bring no state go on where the one before ends", () => {
  const life = recordLives(seed + 9, EVENTS).find(({ events }) => events.length > 60);
  const trace = open(life?.trace as Uint8Array);
  const section = trace.sections[0] as (typeof trace.sections)[0];
  const later = TraceBuffer.growing();
  writeSectionHeader(later, { ...section, start: "unknown", firstEvent: 40 });
  const half = (from: number, to: number) => trace.view.bytes.subarray(trace.events.offsets[from], trace.endOf(to - 1));
  const first = joined([trace.view.bytes.subarray(0, trace.events.offsets[40])]);
  const second = joined([later.content(), half(40, trace.eventCount)]);
  const rotated = open(joined([first, second]));
  assert.is(rotated.sections.length, 2);
  const result = replay(rotated, releaseModule);
  assert.ok(result.isEqual);
  assert.is(result.skippedEvents, 0);
  const travel = new TimeTravel(rotated, releaseModule, { stepEvents: 10 });
  assert.is(digestOf(travel.seek(50).bytes()), digestOf(new TimeTravel(trace, releaseModule).seek(50).bytes()));
  // Each file by itself has lost what may follow its last event; the merged one begins the second where that is.
  assert.throws(() => replay(open(second), releaseModule), /looked at, not replayed/);
  const merged = open(joined(merge([open(second), open(first)])));
  assert.equal(
    merged.sections.map(({ firstEvent, eventCount }) => [firstEvent, eventCount]),
    [
      [0, 39],
      [40, trace.eventCount - 41],
    ],
  );
});

test("what is no trace is refused with a sentence", () => {
  const [life] = recordLives(seed, 300);
  const bytes = life?.trace as Uint8Array;
  const foreign = joined([bytes]);
  const comment = Buffer.from(foreign).indexOf("start fresh");
  foreign.set(asciiBytes("trats"), comment);
  const swapped = joined([bytes]);
  swapped.set([0x1a, 0x2b, 0x3c, 0x4d], 8);
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /^The file is empty\.$/],
    [asciiBytes("hello, world"), /not a trace of dm-ulog/],
    [asciiBytes("no"), /not a trace of dm-ulog/],
    [Uint8Array.of(0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0), /pcap file/],
    [Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0), /compressed by gzip/],
    [foreign, /pcapng file, but not a trace/],
    [swapped, /another order/],
    [bytes.slice(0, 100), /ends within its first header/],
  ];
  for (const [file, sentence] of cases) {
    assert.throws(
      () => open(file),
      (error: Error) => error instanceof TraceError && sentence.test(error.message),
    );
  }
  const other = joined([bytes]);
  const version = `abi ${abi.ABI_VERSION}`;
  other[Buffer.from(other).indexOf(version) + version.length - 1] = "9".charCodeAt(0);
  assert.throws(
    () => replay(open(other), releaseModule),
    new RegExp(`ABI version 9; this core has ${abi.ABI_VERSION}`),
  );
});

test("a damaged snapshot is refused, and not started from", () => {
  const [life] = recordLives(seed, EVENTS, releaseModule, 30);
  const bytes = life?.trace as Uint8Array;
  const random = new Random(seed);
  const trace = open(bytes);
  const [part = 0] = trace.sections[0]?.snapshotParts ?? [];
  const end = trace.events.offsets[0] as number;
  for (let i = 0; i < 300; i++) {
    const damaged = joined([bytes]);
    const at = part + 28 + 8 + random.below(end - part - 28 - 8 - 28);
    damaged[at] = (damaged[at] as number) ^ (1 << random.below(8));
    try {
      // What was damaged may be no part of the state, such as a time.
      assert.ok(replay(open(damaged), releaseModule).isEqual);
    } catch (error) {
      assert.ok(error instanceof TraceError, String(error));
    }
  }
  const content = joined([bytes]);
  content[part + 28 + 8 + 24 + 100] = (content[part + 28 + 8 + 24 + 100] as number) ^ 1;
  assert.throws(() => replay(open(content), releaseModule), /snapshot before event 1:30 is damaged/);
});

test("requests are counted by type, and progress is told", () => {
  const engine = new Engine(releaseModule);
  const recording = new Recording(engine, facts);
  const deliver = (type: number) =>
    engine.deliver(encodeRequest(abi, { type, uuid: "LVM-x", luid: 1n, seq: 1 }), 0, 0, NOTHING);
  for (const type of [5, 5, 5, 9, 99]) deliver(type);
  const told: number[][] = [];
  const { requests } = replay(open(recording.finish()), releaseModule, {
    onProgress: (done, total) => told.push([done, total]),
  });
  assert.equal(requests, [1, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(told.at(-1), [5, 5]);
});

const isTraceError = (error: Error) => error instanceof TraceError;

/** The same whether arrays are views of a file or not. */
function plain(event: {
  input: { payload: Uint8Array };
  effects: { payload: Uint8Array; written: Uint8Array | null }[];
}) {
  const bytes = (array: Uint8Array | null) => (array === null ? null : Buffer.from(array).toString("hex"));
  return {
    ...event,
    input: { ...event.input, payload: bytes(event.input.payload) },
    effects: event.effects.map((effect) => ({
      ...effect,
      payload: bytes(effect.payload),
      written: bytes(effect.written),
    })),
  };
}

function digestOf(bytes: Uint8Array): string {
  let low = 1;
  let high = 2;
  for (const word of new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2)) {
    low = Math.imul(low ^ word, 0x0100_0193);
    high = Math.imul(high ^ word, 0x0100_0193) ^ (low >>> 9);
  }
  return `${bytes.length} ${low} ${high}`;
}

/** The first log's record. */
function recordOf(engine: Engine): { address: number } {
  return { address: new DataView(engine.bytes().buffer).getUint32(abi.CORE + abi.CORE_FIRST_LOG, true) };
}

test.run();
