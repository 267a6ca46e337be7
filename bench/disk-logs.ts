// What a disk log writes, and how long its flushes take. Writes are counted on a log device in memory that completes at
// once; flushes are timed on a file, where each waits until its write is durable, and beside that without the file.

import {
  closeSync,
  constants,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EffectHandler, Engine, type Head } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest, type Request } from "../src/common/kernel-frames.ts";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { RandomRegions } from "./random.ts";
import { exponent, median } from "./statistics.ts";
import { type Cell, formatTable, verdictWord } from "./table.ts";

const REGION_SIZE_SECTORS = 1024;
const LOG_HEADER_BYTES = 1024;
const BLOCK_BYTES = 4096;
const TURNS = 10;
const NS_PER_SECOND = 1e9;
const NS_PER_MS = 1e6;
/** Virtual time between two flushes: 1,000 flushes a second. */
const FLUSH_INTERVAL_NS = NS_PER_MS;
/** The kernel tells of a clear this many flushes after the mark, as its region hash does for a short write. */
const CLEAR_LAG = 8;
const HOT_REGIONS = 64;

const HOT_SET_TARGET = 50;
const BLOCK_TARGET_BYTES = 4096;
const LATENCY_TARGET = 1.5;

/** An engine with one resumed disk log, whose device is memory and done at once, or a file and durable. */
class DiskLog {
  readonly engine: Engine;
  writes = 0;
  bytesWritten = 0;
  private wakeAtNs = 0;
  private readonly waiting: { head: Head; effect: number }[] = [];
  private readonly device: Uint8Array;
  private answered = 0;
  nowNs = 1;

  constructor(
    module: WebAssembly.Module,
    readonly regionCount: number,
    /** Descriptor of the file that takes the writes too. */
    private readonly file?: number,
  ) {
    this.engine = new Engine(module);
    this.device = new Uint8Array(Math.ceil((LOG_HEADER_BYTES + regionCount / 8 + 8) / 4096) * 4096);
    this.ask("CTR", asciiBytes(`${regionCount * REGION_SIZE_SECTORS} disk /dev/log ${REGION_SIZE_SECTORS} nosync`));
    this.ask("RESUME");
    this.writes = 0;
    this.bytesWritten = 0;
  }

  private readonly handler: EffectHandler = {
    send: (address) => {
      const { abi } = this.engine;
      const error = new DataView(this.engine.bytes().buffer).getInt32(address + abi.ULOG_ERROR, true);
      if (error !== 0) throw new Error(`A request was refused with ${error}.`);
      this.answered++;
    },
    notice: () => {},
    open: (head) => this.waiting.push({ head, effect: this.engine.abi.EFFECT_KIND_OPEN }),
    read: (head) => this.waiting.push({ head, effect: this.engine.abi.EFFECT_KIND_READ }),
    write: (head, address) => {
      const bytes = this.engine.bytes().subarray(address, address + head.sizeBytes);
      this.device.set(bytes, head.offsetBytes);
      if (this.file !== undefined) {
        writeSync(this.file, bytes, 0, bytes.length, head.offsetBytes);
        fdatasyncSync(this.file);
      }
      this.writes++;
      this.bytesWritten += head.sizeBytes;
      this.waiting.push({ head, effect: this.engine.abi.EFFECT_KIND_WRITE });
    },
    flushLegs: (head) => this.waiting.push({ head, effect: this.engine.abi.EFFECT_KIND_FLUSH_LEGS }),
    close: () => {},
    wake: (atNs) => {
      this.wakeAtNs = atNs;
    },
  };

  encode(type: Request["type"], data: Request["data"] = []): Uint8Array {
    return encodeRequest(this.engine.abi, { type, uuid: "LVM-bench", luid: 5n, seq: 1, data });
  }

  ask(type: Request["type"], data: Request["data"] = []): void {
    this.deliver(this.encode(type, data));
  }

  /** Delivers a request, and completes what it made the core ask for. */
  deliver(request: Uint8Array): void {
    const before = this.answered;
    this.engine.deliver(request, this.engine.abi.KERNEL_PORT, this.nowNs, this.handler);
    this.complete();
    while (this.answered === before && this.wakeAtNs !== 0 && this.wakeAtNs <= this.nowNs) this.tick();
    if (this.answered !== before + 1) throw new Error("A request was not answered once.");
  }

  /** Lets virtual time pass. */
  pass(durationNs: number): void {
    const until = this.nowNs + durationNs;
    while (this.wakeAtNs !== 0 && this.wakeAtNs <= until) {
      this.nowNs = Math.max(this.nowNs, this.wakeAtNs);
      this.tick();
    }
    this.nowNs = until;
  }

  private tick(): void {
    this.wakeAtNs = 0;
    this.engine.ticked(this.nowNs, this.handler);
    this.complete();
  }

  private complete(): void {
    const { abi } = this.engine;
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
      const { head, effect } = next;
      if (effect === abi.EFFECT_KIND_OPEN) {
        const device = { sizeBytes: this.device.length, major: 98, minor: 48 };
        this.engine.completed(head, { effect, error: 0, device }, this.nowNs, this.handler);
      } else if (effect === abi.EFFECT_KIND_READ) {
        const data = this.device.subarray(head.offsetBytes, head.offsetBytes + head.sizeBytes);
        this.engine.completed(head, { effect, error: 0, data }, this.nowNs, this.handler);
      } else {
        this.engine.completed(head, { effect, error: 0 }, this.nowNs, this.handler);
      }
    }
  }
}

export function benchmarkDiskLogs(options: BenchmarkOptions): BenchmarkResult {
  const module = new WebAssembly.Module(readFileSync(options.corePath));
  const judge = !options.quick;
  const figures: Record<string, unknown> = {};
  let missed = 0;
  const record: Judge = (name, value, met) => {
    figures[name] = value;
    if (!met && judge) missed++;
    return judge ? verdictWord(met) : "not judged";
  };

  writes(module, options, record);
  latency(module, options, record);
  return { missed, figures };
}

/** Keeps a figure and says whether its target is met. */
type Judge = (name: string, value: number, met: boolean) => string;

function writes(module: WebAssembly.Module, { quick, seed }: BenchmarkOptions, record: Judge): void {
  const flushes = quick ? 2000 : 100_000;
  const regionCount = 2_000_000;
  const uniform = new RandomRegions(seed, regionCount);
  const hot = new RandomRegions(seed, regionCount, HOT_REGIONS);
  const workloads: [string, (i: number) => number][] = [
    ["sequential", (i) => Math.floor(i / 16) % regionCount],
    ["uniform random", () => uniform.next()],
    ["hot set", () => hot.next()],
  ];
  const bitmapBytes = LOG_HEADER_BYTES + regionCount / 8;
  const rows: Cell[][] = [];
  for (const [name, region] of workloads) {
    const log = new DiskLog(module, regionCount);
    const recent: number[] = [];
    for (let i = 0; i < flushes; i++) {
      const marked = region(i);
      log.ask("FLUSH", [marked]);
      recent.push(marked);
      if (recent.length > CLEAR_LAG) {
        const cleared = recent.shift() as number;
        if (!recent.includes(cleared)) log.ask("CLEAR_REGION", [cleared]);
      }
      log.pass(FLUSH_INTERVAL_NS);
    }
    const perThousand = (log.writes / flushes) * 1000;
    const bytesPerThousand = (log.bytesWritten / flushes) * 1000;
    const fewer = flushes / log.writes;
    const verdict = name === "hot set" ? record("hot set, flushes per write", fewer, fewer >= HOT_SET_TARGET) : "";
    if (verdict === "") record(`${name}, flushes per write`, fewer, true);
    rows.push([
      name,
      perThousand.toFixed(1),
      (bytesPerThousand / 1024).toFixed(0),
      ((bitmapBytes * 1000) / 1024).toFixed(0),
      fewer.toFixed(1),
      verdict,
    ]);
  }
  const block = new DiskLog(module, regionCount);
  block.ask(
    "FLUSH",
    Array.from({ length: 32 }, (_, i) => 100_000 + i * 7),
  );
  console.log(`Per 1,000 acknowledged flushes of a log of ${regionCount} regions: one mark each, cleared ${CLEAR_LAG} flushes later,
1,000 flushes a second of virtual time. "Whole bitmap": what the kernel's disk log and cmirrord write.\n`);
  console.log(formatTable(["workload", "writes", "KiB", "KiB, whole bitmap", "flushes/write", "verdict"], rows));
  const verdict = record(
    "bytes of a flush of 32 marks in one block",
    block.bytesWritten,
    block.bytesWritten <= BLOCK_TARGET_BYTES,
  );
  console.log(
    `\nA flush of 32 marks in one block writes ${block.bytesWritten} bytes (at most ${BLOCK_TARGET_BYTES}): ${verdict}`,
  );
}

/** Flushes that have to write a block, from datagram to answer, and resumes that have to read the log. */
function latency(module: WebAssembly.Module, { quick, seed }: BenchmarkOptions, record: Judge): void {
  const sizes = quick ? [1e4, 1e6] : [1e4, 1e6, 1e8];
  const rounds = quick ? 100 : 2000;
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-bench-"));
  try {
    // All sizes in turns, so that what disturbs the machine disturbs them alike.
    const subjects = sizes.map((regionCount) => {
      const file = openFile(join(folder, exponent(regionCount)), regionCount);
      const durable = new DiskLog(module, regionCount, file);
      return {
        regionCount,
        file,
        durable,
        log: new DiskLog(module, regionCount),
        durableNs: [],
        coreNs: [],
      } as Subject;
    });
    for (let turn = 0; turn < TURNS; turn++) {
      for (const { durable, log, durableNs, coreNs } of subjects) {
        timeFlushes(durable, rounds / TURNS, seed + turn, durableNs);
        timeFlushes(log, rounds / TURNS, seed + turn, coreNs);
      }
    }
    const results = subjects.map(({ regionCount, file, log, durableNs, coreNs }) => {
      closeSync(file);
      const resumes = Array.from({ length: quick ? 1 : 5 }, () => {
        log.ask("PRESUSPEND");
        log.ask("POSTSUSPEND");
        const startMs = performance.now();
        log.ask("RESUME");
        return performance.now() - startMs;
      });
      return { regionCount, durableNs: median(durableNs), coreNs: median(coreNs), resumeMs: median(resumes) };
    });
    const [smallest, largest] = [results[0], results.at(-1)] as [(typeof results)[0], (typeof results)[0]];
    const ratio = largest.durableNs / smallest.durableNs;
    const rows = results.map(({ regionCount, durableNs, coreNs, resumeMs }) => [
      exponent(regionCount),
      (durableNs / 1000).toFixed(1),
      (durableNs / smallest.durableNs).toFixed(2),
      (coreNs / 1000).toFixed(2),
      resumeMs.toFixed(2),
    ]);
    console.log(
      "\nMedians of a flush that writes one block durably to a file, of its part in the core, and of a resume without its reads.\n",
    );
    console.log(formatTable(["regions", "flush, µs", "ratio", "in the core, µs", "RESUME, ms"], rows));
    const verdict = record("flush latency, largest/smallest", ratio, ratio <= LATENCY_TARGET);
    const sizesCompared = `${exponent(largest.regionCount)}/${exponent(smallest.regionCount)}`;
    console.log(`\nFlush latency ${sizesCompared}: ${ratio.toFixed(2)} (at most ${LATENCY_TARGET}): ${verdict}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A log file with all its blocks in place, written past the page cache where the file system can, as the server does. */
function openFile(path: string, regionCount: number): number {
  const blocks = Math.ceil((LOG_HEADER_BYTES + regionCount / 8 + 8) / BLOCK_BYTES);
  writeFileSync(path, Buffer.alloc(blocks * BLOCK_BYTES, 1));
  let file: number;
  try {
    file = openSync(path, constants.O_RDWR | constants.O_DIRECT);
  } catch {
    file = openSync(path, constants.O_RDWR);
  }
  fdatasyncSync(file);
  return file;
}

interface Subject {
  regionCount: number;
  file: number;
  durable: DiskLog;
  log: DiskLog;
  durableNs: number[];
  coreNs: number[];
}

/** Adds the times of flushes that had to write, in ns. As many regions are in use at every size, strewn over the mirror. */
function timeFlushes(log: DiskLog, rounds: number, seed: number, samplesNs: number[]): void {
  const inUse = new RandomRegions(seed, log.regionCount, 1000);
  for (let i = 0; i < rounds; i++) {
    const region = inUse.next();
    const flush = log.encode("FLUSH", [region]);
    const writesBefore = log.writes;
    const startMs = performance.now();
    log.deliver(flush);
    const ns = (performance.now() - startMs) * NS_PER_MS;
    if (log.writes > writesBefore) samplesNs.push(ns);
    log.ask("CLEAR_REGION", [region]);
    if (i % 100 === 99) log.pass(60 * NS_PER_SECOND);
  }
}
