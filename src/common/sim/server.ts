// The server's place on the simulated machine: an engine behind a socket, on the virtual clock. It can be taken away,
// come back, and be slow.

import type { Abi } from "../abi.ts";
import { type EffectHandler, Engine } from "../engine.ts";
import type { Clock } from "./clock.ts";
import type { Transport } from "./connector.ts";
import type { Digest } from "./digest.ts";
import { type Fault, Frame, type Tamper } from "./faults.ts";
import type { Random } from "./random.ts";

const KERNEL_PORT = 0;
/** A stale state is as old as this many requests at most. */
const STALE_REQUESTS = 16;

/** How long a datagram takes, one way; drawn evenly, in nanoseconds. */
export type TransportTiming = readonly [lowestNs: number, highestNs: number];

export class SimulatedServer implements Transport {
  /** Null while no server runs. */
  engine: Engine | null = null;
  /** Servers started so far. */
  startCount = 0;
  requestCount = 0;
  /** Takes the replies: the kernel's end. */
  onReply: (datagram: Uint8Array) => void = () => {};
  /** Hears the payloads of notices. */
  onNotice: (payload: Uint8Array) => void = () => {};
  private readonly frame: Frame;
  private readonly tamper: Tamper;
  private readonly kept: Uint8Array[] = [];
  /** Requests are taken from the socket in the order they came, none before this time. */
  private takenNs = 0;
  private staleState: Uint8Array | undefined;
  private isAnswered = true;
  private readonly effects: EffectHandler = {
    send: (address, size) => {
      if (this.engine !== null && this.isAnswered) this.reply(this.engine, this.engine.read(address, size));
    },
    notice: (address, size) => {
      if (this.engine !== null) this.onNotice(this.engine.read(address, size));
    },
  };

  constructor(
    abi: Abi,
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly module: WebAssembly.Module,
    private readonly timing: TransportTiming,
    private readonly digest: Digest,
    private readonly fault: Fault | undefined,
  ) {
    this.frame = new Frame(abi);
    this.tamper = fault?.tamper?.(this.frame, random) ?? {};
  }

  /** Starts a server: with `state`, a snapshot of an engine, where one has been kept, else with no log at all. */
  start(state?: Uint8Array): void {
    this.startCount++;
    this.takenNs = this.clock.nowNs;
    const taken = this.fault?.restoresStaleState ? this.staleState : state;
    this.engine = taken === undefined ? new Engine(this.module) : Engine.restore(this.module, taken);
  }

  /** Takes the server away with all it knows. What it has not answered is lost. */
  stop(): void {
    this.engine = null;
    this.kept.length = 0;
  }

  /** The server does nothing for a time. Requests wait in its socket. */
  stall(durationNs: number): void {
    this.takenNs = Math.max(this.takenNs, this.clock.nowNs) + durationNs;
  }

  send(datagram: Uint8Array): boolean {
    const { engine } = this;
    if (engine === null) return false;
    this.requestCount++;
    this.digest.add(datagram);
    this.takenNs = Math.max(this.takenNs, this.clock.nowNs + this.delayNs());
    this.clock.after(this.takenNs - this.clock.nowNs, () => {
      if (this.engine === engine) this.serve(engine, datagram);
    });
    return true;
  }

  private serve(engine: Engine, datagram: Uint8Array): void {
    const { tamper } = this;
    const verdict = tamper.request?.(datagram) ?? "deliver";
    if (verdict === "deliver") {
      this.deliver(engine, tamper.replace?.(datagram) ?? datagram, true);
    } else {
      this.reply(engine, this.frame.doneReply(datagram));
      if (verdict === "answer-and-keep") this.kept.push(datagram);
    }
    if (this.fault?.restoresStaleState && this.requestCount % STALE_REQUESTS === 0) this.staleState = engine.snapshot();
    if (this.kept.length > 0 && tamper.releases?.(datagram)) {
      for (const kept of this.kept.splice(0)) this.deliver(engine, kept, false);
    }
  }

  /** `isAnswered` tells whether the kernel gets to hear the reply. */
  private deliver(engine: Engine, datagram: Uint8Array, isAnswered: boolean): void {
    this.isAnswered = isAnswered;
    engine.deliver(datagram, KERNEL_PORT, this.clock.nowNs, this.effects);
  }

  private reply(engine: Engine, datagram: Uint8Array): void {
    this.tamper.reply?.(datagram);
    this.clock.after(this.delayNs(), () => {
      if (this.engine !== engine) return;
      this.digest.add(datagram);
      this.onReply(datagram);
    });
  }

  private delayNs(): number {
    return this.random.between(this.timing[0], this.timing[1]);
  }
}
