// The request path: a datagram comes, the core takes it, its effects are carried out. What it works with is given to it, so that
// a test is the kernel, the clock and the devices.
//
// Invariants: the loop waits for nothing but a datagram. For a request it reads the clock once (the spin and the latencies each
// once more), makes no object, and calls the system as often as the socket does: once to receive, once to send.

import type { EffectHandler, Engine } from "../../common/engine.ts";
import { DRAINED, TIMED_OUT } from "./connector-socket.ts";
import type { Spin } from "./spin.ts";
import type { WakeUp } from "./wake-up.ts";

/** A server that stops has answered all it has received when nothing more comes for this long, µs. */
const STOP_SILENCE_US = 5000;
/** It waits no longer than this for a log device. */
const STOP_TIMEOUT_NS = 1500e6;
/** One that leaves its socket to the next server waits so long for its devices: all mirrors wait with it. */
const LEAVE_TIMEOUT_NS = 500e6;
/** Reading the clock costs a tenth of a look at the socket. */
const LOOKS_PER_CLOCK = 4;

export interface LoopSocket {
  /** The port it is bound to. What comes from there is the bell of another thread of the server. */
  readonly port: number;
  /** Of the datagram received last. */
  readonly senderPort: number;
  /** Some were lost just now, and those before them are still to be received. */
  readonly isDraining: boolean;
  /** Times that requests were lost, because the receive buffer was full. */
  readonly overruns: number;
  /** Waits for a datagram, as long as `setTimeout` says. Returns its size, TIMED_OUT or DRAINED. */
  receive(buffer: Uint8Array): number;
  /** The same without waiting. */
  look(buffer: Uint8Array): number;
  setTimeout(timeoutUs: number): void;
  leave(group: number): void;
}

export interface LoopParts {
  engine: Engine;
  handler: EffectHandler;
  socket: LoopSocket;
  /** The port taken for the kernel's. */
  kernelPort: number;
  nowNs(): number;
  spin: Pick<Spin, "windowNs" | "ended" | "slept">;
  wakeUp: Pick<WakeUp, "isDue" | "wasDueAt" | "timedOut">;
  recall: { saw(seq: number): void; handled(nowNs: number): void; askForLost(): void };
  latencies: { received(seq: number, nowNs: number): void };
  devices: { isIdle(): boolean; readonly hasLost: boolean };
  /** The bell has rung: something is done, or another thread has a question. Returns whether the loop is to stop. */
  rung(memory: Uint8Array): boolean;
  /** Stopping: whether what comes is left to the next server, instead of letting the kernel find nobody. */
  leavesSocket(): boolean;
  /** Lets a moment pass. */
  pause(): void;
  /** Completions that no bell told of. */
  deliverDone(): void;
  /** State files of which parts are still to be given to the core. */
  restore: { readonly isUnderWay: boolean; next(nowNs: number): void };
  /** After each input: what nobody waits for. */
  settle(): void;
  warn(sentence: string): void;
}

export class RequestLoop {
  private memory: Uint8Array = new Uint8Array(0);
  private inbox = this.memory;
  private nowNs = 0;
  /** When the last request was answered, or 0: only then the next one may be near. */
  private answeredNs = 0;
  /** Stopping: nothing new is received, and what has come is answered before the loop ends. */
  private stopAtNs = 0;
  /** Stopping too: nothing is received any more. */
  private isLeaving = false;

  constructor(private readonly parts: LoopParts) {}

  /** Serves until it is told to stop. */
  run(): void {
    while (this.step());
  }

  /** Takes one datagram, or waits for one in vain. Returns false at the end. */
  step(): boolean {
    const { engine, handler, socket, wakeUp, devices, restore } = this.parts;
    this.renewInbox();
    const size = this.receive();
    const now = this.nowNs;
    if (this.stopAtNs !== 0 && (now > this.stopAtNs || (size === TIMED_OUT && devices.isIdle()))) return false;
    if (size === TIMED_OUT) {
      if (this.stopAtNs === 0) wakeUp.timedOut(now);
    } else if (size === DRAINED) this.takeOverrun();
    else if (socket.senderPort === socket.port) this.takeBell();
    else this.takeDatagram(size);
    if (this.stopAtNs === 0 && wakeUp.isDue(now)) engine.ticked(now, handler);
    if (restore.isUnderWay) restore.next(now);
    if (devices.hasLost) this.parts.deliverDone();
    this.parts.settle();
    if (!this.isLeaving || socket.isDraining) return true;
    this.endDevices();
    return false;
  }

  /** What hangs holds nobody else up: the next server asks the kernel for what was left unanswered. */
  private endDevices(): void {
    const { devices, nowNs } = this.parts;
    for (const untilNs = nowNs() + LEAVE_TIMEOUT_NS; !devices.isIdle() && nowNs() < untilNs; ) {
      this.parts.pause();
      this.parts.deliverDone();
      this.parts.settle();
    }
  }

  /** The core's memory grows with a log, and its views end then. */
  private renewInbox(): void {
    if (this.memory.length !== 0) return;
    const { engine } = this.parts;
    const { INPUT_PAYLOAD, INPUT_PAYLOAD_BYTES_MAX } = engine.abi;
    this.memory = engine.bytes();
    this.inbox = this.memory.subarray(INPUT_PAYLOAD, INPUT_PAYLOAD + INPUT_PAYLOAD_BYTES_MAX);
  }

  private receive(): number {
    const { socket, spin, nowNs, restore, wakeUp } = this.parts;
    // What goes on in slices goes on at once, unless a datagram has come.
    const goesOn = this.stopAtNs === 0 && (restore.isUnderWay || wakeUp.wasDueAt(this.nowNs));
    if (!goesOn && this.answeredNs !== 0 && this.stopAtNs === 0 && spin.windowNs > 0) {
      const size = this.look();
      if (size !== TIMED_OUT) return size;
    }
    const size = goesOn ? socket.look(this.inbox) : socket.receive(this.inbox);
    this.nowNs = nowNs();
    if (size >= 0 && this.answeredNs !== 0) spin.slept(this.nowNs - this.answeredNs, this.nowNs);
    this.answeredNs = 0;
    return size;
  }

  /** Looks for the next datagram without sleeping, as long as that pays. */
  private look(): number {
    const { socket, spin, nowNs } = this.parts;
    const fromNs = nowNs();
    const untilNs = fromNs + spin.windowNs;
    let size = TIMED_OUT;
    let now = fromNs;
    while (size === TIMED_OUT && now < untilNs) {
      for (let looks = 0; size === TIMED_OUT && looks < LOOKS_PER_CLOCK; looks++) size = socket.look(this.inbox);
      now = nowNs();
    }
    this.nowNs = now;
    spin.ended(now - fromNs, size !== TIMED_OUT, now);
    return size;
  }

  private takeDatagram(size: number): void {
    const { engine, handler, socket, kernelPort, recall, latencies } = this.parts;
    const { KERNEL_PORT } = engine.abi;
    const senderPort = socket.senderPort === kernelPort ? KERNEL_PORT : socket.senderPort || -1;
    if (senderPort === KERNEL_PORT) {
      const seq = engine.requestSeq();
      recall.saw(seq);
      latencies.received(seq, this.nowNs);
    }
    engine.datagramReceived(size, senderPort, this.nowNs, handler);
    if (senderPort === KERNEL_PORT) recall.handled(this.nowNs);
    this.answeredNs = this.nowNs;
  }

  private takeBell(): void {
    const { engine, socket } = this.parts;
    const isStopAsked = this.parts.rung(this.memory);
    this.renewInbox();
    if (!isStopAsked || this.stopAtNs !== 0) return;
    this.isLeaving ||= this.parts.leavesSocket();
    if (this.isLeaving) return;
    this.stopAtNs = this.nowNs + STOP_TIMEOUT_NS;
    socket.leave(engine.abi.CN_IDX_DM);
    socket.setTimeout(STOP_SILENCE_US);
  }

  private takeOverrun(): void {
    this.parts.recall.askForLost();
    this.parts.warn(
      "The kernel's requests came faster than this server took them: its receive buffer was full, and some were lost " +
        `(${this.parts.socket.overruns} times so far). The kernel was asked to send them again.`,
    );
  }
}
