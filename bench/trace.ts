// Traces: how much recording adds to an input, how fast a trace is indexed and replayed, and how long a seek takes. The trace is
// of one engine on the simulated kernel: a core log and a disk log of two mirrors that are written to. Times are processor
// time: all of this is computing.

import { readFileSync } from "node:fs";
import { Console } from "../src/common/console.ts";
import { Engine, type EngineTap } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest, type Request } from "../src/common/kernel-frames.ts";
import { Actions } from "../src/common/sim/choices.ts";
import { MICROSECOND_NS, VirtualClock } from "../src/common/sim/clock.ts";
import { Legs } from "../src/common/sim/legs.ts";
import { LogDevice } from "../src/common/sim/log-device.ts";
import { Machine } from "../src/common/sim/machine.ts";
import { Random } from "../src/common/sim/random.ts";
import { spawn, type Task } from "../src/common/sim/task.ts";
import type { LogTable } from "../src/common/sim/userspace-log.ts";
import { Workload } from "../src/common/sim/workload.ts";
import { EventWriter } from "../src/common/trace/event-writer.ts";
import { Recording } from "../src/common/trace/recording.ts";
import { Replayer } from "../src/common/trace/replay.ts";
import { TimeTravel } from "../src/common/trace/time-travel.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { TraceBuffer } from "../src/common/trace/trace-buffer.ts";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { RandomRegions } from "./random.ts";
import { median } from "./statistics.ts";
import { type Cell, formatTable, verdictWord } from "./table.ts";

const RECORDED_MARK_TARGET_NS = 500;
const REPLAY_TARGET_PER_SECOND = 1e6;
const SEEK_TARGET_MS = 100;
const OPEN_TARGET_MS = 3000;
const NS_PER_MS = 1e6;
const REGION_COUNT = 4000;
const REGION_SIZE_SECTORS = 1024;
/** Events are written into a buffer of so many bytes, which is then emptied: as a recorder hands it over. */
const BUFFER_BYTES = 1 << 20;
const PROGRESS_EVENTS = 50_000;

/** Keeps a figure and says whether its target is met. */
type Judge = (name: string, value: number, met?: boolean) => string;

export async function benchmarkTrace(options: BenchmarkOptions): Promise<BenchmarkResult> {
  const figures: Record<string, unknown> = {};
  let missed = 0;
  const judge: Judge = (name, value, met) => {
    figures[name] = value;
    if (met === undefined) return "";
    if (!met && !options.quick) missed++;
    return options.quick ? "not judged" : verdictWord(met);
  };
  const wasm = new Uint8Array(readFileSync(options.corePath));
  const module = new WebAssembly.Module(wasm);
  recording(module, options, judge);
  await reading(wasm, module, options, judge);
  return { missed, figures };
}

/** The cost of recording: writing one event again and again, and a stream of marks with and without a recorder. */
function recording(module: WebAssembly.Module, { quick, seed }: BenchmarkOptions, judge: Judge): void {
  const rounds = quick ? 2000 : 300_000;
  const rows: Cell[][] = [];
  const cases: [string, (asker: Asker) => void][] = [
    ["IS_CLEAN", (asker) => asker.ask("IS_CLEAN", [7])],
    ["MARK, 1 state write", (asker) => asker.ask("MARK_REGION", [7])],
    [
      "FLUSH, 32 marks, disk log",
      (asker) =>
        asker.ask(
          "FLUSH",
          Array.from({ length: 32 }, (_, i) => i * 70),
        ),
    ],
  ];
  for (const [name, ask] of cases) {
    const asker = new Asker(module, name.includes("disk") ? "clustered-disk /dev/log" : "clustered-core");
    const writer = new EventWriter(asker.engine);
    const buffer = TraceBuffer.growing(BUFFER_BYTES);
    const times: number[] = [];
    let bytes = 0;
    asker.engine.tap = {
      handled(effectsBytes) {
        for (let run = 0; run < 11; run++) {
          const ms = processorMs(() => {
            for (let i = 0; i < rounds / 10; i++) {
              if (buffer.size > BUFFER_BYTES / 2) buffer.clear();
              writer.write(buffer, effectsBytes);
            }
          });
          times.push((ms * NS_PER_MS) / (rounds / 10));
        }
        buffer.clear();
        writer.write(buffer, effectsBytes);
        bytes = buffer.size;
      },
      trapped: () => {},
    };
    ask(asker);
    const ns = median(times.slice(1));
    const isJudged = name.startsWith("MARK");
    rows.push([
      name,
      bytes,
      ns.toFixed(0),
      judge(`${name}, recorded, ns`, ns, isJudged ? ns < RECORDED_MARK_TARGET_NS : undefined),
    ]);
  }
  console.log(
    `Writing one event's blocks, as a recorder does; target for a MARK: below ${RECORDED_MARK_TARGET_NS} ns.\n`,
  );
  console.log(formatTable(["event", "bytes", "ns", "verdict"], rows));

  const { plainNs, recordedNs } = stream(module, quick ? 20 : 400, seed);
  judge("mark, ns", plainNs);
  judge("recorded mark, ns", recordedNs);
  console.log(
    `\nMARK and CLEAR in turns, each with a state write: ${plainNs.toFixed(0)} ns each, recorded ${recordedNs.toFixed(0)} ns.`,
  );
}

/** Requests of one log to one engine. */
class Asker {
  readonly engine: Engine;
  private seq = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(module: WebAssembly.Module, type: string) {
    this.engine = new Engine(module);
    this.ask("CTR", asciiBytes(`${REGION_COUNT * REGION_SIZE_SECTORS} ${type} ${REGION_SIZE_SECTORS} nosync`));
    this.settle();
    this.ask("RESUME");
    this.settle();
  }

  /** Completes the operations under way. */
  private settle(): void {
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) next();
  }

  encode(type: Request["type"], data: Request["data"] = []): Uint8Array {
    return encodeRequest(this.engine.abi, { type, uuid: `LVM-${"x".repeat(64)}`, luid: 5n, seq: ++this.seq, data });
  }

  ask(type: Request["type"], data: Request["data"] = []): void {
    this.deliver(this.encode(type, data));
  }

  deliver(request: Uint8Array): void {
    const { engine } = this;
    const { abi } = engine;
    const done = (effect: number) => (head: Parameters<Engine["completed"]>[0]) => {
      const device = { sizeBytes: 1 << 20, major: 98, minor: 48 };
      const data = new Uint8Array(head.sizeBytes);
      const result = effect === abi.EFFECT_KIND_OPEN ? { device } : effect === abi.EFFECT_KIND_READ ? { data } : {};
      this.waiting.push(() => engine.completed(head, { effect, error: 0, ...result }, 0, handler));
    };
    const handler = {
      send: () => {},
      notice: () => {},
      open: done(abi.EFFECT_KIND_OPEN),
      read: done(abi.EFFECT_KIND_READ),
      write: done(abi.EFFECT_KIND_WRITE),
      flushLegs: done(abi.EFFECT_KIND_FLUSH_LEGS),
      close: () => {},
      wake: () => {},
    };
    engine.deliver(request, abi.KERNEL_PORT, 0, handler);
  }
}

/** Marks with and without a recorder, in turns. */
function stream(module: WebAssembly.Module, turns: number, seed: number): { plainNs: number; recordedNs: number } {
  const asker = new Asker(module, "clustered-core");
  const { engine } = asker;
  const regions = new RandomRegions(seed, REGION_COUNT);
  const requests = Array.from({ length: 500 }, () => regions.next()).flatMap((region) => [
    asker.encode("MARK_REGION", [region]),
    asker.encode("CLEAR_REGION", [region]),
  ]);
  const writer = new EventWriter(engine);
  const buffer = TraceBuffer.growing(BUFFER_BYTES);
  const tap: EngineTap = {
    handled(effectsBytes) {
      if (buffer.size > BUFFER_BYTES / 2) buffer.clear();
      writer.write(buffer, effectsBytes);
    },
    trapped: () => {},
  };
  const handler = { send: () => {}, notice: () => {} };
  const times = { plain: [] as number[], recorded: [] as number[] };
  for (let turn = 0; turn < turns * 2; turn++) {
    engine.tap = turn % 2 === 0 ? null : tap;
    const ms = processorMs(() => {
      for (const request of requests) engine.deliver(request, engine.abi.KERNEL_PORT, turn, handler);
    });
    const ns = (ms * NS_PER_MS) / requests.length;
    if (turn > turns / 4) (turn % 2 === 0 ? times.plain : times.recorded).push(ns);
  }
  return { plainNs: median(times.plain), recordedNs: median(times.recorded) };
}

async function reading(
  wasm: Uint8Array,
  module: WebAssembly.Module,
  { quick, seed }: BenchmarkOptions,
  judge: Judge,
): Promise<void> {
  const eventCount = quick ? 20_000 : 1_000_000;
  const bytes = simulate(module, await Console.create(wasm), eventCount, seed);
  const { abi } = new Engine(module);
  const openMs: number[] = [];
  let trace = Trace.open(bytes, abi);
  for (let i = 0; i < 5; i++) openMs.push(processorMs(() => (trace = Trace.open(bytes, abi))));

  const perSecond: number[] = [];
  let digest = "";
  for (let i = 0; i < 3; i++) {
    const replayer = new Replayer(trace, module);
    const ms = processorMs(() => {
      while (!replayer.step(PROGRESS_EVENTS));
    });
    const summary = replayer.summary();
    if (!summary.isEqual || summary.events !== trace.eventCount) throw new Error("A replay was not as recorded.");
    digest = summary.digest;
    perSecond.push(trace.eventCount / (ms / 1000));
  }

  const travel = new TimeTravel(trace, module);
  const prepareMs = processorMs(() => travel.prepare());
  const random = new Random(seed);
  const places = Array.from({ length: quick ? 50 : 500 }, () => random.below(trace.eventCount));
  const seekMs = new Array<number>(places.length).fill(Infinity);
  // The fastest of three: a seek is short, and may be when garbage is collected.
  for (let round = 0; round < 3; round++) {
    for (const [i, place] of places.entries()) {
      seekMs[i] = Math.min(
        seekMs[i] as number,
        processorMs(() => travel.seek(place)),
      );
    }
  }
  const openedMs = median(openMs) + prepareMs;
  const slowestMs = Math.max(...seekMs);
  const rate = median(perSecond);
  console.log(`\nA trace of ${trace.eventCount} events, ${(bytes.length / 1e6).toFixed(0)} MB, digest ${digest}.\n`);
  console.log(
    formatTable(
      ["what", "figure", "target", "verdict"],
      [
        ["index, ms", median(openMs).toFixed(0), "", judge("index, ms", median(openMs))],
        [
          "index and copies for time travel, ms",
          openedMs.toFixed(0),
          OPEN_TARGET_MS,
          judge("open, ms", openedMs, openedMs <= OPEN_TARGET_MS),
        ],
        [
          "replay, events/s",
          Math.round(rate),
          REPLAY_TARGET_PER_SECOND,
          judge("replay, events per second", Math.round(rate), rate >= REPLAY_TARGET_PER_SECOND),
        ],
        ["seek, median, ms", median(seekMs).toFixed(2), "", judge("seek, median, ms", median(seekMs))],
        [
          "seek, slowest, ms",
          slowestMs.toFixed(2),
          SEEK_TARGET_MS,
          judge("seek, slowest, ms", slowestMs, slowestMs <= SEEK_TARGET_MS),
        ],
        ["copies, MB", (travel.snapshotBytes / 1e6).toFixed(2), "", judge("copies, bytes", travel.snapshotBytes)],
      ],
    ),
  );
}

/** Two mirrors that are written to, until their server's engine has taken so many inputs. */
function simulate(module: WebAssembly.Module, console: Console, eventCount: number, seed: number): Uint8Array {
  const clock = new VirtualClock();
  const random = new Random(seed);
  const timing = {
    blockNs: [20 * MICROSECOND_NS, 400 * MICROSECOND_NS],
    regionNs: [MICROSECOND_NS, MICROSECOND_NS],
  } as const;
  const deviceTiming = {
    writeNs: [30 * MICROSECOND_NS, 300 * MICROSECOND_NS],
    readNs: [20 * MICROSECOND_NS, 200 * MICROSECOND_NS],
  } as const;
  const name = { path: "/dev/mapper/log", major: 253, minor: 1 };
  const logDevice = new LogDevice(clock, random.fork(), deviceTiming, name, REGION_COUNT);
  let recording: Recording | undefined;
  const machine = new Machine({
    clock,
    random: random.fork(),
    module,
    console,
    logDevices: [logDevice],
    onEngine: (engine) => {
      recording = new Recording(engine, { application: "dm-ulog bench", coreSha256: "" });
    },
  });
  for (const type of ["clustered-core", "clustered-disk"]) {
    const table: LogTable = {
      uuid: `LVM-${type}`,
      lengthSectors: REGION_COUNT * REGION_SIZE_SECTORS,
      regionSizeSectors: REGION_SIZE_SECTORS,
      type,
      options: ["nosync"],
      integratedFlush: true,
    };
    if (type === "clustered-disk") table.device = { name: name.path, number: "253:1" };
    const legs = new Legs(clock, random.fork(), timing, 2, REGION_COUNT, true);
    const device = machine.kernel.device(legs);
    const workload = new Workload(clock, new Actions(random.fork()), device, {
      pattern: "uniform",
      writerCount: 48,
      readOneIn: 6,
      thinkNs: 0,
    });
    const task = function* (): Task {
      if ((yield* device.create(table)) !== 0) throw new Error("A simulated mirror could not be made.");
      workload.start();
    };
    spawn(task());
  }
  const engine = () => machine.server.engine as Engine;
  while (engine().inputCount < eventCount && clock.step());
  return (recording as Recording).finish();
}

/** Processor time, which others on this machine do not lengthen much; that of compiling and collecting is in it. */
function processorMs(action: () => void): number {
  const before = process.cpuUsage();
  action();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
