// `npm start`: a mirror's life on the simulated kernel, in words and maps. Every number is measured: the console reads the
// log's state, and the simulated legs are compared with each other.

import { readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { Console, type LogDescription } from "../common/console.ts";
import { Actions } from "../common/sim/choices.ts";
import { MICROSECOND_NS, MILLISECOND_NS, VirtualClock } from "../common/sim/clock.ts";
import { findFault } from "../common/sim/faults.ts";
import type { MirrorDevice } from "../common/sim/kernel.ts";
import { Legs } from "../common/sim/legs.ts";
import { LogDevice } from "../common/sim/log-device.ts";
import { Machine } from "../common/sim/machine.ts";
import { Random } from "../common/sim/random.ts";
import { measureResyncLoad, RESYNC_LOAD_REGIONS } from "../common/sim/resync-load.ts";
import { spawn, type Task } from "../common/sim/task.ts";
import type { LogTable } from "../common/sim/userspace-log.ts";
import { Workload } from "../common/sim/workload.ts";
import { bar, Picture } from "./progress-bars.ts";
import { endQuietly } from "./quiet-end.ts";

const REGION_COUNT = 128;
const REGION_SIZE_SECTORS = 1024;
const SECTORS_PER_MIB = 2048;
const REGIONS_PER_LINE = 64;
/** A disk that writes a block in 0.1 to 4 ms and copies 512 KiB in 4 to 8 ms. */
const LEG_TIMING = {
  blockNs: [MILLISECOND_NS / 10, 4 * MILLISECOND_NS],
  regionNs: [4 * MILLISECOND_NS, 8 * MILLISECOND_NS],
} as const;
const LOG_DEVICE = { path: "/dev/disk-c", major: 254, minor: 2 };
/** A disk that makes 4 KiB durable in 50 to 500 µs. */
const LOG_DEVICE_TIMING = {
  readNs: [50 * MICROSECOND_NS, 500 * MICROSECOND_NS],
  writeNs: [50 * MICROSECOND_NS, 500 * MICROSECOND_NS],
} as const;
const TABLE: LogTable = {
  uuid: "demo",
  lengthSectors: REGION_COUNT * REGION_SIZE_SECTORS,
  regionSizeSectors: REGION_SIZE_SECTORS,
  type: "clustered-disk",
  device: { name: LOG_DEVICE.path, number: `${LOG_DEVICE.major}:${LOG_DEVICE.minor}` },
  options: [],
  integratedFlush: true,
};
const WORKLOAD = {
  pattern: "hot set",
  writerCount: 24,
  readOneIn: 4,
  thinkNs: 3 * MILLISECOND_NS,
} as const;
const WRITING_NS = 1500 * MILLISECOND_NS;
/** Shorter than the server's default, so that clears reach the device while one watches. */
const QUIET_NS = 300 * MILLISECOND_NS;
const SERVER_GONE_NS = 40 * MILLISECOND_NS;
/** Virtual and real time between two pictures on a terminal. */
const RESYNC_FRAME_NS = 20 * MILLISECOND_NS;
const WRITING_FRAME_NS = 40 * MILLISECOND_NS;
const FRAME_MS = 45;
/** The power is cut when this many regions differ between the legs. */
const DIFFERING_REGIONS_WANTED = 4;

/** By the indices of REGION_STATES: clean, dirty, out of sync, failed. */
const SYMBOLS = [".", "w", "o", "x"] as const;
const LEGEND = "log:   . in sync   w marked (being written)   o out of sync";

export async function demo(options: { seed: number; out: NodeJS.WritableStream }): Promise<void> {
  endQuietly(options.out);
  const wasm = readFileSync(new URL("../dm-ulog.wasm", import.meta.url));
  await new Demo(new WebAssembly.Module(wasm), await Console.create(wasm), options).run();
}

class Demo {
  private readonly random: Random;
  private readonly clock = new VirtualClock();
  private readonly legs: Legs;
  private readonly logDevice: LogDevice;
  private readonly isTerminal: boolean;
  private readonly screen: Picture;
  /** Notices of the server that wait until the picture on the screen is finished. */
  private notices: string[] = [];
  private machine: Machine;
  private device: MirrorDevice;

  constructor(
    private readonly module: WebAssembly.Module,
    private readonly words: Console,
    private readonly options: { seed: number; out: NodeJS.WritableStream },
  ) {
    this.random = new Random(options.seed);
    this.screen = new Picture(options.out);
    this.isTerminal = (options.out as Partial<NodeJS.WriteStream>).isTTY === true;
    this.legs = new Legs(this.clock, this.random.fork(), LEG_TIMING, 2, REGION_COUNT, false);
    this.logDevice = new LogDevice(this.clock, this.random.fork(), LOG_DEVICE_TIMING, LOG_DEVICE, REGION_COUNT);
    this.machine = this.powerOn();
    this.device = this.machine.device(this.legs);
  }

  async run(): Promise<void> {
    const { seed } = this.options;
    this.print(
      `dm-ulog on a simulated kernel, seed ${seed}: two simulated disks, ${this.sizeWords()}, and a third one for the log.`,
    );

    this.heading("1. Two disks with different data become a mirror");
    this.print(`dmsetup table: ${this.tableWords()}`);
    this.create();
    this.print(`Regions that differ between the disks: ${this.differing().length} of ${REGION_COUNT}.`);
    await this.resync();

    this.heading("2. Programs write");
    const workload = new Workload(this.clock, new Actions(this.random.fork()), this.device, WORKLOAD);
    await this.write(workload);

    this.heading("3. Programs write while a mirror resyncs");
    this.compareResyncs();

    this.heading("4. The server is killed and comes back");
    await this.killServer(workload);

    this.heading("5. The power fails while programs write");
    const differedBefore = this.cutPower(workload);

    this.heading("6. The machine starts again");
    await this.comeBack(workload, differedBefore);

    this.heading("The same with a real mirror");
    this.print("  npm pack && sudo npm install --global ./dm-ulog-*.tgz   in a clone: installs the command");
    this.print("  sudo dm-ulog serve                                      answers this machine's kernel");
    this.print("  line=$(sudo dm-ulog table --integrated-flush --log-device /dev/sdc /dev/sda /dev/sdb) &&");
    this.print('    sudo dmsetup create mymirror --table "$line"');
    this.print(
      "(Replace the names by those of your disks. /dev/sdb and the beginning of /dev/sdc will be overwritten.)",
    );
  }

  private powerOn(): Machine {
    const { clock, module, words } = this;
    const machine = new Machine({
      clock,
      random: this.random.fork(),
      module,
      console: words,
      logDevices: [this.logDevice],
      engineOptions: { quietNs: QUIET_NS },
    });
    machine.server.onNotice = (payload) => {
      const line = `  server: ${words.describeNotice(payload)}`;
      if (!this.screen.isEmpty) this.notices.push(line);
      else this.print(line);
    };
    return machine;
  }

  private create(): void {
    let error = 1;
    const task = function* (device: MirrorDevice): Task {
      error = yield* device.create(TABLE);
    };
    spawn(task(this.device));
    while (error === 1 && this.clock.step());
    if (error !== 0) throw new Error(`The simulated mirror could not be created: ${this.words.explainErrno(error)}`);
  }

  /** Lets time pass until every region is in sync. */
  private async resync(): Promise<void> {
    const startedNs = this.clock.nowNs;
    let quarter = 0;
    for (;;) {
      const { inSyncRegions } = this.log();
      const percent = Math.floor((100 * inSyncRegions) / REGION_COUNT);
      const ms = Math.round((this.clock.nowNs - startedNs) / MILLISECOND_NS);
      const drawn = bar(inSyncRegions, REGION_COUNT);
      const progress = `resync ${drawn} ${inSyncRegions}/${REGION_COUNT} regions in sync after ${ms} ms`;
      await this.picture([...this.logMap(), LEGEND, progress]);
      if (!this.isTerminal && percent >= 25 * quarter) {
        this.print(progress);
        quarter = Math.floor(percent / 25) + 1;
      }
      if (inSyncRegions === REGION_COUNT) break;
      this.clock.run(RESYNC_FRAME_NS);
    }
    this.keepPicture();
    const differing = this.differing().length;
    this.print(`Compared block by block: the disks differ in ${differing} of ${REGION_COUNT} regions.`);
  }

  private async write(workload: Workload): Promise<void> {
    const before = this.log();
    const startedNs = this.clock.nowNs;
    let mostDirty = 0;
    workload.start();
    const words = () => {
      const { marks, flushes, dirtyRegions } = this.log();
      mostDirty = Math.max(mostDirty, dirtyRegions);
      const markCount = marks - before.marks;
      const flushCount = flushes - before.flushes;
      const perFlush = flushCount === 0 ? "0" : (markCount / flushCount).toFixed(2);
      return `${workload.writeCount} writes: ${markCount} marks in ${flushCount} flushes, ${perFlush} marks per flush`;
    };
    while (this.clock.nowNs - startedNs < WRITING_NS) {
      this.clock.run(WRITING_FRAME_NS);
      await this.picture([...this.logMap(), LEGEND, words(), `${this.log().dirtyRegions} regions dirty now`]);
    }
    this.keepPicture();
    if (!this.isTerminal) {
      for (const line of [...this.logMap(), LEGEND, words()]) this.print(line);
      this.print(`At most ${mostDirty} regions were seen dirty at one time.`);
    }
    const flushed = this.log().marks - before.marks;
    this.print(
      `A region is marked before its first write. Further writes to a marked region need no mark: ` +
        `there were ${(workload.writeCount / Math.max(1, flushed)).toFixed(1)} writes for each mark.`,
    );
  }

  /** On a mirror of its own, three times: two servers' answers to one question, and no resync. */
  private compareResyncs(): void {
    const { seed } = this.options;
    const ours = measureResyncLoad(this.module, this.words, seed);
    const lowest = measureResyncLoad(this.module, this.words, seed, findFault("lowest-region-hint"));
    this.print(
      `Four programs write to another mirror, whose ${RESYNC_LOAD_REGIONS} regions are copied in ` +
        `${ours.resyncSeconds.toFixed(1)} s of simulated time. Writes per second:`,
    );
    const row = (words: string, writesPerSecond: number) =>
      this.print(`${Math.round(writesPerSecond).toLocaleString("en-US").padStart(8)}  ${words}`);
    row("once it is in sync", ours.inSyncWritesPerSecond);
    row("while it resyncs", ours.writesPerSecond);
    row("while it resyncs, with cmirrord's answer to IS_REMOTE_RECOVERING", lowest.writesPerSecond);
    this.print(
      "The kernel asks before it writes above the region that the last answer named, and asks 4 times a second at most: " +
        "cmirrord names the lowest region out of sync, this server the last region of all.",
    );
  }

  /** Kills the server while programs write, and starts another, which restores the first one's state. */
  private async killServer(workload: Workload): Promise<void> {
    const { server } = this.machine;
    while (server.isSpared() && this.clock.step());
    const before = this.log().inSyncRegions;
    server.stop();
    this.clock.run(SERVER_GONE_NS);
    server.start();
    const startedNs = this.clock.nowNs;
    const writes = workload.writeCount;
    while (workload.writeCount === writes && this.clock.step());
    const waitedMs = Math.round((this.clock.nowNs - startedNs) / MILLISECOND_NS);
    this.print(
      `The kernel looks for a server every 2 s. Writes continued ${waitedMs} ms after the new server had started.`,
    );
    this.clock.run(WRITING_NS);
    const { inSyncRegions, resynced } = this.log();
    this.print(
      `${workload.writeCount - writes} writes since then, ${workload.failedWriteCount} failed. Regions in sync: ` +
        `${before} before, ${inSyncRegions} now, ${resynced} of them copied again.`,
    );
  }

  /** Returns the number of regions that differ. */
  private cutPower(workload: Workload): number {
    while (this.differing().length < DIFFERING_REGIONS_WANTED && this.clock.step());
    const caught = this.machine.cutPower();
    const differing = this.differing();
    const states = this.states();
    this.print(`${caught} writes to the disks were under way. Chance decided for each whether it reached its disk.`);
    for (const line of this.legMap()) this.print(line);
    for (const line of this.logMap()) this.print(line);
    this.print("disks: = the same on both   # different");
    this.print(LEGEND);
    const unknown = differing.filter((region) => states[region] === 0);
    this.print(
      `The disks differ in ${differing.length} regions (${differing.join(", ")}). At that instant the log said that ` +
        `${differing.length - unknown.length} of them were dirty or out of sync, and ${unknown.length} clean.`,
    );
    if (unknown.length > 0) throw new Error(`The log called differing regions clean: ${unknown.join(", ")}.`);
    this.print(`${workload.writeCount} writes had completed.`);
    return differing.length;
  }

  private async comeBack(workload: Workload, differedBefore: number): Promise<void> {
    this.machine = this.powerOn();
    this.device = this.machine.device(this.legs);
    workload.continueAfterPowerCut(this.device);
    this.print(`The first disk holds every completed write: all ${this.legs.blockCount} blocks were compared.`);
    this.create();
    const { outOfSyncRegions } = this.log();
    this.print(
      `The log device says which regions were marked: ${outOfSyncRegions} of ${REGION_COUNT} are out of sync. ` +
        "Only these are copied:",
    );
    await this.resync();
    for (let block = 0; block < this.legs.blockCount; block++) workload.checkBlock(block);
    this.print(`Regions that differ: ${differedBefore} after the power cut, ${this.differing().length} now.`);
    const violated = this.machine.server.engine?.violatedInvariant();
    if (this.differing().length > 0 || violated !== 0)
      throw new Error("After the resync the legs still differ, or an invariant of the log is violated.");
  }

  private log(): LogDescription {
    const { engine } = this.machine.server;
    const log = engine === null ? undefined : this.words.logs(engine)[0];
    if (log === undefined) throw new Error("The server does not know the log.");
    return log;
  }

  private states(): Uint8Array {
    const { engine } = this.machine.server;
    if (engine === null) return new Uint8Array(0);
    const { uuid, luid } = this.log();
    return this.words.regionStates(engine, uuid, luid, 0, REGION_COUNT);
  }

  private differing(): number[] {
    return this.legs.differingRegions();
  }

  private logMap(): string[] {
    return map(
      "log  ",
      Array.from(this.states(), (state) => SYMBOLS[state] ?? "?"),
    );
  }

  private legMap(): string[] {
    const differing = new Set(this.differing());
    return map(
      "disks",
      Array.from({ length: REGION_COUNT }, (_, region) => (differing.has(region) ? "#" : "=")),
    );
  }

  private sizeWords(): string {
    const mib = (REGION_COUNT * REGION_SIZE_SECTORS) / SECTORS_PER_MIB;
    return `each ${mib} MiB in ${REGION_COUNT} regions`;
  }

  private tableWords(): string {
    const { uuid, type, lengthSectors, regionSizeSectors } = TABLE;
    const log = `userspace 5 ${uuid} integrated_flush ${type} ${LOG_DEVICE.path} ${regionSizeSectors}`;
    return `0 ${lengthSectors} mirror ${log} 2 disk-a 0 disk-b 0 2 handle_errors keep_log`;
  }

  private heading(text: string): void {
    this.print();
    this.print(this.isTerminal ? `\x1b[1m${text}\x1b[0m` : text);
  }

  private print(line = ""): void {
    this.options.out.write(`${line}\n`);
  }

  /** On a terminal: overwrites the last picture and pauses, so that one can see it. */
  private async picture(lines: readonly string[]): Promise<void> {
    if (!this.isTerminal) return;
    this.screen.draw(lines);
    await wait(FRAME_MS);
  }

  private keepPicture(): void {
    this.screen.keep();
    for (const line of this.notices.splice(0)) this.print(line);
  }
}

/** Symbols of all regions, REGIONS_PER_LINE to a line. */
function map(label: string, symbols: readonly string[]): string[] {
  const lines: string[] = [];
  for (let first = 0; first < symbols.length; first += REGIONS_PER_LINE) {
    lines.push(`${label} ${String(first).padStart(4)} ${symbols.slice(first, first + REGIONS_PER_LINE).join("")}`);
  }
  return lines;
}
