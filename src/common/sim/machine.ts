// A machine from power on to power off: kernel, server and checker on one clock. The legs outlive it.

import { readAbi } from "../abi.ts";
import type { Console } from "../console.ts";
import { Checker } from "./checker.ts";
import { type Clock, MICROSECOND_NS } from "./clock.ts";
import { Connector } from "./connector.ts";
import type { Digest } from "./digest.ts";
import type { Fault } from "./faults.ts";
import { type MirrorDevice, SimulatedKernel } from "./kernel.ts";
import type { Legs } from "./legs.ts";
import type { Random } from "./random.ts";
import { SimulatedServer, type TransportTiming } from "./server.ts";

/** One way of a datagram, waking the other side included. */
const TRANSPORT_NS: TransportTiming = [4 * MICROSECOND_NS, 40 * MICROSECOND_NS];

/** What a machine is made of. */
export interface MachineParts {
  clock: Clock;
  random: Random;
  /** The compiled core. */
  module: WebAssembly.Module;
  /** An instance of the core of its own, for reading engines. */
  console: Console;
  digest: Digest;
  fault: Fault | undefined;
}

export class Machine {
  readonly server: SimulatedServer;
  readonly connector: Connector;
  readonly kernel: SimulatedKernel;
  readonly checker: Checker;
  private readonly clock: Clock;

  /** Power on: the kernel runs, and a server that knows nothing. */
  constructor({ clock, random, module, console, digest, fault }: MachineParts) {
    this.clock = clock;
    const abi = readAbi(new WebAssembly.Instance(module, {}).exports);
    this.server = new SimulatedServer(abi, clock, random.fork(), module, TRANSPORT_NS, digest, fault);
    this.connector = new Connector(abi, clock, this.server);
    this.server.onReply = (datagram) => this.connector.receive(datagram);
    this.kernel = new SimulatedKernel(clock, random.fork(), this.connector);
    this.kernel.writesBeforeMark = fault?.writesBeforeMark ?? false;
    this.checker = new Checker(this.kernel, this.server, console);
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

  /**
   * Power is gone in the middle of everything; the log's last words are held against what the legs hold then.
   * Returns the number of writes that were caught on their way.
   */
  cutPower(): number {
    this.clock.clear();
    let caught = 0;
    for (const { legs } of this.kernel.devices) caught += legs.cutPower();
    this.checker.checkAll();
    return caught;
  }
}
