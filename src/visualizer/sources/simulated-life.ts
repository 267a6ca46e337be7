// The simulated kernel's machine with one mirror, and what a person can do to it. Everything follows from the settings
// and from the deeds with the instants they were done at: the same ones live the same life again, event for event.

import type { Console } from "../../common/console.ts";
import { abiOf } from "../../common/core-module.ts";
import { Actions } from "../../common/sim/choices.ts";
import { writeCleanLog } from "../../common/sim/clean-bits.ts";
import { MICROSECOND_NS, MILLISECOND_NS, SECOND_NS, VirtualClock } from "../../common/sim/clock.ts";
import { findFault } from "../../common/sim/faults.ts";
import type { MirrorDevice } from "../../common/sim/kernel.ts";
import { Legs } from "../../common/sim/legs.ts";
import { LogDevice } from "../../common/sim/log-device.ts";
import { Machine } from "../../common/sim/machine.ts";
import { Random } from "../../common/sim/random.ts";
import { sleep, spawn, type Task } from "../../common/sim/task.ts";
import type { LogTable } from "../../common/sim/userspace-log.ts";
import { Workload } from "../../common/sim/workload.ts";
import { doubles } from "../model/columns.ts";
import type { Deed, Done, Settings } from "./settings.ts";
import type { WorldNote } from "./source.ts";
import { Tape } from "./tape.ts";

const REGION_SIZE_SECTORS = 1024;
const UUID = "LVM-example";
const BLOCK_NS = [60 * MICROSECOND_NS, 600 * MICROSECOND_NS] as const;
const REGION_NS = [1 * MILLISECOND_NS, 3 * MILLISECOND_NS] as const;
const LEG_FLUSH_NS = [MILLISECOND_NS, 4 * MILLISECOND_NS] as const;
const DEVICE_TIMING = {
  writeNs: [80 * MICROSECOND_NS, 400 * MICROSECOND_NS],
  readNs: [60 * MICROSECOND_NS, 200 * MICROSECOND_NS],
} as const;
const THINK_NS = 2 * MILLISECOND_NS;
/** How long a server is away. */
const SERVER_AWAY_NS = 400 * MILLISECOND_NS;
/** A quiet time after which clears reach the log device; shorter than the server's, so that one need not wait to see it. */
const QUIET_NS = 500 * MILLISECOND_NS;
/** Before a table that could not be loaded is tried again. */
const RETRY_NS = 100 * MILLISECOND_NS;
const SECOND_LEG = 1;

export class SimulatedLife {
  readonly tape: Tape;
  readonly notes: WorldNote[] = [];
  readonly done: Done[] = [];
  readonly clock = new VirtualClock();
  private readonly random: Random;
  private readonly legs: Legs;
  private readonly logDevice: LogDevice | null;
  private machine: Machine;
  private device: MirrorDevice;
  private readonly workload: Workload;
  /** A server starts, and hears its options, before there is anybody who writes. */
  private countWrites = () => 0;
  private readonly table: LogTable;
  /** What is to be done to the mirror's table, and whether something is under way. */
  private operations: Task[] = [];
  private isOperating = false;
  /** The event of each request that the kernel waits for, by its seq. */
  private readonly asked = new Map<number, number>();
  /** By event; NaN for what is no request, or has no answer yet. */
  private readonly roundTrips = doubles();
  /** By event: when it was, and how many writes had been completed then. */
  private readonly times = doubles();
  private readonly writeCounts = doubles();

  constructor(
    readonly settings: Settings,
    private readonly module: WebAssembly.Module,
    private readonly console: Console,
    coreSha256: string,
  ) {
    const { seed, regionCount, pattern, writers, log, integratedFlush } = settings;
    const { clock } = this;
    this.tape = new Tape(abiOf(module), coreSha256);
    this.random = new Random(seed);
    const { random } = this;
    const timing = { blockNs: BLOCK_NS, regionNs: REGION_NS, flushNs: LEG_FLUSH_NS };
    this.legs = new Legs(clock, random.fork(), timing, 2, regionCount, true);
    const name = { path: "/dev/mapper/example-log", major: 253, minor: 2 };
    this.logDevice = log === "core" ? null : new LogDevice(clock, random.fork(), DEVICE_TIMING, name, regionCount);
    if (this.logDevice !== null) writeCleanLog(this.logDevice.medium, regionCount);
    this.table = {
      uuid: UUID,
      lengthSectors: regionCount * REGION_SIZE_SECTORS,
      regionSizeSectors: REGION_SIZE_SECTORS,
      type: log === "core" ? "clustered-core" : "clustered-disk",
      options: [],
      integratedFlush,
      ...(this.logDevice && { device: { name: name.path, number: this.logDevice.number } }),
    };
    this.machine = this.powerOn();
    this.device = this.machine.device(this.legs);
    this.workload = new Workload(clock, new Actions(random.fork()), this.device, {
      pattern,
      writerCount: writers,
      readOneIn: 5,
      flushOneIn: 40,
      thinkNs: THINK_NS,
    });
    this.countWrites = () => this.workload.writeCount;
    // Two legs that are known to be alike: there would be nothing to see but a resync before the first write.
    this.begin(log === "core" ? ["nosync"] : []);
  }

  /** How long the kernel waited for the answer to an event's request, ns; NaN where it has none. */
  roundTripNs(event: number): number {
    return event < this.roundTrips.length ? this.roundTrips.at(event) : Number.NaN;
  }

  /** Writes completed in the second before the event at `position`. */
  writesInSecond(position: number): number {
    const { times, writeCounts } = this;
    const last = Math.min(position, times.length) - 1;
    if (last < 0) return 0;
    const sinceNs = times.at(last) - SECOND_NS;
    let low = 0;
    let high = last;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (times.at(middle) < sinceNs) low = middle + 1;
      else high = middle;
    }
    // What was completed before the first event of that second was.
    return writeCounts.at(last) - (low === 0 ? 0 : writeCounts.at(low - 1));
  }

  get nowNs(): number {
    return this.clock.nowNs;
  }

  get hasFailedLeg(): boolean {
    return this.legs.hasFailed(SECOND_LEG);
  }

  /** Regions whose legs hold different data now. */
  get differingCount(): number {
    return this.legs.differing.size;
  }

  /** Lets the next thing happen. Returns false where nothing ever will. */
  step(): boolean {
    return this.clock.step();
  }

  /** Does something to the machine now. */
  do(deed: Deed): void {
    this.done.push({ deed, at: this.clock.eventCount });
    switch (deed) {
      case "power-cut":
        this.cutPower();
        break;
      case "server-death":
        this.killServer();
        break;
      case "leg-failure":
        this.note("the second disk failed: it refuses every write", true);
        this.legs.setFailed(SECOND_LEG, true);
        break;
      case "leg-return":
        this.note("the second disk was back, and the mirror was suspended and resumed, so that it is resynced", false);
        this.legs.setFailed(SECOND_LEG, false);
        this.operate(this.suspendAndResume());
        break;
      case "suspend":
        this.note("the mirror was suspended and resumed", false);
        this.operate(this.suspendAndResume());
        break;
      case "resync":
        this.note("a table that says `sync` was loaded: every region is copied again", false);
        this.operate(this.reload(["sync"]));
        break;
    }
  }

  private powerOn(): Machine {
    const { clock, random, module, console, tape } = this;
    const machine = new Machine({
      clock,
      random: random.fork(),
      module,
      console,
      fault: this.settings.hint === "lowest" ? findFault("lowest-region-hint") : undefined,
      logDevices: this.logDevice === null ? [] : [this.logDevice],
      engineOptions: { quietNs: QUIET_NS },
      onEngine: (engine) => tape.follow(engine, (seq, event) => this.heard(seq, event)),
    });
    machine.connector.onRoundTrip = (seq, durationNs) => {
      const event = this.asked.get(seq);
      if (event !== undefined) this.setRoundTrip(event, durationNs);
      this.asked.delete(seq);
    };
    return machine;
  }

  private heard(seq: number | null, event: number): void {
    if (seq !== null) this.asked.set(seq, event);
    this.times.push(this.clock.nowNs);
    this.writeCounts.push(this.countWrites());
  }

  private begin(options: string[]): void {
    const { clock, device, workload, table } = this;
    const task = function* (): Task {
      // Where no server runs the table cannot be loaded, and one tries again.
      while ((yield* device.create({ ...table, options })) !== 0) yield sleep(clock, RETRY_NS);
      workload.start();
    };
    this.operations = [];
    this.isOperating = false;
    this.operate(task());
  }

  /** Has something done to the table once all that was begun before is done: as a person with one terminal does it. */
  private operate(task: Task): void {
    this.operations.push(task);
    if (!this.isOperating) spawn(this.workOff());
  }

  private *workOff(): Task {
    this.isOperating = true;
    // A power cut leaves this task behind, and another list to another one.
    const { operations } = this;
    for (let next = operations.shift(); next !== undefined; next = operations.shift()) yield* next;
    this.isOperating = false;
  }

  private cutPower(): void {
    const { legs, machine } = this;
    const caught = machine.cutPower();
    legs.setFailed(SECOND_LEG, false);
    this.note(
      `the power failed in the middle of ${count(caught, "write")} to the disks, and left them different in ` +
        count(legs.differing.size, "region"),
      true,
    );
    this.asked.clear();
    this.machine = this.powerOn();
    this.device = this.machine.device(legs);
    this.workload.continueAfterPowerCut(this.device);
    this.note("the power was back, and the mirror was made again", false);
    this.begin([]);
  }

  private killServer(): void {
    const { machine, clock } = this;
    if (machine.server.engine === null) return;
    // A kernel that is just constructing its log anew at a server would give up; so would this one.
    if (machine.server.isSpared()) {
      clock.after(MILLISECOND_NS, () => this.machine === machine && this.killServer());
      return;
    }
    this.note("the server was killed, and the kernel's requests wait", true);
    machine.server.stop();
    clock.after(SERVER_AWAY_NS, () => {
      if (this.machine !== machine || machine.server.engine !== null) return;
      this.note("another server started, and took up what the last one had kept", false);
      machine.server.start();
    });
  }

  private *suspendAndResume(): Task {
    yield* this.device.suspend();
    yield* this.device.resume();
  }

  private *reload(options: string[]): Task {
    yield* this.device.reload({ ...this.table, options });
  }

  private note(words: string, isTrouble: boolean): void {
    const timed = `At ${(this.clock.nowNs / SECOND_NS).toFixed(3)} s ${words}`;
    this.notes.push({ event: this.tape.eventCount, words: timed, isTrouble });
  }

  private setRoundTrip(event: number, durationNs: number): void {
    while (this.roundTrips.length <= event) this.roundTrips.push(Number.NaN);
    this.roundTrips.values[event] = durationNs;
  }
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
