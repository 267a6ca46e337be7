// The server's place on the simulated machine: an engine behind a socket, on the virtual clock, with a host that carries
// out its effects. It can be slow, be taken away between two inputs or in the midst of one's effects, and come back.

import type { Abi } from "../abi.ts";
import { type EffectHandler, Engine, type EngineOptions, type Head } from "../engine.ts";
import { MILLISECOND_NS, type VirtualClock } from "./clock.ts";
import type { RequestTransport } from "./connector.ts";
import type { Digest } from "./digest.ts";
import { type Fault, Frame, type HostTamper, type Tamper } from "./faults.ts";
import { LogHost, type Surroundings } from "./log-host.ts";
import type { LogSets } from "./log-view.ts";
import type { Random } from "./random.ts";

const KERNEL_PORT = 0;
/** State that a faulty server takes up is as old as this many requests at most. */
const OLD_STATE_REQUESTS = 16;
const MIDWAY_INPUTS_MAX = 32;
/** Between two parts of state files other inputs may come. */
const PART_DELAY_NS = 3 * MILLISECOND_NS;

/** How long a datagram takes, one way; drawn evenly, in nanoseconds. */
export type TransportTiming = readonly [lowestNs: number, highestNs: number];

/** What watches a server. */
export interface ServerObserver {
  /** A request reaches the server. */
  received(datagram: Uint8Array): void;
  /** An answer leaves it; nothing can take it back. */
  answered(datagram: Uint8Array): void;
  /** It is about to take an input that it may die in the midst of. */
  mayDieIn(engine: Engine): void;
  survived(): void;
  died(engine: Engine): void;
  /** Another has taken up what it left of one log. */
  restored(engine: Engine, luid: bigint, uuid: string): void;
  /** Another has taken up all that it left. */
  allRestored(): void;
  /** It gives up a log that no table of the kernel names. */
  givesUp(luid: bigint): void;
}

/** A server process. */
interface Process {
  readonly engine: Engine;
  readonly host: LogHost;
}

export class SimulatedServer implements RequestTransport {
  /** Servers started so far. */
  startCount = 0;
  /** When the server was last started, or able to work again after a stall. */
  freeSinceNs = 0;
  requestCount = 0;
  /** Servers that died in the midst of carrying out effects. */
  midwayDeathCount = 0;
  observer: ServerObserver | undefined;
  /** Whether it must not die now. */
  isSpared: () => boolean = () => false;
  /** Takes the replies: the kernel's end. */
  onReply: (datagram: Uint8Array) => void = () => {};
  /** Hears the payloads of notices. */
  onNotice: (payload: Uint8Array) => void = () => {};
  private process: Process | null = null;
  private readonly frame: Frame;
  private readonly tamper: Tamper;
  private readonly hostTamper: HostTamper;
  private readonly kept: Uint8Array[] = [];
  /** Nothing is taken up before this time; requests are taken in the order they came. */
  private takenNs = 0;
  private stalledUntilNs = 0;
  /** Of which input, in the midst of whose effects the server dies; null for one that is not to die. */
  private death: { readonly effects: number; inputsLeft: number } | null = null;
  /** Effects of the input in hand that the server still carries out. */
  private effectsLeft = Infinity;
  private isDying = false;
  /** State files of which parts are still to come, by handle, and where the next part begins. */
  private readonly coming = new Map<number, { file: Uint8Array; offsetBytes: number }>();
  /** Handles of logs that the server that runs has not wholly taken up. */
  private readonly unfinished = new Set<number>();
  private isRestoring = false;

  constructor(
    abi: Abi,
    private readonly clock: VirtualClock,
    private readonly random: Random,
    private readonly module: WebAssembly.Module,
    private readonly timing: TransportTiming,
    private readonly digest: Digest,
    private readonly fault: Fault | undefined,
    private readonly options: EngineOptions | undefined,
    readonly surroundings: Surroundings,
  ) {
    this.frame = new Frame(abi);
    this.tamper = fault?.tamper?.(this.frame, random) ?? {};
    this.hostTamper = fault?.host?.(random) ?? {};
  }

  /** Null while no server runs. */
  get engine(): Engine | null {
    return this.process?.engine ?? null;
  }

  /** Starts a server, which takes up the logs whose state files are there. */
  start(): void {
    const { stateFiles } = this.surroundings;
    if (this.fault?.restoresOldState) stateFiles.recall();
    this.startCount++;
    this.takenNs = this.clock.nowNs;
    this.stalledUntilNs = this.clock.nowNs;
    this.freeSinceNs = this.clock.nowNs;
    const engine = new Engine(this.module);
    this.surroundings.onEngine(engine);
    const give = (input: () => void) => this.take(process, input);
    const process: Process = {
      engine,
      host: new LogHost(this.surroundings, engine, this.effects, give, this.hostTamper),
    };
    this.process = process;
    this.isRestoring = true;
    if (this.options !== undefined) {
      const { options } = this;
      this.carryOut(process, () => engine.configure(options, this.clock.nowNs, this.effects));
    }
    for (const [handle, file] of [...stateFiles.files]) {
      this.unfinished.add(handle);
      this.coming.set(handle, { file: file.slice(), offsetBytes: 0 });
    }
    for (const handle of this.unfinished) {
      this.givePart(process, handle);
      if (this.process !== process) return;
    }
    this.giveNextPart(process);
  }

  private givePart(process: Process, handle: number): void {
    const coming = this.coming.get(handle);
    if (coming === undefined) return;
    const { engine } = process;
    this.carryOut(process, () => {
      const { file, offsetBytes } = coming;
      const part = file.subarray(offsetBytes, offsetBytes + engine.abi.RESTORE_BYTES);
      const { nowNs } = this.clock;
      coming.offsetBytes = engine.restorePart(handle, file.length, offsetBytes, part, nowNs, this.effects);
    });
    if (this.process !== process) return;
    const isRefused = logOf(engine, handle) === null;
    if (isRefused || coming.offsetBytes >= coming.file.length) this.coming.delete(handle);
    this.lookAtUnfinished(process);
  }

  /** The rest of the parts, one file after the other; what the kernel asks comes between them. */
  private giveNextPart(process: Process): void {
    if (this.process !== process) return;
    const [next] = this.coming.keys();
    if (next === undefined) {
      this.lookAtUnfinished(process);
      return;
    }
    this.clock.after(this.random.below(PART_DELAY_NS), () =>
      this.take(process, () => {
        this.givePart(process, next);
        this.giveNextPart(process);
      }),
    );
  }

  /** Logs that have become whole are compared with what the dead server knew. */
  private lookAtUnfinished(process: Process): void {
    const { engine } = process;
    for (const handle of this.unfinished) {
      if (this.process !== process) return;
      if (this.coming.has(handle)) continue;
      const log = logOf(engine, handle);
      const isWhole = log === null || this.surroundings.logView.find(engine, log.uuid, log.luid) !== 0;
      if (!isWhole) continue;
      this.unfinished.delete(handle);
      if (log !== null && this.startCount > 1) this.observer?.restored(engine, log.luid, log.uuid);
    }
    if (this.isRestoring && this.coming.size === 0 && this.unfinished.size === 0) this.endRestoring(process);
  }

  private endRestoring(process: Process): void {
    this.isRestoring = false;
    const { engine } = process;
    if (this.startCount > 1) this.observer?.allRestored();
    for (const handle of [...this.surroundings.stateFiles.files.keys()]) {
      const log = logOf(engine, handle);
      if (log === null || this.surroundings.legsOf(log.luid, log.uuid) !== undefined) continue;
      // The kernel has removed the mirror while no server ran, and will not say so again.
      this.observer?.givesUp(log.luid);
      this.carryOut(process, () => engine.forget(handle, log.luid, log.uuid, this.clock.nowNs, this.effects));
      if (this.process !== process) return;
    }
  }

  /** Takes the server away between two inputs. What it has not answered is lost. */
  stop(): void {
    if (this.process === null) return;
    const { engine, host } = this.process;
    host.die();
    this.process = null;
    this.death = null;
    this.isDying = false;
    this.kept.length = 0;
    this.coming.clear();
    this.unfinished.clear();
    this.observer?.died(engine);
  }

  /**
   * The server dies in the midst of the next input that has more effects than so many, when it has carried out these; or,
   * where no input of the next few has, after the last of them.
   */
  stopMidway(effects: number): void {
    if (this.process !== null) this.death = { effects, inputsLeft: MIDWAY_INPUTS_MAX };
  }

  /** The server does nothing for a time. What comes waits. */
  stall(durationNs: number): void {
    this.stalledUntilNs = Math.max(this.stalledUntilNs, this.clock.nowNs) + durationNs;
    this.takenNs = Math.max(this.takenNs, this.stalledUntilNs);
    this.freeSinceNs = this.stalledUntilNs;
  }

  send(datagram: Uint8Array): boolean {
    const { process } = this;
    if (process === null) return false;
    this.requestCount++;
    this.digest.add(datagram);
    this.takenNs = Math.max(this.takenNs, this.clock.nowNs + this.delayNs());
    this.clock.after(this.takenNs - this.clock.nowNs, () => {
      if (this.process === process) this.serve(process, datagram);
    });
    return true;
  }

  private readonly effects: EffectHandler = {
    send: (address, size) => {
      if (this.goesOn() && this.process !== null) this.reply(this.process.engine.read(address, size));
    },
    notice: (address, size) => {
      if (this.goesOn() && this.process !== null) this.onNotice(this.process.engine.read(address, size));
    },
    open: (head, path) => this.goesOn() && this.process?.host.open(head, path),
    read: (head) => this.goesOn() && this.process?.host.read(head),
    write: (head, address) => this.goesOn() && this.process?.host.write(head, address),
    close: (head) => this.goesOn() && this.process?.host.close(head),
    flushLegs: (head, luid, uuid) => this.goesOn() && this.process?.host.flushLegs(head, luid, uuid),
    wake: (atNs) => this.goesOn() && this.process?.host.wake(atNs),
    stateCreate: (head) => this.goesOn() && this.process?.host.stateCreate(head),
    stateWrite: (head, address) => this.stateWrite(head, address),
    stateDelete: (head) => this.goesOn() && this.process?.host.stateDelete(head),
  };

  private stateWrite(head: Head, address: number): void {
    const wasDying = this.isDying;
    if (this.goesOn()) this.process?.host.stateWrite(head, address);
    else if (!wasDying) this.process?.host.stateWriteInPart(head, address);
  }

  /** Whether the server lives to carry out one more effect. */
  private goesOn(): boolean {
    if (this.effectsLeft === 0) {
      if (!this.isDying) this.midwayDeathCount++;
      this.isDying = true;
      return false;
    }
    this.effectsLeft--;
    return true;
  }

  /** Gives an input to the core once the server is free. */
  private take(process: Process, input: () => void): void {
    if (this.process !== process) return;
    if (this.stalledUntilNs > this.clock.nowNs) {
      this.clock.after(this.stalledUntilNs - this.clock.nowNs, () => this.take(process, input));
    } else {
      this.carryOut(process, input);
    }
  }

  private carryOut(process: Process, input: () => void): void {
    const { death } = this;
    if (death === null || this.isSpared()) {
      this.effectsLeft = Infinity;
      input();
    } else {
      this.effectsLeft = death.effects;
      this.observer?.mayDieIn(process.engine);
      input();
      if (this.isDying || --death.inputsLeft === 0) this.stop();
      else this.observer?.survived();
    }
    if (this.unfinished.size > 0 && this.coming.size === 0 && this.process === process) this.lookAtUnfinished(process);
  }

  private serve(process: Process, datagram: Uint8Array): void {
    const { tamper } = this;
    this.observer?.received(datagram);
    const verdict = tamper.request?.(datagram) ?? "deliver";
    if (verdict !== "deliver") this.reply(this.frame.doneReply(datagram));
    if (verdict === "answer-and-keep") this.kept.push(datagram);
    else if (verdict !== "answer-only") this.deliver(process, tamper.replace?.(datagram) ?? datagram);
    if (this.fault?.restoresOldState && this.requestCount % OLD_STATE_REQUESTS === 0) {
      this.surroundings.stateFiles.remember();
    }
    if (this.kept.length > 0 && tamper.releases?.(datagram)) {
      for (const kept of this.kept.splice(0)) this.deliver(process, kept);
    }
  }

  /** The kernel drops a second reply to a request by itself. */
  private deliver(process: Process, datagram: Uint8Array): void {
    if (this.process !== process) return;
    this.carryOut(process, () => process.engine.deliver(datagram, KERNEL_PORT, this.clock.nowNs, this.effects));
  }

  /** What was sent arrives, even where its sender dies meanwhile. */
  private reply(datagram: Uint8Array): void {
    this.tamper.reply?.(datagram, () => this.sets());
    this.observer?.answered(datagram);
    this.clock.after(this.delayNs(), () => {
      this.digest.add(datagram);
      this.onReply(datagram);
    });
  }

  private sets(): Map<string, LogSets> {
    const { engine, surroundings } = this;
    return engine === null ? new Map() : surroundings.logView.sets(engine, false);
  }

  private delayNs(): number {
    return this.random.between(this.timing[0], this.timing[1]);
  }
}

/** The log that an engine knows by a handle; null where there is none. */
function logOf(engine: Engine, handle: number): { luid: bigint; uuid: string } | null {
  const { abi } = engine;
  const bytes = engine.bytes();
  const view = new DataView(bytes.buffer);
  const log = view.getUint32(abi.HANDLES + handle * 4, true);
  if (log === 0) return null;
  let uuid = "";
  for (let at = log + abi.LOG_UUID; bytes[at] !== 0; at++) uuid += String.fromCharCode(bytes[at] as number);
  return { luid: view.getBigUint64(log + abi.LOG_LUID, true), uuid };
}
