// The engine for a program that embeds it: the core behind a transport, a storage and a clock that the program brings.
//
// The core takes one input at a time, and whatever a program's own parts cause while it is busy waits its turn.

import { Console, type Counters, type LogDescription } from "../common/console.ts";
import { type EffectHandler, Engine, type EngineOptions } from "../common/engine.ts";
import { compileCore } from "./core.ts";
import type { Clock, StateStore, Storage, Transport } from "./host.ts";
import { type LogChange, LogWatch } from "./log-watch.ts";
import { type OpenDevice, type Operation, Operations } from "./operations.ts";
import { StateKeeper } from "./state-keeper.ts";
import { systemClock } from "./system-clock.ts";

/** What an engine is made of. */
export interface DirtyLogEngineOptions {
  /** Bytes of the core, `dm-ulog.wasm`: what `loadCore` returns, or your own copy. */
  core: Uint8Array;
  /** Takes the answers. */
  transport: Transport;
  /**
   * Hears what goes wrong in the parts that you bring, and nowhere else: a transport that throws, a store that cannot
   * keep state, a storage whose error has no errno. The engine goes on. Also the core's own failure, after which it does not.
   */
  onFailure(error: unknown): void;
  /** Hears what a person who keeps mirrors should know, as a sentence. */
  onNotice?: ((sentence: string) => void) | undefined;
  /** Hears which logs came, changed or went: after the inputs that were handed in together, once. */
  onChange?: ((changes: readonly LogChange[]) => void) | undefined;
  /** Where disk logs are. Left out, their constructors are refused with ENODEV. */
  storage?: Storage | undefined;
  /** Keeps the logs for the engine after this one. Left out, they end with it. */
  states?: StateStore | undefined;
  /** The time; that of the JavaScript host where left out. */
  clock?: Clock | undefined;
  /** What may be chosen about disk logs. */
  logOptions?: EngineOptions | undefined;
  /** Goes on from here. What `states` has is not read then: it has to be of the same moment. */
  snapshot?: EngineSnapshot | undefined;
}

/** The whole state of an engine, as `structuredClone` and `postMessage` take it. */
export interface EngineSnapshot {
  /** The core's linear memory. */
  memory: Uint8Array;
  /** Inputs that it has taken. */
  inputCount: number;
  /** The time that the core knew last, ns. */
  nowNs: number;
  /** When it wanted to be woken, ns; 0 for never. */
  wakeAtNs: number;
  /** The log devices that it had open. */
  devices: readonly OpenDevice[];
  /** What it had begun, and not heard the end of. */
  operations: readonly Operation[];
}

/** A dirty-log engine. `DirtyLogEngine.create` makes one. */
export class DirtyLogEngine {
  /** The driver of the core, to be recorded or looked at. Only this object may give it inputs. */
  readonly core: Engine;
  private readonly operations: Operations;
  private readonly states: StateKeeper | undefined;
  private readonly clock: Clock;
  private readonly watch = new LogWatch();
  private readonly inputs: (() => void)[] = [];
  /** What the clock's time and the core's differ by, ns. */
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
   * Makes an engine. Rejects where `core` is no dm-ulog core of this package's ABI version, and where `snapshot` is not of
   * such a core.
   */
  static async create(options: DirtyLogEngineOptions): Promise<DirtyLogEngine> {
    const [module, words] = await Promise.all([compileCore(options.core), Console.create(options.core)]);
    const made = new DirtyLogEngine(module, words, options);
    made.begin();
    made.checkRunning();
    return made;
  }

  /**
   * Hands in a datagram that came on the netlink socket. Its answer goes to the transport before this returns, or later
   * where a log device must hear of it first. Called by the transport's own `send`, it takes its turn after that.
   *
   * Throws where the engine was closed, and where the core has failed.
   *
   * @param senderPort the netlink port that it came from: 0 for the kernel. All others are answered with nothing
   */
  receive(datagram: Uint8Array, senderPort = 0): void {
    this.checkRunning();
    // Whoever receives into one buffer may fill it again before the datagram's turn comes.
    const own = this.isBusy ? datagram.slice() : datagram;
    this.give((nowNs) => this.core.deliver(own, senderPort, nowNs, this.effects));
    if (!this.isBusy) this.checkRunning();
  }

  /** All logs, in order of creation. */
  logs(): LogDescription[] {
    return this.words.logs(this.core);
  }

  /** What has been counted since the engine was made. */
  counters(): Counters {
    return this.words.counters(this.core);
  }

  /**
   * The states of up to `count` regions from `first` on, one byte for each: an index into `REGION_STATES`. Fewer where the
   * mirror ends, none where there is no such log.
   */
  regionStates(log: Pick<LogDescription, "uuid" | "luid">, first = 0, count = Number.MAX_SAFE_INTEGER): Uint8Array {
    return this.words.regionStates(this.core, log.uuid, log.luid, first, count);
  }

  /** A datagram in words, for a person: a request of the kernel, or an answer to it. */
  explain(datagram: Uint8Array, fromKernel: boolean): string {
    return this.words.decodeDatagram(datagram, fromKernel);
  }

  /**
   * The whole state as it is now. An engine that is made from it goes on here: it opens the log devices again, and begins
   * again what was under way. Only one of the two may go on, and only where nothing has happened to its mirrors
   * meanwhile: an old snapshot takes regions for clean that are not. To survive the process, keep `states`.
   *
   * Throws within a call to your own parts, and where the core has failed.
   */
  snapshot(): EngineSnapshot {
    if (this.isBusy || this.phase === "failed") throw new Error("A snapshot is taken between two inputs.");
    const { core, lastNs, wakeAtNs } = this;
    const { inputCount } = core;
    return { memory: core.snapshot(), inputCount, nowNs: lastNs, wakeAtNs, ...this.operations.state };
  }

  /** Resolves when nothing is under way on log devices and legs: never, where one of them hangs. */
  settled(): Promise<void> {
    return this.operations.settled();
  }

  /**
   * Ends the engine: it takes no more datagrams, answers what it has taken, and closes its log devices. Its state files
   * stay for the next one. Resolves when all that is done.
   */
  async close(): Promise<void> {
    if (this.phase === "running") this.phase = "closing";
    await this.operations.settled();
    this.cancelWake?.();
    await this.operations.closeAll();
    if (this.phase === "closing") this.phase = "closed";
  }

  private begin(): void {
    const { snapshot, logOptions } = this.options;
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

  /** Gives the core an input, now or when those before it are through. */
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
    // After the inputs of this turn, so that a burst of them is told once.
    Promise.resolve().then(() => {
      this.isLookDue = false;
      if (this.phase === "failed") return;
      const changes = this.watch.look(this.logs());
      if (changes.length > 0) this.attempt(() => onChange(changes));
    });
  }

  private checkRunning(): void {
    if (this.phase === "running") return;
    throw new Error(`The engine is ${this.phase}: it takes no datagrams.`, { cause: this.failure ?? undefined });
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
