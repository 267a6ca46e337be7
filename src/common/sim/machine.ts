// A machine from power on to power off: kernel, server and checkers on one clock. Legs and log devices outlive it.

import type { Console } from "../console.ts";
import { abiOf } from "../core-module.ts";
import type { Engine, EngineOptions } from "../engine.ts";
import { Checker } from "./checker.ts";
import { MICROSECOND_NS, type VirtualClock } from "./clock.ts";
import { Connector } from "./connector.ts";
import { Digest } from "./digest.ts";
import type { Fault } from "./faults.ts";
import { type MirrorDevice, SimulatedKernel } from "./kernel.ts";
import type { Legs } from "./legs.ts";
import { type LogDevice, LogDevices } from "./log-device.ts";
import { LogView } from "./log-view.ts";
import type { Random } from "./random.ts";
import { SimulatedServer, type TransportTiming } from "./server.ts";
import { ServerWatch } from "./server-watch.ts";
import { StateFiles } from "./state-files.ts";

/** One way of a datagram, waking the other side included. */
const TRANSPORT_NS: TransportTiming = [4 * MICROSECOND_NS, 40 * MICROSECOND_NS];

/** What a machine is made of. */
export interface MachineParts {
  clock: VirtualClock;
  random: Random;
  /** The compiled core. */
  module: WebAssembly.Module;
  /** An instance of the core of its own, for reading engines. */
  console: Console;
  /** Takes in all datagrams both ways; a new one where left out. */
  digest?: Digest;
  /** What is wrong with the server or its kernel; nothing where left out. */
  fault?: Fault | undefined;
  /** What disk logs are kept on; none where left out. */
  logDevices?: readonly LogDevice[];
  /** What the server says to its core about disk logs. */
  engineOptions?: EngineOptions;
  /** Sees the core of each server before its first input: to record it. */
  onEngine?: ((engine: Engine) => void) | undefined;
}

/** A machine under a virtual clock. What its checker finds wrong is thrown out of the clock, as a Violation. */
export class Machine {
  readonly server: SimulatedServer;
  readonly connector: Connector;
  readonly kernel: SimulatedKernel;
  readonly checker: Checker;
  readonly watch: ServerWatch;
  readonly logDevices: LogDevices;
  private readonly clock: VirtualClock;

  /** Power on: the kernel runs, and a server that knows nothing. */
  constructor(parts: MachineParts) {
    const { clock, random, module, console, digest = new Digest(), fault, logDevices, engineOptions, onEngine } = parts;
    this.clock = clock;
    this.logDevices = new LogDevices(logDevices);
    for (const device of this.logDevices.all) device.orphansLinger = fault?.orphansLinger ?? false;
    const abi = abiOf(module);
    this.watch = new ServerWatch(abi, this.logDevices, console);
    this.server = new SimulatedServer(abi, clock, random.fork(), module, TRANSPORT_NS, digest, fault, engineOptions, {
      clock,
      random: random.fork(),
      devices: this.logDevices,
      stateFiles: new StateFiles(),
      logView: new LogView(console),
      legsOf: (luid, uuid) => this.kernel.legsOf(luid, uuid),
      legFlushFailsOneIn: 0,
      legFlushHangsOneIn: 0,
      onEngine: onEngine ?? (() => {}),
    });
    this.server.observer = this.watch;
    this.connector = new Connector(abi, clock, this.server);
    this.server.onReply = (datagram) => this.connector.receive(datagram);
    this.kernel = new SimulatedKernel(clock, random.fork(), this.connector);
    this.kernel.writesBeforeMark = fault?.writesBeforeMark ?? false;
    this.checker = new Checker(this.kernel, this.server, this.logDevices, console);
    // A kernel whose RESUME fails after its CTR was answered gives up, and takes the region it asked about for out of sync: it
    // writes to the first leg alone, and no log hears of it.
    this.server.isSpared = () => this.connector.reconnectingCount > 0;
    this.kernel.mirrorObserver = this.checker;
    this.connector.observer = this.checker;
    this.server.start();
  }

  /** A device on `legs`, watched by the checker. */
  device(legs: Legs): MirrorDevice {
    const device = this.kernel.device(legs);
    legs.onLanded = (region) => this.checker.checkRegion(device, region);
    return device;
  }

  /** What servers left for their successors is lost; the next one begins with nothing. */
  loseState(): void {
    this.server.surroundings.stateFiles.clear();
    this.watch.stateLost();
    this.checker.syncLedger.forget();
  }

  /**
   * Power is gone in the middle of everything; the log's last words are held against what the legs hold then.
   * Returns the number of writes that were caught on their way.
   */
  cutPower(): number {
    this.clock.clear();
    let caught = 0;
    for (const { legs } of this.kernel.devices) caught += legs.cutPower();
    for (const device of this.logDevices.all) device.cutPower();
    this.checker.checkAfterPowerCut();
    return caught;
  }
}
