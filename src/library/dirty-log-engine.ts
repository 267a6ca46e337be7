// The engine for a program that embeds it: the core with a transport, a storage and a clock that the program brings.
//
// The core takes one input at a time. Inputs that the program's own parts cause while it is busy wait their turn.

import { Console, type Counters, type LogDescription } from "../common/console.ts";
import { compileCore } from "../common/core-module.ts";
import { type EffectHandler, Engine, type EngineOptions } from "../common/engine.ts";
import type { Clock, StateStore, Storage, Transport } from "./host.ts";
import { type LogChange, LogWatch } from "./log-watch.ts";
import { Operations } from "./operations.ts";
import { checkSnapshot, coreDigest, type EngineSnapshot, snapshotOf } from "./snapshot.ts";
import { StateKeeper } from "./state-keeper.ts";
import { systemClock } from "./system-clock.ts";

/** The parts of an engine. */
export interface DirtyLogEngineOptions {
  /** The bytes of the core, `dm-ulog.wasm`: from `loadCore`, or your own copy. */
  core: Uint8Array;
  /** Sends the answers. */
  transport: Transport;
  /**
   * Receives errors of the parts that you bring: a transport that throws, a store that cannot
   * keep state, a storage whose error has no errno. The engine continues. It also receives a failure of the core, which ends the engine.
   */
  onFailure(error: unknown): void;
  /** Receives sentences for the person who looks after the mirrors. */
  onNotice?: ((sentence: string) => void) | undefined;
  /** Receives which logs were created, changed or removed, once after all inputs that were given together. */
  onChange?: ((changes: readonly LogChange[]) => void) | undefined;
  /** The devices of disk logs. Without it, constructors of disk logs are refused with ENODEV. */
  storage?: Storage | undefined;
  /** Keeps the logs for the next engine. Without it, they end with this engine. */
  states?: StateStore | undefined;
  /** The time; by default that of the JavaScript host. */
  clock?: Clock | undefined;
  /** Receives the driver of the core before its first input, to record or watch it from there on. */
  onCore?: ((core: Engine) => void) | undefined;
  /** Options for disk logs. */
  logOptions?: EngineOptions | undefined;
  /** Continues from this snapshot. The contents of `states` are not read then: they must be from the same moment. */
  snapshot?: EngineSnapshot | undefined;
}

/** A dirty-log engine. `DirtyLogEngine.create` makes one. */
export class DirtyLogEngine {
  /** The driver of the core, for recording and reading. Only this object may give it inputs. */
  readonly core: Engine;
  private readonly operations: Operations;
  private readonly states: StateKeeper | undefined;
  private readonly clock: Clock;
  private readonly watch = new LogWatch();
  private readonly inputs: (() => void)[] = [];
  /** The difference between the clock's time and the core's, in ns. */
  private readonly originNs: number;
  private lastNs: number;
  private wakeAtNs = 0;
  private cancelWake: (() => void) | null = null;
  private phase: "running" | "closing" | "closed" | "failed" = "running";
  private isBusy = false;
  private isLookDue = false;
  private failure: unknown = null;

  private constructor(
    module: WebAssembly.Module,
    private readonly words: Console,
    private readonly options: DirtyLogEngineOptions,
  ) {
    const { snapshot, states, clock = systemClock } = options;
    this.clock = clock;
    this.core = snapshot === undefined ? new Engine(module) : Engine.restore(module, snapshot.memory);
    this.lastNs = snapshot?.nowNs ?? 1;
    this.originNs = this.lastNs - clock.nowNs();
    this.states = states === undefined ? undefined : new StateKeeper(states, (error) => this.tell(error));
    this.operations = new Operations(this.core.abi, options.storage, {
      read: (address, sizeBytes) => this.core.read(address, sizeBytes),
      complete: (head, completion) => this.give((nowNs) => this.core.completed(head, completion, nowNs, this.effects)),
      failed: (error) => this.tell(error),
    });
  }

  /**
   * Makes an engine. Rejects with a sentence if `core` is not a dm-ulog core of this package's ABI version, or if `snapshot` is
   * damaged or of another core.
   */
  static async create(options: DirtyLogEngineOptions): Promise<DirtyLogEngine> {
    if (options.snapshot !== undefined) checkSnapshot(options.snapshot, coreDigest(options.core));
    const [module, words] = await Promise.all([compileCore(options.core), Console.create(options.core)]);
    const made = new DirtyLogEngine(module, words, options);
    made.begin();
    made.checkRunning();
    return made;
  }

  /**
   * Gives the engine a datagram from the netlink socket. Its answer goes to the transport before this returns, or later
   * if a log device must be written first. If the transport's own `send` calls this, the datagram is handled after that call.
   *
   * Throws if the engine was closed, or if the core has failed.
   *
   * @param senderPort the netlink port of its sender: 0 for the kernel. Datagrams from other ports get no answer
   */
  receive(datagram: Uint8Array, senderPort = 0): void {
    this.checkRunning();
    // A caller that receives into one buffer may fill it again before this datagram is handled.
    const own = this.isBusy ? datagram.slice() : datagram;
    this.give((nowNs) => this.core.deliver(own, senderPort, nowNs, this.effects));
    if (!this.isBusy) this.checkRunning();
  }

  /** All logs, in order of creation. */
  logs(): LogDescription[] {
    return this.words.logs(this.core);
  }

  /** The counters since the engine was made. */
  counters(): Counters {
    return this.words.counters(this.core);
  }

  /**
   * The states of up to `count` regions from `first` on, one byte for each: an index into `REGION_STATES`. Fewer if the
   * mirror ends earlier, none if there is no such log.
   */
  regionStates(log: Pick<LogDescription, "uuid" | "luid">, first = 0, count = Number.MAX_SAFE_INTEGER): Uint8Array {
    return this.words.regionStates(this.core, log.uuid, log.luid, first, count);
  }

  /** A datagram in words, for a person: a request of the kernel, or an answer to it. */
  explain(datagram: Uint8Array, fromKernel: boolean): string {
    return this.words.decodeDatagram(datagram, fromKernel);
  }

  /**
   * The whole current state. An engine made from it continues here: it opens the log devices again, and restarts
   * the operations under way. Only one of the two engines may continue, and only if nothing has happened to its mirrors
   * in between: an old snapshot calls regions clean that are not. To survive the process, use `states`.
   *
   * Throws during a call to your own parts, and if the core has failed.
   */
  snapshot(): EngineSnapshot {
    if (this.isBusy || this.phase === "failed")
      throw new Error("A snapshot can only be taken between two inputs, of an engine that has not failed.");
    const { core, lastNs, wakeAtNs } = this;
    const { inputCount } = core;
    const state = { memory: core.snapshot(), inputCount, nowNs: lastNs, wakeAtNs, ...this.operations.state };
    return snapshotOf(state, coreDigest(this.options.core));
  }

  /** Resolves when nothing is under way on log devices and legs; never, if one of them hangs. */
  settled(): Promise<void> {
    return this.operations.settled();
  }

  /**
   * Ends the engine: it takes no more datagrams, answers those it has taken, and closes its log devices. Its state files
   * remain for the next engine. Resolves when all of this is done.
   */
  async close(): Promise<void> {
    if (this.phase === "running") this.phase = "closing";
    await this.operations.settled();
    this.cancelWake?.();
    await this.operations.closeAll();
    if (this.phase === "closing") this.phase = "closed";
  }

  private begin(): void {
    const { snapshot, logOptions, onCore } = this.options;
    onCore?.(this.core);
    if (logOptions !== undefined) this.give((nowNs) => this.core.configure(logOptions, nowNs, this.effects));
    if (snapshot !== undefined) {
      this.core.inputCount = snapshot.inputCount;
      this.operations.resume(snapshot);
      this.wake(snapshot.wakeAtNs);
      this.changed();
      return;
    }
    for (const { handle, bytes } of this.states?.list() ?? []) {
      this.give((nowNs) => this.core.restoreLog(handle, bytes, nowNs, this.effects));
    }
  }

  private readonly effects: EffectHandler = {
    send: (address, sizeBytes) => {
      const datagram = this.core.read(address, sizeBytes);
      this.attempt(() => this.options.transport.send(datagram));
    },
    notice: (address, sizeBytes) => {
      const payload = this.core.read(address, sizeBytes);
      this.attempt(() => this.options.onNotice?.(this.words.describeNotice(payload)));
    },
    open: (head, name) => this.operations.begin({ kind: "open", head, name }),
    read: (head) => this.operations.begin({ kind: "read", head }),
    write: (head, address) => this.operations.begin({ kind: "write", head, address }),
    close: (head) => this.operations.close(head),
    flushLegs: (head, luid, uuid) => this.operations.begin({ kind: "flush legs", head, log: { uuid, luid } }),
    wake: (atNs) => this.wake(atNs),
    stateCreate: ({ handle, offsetBytes }) => this.states?.create(handle, offsetBytes),
    stateWrite: ({ handle, offsetBytes, sizeBytes }, address) =>
      this.states?.write(handle, offsetBytes, this.core.bytes().subarray(address, address + sizeBytes)),
    stateDelete: ({ handle }) => this.states?.delete(handle),
  };

  /** Gives the core an input, at once or after the inputs before it. */
  private give(input: (nowNs: number) => void): void {
    if (this.phase === "failed") return;
    this.inputs.push(() => input(this.nowNs()));
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      for (let next = this.inputs.shift(); next !== undefined; next = this.inputs.shift()) {
        next();
      }
    } catch (error) {
      this.phase = "failed";
      this.failure = error;
      this.inputs.length = 0;
      this.cancelWake?.();
      this.tell(error);
    } finally {
      this.isBusy = false;
    }
    if (this.phase !== "failed") this.changed();
  }

  private wake(atNs: number): void {
    this.cancelWake?.();
    this.cancelWake = null;
    this.wakeAtNs = atNs;
    if (atNs === 0) return;
    this.cancelWake = this.clock.after(Math.max(0, atNs - this.nowNs()), () => {
      this.cancelWake = null;
      if (this.nowNs() < atNs) this.wake(atNs);
      else {
        this.wakeAtNs = 0;
        this.give((nowNs) => this.core.ticked(nowNs, this.effects));
      }
    });
  }

  /** The core's time, which never runs backwards. */
  private nowNs(): number {
    this.lastNs = Math.max(this.lastNs, this.originNs + this.clock.nowNs());
    return this.lastNs;
  }

  private changed(): void {
    const { onChange } = this.options;
    if (onChange === undefined || this.isLookDue) return;
    this.isLookDue = true;
    // After the inputs of this turn, so that a burst of them causes one call.
    Promise.resolve().then(() => {
      this.isLookDue = false;
      if (this.phase === "failed") return;
      const changes = this.watch.look(this.logs());
      if (changes.length > 0) this.attempt(() => onChange(changes));
    });
  }

  private checkRunning(): void {
    if (this.phase === "running") return;
    throw new Error(`The engine is ${this.phase}, so it takes no datagrams.`, { cause: this.failure ?? undefined });
  }

  private attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.tell(error);
    }
  }

  private tell(error: unknown): void {
    this.options.onFailure(error);
  }
}
