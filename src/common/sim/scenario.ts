// A random life of a machine with its mirrors, drawn from one seed: tables, load, suspends, reloads, failing legs, a
// server that dies, is slow or comes back, and power cuts. At the end everything must come to rest in sync and identical.
//
// What is not drawn, because it is not true of this version: a server that dies while a table says `nosync`. What was out
// of sync is then forgotten with the server, and the reconnecting table says again that nothing is.

import type { Console } from "../console.ts";
import { Clock, MICROSECOND_NS, MILLISECOND_NS, SECOND_NS } from "./clock.ts";
import { Digest } from "./digest.ts";
import type { Fault } from "./faults.ts";
import type { MirrorDevice } from "./kernel.ts";
import { BLOCKS_PER_REGION, Legs, type LegTiming } from "./legs.ts";
import { Machine } from "./machine.ts";
import { Random } from "./random.ts";
import { sleep, spawn, type Task } from "./task.ts";
import type { LogTable } from "./userspace-log.ts";
import { Violation } from "./violation.ts";
import { PATTERNS, Workload } from "./workload.ts";

export interface ScenarioOptions {
  seed: number;
  /** Simulated events before everything is brought to rest; 1 or more. */
  eventCount: number;
  /** The compiled core. */
  module: WebAssembly.Module;
  /** An instance of the core of its own. */
  console: Console;
  fault?: Fault | undefined;
}

/** What happened. All but `digest` are counts. */
export interface ScenarioResult {
  /** Of all datagrams both ways, in order. */
  digest: string;
  events: number;
  datagrams: number;
  mirrors: number;
  regions: number;
  writes: number;
  reads: number;
  /** Writes that the kernel failed, because the server died twice within one reconnection. */
  failedWrites: number;
  marks: number;
  markRequests: number;
  checks: number;
  suspends: number;
  reloads: number;
  removals: number;
  legFailures: number;
  serverCrashes: number;
  stalls: number;
  timeouts: number;
  powerCuts: number;
  /** Requests of mirrors that the log refused; clears that come after POSTSUSPEND are such. */
  refused: number;
}

/** A violation with all that is needed to see it again. */
export class ScenarioViolation extends Violation {
  constructor(
    readonly seed: number,
    readonly eventNumber: number,
    readonly timeNs: number,
    cause: Error,
  ) {
    super(`seed ${seed}, event ${eventNumber}, ${(timeNs / SECOND_NS).toFixed(6)} s: ${cause.message}`, { cause });
  }
}

const LEG_TIMING: LegTiming = {
  blockNs: [20 * MICROSECOND_NS, 400 * MICROSECOND_NS],
  regionNs: [100 * MICROSECOND_NS, 800 * MICROSECOND_NS],
};
const REGION_COUNTS = [1, 2, 7, 31, 32, 33, 63, 64, 65, 100, 128, 200] as const;
const REGION_SIZES_SECTORS = [8, 1024, 8192] as const;
/** All regions are looked at once in so many events. */
const CHECK_ALL_EVENTS = 512;
/** Coming to rest takes a few events for each region to copy; many times that means that it never ends. */
const REST_EVENTS_MAX = 200_000;

/** One mirror's legs, table and load, through all power cuts. */
interface Rig {
  readonly legs: Legs;
  table: LogTable;
  device: MirrorDevice;
  workload: Workload;
}

export function runScenario(options: ScenarioOptions): ScenarioResult {
  return new Scenario(options).run();
}

class Scenario {
  private readonly random: Random;
  private readonly clock = new Clock();
  private readonly digest = new Digest();
  private readonly rigs: Rig[] = [];
  private machine: Machine;
  /** Tasks that stop where this has become false. */
  private isLively = true;
  private busyOperators = 0;
  /** In a life with `nosync` tables no server dies. */
  private readonly mayNosync: boolean;
  private readonly result: ScenarioResult;

  constructor(private readonly options: ScenarioOptions) {
    this.random = new Random(options.seed);
    this.mayNosync = this.random.oneIn(3);
    this.result = {
      digest: "",
      events: 0,
      datagrams: 0,
      mirrors: this.random.between(1, 3),
      regions: 0,
      writes: 0,
      reads: 0,
      failedWrites: 0,
      marks: 0,
      markRequests: 0,
      checks: 0,
      suspends: 0,
      reloads: 0,
      removals: 0,
      legFailures: 0,
      serverCrashes: 0,
      stalls: 0,
      timeouts: 0,
      powerCuts: 0,
      refused: 0,
    };
    this.machine = this.powerOn();
  }

  run(): ScenarioResult {
    const { options, clock, result } = this;
    try {
      for (let i = 0; i < result.mirrors; i++) this.rigs.push(this.makeRig(i));
      const bootCount = this.random.between(1, 4);
      for (let boot = 1; boot <= bootCount; boot++) {
        for (const rig of this.rigs) this.operate(rig);
        this.troubleServer();
        this.runUntil(Math.floor((options.eventCount * boot) / bootCount));
        if (boot < bootCount) this.cutPower();
      }
      this.comeToRest();
    } catch (error) {
      if (!(error instanceof Violation) && !(error instanceof Error && error.name === "RuntimeError")) throw error;
      throw new ScenarioViolation(options.seed, clock.eventCount, clock.nowNs, error);
    }
    this.account();
    result.digest = this.digest.toString();
    result.datagrams = this.digest.datagramCount;
    result.events = clock.eventCount;
    for (const { workload, legs } of this.rigs) {
      result.writes += workload.writeCount;
      result.reads += workload.readCount;
      result.failedWrites += workload.failedWriteCount;
      result.regions += legs.regionCount;
    }
    return result;
  }

  private powerOn(): Machine {
    const { random, clock, digest } = this;
    const { module, console, fault } = this.options;
    return new Machine({ clock, random: random.fork(), module, console, digest, fault });
  }

  private makeRig(index: number): Rig {
    const random = this.random.fork();
    const regionCount = random.pick(REGION_COUNTS);
    const regionSizeSectors = random.pick(REGION_SIZES_SECTORS);
    const isNosync = this.mayNosync && random.oneIn(2);
    const legs = new Legs(this.clock, random.fork(), LEG_TIMING, random.between(2, 3), regionCount, isNosync);
    const table: LogTable = {
      uuid: `LVM-simulated-${index}`,
      // The last region may be a part of one; the first may not.
      lengthSectors: regionCount * regionSizeSectors - (regionCount > 1 ? random.below(regionSizeSectors) : 0),
      regionSizeSectors,
      type: random.pick(["core", "clustered-core"]),
      options: isNosync ? ["nosync"] : random.pick([[], [], ["sync"], ["block_on_error"]]),
      integratedFlush: random.oneIn(2),
    };
    const device = this.machine.device(legs);
    const workload = new Workload(this.clock, random.fork(), device, {
      pattern: random.pick(PATTERNS),
      writerCount: random.pick([1, 4, 16, 48]),
      readOneIn: random.between(3, 10),
      thinkNs: random.pick([0, 100 * MICROSECOND_NS, 2 * MILLISECOND_NS]),
    });
    return { legs, table, device, workload };
  }

  private runUntil(eventNumber: number): void {
    const { clock, machine } = this;
    while (clock.eventCount < eventNumber && clock.step()) {
      if (clock.eventCount % CHECK_ALL_EVENTS === 0) machine.checker.checkAll();
    }
  }

  /** A person's work on one mirror: creates it, then does this and that, until the scenario ends. */
  private operate(rig: Rig): void {
    const random = this.random.fork();
    this.busyOperators++;
    const work = function* (this: Scenario): Task {
      yield* this.create(rig);
      if (this.isLively) rig.workload.start();
      while (this.isLively) {
        yield sleep(this.clock, random.between(MILLISECOND_NS / 2, 30 * MILLISECOND_NS));
        if (this.isLively) yield* this.doSomething(rig, random);
      }
      this.busyOperators--;
    };
    spawn(work.call(this));
  }

  private *create(rig: Rig): Task {
    while ((yield* rig.device.create(rig.table)) !== 0) yield sleep(this.clock, SECOND_NS);
  }

  private *doSomething(rig: Rig, random: Random): Task {
    const { clock, result } = this;
    switch (random.below(8)) {
      case 0:
      case 1:
        result.suspends++;
        yield* rig.device.suspend();
        yield sleep(clock, random.below(5 * MILLISECOND_NS));
        yield* rig.device.resume();
        return;
      case 2:
        rig.table = this.drawTable(rig, random);
        if ((yield* rig.device.reload(rig.table)) === 0) result.reloads++;
        return;
      case 3: {
        result.legFailures++;
        const leg = random.between(1, rig.legs.legCount - 1);
        rig.legs.setFailed(leg, true);
        yield sleep(clock, random.between(MILLISECOND_NS, 20 * MILLISECOND_NS));
        rig.legs.setFailed(leg, false);
        yield* rig.device.suspend();
        yield* rig.device.resume();
        return;
      }
      case 4:
        rig.workload.stop();
        yield sleep(clock, random.between(SECOND_NS, 5 * SECOND_NS));
        if (this.isLively) rig.workload.start();
        return;
      case 5:
        if (!random.oneIn(4)) return;
        result.removals++;
        yield* rig.device.remove();
        rig.table = this.drawTable(rig, random);
        yield* this.create(rig);
        return;
      default:
        yield* this.askStatus(rig);
    }
  }

  /** Another table for the same legs. `nosync` is said of a mirror in sync alone, as lvm2 does. */
  private drawTable(rig: Rig, random: Random): LogTable {
    const { mirror } = rig.device;
    const isInSync = mirror?.isInSync === true;
    const options = this.mayNosync && isInSync && random.oneIn(2) ? ["nosync"] : [];
    return { ...rig.table, options, integratedFlush: random.oneIn(2) };
  }

  private *askStatus({ device, table }: Rig): Task {
    const { mirror } = device;
    if (mirror === null) return;
    const status = yield* mirror.log.status();
    // Where the server dies between the kernel's CTR and its RESUME, the kernel gives up.
    if (status === null && !this.mayNosync) return;
    if (status !== `1 ${table.type}`) throw new Violation(`the status of ${table.uuid} is ${JSON.stringify(status)}`);
  }

  /** A server that is slow, or dies and comes back, now and then. */
  private troubleServer(): void {
    const random = this.random.fork();
    const { machine, clock, result } = this;
    const trouble = function* (this: Scenario): Task {
      while (this.isLively) {
        const longestNs = random.pick([20 * MILLISECOND_NS, 200 * MILLISECOND_NS, 2 * SECOND_NS]);
        yield sleep(clock, random.between(MILLISECOND_NS, longestNs));
        if (!this.isLively) return;
        if (this.mayNosync || random.oneIn(2)) {
          result.stalls++;
          const stallNs = random.between(MILLISECOND_NS, 40 * SECOND_NS);
          machine.server.stall(stallNs);
          yield sleep(clock, stallNs);
        } else {
          result.serverCrashes++;
          machine.server.stop();
          // Back before a write under way has landed, or long after.
          yield sleep(
            clock,
            random.below(2) === 0 ? random.below(300 * MICROSECOND_NS) : random.between(0, 30 * SECOND_NS),
          );
          machine.server.start();
        }
      }
    };
    spawn(trouble.call(this));
  }

  private cutPower(): void {
    this.result.powerCuts++;
    this.account();
    this.machine.cutPower();
    this.busyOperators = 0;
    this.machine = this.powerOn();
    for (const rig of this.rigs) {
      // After a loss of power nobody may say that the legs are identical.
      rig.table = { ...rig.table, options: rig.table.options.filter((option) => option !== "nosync") };
      for (let leg = 1; leg < rig.legs.legCount; leg++) rig.legs.setFailed(leg, false);
      rig.device = this.machine.device(rig.legs);
      rig.workload.continueAfterPowerCut(rig.device);
    }
  }

  /** Nobody interferes any more: the mirrors must become quiet, in sync and identical. */
  private comeToRest(): void {
    const { clock, machine } = this;
    this.isLively = false;
    for (const { workload } of this.rigs) workload.stop();
    const lastEvent = clock.eventCount + REST_EVENTS_MAX;
    this.runToRest(lastEvent);
    if (this.busyOperators > 0) throw new Violation("the kernel waits for ever");
    // After a server died the kernel takes a mirror for in sync for ever; a resume makes it ask again. The first one
    // may find no log yet, the second does.
    for (let round = 0; round < 2 && machine.server.startCount > 1; round++) {
      for (const { device } of this.rigs) spawn(this.suspendAndResume(device));
      this.runToRest(lastEvent);
    }
    for (const rig of this.rigs) this.checkAtRest(rig);
    machine.checker.checkAll();
    const violated = machine.server.engine?.violatedInvariant();
    if (violated !== 0) throw new Violation(`invariant ${violated} of the core does not hold`);
  }

  private runToRest(lastEvent: number): void {
    this.runUntil(lastEvent);
    if (this.clock.eventCount >= lastEvent) throw new Violation("the mirrors do not come to rest");
  }

  private *suspendAndResume(device: MirrorDevice): Task {
    yield* device.suspend();
    yield* device.resume();
  }

  private checkAtRest({ legs, table, device, workload }: Rig): void {
    const { engine } = this.machine.server;
    const { mirror } = device;
    if (engine === null || mirror === null || !device.isQuiet || !workload.isIdle) {
      throw new Violation(`${table.uuid} is not quiet, though nothing is left to happen`);
    }
    const log = this.options.console
      .logs(engine)
      .find(({ uuid, luid }) => uuid === table.uuid && luid === String(mirror.log.luid));
    if (log === undefined) throw new Violation(`the server does not know the log ${table.uuid}`);
    if (log.regionCount !== legs.regionCount) throw new Violation(`${table.uuid} has ${log.regionCount} regions`);
    if (log.outOfSyncRegions > 0) {
      throw new Violation(`${log.outOfSyncRegions} regions of ${table.uuid} are out of sync, and nobody resyncs them`);
    }
    const differing = legs.differingRegions();
    if (differing.length > 0) throw new Violation(`at rest the legs of ${table.uuid} differ in regions ${differing}`);
    for (let block = 0; block < legs.regionCount * BLOCKS_PER_REGION; block++) workload.checkBlock(block);
  }

  /** Adds what the machine counted, before it goes. */
  private account(): void {
    const { result, machine } = this;
    result.marks += machine.checker.markCount;
    result.markRequests += machine.checker.markRequestCount;
    result.checks += machine.checker.checkCount;
    result.timeouts += machine.connector.timeoutCount;
    result.refused += machine.connector.refusedCount;
  }
}
