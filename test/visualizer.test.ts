// What the page knows of a trace, against the console and against naive ways of knowing it.

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LogDescription } from "../src/common/console.ts";
import { Engine } from "../src/common/engine.ts";
import { SECOND_NS } from "../src/common/sim/clock.ts";
import { Random } from "../src/common/sim/random.ts";
import { PATTERNS } from "../src/common/sim/workload.ts";
import { readEvent } from "../src/common/trace/event.ts";
import { eachRegion, historyOf } from "../src/common/trace/event-regions.ts";
import { NO_LOG } from "../src/common/trace/event-table.ts";
import { logKey, readLogs } from "../src/common/trace/log-memory.ts";
import { Recording } from "../src/common/trace/recording.ts";
import { TimeTravel } from "../src/common/trace/time-travel.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { readAddress } from "../src/visualizer/address.ts";
import { FLAG_ERROR } from "../src/visualizer/model/event-index.ts";
import { LineList, linesOf } from "../src/visualizer/model/line-list.ts";
import { Lines, listedEffects } from "../src/visualizer/model/lines.ts";
import { countStates, fillCells, makeCells, STATES } from "../src/visualizer/model/region-cells.ts";
import { compareMaps, copyMap } from "../src/visualizer/model/region-changes.ts";
import { Timeline } from "../src/visualizer/model/timeline.ts";
import { Player } from "../src/visualizer/player.ts";
import { DEEDS, DEFAULTS, readSimulation } from "../src/visualizer/sources/settings.ts";
import { Simulation } from "../src/visualizer/sources/simulation.ts";
import type { Source } from "../src/visualizer/sources/source.ts";
import { fitting, geometryOf, zoomed } from "../src/visualizer/views/map-geometry.ts";
import { Peer, seedFor, words } from "./harness.ts";
import { facts, recordLives, releaseModule } from "./recorded-lives.ts";

const seed = seedFor("visualizer");
const EVENTS = 1500;
const { abi } = Peer.debug().engine;
const core = { module: releaseModule, console: words, sha256: "0".repeat(64) };

/** The lives of a random scenario, one behind the other in one trace. */
function livesTrace(number: number): Uint8Array {
  const parts = recordLives(number, EVENTS).map(({ trace }) => trace);
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** A log that refuses a request now and then. */
function refusalsTrace(): Uint8Array {
  const peer = new Peer(new Engine(releaseModule));
  const recording = new Recording(peer.engine, facts);
  peer.construct("200 clustered-core 2");
  peer.ask("RESUME");
  for (let i = 0; i < 500; i++) peer.ask("MARK_REGION", [i % 37 === 0 ? 100 : i % 100]);
  return recording.finish();
}

function sourceOf(trace: Trace): Source {
  return {
    trace,
    notes: [],
    title: "",
    address: undefined,
    problem: null,
    progress: null,
    get eventCount() {
      return trace.eventCount;
    },
    update() {},
    roundTripNs: () => Number.NaN,
  };
}

function timelineOf(trace: Trace): Timeline {
  const timeline = new Timeline(releaseModule, sourceOf(trace));
  timeline.pass(Infinity);
  return timeline;
}

const memoryOf = (engine: Engine) => engine.bytes().buffer as ArrayBuffer;
const numbersOf = (trace: Trace) => new Map(trace.logs.map(({ luid, uuid }, i) => [logKey(luid, uuid), i]));

test("time travel follows a trace that grows, and shows each event once, those of an engine in order", () => {
  const bytes = livesTrace(seed);
  const whole = new TimeTravel(Trace.open(bytes, abi), releaseModule);
  const random = new Random(seed);
  let size = 4096;
  const trace = Trace.begin(bytes.subarray(0, size), abi);
  trace.scan();
  const seen: number[] = [];
  const travel = new TimeTravel(trace, releaseModule, { stepEvents: 40, onScouted: (event) => seen.push(event) });
  while (size < bytes.length) {
    size = Math.min(bytes.length, size + 4 * random.below(20_000));
    trace.extend(bytes.subarray(0, size));
    trace.scan();
    travel.extend();
    if (random.oneIn(2)) travel.prepare(random.below(200));
    // The last event may lack its end.
    if (trace.eventCount < 2) continue;
    const event = random.below(trace.eventCount - 1);
    assert.equal(travel.seek(event).snapshot(), whole.seek(event).snapshot(), `event ${event}`);
  }
  travel.prepare();
  assert.is(travel.unpreparedEvents, 0);
  for (const { firstIndex, eventCount } of trace.sections) {
    const own = seen.filter((event) => event >= firstIndex && event < firstIndex + eventCount);
    assert.equal(
      own,
      own.map((_, i) => firstIndex + i),
    );
  }
  assert.is(seen.length, trace.eventCount);
});

test("the index says of every event's log what the console says", () => {
  const trace = Trace.open(livesTrace(seed + 1), abi);
  const { index, problem } = timelineOf(trace);
  const travel = new TimeTravel(trace, releaseModule);
  assert.is(index.length, trace.eventCount);
  let compared = 0;
  for (let event = 0; event < trace.eventCount; event += 3) {
    const number = index.log(event);
    const name = trace.logs[number];
    const log = words
      .logs(travel.seek(event))
      .find(({ uuid, luid }: LogDescription) => uuid === name?.uuid && luid === name.luid);
    if (number === NO_LOG || log === undefined) continue;
    compared++;
    assert.is(index.outOfSync.at(event), log.outOfSyncRegions);
    assert.is(index.dirty.at(event), log.dirtyRegions);
    assert.is(index.urgentBlocks.at(event), log.device?.urgentBlocks ?? 0);
    assert.is(index.lazyBlocks.at(event), log.device?.lazyBlocks ?? 0);
  }
  assert.ok(compared > 50, `${compared} compared`);
  assert.is(problem, null);
});

test("sums of writes and errors are those of the core's counters", () => {
  const trace = Trace.open(livesTrace(seed + 2), abi);
  const { index } = timelineOf(trace);
  const travel = new TimeTravel(trace, releaseModule);
  let writes = 0;
  let written = 0;
  let refused = 0;
  for (const { firstIndex, eventCount } of trace.sections) {
    const counters = words.counters(travel.seek(firstIndex + eventCount - 1));
    writes += counters.deviceWrites;
    written += counters.deviceBytes;
    refused += counters.refused;
  }
  const last = index.length - 1;
  assert.is(index.writes.at(last), writes);
  assert.is(index.writtenBytes.at(last), written);
  assert.ok(index.errorCount >= refused);
  let errors = 0;
  for (let event = 0; event < index.length; event++) if (index.flags.at(event) & FLAG_ERROR) errors++;
  assert.is(errors, index.errorCount);
});

test("lines: as many as are counted, found by their number, with and without a filter", () => {
  const trace = Trace.open(livesTrace(seed + 3), abi);
  const { index } = timelineOf(trace);
  const lines = new Lines(abi, words, trace);
  for (const filter of [null, { passes: (_: unknown, event: number) => event % 7 === 3 }]) {
    const list = new LineList(index, filter);
    list.extend();
    let number = 0;
    for (let event = 0; event < trace.eventCount; event++) {
      if (filter !== null && !filter.passes(index, event)) continue;
      const count = linesOf(index, event);
      assert.is(count, 1 + listedEffects(abi, readEvent(trace, event).effects).length, `event ${event}`);
      assert.is(list.lineOf(event), number);
      for (let place = 0; place < count; place++) {
        assert.equal(list.at(number++), { event, place, note: null });
        if (event % 11 === 0) assert.ok(lines.line(event, place).name.length > 0);
      }
    }
    assert.is(list.length, number);
  }
});

test("cells: counts and worst states at every size, against the console's states of regions", () => {
  const random = new Random(seed);
  const trace = Trace.open(livesTrace(seed + 4), abi);
  const travel = new TimeTravel(trace, releaseModule);
  let logs = 0;
  for (let i = 0; i < 60; i++) {
    const engine = travel.seek(random.below(trace.eventCount));
    const memory = memoryOf(engine);
    for (const log of readLogs(abi, memory)) {
      logs++;
      const states = [...words.regionStates(engine, log.uuid, log.luid, 0, log.regionCount)];
      const clean = log.disk && new Uint8Array(memory, log.disk.cleanBits);
      const expected = states.map((state, region) => {
        const isCleanThere = clean === null || (((clean[region >>> 3] as number) >>> (region & 7)) & 1) === 1;
        return state === 0 ? (isCleanThere ? 0 : 1) : state + 1;
      });
      for (let perCell = 1; perCell < 2 * log.regionCount; perCell *= 2) {
        const cells = makeCells(Math.ceil(log.regionCount / perCell));
        const counts = fillCells(memory, log, 0, perCell, cells);
        assert.equal(
          counts,
          STATES.map((_, state) => expected.filter((one) => one === state).length),
        );
        for (let cell = 0; cell < cells.length; cell++) {
          const part = expected.slice(cell * perCell, (cell + 1) * perCell);
          const worst = Math.max(...part);
          assert.is(cells.worst[cell], worst);
          if (worst > 0) assert.is(cells.count[cell], part.filter((one) => one === worst).length);
        }
      }
      const first = random.below(log.regionCount);
      const length = random.between(1, log.regionCount - first);
      const part = expected.slice(first, first + length);
      assert.equal(
        countStates(memory, log, first, length),
        STATES.map((_, state) => part.filter((one) => one === state).length),
      );
    }
  }
  assert.ok(logs > 20);
});

test("changes of the map: every region whose state differs, and no other", () => {
  const trace = Trace.open(livesTrace(seed + 5), abi);
  const travel = new TimeTravel(trace, releaseModule);
  let changed = 0;
  for (let event = 1; event < trace.eventCount; event += 5) {
    if (trace.sectionOf(event).firstIndex === event) continue;
    const look = (engine: Engine) =>
      new Map(
        readLogs(abi, memoryOf(engine)).map((log) => {
          const states = Array.from({ length: log.regionCount }, (_, region) =>
            countStates(memoryOf(engine), log, region, 1).indexOf(1),
          );
          return [log.key, { map: copyMap(memoryOf(engine), log), states }] as const;
        }),
      );
    const before = look(travel.seekBefore(event));
    const after = look(travel.seek(event));
    for (const [key, { map, states }] of after) {
      const old = before.get(key);
      if (old === undefined) continue;
      const { changes, count } = compareMaps(old.map, map, Infinity);
      const expected = states.flatMap((state, region) => (state === old.states[region] ? [] : [region]));
      const found = changes.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
      assert.equal(found, expected);
      assert.is(count, expected.length);
      for (const { first, last, from, to } of changes) {
        assert.is(from, STATES[old.states[first] as number]);
        assert.is(to, STATES[states[last] as number]);
      }
      changed += count;
    }
  }
  assert.ok(changed > 10, `${changed} changes`);
});

test("the history of a region: every request that names it, and no other", () => {
  const trace = Trace.open(livesTrace(seed + 6), abi);
  for (let log = 0; log < Math.min(3, trace.logs.length); log++) {
    for (const region of [0, 1, 5, 31]) {
      const expected: number[] = [];
      for (let event = 0; event < trace.eventCount; event++) {
        if (trace.events.logs[event] !== log) continue;
        eachRegion(abi, readEvent(trace, event).input, (named, touch) => {
          if (named === region && touch !== "ask") expected.push(event);
        });
      }
      const found = historyOf(abi, trace, log, region, 0, trace.eventCount, Infinity);
      assert.equal(
        found.map(({ event }) => event),
        expected,
      );
      const back = historyOf(abi, trace, log, region, trace.eventCount - 1, -1, Infinity);
      assert.equal(
        back.map(({ event }) => event),
        expected.reverse(),
      );
    }
  }
  assert.ok(numbersOf(trace).size > 0);
});

test("a simulation lives the same life again from its address, however it is sliced", () => {
  const first = new Simulation({ ...DEFAULTS, seed, regionCount: 128 }, [], core);
  first.extend(600, Infinity);
  first.do("power-cut");
  first.extend(900, Infinity);
  first.do("leg-failure");
  first.extend(1300, Infinity);
  first.do("leg-return");
  first.extend(1500, Infinity);
  first.do("server-death");
  first.extend(2000, Infinity);
  first.update();
  const { settings, planned } = readSimulation(new URLSearchParams(first.address.replace(/^sim&/, "")));
  assert.equal(settings, first.life.settings);
  assert.is(planned.length, 4);
  const again = new Simulation(settings, planned, core);
  for (let wanted = 1; wanted < 2000; wanted += 37) again.extend(wanted, Infinity);
  again.extend(first.eventCount, Infinity);
  again.update();
  assert.is(again.address, first.address);
  assert.ok(again.eventCount >= first.eventCount);
  const size = first.trace.endOf(first.eventCount - 1);
  assert.equal(again.trace.view.bytes.subarray(0, size), first.trace.view.bytes.subarray(0, size));
  assert.equal(again.notes, first.notes);
});

test("a simulation counts its writes, and with cmirrord's hint a resync leaves few of them", () => {
  const inResync = (hint: "ours" | "lowest") => {
    const settings = { ...DEFAULTS, seed, pattern: "uniform", writers: 4, log: "core", hint } as const;
    const simulation = new Simulation(settings, [], core);
    const { life } = simulation;
    const liveUntil = (ns: number) => {
      while (life.nowNs < ns) simulation.extend(life.tape.eventCount + 1, Infinity);
      return simulation.writesInSecond(life.tape.eventCount);
    };
    const before = liveUntil(2 * SECOND_NS);
    const position = life.tape.eventCount;
    simulation.do("resync");
    const meanwhile = liveUntil(3.5 * SECOND_NS);
    simulation.update();
    assert.is(simulation.writesInSecond(position), before, "of an earlier position as it was");
    assert.is(simulation.writesInSecond(0), 0);
    const { settings: read } = readSimulation(new URLSearchParams(simulation.address.replace(/^sim&/, "")));
    assert.is(read.hint, hint);
    return { before, meanwhile, title: simulation.title };
  };
  const ours = inResync("ours");
  const lowest = inResync("lowest");
  assert.is(lowest.before, ours.before, "nothing was out of sync before");
  assert.ok(ours.before > 1000, `${ours.before} writes`);
  assert.ok(ours.meanwhile > ours.before / 2, `${ours.meanwhile} writes of ${ours.before}`);
  assert.ok(lowest.meanwhile < ours.before / 20, `${lowest.meanwhile} writes of ${ours.before}`);
  assert.match(lowest.title, /cmirrord's hint/);
});

test("whatever is done to the simulated machine, and when: no rule of the dirty log is broken", () => {
  for (let life = 0; life < 30; life++) {
    const random = new Random(seed * 1000 + life);
    const settings = {
      seed: life,
      regionCount: random.pick([2, 64, 500]),
      pattern: random.pick(PATTERNS),
      writers: random.pick([1, 8, 40]),
      log: random.pick(["disk", "core"] as const),
      integratedFlush: random.oneIn(2),
      hint: random.pick(["ours", "lowest"] as const),
    };
    const simulation = new Simulation(settings, [], core);
    for (let i = 0; i < 10; i++) {
      simulation.extend(simulation.life.tape.eventCount + random.pick([1, 30, 400]), Infinity);
      simulation.do(random.pick(DEEDS));
    }
    simulation.extend(simulation.life.tape.eventCount + 1000, Infinity);
    assert.is(simulation.problem, null, simulation.address);
  }
});

test("what is live is followed at its end, and left alone where somebody has stopped", () => {
  const bytes = refusalsTrace();
  const whole = Trace.open(bytes, abi);
  const trace = Trace.begin(bytes.subarray(0, whole.endOf(99)), abi);
  trace.scan();
  const source: Source = { ...sourceOf(trace), isLive: true };
  // A copy of an object has the values that its getters had.
  Object.defineProperty(source, "eventCount", { get: () => trace.eventCount });
  const grow = (events: number) => {
    trace.extend(bytes.subarray(0, whole.endOf(events - 1)));
    trace.scan();
  };
  const player = new Player(releaseModule);
  let frames = 0;
  const ticks = (count: number) => {
    for (let i = 0; i < count; i++) player.tick(16 * frames++);
  };
  player.load(source, 0);
  ticks(20);
  assert.ok(player.isFollowing);
  assert.is(player.position, 100);
  for (const events of [101, 150, 300]) {
    grow(events);
    ticks(20);
    assert.is(player.position, events);
  }
  player.step(-1);
  grow(350);
  ticks(20);
  assert.is(player.position, 299);
  assert.is(player.timeline.length, 350);
  // Who plays from there is at the end some time, and follows again.
  player.eventsPerSecond = 100;
  player.toggle();
  ticks(10);
  assert.ok(player.position > 299 && player.position < 350);
  ticks(60);
  assert.is(player.position, 350);
  grow(whole.eventCount);
  ticks(20);
  assert.is(player.position, whole.eventCount);
  assert.ok(player.isPlaying);
});

test("the player steps, jumps to errors both ways, and waits for what is still to come", () => {
  const player = new Player(releaseModule);
  const said: string[] = [];
  player.onSay = (sentence) => said.push(sentence);
  const trace = Trace.open(refusalsTrace(), abi);
  player.load(sourceOf(trace), 10);
  const ticks = (count: number) => {
    for (let i = 0; i < count; i++) player.tick(i * 16);
  };
  ticks(200);
  assert.is(player.position, 10);
  assert.ok(player.timeline.isComplete);
  const { flags } = player.timeline.index;
  const errors: number[] = [];
  for (let event = 0; event < trace.eventCount; event++) if (flags.at(event) & FLAG_ERROR) errors.push(event);
  assert.is(errors.length, 14);
  player.seek(0);
  for (const error of errors) {
    player.jump(FLAG_ERROR, 1, "error");
    assert.is(player.position, error + 1);
  }
  player.jump(FLAG_ERROR, 1, "error");
  assert.is(said.length, 1);
  for (const error of errors.slice(0, -1).reverse()) {
    player.jump(FLAG_ERROR, -1, "error");
    assert.is(player.position, error + 1);
  }
  player.seek(20);
  player.step(-1);
  assert.is(player.position, 19);
  player.step(-100);
  assert.is(player.position, 0);

  const simulation = new Simulation({ ...DEFAULTS, regionCount: 64 }, [], core);
  player.load(simulation, 700);
  ticks(200);
  assert.is(player.position, 700);
  assert.ok(simulation.eventCount >= 700);
});

test("a link names a position, or an event by its address, which the player finds while the trace is being read", () => {
  const at = (hash: string) => readAddress({ hash, search: "" }).at;
  assert.is(at("#trace=a.pcapng&at=1200"), 1200);
  assert.equal(at("#trace=a.pcapng&at=3:252"), { section: 3, event: 252 });
  for (const text of ["", "&at=", "&at=-1", "&at=0:1", "&at=x"]) assert.is(at(`#trace=a.pcapng${text}`), null, text);

  const player = new Player(releaseModule);
  const said: string[] = [];
  player.onSay = (sentence) => said.push(sentence);
  const bytes = livesTrace(seed);
  const whole = Trace.open(bytes, abi);
  const [, second] = whole.sections;
  const trace = Trace.begin(bytes, abi);
  let progress: number | null = 0;
  const source: Source = {
    ...sourceOf(trace),
    get progress() {
      return progress;
    },
    get eventCount() {
      return trace.eventCount;
    },
    update() {
      progress = trace.scan(100) ? null : 0;
    },
  };
  player.load(source, { section: 2, event: 1 });
  for (let i = 0; i < 1000 && (progress !== null || !player.timeline.isComplete); i++) player.tick(i * 16);
  assert.is(player.position, (second?.firstIndex as number) + 2);
  player.seekEvent({ section: 1, event: 3 });
  assert.is(player.position, 4);
  assert.equal(said, []);
  player.seekEvent({ section: whole.sections.length + 1, event: 0 });
  assert.is(player.position, 4);
  assert.match(said.join(), /There is no event \d+:0 here/);
});

test("the map: every size of log fits, and each zoom shows fewer regions than the one before", () => {
  for (const regionCount of [1, 10, 128, 2048, 100_000, 10_000_000, 100_000_000]) {
    for (const [width, height, scale] of [
      [300, 240, 1],
      [700, 300, 2],
      [1400, 900, 1],
    ] as const) {
      const fit = fitting(regionCount, width, height, scale);
      const whole = geometryOf(fit, regionCount, width, height);
      assert.ok(whole.totalRows <= whole.rows, `${regionCount} regions on ${width}x${height}`);
      assert.ok(whole.columns * whole.totalRows * fit.perCell >= regionCount);
      let zoom = fit;
      for (let i = 0; i < 60; i++) {
        const nearer = zoomed(zoom, 1, fit, scale);
        const density = (one: typeof zoom) => one.cellPx ** 2 / one.perCell;
        assert.ok(density(nearer) >= density(zoom));
        zoom = nearer;
      }
      assert.is(zoom.perCell, 1);
      for (let i = 0; i < 80; i++) zoom = zoomed(zoom, -1, fit, scale);
      assert.equal(zoom, fit);
    }
  }
});

test.run();
