// Who uses a mirror: a number of writers, each with one block at a time. Blocks in use are not touched by another, so what
// a block must hold is known: the version that was written last.

import type { Actions } from "./choices.ts";
import type { VirtualClock } from "./clock.ts";
import type { MirrorDevice } from "./kernel.ts";
import { BLOCKS_PER_REGION, FIRST_INITIAL_VERSION } from "./legs.ts";
import type { Random } from "./random.ts";
import { Violation } from "./violation.ts";

export const PATTERNS = ["uniform", "sequential", "hot set"] as const;

/** How the writers behave. */
export interface WorkloadOptions {
  pattern: (typeof PATTERNS)[number];
  /** Blocks in use at the same time; at most as many as there are blocks. */
  writerCount: number;
  /** One I/O in so many is a read. */
  readOneIn: number;
  /** One I/O in so many flushes what was written; 0 for none. */
  flushOneIn?: number;
  /** Longest pause of a writer between two I/Os, in nanoseconds. */
  thinkNs: number;
}

/** With a hot set, all but one I/O in so many go to it. */
const COLD_ONE_IN = 10;
const HOT_REGIONS = 8;
const FIRST_LEG = 0;

/** Programs that write to a mirror and read from it, and know what they must find. */
export class Workload {
  writeCount = 0;
  readCount = 0;
  /** Writes that failed before they reached a leg, since the log could not be flushed. */
  failedWriteCount = 0;
  /** Flushes that every leg has done. */
  flushCount = 0;
  private readonly blockCount: number;
  private readonly writerCount: number;
  /** What each block must hold. */
  private readonly expected: Uint32Array;
  /** What is being written to each block, 0 for nothing. */
  private readonly written: Uint32Array;
  /** What each block held last when a flush was done: what a power cut must leave, or something newer. */
  private readonly settled: Uint32Array;
  /** Blocks that were written since the last flush began. */
  private unsettled = new Set<number>();
  private readonly isBusy: Uint8Array;
  private isRunning = false;
  private busyWriters = 0;
  private version = 0;
  private nextBlock = 0;

  constructor(
    private readonly clock: VirtualClock,
    /** Its I/Os. */
    private readonly actions: Actions,
    private device: MirrorDevice,
    private readonly options: WorkloadOptions,
  ) {
    const { legs } = device;
    this.blockCount = legs.blockCount;
    this.writerCount = Math.min(options.writerCount, legs.blockCount);
    this.expected = (legs.versions[FIRST_LEG] as Uint32Array).slice();
    this.written = new Uint32Array(this.blockCount);
    this.settled = this.expected.slice();
    this.isBusy = new Uint8Array(this.blockCount);
  }

  /** Whether no I/O is under way. */
  get isIdle(): boolean {
    return this.busyWriters === 0;
  }

  /** The writers begin, or go on. */
  start(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    for (let writer = this.busyWriters; writer < this.writerCount; writer++) this.think();
  }

  /** No new I/O begins; what is under way ends by itself. */
  stop(): void {
    this.isRunning = false;
  }

  /**
   * The machine lost power: a block holds what was written last or was just being written or, where the legs have volatile
   * caches, anything that was written to it since the last flush.
   */
  continueAfterPowerCut(device: MirrorDevice): void {
    this.device = device;
    this.isRunning = false;
    this.busyWriters = 0;
    for (let block = 0; block < this.blockCount; block++) {
      const version = device.legs.version(FIRST_LEG, block);
      const newest = Math.max(age(this.expected[block] as number), age(this.written[block] as number));
      const oldest = device.legs.hasCaches ? age(this.settled[block] as number) : age(this.expected[block] as number);
      const isInitial = version >= FIRST_INITIAL_VERSION;
      if (age(version) < oldest || age(version) > newest || (isInitial && version !== this.settled[block])) {
        throw new Violation(
          `after the power cut block ${block} of the first leg holds version ${version}, ` +
            `which is neither the version ${this.expected[block]} completed last, nor one being written, nor one since the last flush`,
        );
      }
      this.expected[block] = version;
      this.settled[block] = version;
    }
    this.unsettled.clear();
    this.written.fill(0);
    this.isBusy.fill(0);
  }

  /** An idle block must hold on the first leg what was written last. */
  checkBlock(block: number): void {
    const version = this.device.legs.version(FIRST_LEG, block);
    if (version === this.expected[block]) return;
    throw new Violation(
      `block ${block} holds version ${version}, but version ${this.expected[block]} was written last`,
    );
  }

  private think(): void {
    const action = this.actions.next((random) => random.between(0, this.options.thinkNs));
    if (action === null) return;
    this.busyWriters++;
    this.clock.after(action.pauseNs, () => {
      if (this.isRunning) this.begin(action.random);
      else this.busyWriters--;
    });
  }

  private begin(random: Random): void {
    const { flushOneIn = 0 } = this.options;
    if (flushOneIn > 0 && random.oneIn(flushOneIn)) {
      this.flush();
      return;
    }
    const block = this.chooseBlock(random);
    this.isBusy[block] = 1;
    const region = Math.floor(block / BLOCKS_PER_REGION);
    if (random.oneIn(this.options.readOneIn)) {
      this.device.submit({ kind: "read", region, block, version: 0, done: (version) => this.read(block, version) });
    } else {
      const version = ++this.version;
      this.written[block] = version;
      this.device.submit({ kind: "write", region, block, version, done: (result) => this.wrote(block, result) });
    }
  }

  private flush(): void {
    const taken = [...this.unsettled].map((block) => [block, this.expected[block] as number] as const);
    this.unsettled = new Set();
    const done = (result: number) => {
      for (const [block, version] of taken) {
        if (result === 0) this.unsettled.add(block);
        else this.settled[block] = version;
      }
      if (result !== 0) this.flushCount++;
      this.again();
    };
    this.device.submit({ kind: "flush", region: 0, block: 0, version: 0, done });
  }

  private read(block: number, version: number): void {
    if (version !== this.expected[block]) {
      throw new Violation(
        `block ${block} was read as version ${version}, but version ${this.expected[block]} was written last`,
      );
    }
    this.readCount++;
    this.isBusy[block] = 0;
    this.again();
  }

  private wrote(block: number, version: number): void {
    if (version === 0) {
      this.failedWriteCount++;
    } else {
      this.writeCount++;
      this.expected[block] = version;
      this.unsettled.add(block);
    }
    this.written[block] = 0;
    this.isBusy[block] = 0;
    this.again();
  }

  private again(): void {
    this.busyWriters--;
    if (this.isRunning) this.think();
  }

  /** A block that nobody uses: there is one, since there are no more writers than blocks. */
  private chooseBlock(random: Random): number {
    let block = this.drawBlock(random);
    while (this.isBusy[block] !== 0) block = (block + 1) % this.blockCount;
    return block;
  }

  private drawBlock(random: Random): number {
    const { pattern } = this.options;
    if (pattern === "sequential") {
      this.nextBlock = (this.nextBlock + 1) % this.blockCount;
      return this.nextBlock;
    }
    if (pattern === "hot set" && !random.oneIn(COLD_ONE_IN)) {
      return random.below(Math.min(this.blockCount, HOT_REGIONS * BLOCKS_PER_REGION));
    }
    return random.below(this.blockCount);
  }
}

/** Versions in the order they were written: those that were there before anybody wrote come first. */
function age(version: number): number {
  return version >= FIRST_INITIAL_VERSION ? 0 : version;
}
