// Watches one process of a host and says what it does wrong. The program shows every input that it gives to its core. The
// judge gives the same inputs to a core of its own, and so knows to the byte what the program has to do next; and it knows
// what the world has told the program, and so whether an input is true.

import type { Console } from "../console.ts";
import { Engine } from "../engine.ts";
import { EAGAIN } from "../sim/connector.ts";
import type { StateFiles } from "../sim/state-files.ts";
import { CompletionCheck } from "./completion-check.ts";
import type { Device } from "./device.ts";
import { DeviceWork } from "./device-work.ts";
import { type Effect, effectsOf, operationWords } from "./effects.ts";
import { firstDifference, hex, Mistake } from "./mistake.ts";
import { RestoreCheck } from "./restore-check.ts";

/** How late a host may give a tick. */
const TICK_LATE_NS = 1_000_000_000;
const TWO_TO_32 = 0x1_0000_0000;
/** How many answers are kept to recognize one that comes again. */
const SENT_KEPT = 64;

interface Delivered {
  readonly bytes: Uint8Array;
  readonly port: number;
}

/** What the judge needs to know of the world. */
export interface World {
  readonly module: WebAssembly.Module;
  readonly console: Console;
  /** The state files as the host must have kept them. */
  readonly stateFiles: StateFiles;
  findDevice(name: string): Device | undefined;
}

export class Judge {
  /** A core with the same inputs. */
  private readonly shadow: Engine;
  /** What the program does with devices and legs. */
  readonly work: DeviceWork;
  /** When the core wants a tick, by the kit's clock; 0 for never. */
  private wakeNs = 0;
  private nowNs = 0;
  private lastInputNs = 0;
  private originNs: number | null = null;
  private effects: Effect[] = [];
  private readonly delivered: Delivered[] = [];
  private readonly sent: Uint8Array[] = [];
  private readonly restore: RestoreCheck;
  private readonly completion: CompletionCheck;

  constructor(private readonly world: World) {
    this.shadow = new Engine(world.module);
    this.work = new DeviceWork((name) => world.findDevice(name));
    this.completion = new CompletionCheck(this.shadow.abi, this.work);
    this.restore = new RestoreCheck(this.shadow.abi, world.stateFiles);
  }

  /** The time of a frame that the kit is about to send. */
  set time(nowNs: number) {
    this.nowNs = nowNs;
  }

  /** What the kit has sent. */
  deliver(bytes: Uint8Array, port: number): void {
    this.delivered.push({ bytes, port });
  }

  /** The program has given its core an input: the bytes from INPUT_KIND on. */
  input(bytes: Uint8Array): void {
    const { abi } = this.shadow;
    this.endEffects("the next input");
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const kind = view.getUint32(0, true);
    const sizeBytes = view.getUint32(abi.INPUT_PAYLOAD_SIZE - abi.INPUT_KIND, true);
    const low = view.getUint32(abi.INPUT_NOW - abi.INPUT_KIND, true);
    const high = view.getUint32(abi.INPUT_NOW - abi.INPUT_KIND + 4, true);
    const port = view.getUint32(abi.INPUT_PORT - abi.INPUT_KIND, true);
    const payload = bytes.subarray(abi.INPUT_PAYLOAD - abi.INPUT_KIND);
    const shown = Math.min(sizeBytes, abi.INPUT_PAYLOAD_BYTES_MAX);
    if (payload.length !== shown) {
      throw new Mistake(`an INPUT with its ${shown} bytes of payload`, `one with ${payload.length}`, "frames");
    }
    const inputNs = low + high * TWO_TO_32;
    this.checkTime(inputNs);
    if (kind === abi.INPUT_KIND_DATAGRAM) this.checkDatagram(payload, sizeBytes, port);
    else if (kind === abi.INPUT_KIND_COMPLETION) this.completion.completed(payload);
    else if (kind === abi.INPUT_KIND_RESTORE) this.restore.restored(payload);
    else if (kind === abi.INPUT_KIND_TICK) {
      if (this.wakeNs !== 0 && this.nowNs >= this.wakeNs) this.wakeNs = 0;
    } else if (kind === abi.INPUT_KIND_FORGET) {
      throw new Mistake("no FORGET, because the kernel still has every log", "a FORGET", "forget");
    } else if (kind === abi.INPUT_KIND_CONFIGURE) {
      if (payload.some((byte) => byte !== 0)) {
        throw new Mistake(
          "a CONFIGURE that leaves every option as it is",
          hex(payload, abi.CONFIGURE_BYTES),
          "options",
        );
      }
    } else {
      throw new Mistake("an input of a known kind", `one of kind ${kind}`, "order");
    }
    this.shadow.bytes().set(payload, abi.INPUT_PAYLOAD);
    this.effects = effectsOf(this.shadow, this.shadow.handleRaw(kind, sizeBytes, port, low, high));
    for (const effect of this.effects) this.ask(effect);
  }

  /** The program sends a datagram. */
  send(bytes: Uint8Array): void {
    if (this.isBareAcknowledgement(bytes)) return;
    for (let effect = this.effects.shift(); effect !== undefined; effect = this.effects.shift()) {
      this.keep(effect);
      if (effect.kind !== "SEND") continue;
      if (firstDifference(effect.bytes, bytes) >= 0) throw this.wrongSend(effect.bytes, bytes);
      this.sent.unshift(bytes);
      this.sent.length = Math.min(this.sent.length, SENT_KEPT);
      return;
    }
    const isAgain = this.sent.some((earlier) => firstDifference(earlier, bytes) < 0);
    throw new Mistake(
      "no datagram, because the core asks for none",
      isAgain ? `a second time ${this.words(bytes)}` : this.words(bytes),
      "send",
    );
  }

  /** Whether the time has come that the core wants a TICK at. */
  get isTickDue(): boolean {
    return this.wakeNs !== 0 && this.wakeNs <= this.nowNs;
  }

  /** The program waits, until `wakeNs` at the latest, 0 for as long as it takes. */
  idle(wakeNs: number): void {
    this.endEffects("IDLE");
    this.restore.idle();
    const [datagram] = this.delivered;
    if (datagram !== undefined) {
      throw new Mistake(
        `the input of the datagram that has come (${this.words(datagram.bytes, true)})`,
        "IDLE without it",
        "datagram",
      );
    }
    this.work.idle();
    this.checkWake(wakeNs);
  }

  /** It has ended, as it was told to. */
  ended(): void {
    this.endEffects("the end of the program");
    const [datagram] = this.delivered;
    const [asked] = this.work.asked;
    if (datagram !== undefined)
      throw new Mistake(
        "an answer to what had come before",
        `the end without the input of ${this.words(datagram.bytes, true)}`,
        "stop",
      );
    if (asked !== undefined)
      throw new Mistake(`the completion of ${operationWords(asked)}`, "the end of the program before it", "stop");
  }

  /** Whether the tick is due that the core has asked for. */
  checkTick(): void {
    if (this.wakeNs === 0 || this.nowNs < this.wakeNs + TICK_LATE_NS) return;
    throw new Mistake(`a TICK ${seconds(this.nowNs - this.wakeNs)} ago, when its time came`, "none", "tick");
  }

  private ask(effect: Effect): void {
    if (effect.kind === "WAKE") this.wakeNs = effect.atNs === 0 ? 0 : effect.atNs - (this.originNs ?? 0);
    else if (effect.kind === "CLOSE") this.work.closed(effect.head.handle);
    else if (effect.kind === "OPERATION") this.work.ask(effect.operation);
  }

  /** Does to the files what the host has to have done by now. */
  private keep(effect: Effect): void {
    if (effect.kind !== "STATE") return;
    const { stateFiles } = this.world;
    const { handle, offsetBytes } = effect.head;
    if (effect.what === "create") stateFiles.create(handle, offsetBytes);
    else if (effect.what === "write") stateFiles.write(handle, offsetBytes, effect.bytes);
    else stateFiles.delete(handle);
  }

  private endEffects(came: string): void {
    for (let effect = this.effects.shift(); effect !== undefined; effect = this.effects.shift()) {
      this.keep(effect);
      if (effect.kind === "SEND") throw new Mistake(this.words(effect.bytes), `${came} before it was sent`, "order");
    }
  }

  private checkTime(inputNs: number): void {
    if (inputNs === 0) throw new Mistake("an input with a time", "one with the time 0", "time");
    if (inputNs < this.lastInputNs) {
      throw new Mistake(`a time of ${this.lastInputNs} ns or later`, `the earlier time ${inputNs} ns`, "time");
    }
    this.lastInputNs = inputNs;
    this.originNs ??= inputNs - this.nowNs;
    const expectedNs = this.nowNs + this.originNs;
    if (inputNs === expectedNs) return;
    throw new Mistake(
      `the time ${expectedNs} ns in the input`,
      `${inputNs} ns: the clock of the program does not run as the kit's does`,
      "clock",
    );
  }

  private checkDatagram(payload: Uint8Array, sizeBytes: number, port: number): void {
    this.restore.datagramGiven();
    const expected = this.delivered.shift();
    if (expected === undefined)
      throw new Mistake("no datagram, because none has come", this.words(payload, true), "datagram");
    const { abi } = this.shadow;
    if (sizeBytes !== expected.bytes.length) {
      const rule = expected.bytes.length > abi.INPUT_PAYLOAD_BYTES_MAX ? "truncated" : "datagram";
      throw new Mistake(`INPUT_PAYLOAD_SIZE ${expected.bytes.length}, the datagram's size`, `${sizeBytes}`, rule);
    }
    const at = firstDifference(expected.bytes.subarray(0, payload.length), payload);
    if (at >= 0) {
      throw new Mistake(
        `the datagram as it has come, byte ${at}: ${hex(expected.bytes.subarray(at))}`,
        hex(payload.subarray(at)),
        "datagram",
      );
    }
    if ((port === abi.KERNEL_PORT) === (expected.port === abi.KERNEL_PORT)) return;
    throw new Mistake(`INPUT_PORT ${expected.port}, the sender's`, `${port}`, "datagram");
  }

  private checkWake(wakeNs: number): void {
    if (this.wakeNs === 0) return;
    if (wakeNs !== 0 && wakeNs <= Math.max(this.nowNs, this.wakeNs + TICK_LATE_NS)) return;
    const dueNs = this.wakeNs - this.nowNs;
    throw new Mistake(
      dueNs <= 0 ? "a TICK, whose time has come" : `an IDLE that ends in ${seconds(dueNs)}, when the core wants a TICK`,
      wakeNs === 0 ? "an IDLE without an end" : `an IDLE that ends in ${seconds(wakeNs - this.nowNs)}`,
      "tick",
    );
  }

  private wrongSend(expected: Uint8Array, came: Uint8Array): Mistake {
    const later = this.effects.findIndex((effect) => effect.kind === "SEND" && firstDifference(effect.bytes, came) < 0);
    if (later >= 0) return new Mistake(`first ${this.words(expected)}`, `before it ${this.words(came)}`, "order");
    if (this.sent.some((earlier) => firstDifference(earlier, came) < 0)) {
      return new Mistake(this.words(expected), `a second time ${this.words(came)}`, "send");
    }
    const at = firstDifference(expected, came);
    if (at === came.length)
      return new Mistake(`all ${expected.length} bytes of ${this.words(expected)}`, `the first ${at} of them`, "send");
    return new Mistake(
      `${this.words(expected)}, byte ${at}: ${hex(expected.subarray(at))}`,
      `${this.words(came)}, byte ${at}: ${hex(came.subarray(at))}`,
      came.every((byte) => byte === 0) ? "growth" : "send",
    );
  }

  /** With it a host asks the kernel to send requests again. */
  private isBareAcknowledgement(bytes: Uint8Array): boolean {
    const { abi } = this.shadow;
    if (bytes.length !== abi.ULOG_LUID) return false;
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(abi.CN_ACK, true) === EAGAIN;
  }

  private words(datagram: Uint8Array, fromKernel = false): string {
    return `“${this.world.console.decodeDatagram(datagram, fromKernel)}”`;
  }
}

function seconds(ns: number): string {
  return `${(ns / 1e9).toFixed(3)} s`;
}
