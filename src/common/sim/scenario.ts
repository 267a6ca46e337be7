// A random life of a machine with its mirrors, drawn from one seed: core and disk logs, load, suspends, reloads, failing
// legs and log devices, a server that is slow, dies or comes back, and power cuts. At the end everything must come to rest
// in sync and identical.

import type { Console } from "../console.ts";
import { abiOf } from "../core-module.ts";
import type { Engine, EngineOptions } from "../engine.ts";
import { type Boot, Choices, type LifeScript } from "./choices.ts";
import { holdsLog, saysClean } from "./clean-bits.ts";
import { MICROSECOND_NS, MILLISECOND_NS, SECOND_NS, VirtualClock } from "./clock.ts";
import { REQUEST_TIMEOUT_NS } from "./connector.ts";
import { Digest } from "./digest.ts";
import type { Fault } from "./faults.ts";
import { BLOCKS_PER_REGION } from "./legs.ts";
import { Machine } from "./machine.ts";
import { ModelWatch } from "./model-watch.ts";
import { type Deeds, needsRepair, Operator } from "./operator.ts";
import { Random } from "./random.ts";
import { makeRigParts, makeWorkload, type Rig, type RigParts, tableAfterPowerCut } from "./rig.ts";
import { sleep, spawn, type Task } from "./task.ts";
import { Violation } from "./violation.ts";

/** What decides a life: the same options are the same life, on every machine. */
export interface ScenarioOptions {
  seed: number;
  /** Simulated events before everything is brought to rest; 1 or more. */
  eventCount: number;
  /** The compiled core. */
  module: WebAssembly.Module;
  /** An instance of the core of its own. */
  console: Console;
  fault?: Fault | undefined;
  /** What of the seed's life takes place: all where left out. `eventCount` means nothing then. */
  script?: LifeScript | undefined;
  /** Sees the core of each server before its first input: to record it. */
  onEngine?: ((engine: Engine) => void) | undefined;
  /** Whether every server is held against the model of the protocol (src/common/model); true where left out. */
  withModel?: boolean | undefined;
}

/** What happened. All but `digest` are counts. */
export interface ScenarioResult extends Deeds {
  /** Of all datagrams both ways, in order. */
  digest: string;
  events: number;
  datagrams: number;
  mirrors: number;
  diskLogs: number;
  regions: number;
  writes: number;
  reads: number;
  /** Flushes of the legs by those who write, and by the server. */
  fileSystemFlushes: number;
  legFlushes: number;
  /** Writes that the kernel failed, because the log could not be flushed. */
  failedWrites: number;
  marks: number;
  markRequests: number;
  /** Flushes of disk logs answered with success, and those of them that needed no write. */
  diskFlushes: number;
  diskFlushesWithoutWrite: number;
  deviceWrites: number;
  failedDeviceWrites: number;
  tornDeviceWrites: number;
  checks: number;
  powerCutChecks: number;
  serverCrashes: number;
  /** Those in the midst of carrying out the effects of an input. */
  midwayCrashes: number;
  /** Logs that a server took up from its predecessor, compared. */
  restoredLogs: number;
  stateLosses: number;
  stalls: number;
  timeouts: number;
  powerCuts: number;
  /** Regions that a disk log had out of sync after a power cut, and those of them whose legs did not differ. */
  resyncsAfterPowerCut: number;
  needlessResyncs: number;
  /** Questions whether a region recovers remotely, and writes that were put back since the kernel might not ask yet. */
  remoteRecoveryQuestions: number;
  putBackWrites: number;
  /** Requests of mirrors that the log refused; clears that come after POSTSUSPEND are such. */
  refused: number;
}

/** A violation with all that is needed to see it again. */
export class ScenarioViolation extends Violation {
  /** The sentence without its numbers: violations with the same one have gone wrong in the same way. */
  readonly kind: string;

  constructor(
    readonly seed: number,
    readonly eventNumber: number,
    readonly timeNs: number,
    /** All that took place until then. The life of this script alone ends with the same violation. */
    readonly script: LifeScript,
    cause: Error,
  ) {
    super(`seed ${seed}, event ${eventNumber}, ${(timeNs / SECOND_NS).toFixed(6)} s: ${cause.message}`, { cause });
    this.kind = cause.message.replace(/\d+(,\d+)*/g, "#");
  }
}

/** What one switching on of the machine draws from. */
interface BootStreams {
  readonly machine: Random;
  readonly trouble: Random;
  /** For each mirror, whether it takes part or not. */
  readonly operators: readonly Random[];
  readonly devices: readonly Random[];
}

/** All regions are looked at once in so many events. */
/** By seed: what an administrator would choose, more often than not. */
const AHEAD_REGIONS = [64, 64, 3, 0];
const CHECK_ALL_EVENTS = 512;
/** Coming to rest takes a few events for each region to copy; many times that means that it never ends. */
const REST_EVENTS_MAX = 300_000;
const REST_EVENTS_PER_REGION = 100;
/** Lazy work goes on in the background for some time when nobody writes any more. */
const REST_QUIET_NS = 60 * SECOND_NS;
const REST_LOOK_EVENTS = 64;
/** Whoever reads this in the server's log suspends and resumes the mirror. */
const STATE_LOST_WORDS = /what this server knew of the log is lost/;
const HELP_TRIES_MAX = 3;
const MIRRORS_MAX = 3;
/** A server that can have so few logs meets its limit when tables are reloaded; one must be left, or no mirror can be mended. */
const FEW_HANDLES = 16;
const SPARE_HANDLES = 1;
/** Of one mirror at once: its worker's, a lazy one, and regions that get out of sync. */
const FLUSHES_OUTSTANDING_MAX = 4;
const BOOTS_MAX = 5;

/** Lives a life. Returns what it violated, or null. */
export function violationOf(life: ScenarioOptions): ScenarioViolation | null {
  try {
    runScenario(life);
    return null;
  } catch (error) {
    if (error instanceof ScenarioViolation) return error;
    throw error;
  }
}

/** Lives a life to its end. Throws a ScenarioViolation where what must always hold does not. */
export function runScenario(options: ScenarioOptions): ScenarioResult {
  return new Scenario(options).run();
}

class Scenario {
  private readonly clock = new VirtualClock();
  private readonly digest = new Digest();
  private readonly parts: readonly RigParts[];
  private readonly choices: Choices;
  private readonly streams: readonly BootStreams[];
  private readonly boots: readonly Boot[];
  /** Which of the boots it is, from 0, and when those before it ended. */
  private boot = 0;
  private readonly endsNs: number[] = [];
  private isResting = false;
  private readonly rigs: Rig[];
  private machine: Machine;
  /** Tasks that stop where this has become false. */
  private isLively = true;
  private busyOperators = 0;
  private readonly operators = new Map<Rig, Operator>();
  /** In some lives what a server leaves is lost now and then. */
  private readonly mayLoseState: boolean;
  /** In some lives flushes of the legs fail or hang now and then. */
  private readonly legFlushFailsOneIn: number;
  private readonly legFlushHangsOneIn: number;
  private readonly engineOptions: EngineOptions;
  /** Whether a kernel may have more flushes outstanding than the core keeps: then one is let go, and asked for again. */
  private readonly mayLetGo: boolean;
  /** Whether something happened since the machine was switched on that a mirror recovers from only with a person's help. */
  private needsHelp = false;
  private readonly result: ScenarioResult;
  private readonly model = new ModelWatch();

  constructor(private readonly options: ScenarioOptions) {
    const random = new Random(options.seed);
    const { EXTENTS_MAX, HANDLE_COUNT, MARK_WAITERS_MAX } = abiOf(options.module);
    this.mayLetGo = MARK_WAITERS_MAX < FLUSHES_OUTSTANDING_MAX;
    this.mayLoseState = random.oneIn(6);
    this.legFlushFailsOneIn = random.pick([0, 0, 3, 20]);
    this.legFlushHangsOneIn = random.pick([0, 0, 0, 20]);
    this.engineOptions = {
      quietNs: random.pick([3 * SECOND_NS, 200 * MILLISECOND_NS, 5 * MILLISECOND_NS]),
      lazyRegionsMax: random.pick([65_536, 40, 3]),
      aheadRegions: AHEAD_REGIONS[options.seed % AHEAD_REGIONS.length] as number,
      blockBytes: random.pick([4096, 4096, 8192]),
    };
    const { script } = options;
    const isCrowded = HANDLE_COUNT <= FEW_HANDLES && random.oneIn(2);
    const mirrorCount = isCrowded ? HANDLE_COUNT - SPARE_HANDLES : random.between(1, MIRRORS_MAX);
    const parts = Array.from({ length: mirrorCount }, (_, i) =>
      makeRigParts(this.clock, random.fork(), i, !this.mayLoseState, EXTENTS_MAX),
    );
    this.parts = script === undefined ? parts : parts.filter(({ index }) => script.mirrors.includes(index));
    this.result = { ...NOTHING, mirrors: this.parts.length };
    this.choices = new Choices(script);
    const forks = () => parts.map(() => random.fork());
    this.streams = Array.from({ length: BOOTS_MAX }, () => {
      return { machine: random.fork(), trouble: random.fork(), operators: forks(), devices: forks() };
    });
    this.boots = script?.boots ?? evenBoots(random.between(1, BOOTS_MAX), options.eventCount);
    this.machine = this.powerOn();
    this.rigs = this.parts.map((parts) => {
      const device = this.machine.device(parts.legs);
      return { ...parts, device, workload: makeWorkload(this.clock, device, parts, this.choices) };
    });
  }

  private get bootNow(): Boot {
    return this.boots[this.boot] as Boot;
  }

  private get streamsNow(): BootStreams {
    return this.streams[this.bootNow.number] as BootStreams;
  }

  run(): ScenarioResult {
    const { options, clock } = this;
    try {
      for (;;) {
        for (const rig of this.rigs) this.operate(rig);
        this.troubleServer();
        this.runUntil(this.bootNow.endEvent, this.bootNow.endNs);
        this.endsNs.push(clock.nowNs);
        if (this.boot === this.boots.length - 1) break;
        this.boot++;
        this.cutPower();
      }
      this.isResting = true;
      this.comeToRest();
    } catch (error) {
      if (!(error instanceof Violation) && !(error instanceof Error && error.name === "RuntimeError")) throw error;
      throw new ScenarioViolation(options.seed, clock.eventCount, clock.nowNs, this.script(), error);
    }
    this.account();
    return this.finish();
  }

  /** What has taken place so far. */
  private script(): LifeScript {
    const { clock, boot, isResting } = this;
    const boots = this.boots.slice(0, boot + 1).map(({ number, endEvent }, i) => {
      const isEnd = i === boot && !isResting;
      return {
        number,
        endEvent: isEnd ? Math.min(endEvent, clock.eventCount) : endEvent,
        endNs: this.endsNs[i] ?? clock.nowNs,
      };
    });
    return { boots, mirrors: this.parts.map(({ index }) => index), actions: this.choices.taken() };
  }

  private powerOn(): Machine {
    const { clock, digest, engineOptions, streamsNow: streams } = this;
    const { module, console, fault, withModel = true } = this.options;
    const onEngine = (engine: Engine) => {
      this.options.onEngine?.(engine);
      if (withModel) this.model.follow(engine);
    };
    const logDevices = this.parts.flatMap(({ logDevice }) => (logDevice === null ? [] : [logDevice]));
    const parts = {
      clock,
      random: streams.machine,
      module,
      console,
      digest,
      fault,
      logDevices,
      engineOptions,
      onEngine,
    };
    const machine = new Machine(parts);
    machine.server.surroundings.legFlushFailsOneIn = this.legFlushFailsOneIn;
    machine.server.surroundings.legFlushHangsOneIn = this.legFlushHangsOneIn;
    for (const { index, logDevice } of this.parts) {
      if (logDevice !== null) logDevice.failsOneIn = (streams.devices[index] as Random).pick([0, 0, 0, 300]);
    }
    machine.connector.onTimeout = () => this.checkTimeout();
    machine.server.onNotice = (payload) => {
      if (STATE_LOST_WORDS.test(console.describeNotice(payload))) this.needsHelp = true;
    };
    this.needsHelp = false;
    return machine;
  }

  private runUntil(eventNumber: number, endNs = Infinity): void {
    const { clock } = this;
    while (clock.eventCount < eventNumber && clock.nextNs <= endNs && clock.step()) {
      this.model.check();
      if (clock.eventCount % CHECK_ALL_EVENTS === 0) this.checkAll();
    }
  }

  private checkAll(): void {
    this.machine.checker.checkAll();
    for (const { watch } of this.rigs) watch?.checkAll();
  }

  private operate(rig: Rig): void {
    const random = this.streamsNow.operators[rig.index] as Random;
    const actions = this.choices.source(`boot ${this.bootNow.number} operator ${rig.index}`, random);
    const operator = new Operator(this.clock, actions, rig, this.result, () => this.isLively);
    this.operators.set(rig, operator);
    this.keepBusy(operator.work());
  }

  private keepBusy(work: Task): void {
    this.busyOperators++;
    const task = function* (this: Scenario): Task {
      yield* work;
      this.busyOperators--;
    };
    spawn(task.call(this));
  }

  /** A server that is slow, or dies and comes back, now and then. */
  private troubleServer(): void {
    const actions = this.choices.source(`boot ${this.bootNow.number} trouble`, this.streamsNow.trouble);
    const { machine, clock, result } = this;
    const trouble = function* (this: Scenario): Task {
      while (this.isLively) {
        const action = actions.next((random) =>
          random.between(MILLISECOND_NS, random.pick([20 * MILLISECOND_NS, 200 * MILLISECOND_NS, 2 * SECOND_NS])),
        );
        if (action === null) return;
        yield sleep(clock, action.pauseNs);
        if (!this.isLively) return;
        const { random } = action;
        if (random.oneIn(4)) {
          result.stalls++;
          const stallNs = random.between(MILLISECOND_NS, 40 * SECOND_NS);
          machine.server.stall(stallNs);
          yield sleep(clock, stallNs);
          continue;
        }
        result.serverCrashes++;
        while (machine.server.isSpared()) yield sleep(clock, 100 * MICROSECOND_NS);
        if (random.oneIn(2)) {
          machine.server.stopMidway(random.pick([0, 0, 1, 1, 2, 3, 4, 6]));
          for (let ms = 1; ms <= 64 && machine.server.engine !== null; ms *= 2) yield sleep(clock, ms * MILLISECOND_NS);
          while (machine.server.isSpared()) yield sleep(clock, 100 * MICROSECOND_NS);
        }
        machine.server.stop();
        // Back before a write under way has landed, or before the kernel looks, or long after.
        const awayNs = random.pick([300 * MICROSECOND_NS, SECOND_NS, 30 * SECOND_NS]);
        yield sleep(clock, random.below(awayNs));
        if (this.mayLoseState && random.oneIn(8)) {
          result.stateLosses++;
          this.needsHelp = true;
          machine.loseState();
        }
        // It may die again while it takes up what was left.
        machine.server.start();
        while (machine.server.engine === null) machine.server.start();
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
      rig.table = tableAfterPowerCut(rig);
      for (let leg = 1; leg < rig.legs.legCount; leg++) rig.legs.setFailed(leg, false);
      rig.logDevice?.repair();
      rig.device = this.machine.device(rig.legs);
      rig.workload.continueAfterPowerCut(rig.device);
      this.expectAtResume(rig);
    }
  }

  /** The log that is resumed first after a power cut must believe its device, no more and no less. */
  private expectAtResume(rig: Rig): void {
    const { logDevice, watch, legs, table } = rig;
    if (logDevice === null || watch === null || !watch.isClaimed) return;
    // A device that failed may have lost the log's header with the power; then it holds none.
    const before = holdsLog(logDevice.medium, legs.regionCount) ? logDevice.medium.slice() : new Uint8Array(0);
    watch.onResumed = (isClaimed) => {
      watch.onResumed = () => {};
      const { engine } = this.machine.server;
      const log = rig.device.mirror?.log;
      if (!isClaimed || engine === null || log === undefined || table.options.length > 0) return;
      const states = this.options.console.regionStates(engine, log.uuid, log.luid, 0, legs.regionCount);
      for (let region = 0; region < legs.regionCount; region++) {
        const isClean = saysClean(before, 0, region);
        const isInSync = (states[region] as number) <= 1;
        if (isClean !== isInSync) {
          const words = isClean
            ? "clean on the log device, and out of sync"
            : "not clean on the log device, and in sync";
          throw new Violation(`after the power cut region ${region} of ${log.uuid} is ${words} in the log`);
        }
        if (isInSync) continue;
        this.result.resyncsAfterPowerCut++;
        if (!legs.differs(region)) this.result.needlessResyncs++;
      }
    };
  }

  /** Nobody interferes any more: the mirrors must become quiet, in sync and identical. */
  private comeToRest(): void {
    const { machine } = this;
    this.isLively = false;
    machine.server.surroundings.legFlushFailsOneIn = 0;
    machine.server.surroundings.legFlushHangsOneIn = 0;
    for (const { workload, logDevice } of this.rigs) {
      workload.stop();
      logDevice?.repair();
      if (logDevice !== null) logDevice.failsOneIn = 0;
    }
    this.runToRest();
    if (this.rigs.some(needsRepair)) {
      this.needsHelp = true;
      for (const rig of this.rigs)
        if (needsRepair(rig)) this.keepBusy((this.operators.get(rig) as Operator).repairLog());
      this.runToRest();
    }
    const { legFailures, deviceFailures } = this.result;
    if (legFailures + deviceFailures > 0) this.needsHelp = true;
    // The suspend itself may be when the kernel first meets a server that lost the log; that asks for help again.
    for (let tries = 0; this.needsHelp && tries < HELP_TRIES_MAX; tries++) {
      this.needsHelp = false;
      // The kernel takes a mirror for in sync until it is resumed.
      for (const rig of this.rigs) this.keepBusy((this.operators.get(rig) as Operator).suspendAndResume());
      this.runToRest();
    }
    for (const rig of this.rigs) this.checkAtRest(rig);
    this.checkAll();
    const violated = machine.server.engine?.violatedInvariant();
    if (violated !== 0) throw new Violation(`invariant ${violated} of the core does not hold`);
  }

  /** Runs until everything has been quiet for a while: clears reach log devices in the background. */
  private runToRest(): void {
    const { clock } = this;
    const regionCount = this.rigs.reduce((sum, { legs }) => sum + legs.regionCount, 0);
    const lastEvent = clock.eventCount + REST_EVENTS_MAX + REST_EVENTS_PER_REGION * regionCount;
    let quietSinceNs = Infinity;
    while (clock.eventCount < lastEvent) {
      const before = clock.eventCount;
      this.runUntil(before + REST_LOOK_EVENTS);
      if (!this.isQuiet()) quietSinceNs = Infinity;
      else quietSinceNs = Math.min(quietSinceNs, clock.nowNs);
      if (clock.eventCount === before || clock.nowNs - quietSinceNs > REST_QUIET_NS) {
        if (this.busyOperators > 0) throw new Violation("the kernel waits for ever");
        return;
      }
    }
    throw new Violation("the mirrors do not come to rest");
  }

  private isQuiet(): boolean {
    if (this.busyOperators > 0 || this.machine.connector.outstandingCount > 0) return false;
    return this.rigs.every(({ device, workload }) => device.isQuiet && workload.isIdle);
  }

  private checkAtRest({ legs, table, device, workload, logDevice }: Rig): void {
    const { engine } = this.machine.server;
    const { mirror } = device;
    if (engine === null || mirror === null || !device.isQuiet || !workload.isIdle) {
      throw new Violation(`${table.uuid} is not quiet, though nothing is left to happen`);
    }
    const log = this.options.console
      .logs(engine)
      .find(({ uuid, luid }) => uuid === table.uuid && luid === mirror.log.luid);
    if (log === undefined) throw new Violation(`the server does not know the log ${table.uuid}`);
    if (log.regionCount !== legs.regionCount) throw new Violation(`${table.uuid} has ${log.regionCount} regions`);
    if (log.outOfSyncRegions > 0) {
      throw new Violation(`${log.outOfSyncRegions} regions of ${table.uuid} are out of sync, and nobody resyncs them`);
    }
    const differing = legs.differingRegions();
    if (differing.length > 0) throw new Violation(`at rest the legs of ${table.uuid} differ in regions ${differing}`);
    for (let block = 0; block < legs.regionCount * BLOCKS_PER_REGION; block++) workload.checkBlock(block);
    if (logDevice === null) return;
    for (let region = 0; region < legs.regionCount; region++) {
      if (logDevice.isClean(region)) continue;
      throw new Violation(`at rest region ${region} of ${table.uuid} is not clean on its log device`);
    }
  }

  /** The kernel waits 15 s for an answer only where the server was away, slow, or waited for something that hung. */
  private checkTimeout(): void {
    const { server } = this.machine;
    if (server.engine === null || this.legFlushHangsOneIn > 0 || this.mayLetGo) return;
    if (this.clock.nowNs - server.freeSinceNs <= REQUEST_TIMEOUT_NS) return;
    throw new Violation("a request was not answered for 15 s, though the server was there all the time");
  }

  /** Adds what the machine counted, before it goes. */
  private account(): void {
    const { result, machine } = this;
    result.marks += machine.checker.markCount;
    result.markRequests += machine.checker.markRequestCount;
    result.checks += machine.checker.checkCount;
    result.timeouts += machine.connector.timeoutCount;
    result.remoteRecoveryQuestions += machine.connector.remoteRecoveryQuestionCount;
    result.putBackWrites += machine.connector.putBackCount;
    result.refused += machine.connector.refusedCount;
    result.midwayCrashes += machine.server.midwayDeathCount;
    result.restoredLogs += machine.watch.restoreCheck.checkCount;
    result.diskFlushes += machine.watch.durability.flushCount;
    result.diskFlushesWithoutWrite += machine.watch.durability.flushWithoutWriteCount;
  }

  private finish(): ScenarioResult {
    const { result, clock } = this;
    result.digest = this.digest.toString();
    result.datagrams = this.digest.datagramCount;
    result.events = clock.eventCount;
    for (const { workload, legs, logDevice, watch } of this.rigs) {
      result.writes += workload.writeCount;
      result.reads += workload.readCount;
      result.failedWrites += workload.failedWriteCount;
      result.fileSystemFlushes += workload.flushCount;
      result.legFlushes += legs.flushCount - workload.flushCount;
      result.regions += legs.regionCount;
      if (logDevice === null) continue;
      result.diskLogs++;
      result.deviceWrites += logDevice.writeCount;
      result.failedDeviceWrites += logDevice.failedWriteCount;
      result.tornDeviceWrites += logDevice.tornWriteCount;
      result.powerCutChecks += watch?.checkCount ?? 0;
    }
    return result;
  }
}

/** The events shared out among so many boots. */
function evenBoots(count: number, eventCount: number): Boot[] {
  return Array.from({ length: count }, (_, number) => {
    return { number, endEvent: Math.floor((eventCount * (number + 1)) / count), endNs: Infinity };
  });
}

const NOTHING: ScenarioResult = {
  digest: "",
  events: 0,
  datagrams: 0,
  mirrors: 0,
  diskLogs: 0,
  regions: 0,
  writes: 0,
  reads: 0,
  fileSystemFlushes: 0,
  legFlushes: 0,
  failedWrites: 0,
  marks: 0,
  markRequests: 0,
  diskFlushes: 0,
  diskFlushesWithoutWrite: 0,
  deviceWrites: 0,
  failedDeviceWrites: 0,
  tornDeviceWrites: 0,
  checks: 0,
  powerCutChecks: 0,
  suspends: 0,
  reloads: 0,
  removals: 0,
  tablesWithoutRoom: 0,
  legFailures: 0,
  deviceFailures: 0,
  serverCrashes: 0,
  midwayCrashes: 0,
  restoredLogs: 0,
  stateLosses: 0,
  stalls: 0,
  timeouts: 0,
  powerCuts: 0,
  resyncsAfterPowerCut: 0,
  needlessResyncs: 0,
  remoteRecoveryQuestions: 0,
  putBackWrites: 0,
  refused: 0,
};
