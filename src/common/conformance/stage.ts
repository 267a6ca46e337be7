// The world of one host: a kernel that sends requests, log devices, legs, a clock that the kit sets, and the power switch.
// Whatever the program does is shown to the judge.

import type { Abi } from "../abi.ts";
import type { Console } from "../console.ts";
import { decodeReply, type Reply } from "../kernel-frames.ts";
import type { Random } from "../sim/random.ts";
import { StateFiles } from "../sim/state-files.ts";
import { Device, type DeviceFacts } from "./device.ts";
import {
  type Call,
  CLOSE,
  DATAGRAM,
  DONE,
  decodeCall,
  encodeDatagram,
  encodeDone,
  encodeStart,
  encodeStop,
  encodeTime,
  FLUSH,
  FLUSH_LEGS,
  type Frame,
  frameName,
  IDLE,
  INPUT,
  OPEN,
  PROTOCOL_VERSION,
  READ,
  READY,
  SEND,
  SEND_CALL,
  START,
  STOP,
  TIME,
  WRITE,
} from "./frames.ts";
import { Judge } from "./judge.ts";
import { Mistake } from "./mistake.ts";
import type { Ending, Host, Program } from "./program.ts";

const ENOENT = 2;
const NOTHING = new Uint8Array(0);
/** When the first machine is switched on; any time but 0. */
const FIRST_NS = 1_000_000_000_000;
/** How long a device takes, and how far requests are apart. */
const STEP_NS = 10_000;
/** How long a host may take to stop, by the kit's clock. */
const STOP_NS = 30_000_000_000;
/** A host that stops may look at the clock after so short a time, and its devices answer later than that. */
const STOP_LOOK_NS = 100_000_000;
/** So many looks at the clock without the time going on are no waiting any more. */
/** More than the slices of any log that the kit makes. */
const TICKS_MAX = 10_000;
const LOOKS_MAX = 1000;
const FIRST_DEVICE_NUMBER = 1;
const TRAIL_FRAMES = 8;
const INPUT_NAMES = ["DATAGRAM", "COMPLETION", "TICK", "RESTORE", "CONFIGURE", "FORGET"] as const;

/** The kinds of calls that can be withheld or made to fail. */
export type CallKind = "OPEN" | "READ" | "WRITE" | "FLUSH" | "FLUSH_LEGS";
const CALL_KINDS: Readonly<Record<CallKind, number>> = { OPEN, READ, WRITE, FLUSH, FLUSH_LEGS };

/** What the next call of a kind is answered with: a negative errno, or so many bytes of those that it asks for. */
export type Trouble = { readonly errno: number } | { readonly bytes: number };

/** The core that a host embeds. */
export interface Core {
  readonly module: WebAssembly.Module;
  readonly console: Console;
  readonly abi: Abi;
}

interface Process {
  readonly program: Program;
  readonly judge: Judge;
  readonly isFresh: boolean;
  /** Calls that are not answered, in their order. */
  readonly calls: Call[];
  idleNs: number;
}

export class Stage {
  nowNs = FIRST_NS;
  /** Replies that the kernel has received, and no one has taken. */
  readonly replies: Reply[] = [];
  /** Answers sent by all processes. */
  sendCount = 0;
  /** Frames of all processes. */
  frameCount = 0;
  /** The last frames in words. */
  readonly trail: string[] = [];
  private readonly devices: Device[] = [];
  private readonly stateFiles = new StateFiles();
  private readonly troubles: { readonly kind: number; readonly trouble: Trouble }[] = [];
  private readonly held = new Set<number>();
  private boot = 1;
  private deviceNumber = FIRST_DEVICE_NUMBER;
  private process: Process | null = null;
  private sendsLeft = Infinity;

  constructor(
    readonly core: Core,
    private readonly host: Host,
    readonly random: Random,
  ) {}

  get isRunning(): boolean {
    return this.process !== null;
  }

  /** Calls that are withheld. */
  get callCount(): number {
    return this.process?.calls.length ?? 0;
  }

  addDevice(facts: DeviceFacts, sizeBytes: number): Device {
    const device = new Device(facts, sizeBytes);
    this.devices.push(device);
    return device;
  }

  /** Starts a process, and lets it take up what the one before has left. */
  start(): void {
    const program = this.host.start();
    const { core, stateFiles } = this;
    const judge = new Judge({
      ...{ module: core.module, console: core.console, stateFiles },
      findDevice: (name) => this.findDevice(name),
    });
    this.process = { program, judge, isFresh: true, calls: [], idleNs: 0 };
    this.deviceNumber = FIRST_DEVICE_NUMBER;
    this.step();
    this.write(START, encodeStart(this.nowNs, this.boot));
    this.checkReady(this.read());
    this.settle();
  }

  /** A second process on the same directory: it must end by itself, and not with 0. */
  startSecond(): void {
    const program = this.host.start();
    program.write(encodeStart(this.nowNs, this.boot));
    let came = "none";
    try {
      let answer = program.read();
      if (!("how" in answer) && answer.kind === READY) answer = program.read();
      if ("how" in answer) {
        if (answer.how === "ended" && !answer.isOrderly) return;
        came = `it ${answer.words}`;
      } else came = `${frameName(answer.kind)}, as if it were alone`;
    } finally {
      program.kill();
    }
    throw new Mistake(
      "the end of a second program on the directory of one that runs, with another status than 0",
      came,
      "alone",
    );
  }

  /** The kernel sends a datagram; everything happens that can happen without what is withheld. */
  deliver(datagram: Uint8Array, port = this.core.abi.KERNEL_PORT): void {
    const { judge } = this.running();
    this.step();
    judge.deliver(datagram, port);
    this.write(DATAGRAM, encodeDatagram(this.nowNs, port, datagram));
    this.settle();
  }

  /** Takes the reply with this number; undefined where it has not come. */
  takeReply(seq: number): Reply | undefined {
    const place = this.replies.findIndex((reply) => reply.seq === seq);
    return place < 0 ? undefined : this.replies.splice(place, 1)[0];
  }

  /** Answers to calls of this kind are withheld from now on. */
  hold(...kinds: CallKind[]): void {
    for (const kind of kinds) this.held.add(CALL_KINDS[kind]);
  }

  /** Withholds nothing any more, and answers what waits, the last one first if `isReversed`. */
  release(isReversed = false): void {
    this.held.clear();
    if (isReversed) this.process?.calls.reverse();
    this.answerAll();
  }

  /** Answers one call that was withheld: the first of its kind. */
  answerOne(kind: CallKind): void {
    const call = this.process?.calls.find((one) => one.kind === CALL_KINDS[kind]);
    if (call === undefined) throw new Error(`No ${kind} waits for its answer.`);
    this.answer(call);
    this.settle();
  }

  /** The next call of this kind gets into trouble. */
  trouble(kind: CallKind, trouble: Trouble): void {
    this.troubles.push({ kind: CALL_KINDS[kind], trouble });
  }

  /** Lets time pass; the program gets the time when it has asked to be woken. */
  advance(durationNs: number): void {
    const endNs = this.nowNs + durationNs;
    for (let looks = 0; this.process !== null; ) {
      const { idleNs, judge } = this.process;
      if (idleNs === 0 || idleNs > endNs) break;
      const isLater = idleNs > this.nowNs;
      looks = isLater ? 0 : looks + 1;
      if (looks > LOOKS_MAX) {
        throw new Mistake("an IDLE that ends later", `${LOOKS_MAX} that end at once`, "idle");
      }
      this.nowNs = Math.max(this.nowNs, idleNs);
      this.write(TIME, encodeTime(this.nowNs));
      this.settle();
      judge.checkTick();
    }
    this.nowNs = Math.max(this.nowNs, endNs);
  }

  /**
   * Lets the core go on with what it does in slices. A program that was waiting when the core came to want a TICK at once is given
   * the time that it waits for.
   */
  goOn(): void {
    for (let ticks = 0; this.process !== null; ticks++) {
      const { idleNs, judge } = this.process;
      if (idleNs === 0 || (idleNs > this.nowNs && !judge.isTickDue)) return;
      if (ticks > TICKS_MAX) throw new Mistake("an IDLE that ends later", `${TICKS_MAX} that end at once`, "idle");
      this.step();
      this.nowNs = Math.max(this.nowNs, idleNs);
      this.write(TIME, encodeTime(this.nowNs));
      this.settle();
      judge.checkTick();
    }
  }

  /** Ends the process at once. What it had given to devices reaches them or does not. */
  kill(): void {
    const process = this.end();
    for (const device of this.devices) {
      for (const { offsetBytes, bytes } of process.judge.work.writesUnderWay(device)) {
        if (this.random.oneIn(2)) device.write(offsetBytes, bytes);
      }
    }
  }

  /** Ends the process when it has sent so many more answers, and before it can do anything after the last of them. */
  killAfterSends(count: number): void {
    this.sendsLeft = count;
  }

  /** Power is gone, and comes back: devices have what a flush has made durable, and state files are of a boot that is over. */
  cutPower(): void {
    const process = this.end();
    for (const device of this.devices) device.cutPower(this.random, process.judge.work.writesUnderWay(device));
    this.stateFiles.clear();
    this.boot++;
  }

  /** Asks the program to stop, and answers all its calls; it must end with 0. */
  stop(): void {
    const process = this.running();
    this.held.clear();
    this.step();
    process.judge.work.isStopping = true;
    this.write(STOP, encodeStop(this.nowNs));
    const endNs = this.nowNs + STOP_NS;
    for (let isTimed = false; ; ) {
      const ending = this.readUntilIdle();
      if (ending === "killed") return;
      if (ending !== undefined) {
        if (!ending.isOrderly) throw new Mistake("the end of the program with status 0", `it ${ending.words}`, "ends");
        process.judge.ended();
        this.end();
        return;
      }
      const [call] = process.calls;
      const { idleNs } = process;
      // A host that looks at the clock meanwhile must still wait for what is under way.
      const isNear = idleNs !== 0 && idleNs <= this.nowNs + STOP_LOOK_NS;
      if (call !== undefined && (isTimed || !isNear)) {
        this.answer(call);
        isTimed = false;
      } else if (idleNs !== 0 && idleNs <= endNs) {
        this.nowNs = Math.max(this.nowNs + 1, idleNs);
        this.write(TIME, encodeTime(this.nowNs));
        isTimed = true;
      } else throw new Mistake("the end of the program, since nothing is left to do", "IDLE", "ends");
    }
  }

  /** Ends the process, if there is one, without another look. */
  dispose(): void {
    this.process?.program.kill();
    this.process = null;
  }

  private running(): Process {
    if (this.process === null) throw new Error("No program runs.");
    return this.process;
  }

  private end(): Process {
    const process = this.running();
    process.program.kill();
    this.process = null;
    this.sendsLeft = Infinity;
    return process;
  }

  private step(): void {
    this.nowNs += STEP_NS;
  }

  private findDevice(name: string): Device | undefined {
    return this.devices.find(({ facts }) => facts.name === name);
  }

  private write(kind: number, frame: Uint8Array): void {
    const { judge, program } = this.running();
    judge.time = this.nowNs;
    this.note(`kit ${frameName(kind)}`);
    program.write(frame);
  }

  private read(): Frame | Ending {
    const frame = this.running().program.read();
    if (!("how" in frame)) {
      this.frameCount++;
      this.note(`program ${frameName(frame.kind)}${frame.kind === INPUT ? ` ${this.inputName(frame.payload)}` : ""}`);
    }
    return frame;
  }

  private inputName(payload: Uint8Array): string {
    const { abi } = this.core;
    const name = INPUT_NAMES.find((one) => abi[`INPUT_KIND_${one}`] === payload[0]);
    return name ?? `of kind ${payload[0]}`;
  }

  private note(words: string): void {
    this.trail.push(words);
    if (this.trail.length > TRAIL_FRAMES) this.trail.shift();
  }

  private checkReady(frame: Frame | Ending): void {
    if ("how" in frame) throw this.wrongEnding(frame, "READY");
    if (frame.kind !== READY) throw new Mistake("READY as the first frame", frameName(frame.kind), "frames");
    const view = new DataView(frame.payload.buffer, frame.payload.byteOffset);
    const [protocol, abi] = [view.getUint32(0, true), view.getUint32(4, true)];
    if (protocol !== PROTOCOL_VERSION) {
      throw new Mistake(`READY with version ${PROTOCOL_VERSION} of the protocol`, `version ${protocol}`, "frames");
    }
    if (abi === this.core.abi.ABI_VERSION) return;
    throw new Mistake(`READY with ABI version ${this.core.abi.ABI_VERSION}, the core's`, `${abi}`, "version");
  }

  private wrongEnding(ending: Ending, expected: string): Mistake {
    const isWaiting = this.callCount > 0;
    const rule =
      ending.how === "garbage" ? "frames" : ending.how === "ended" ? "ends" : isWaiting ? "neverWait" : "answers";
    return new Mistake(expected, `the program ${ending.words}`, rule);
  }

  /** Reads and answers until nothing is left to do. */
  private settle(): void {
    const ending = this.readUntilIdle();
    if (ending === "killed") return;
    if (ending !== undefined) throw this.wrongEnding(ending, this.waitingFor());
    this.answerAll();
  }

  private waitingFor(): string {
    const calls = this.process?.calls.map(({ kind }) => frameName(kind)) ?? [];
    return calls.length === 0 ? "frames up to IDLE" : `frames up to IDLE, while ${calls.join(" and ")} is not answered`;
  }

  private answerAll(): void {
    const call = this.process?.calls.find(({ kind }) => !this.held.has(kind));
    if (call === undefined) return;
    this.answer(call);
    this.settle();
  }

  /** Undefined for IDLE. */
  private readUntilIdle(): Ending | "killed" | undefined {
    for (;;) {
      const process = this.running();
      const frame = this.read();
      if ("how" in frame) return frame;
      const { kind, payload } = frame;
      if (kind === INPUT) process.judge.input(payload);
      else if (kind === SEND) {
        if (this.sent(payload)) return "killed";
      } else if (kind === IDLE) {
        process.idleNs = Number(new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true));
        process.judge.idle(process.idleNs);
        return undefined;
      } else if (kind === READY) throw new Mistake("one READY", "a second one", "frames");
      else this.take(process, decodeCall(frame));
    }
  }

  /** Returns whether the process was killed for it. */
  private sent(payload: Uint8Array): boolean {
    this.running().judge.send(payload);
    this.sendCount++;
    const { abi } = this.core;
    // A bare acknowledgement is no reply.
    if (payload.length >= abi.FRAME_BYTES) this.replies.push(decodeReply(abi, payload));
    if (--this.sendsLeft === 0) {
      this.kill();
      return true;
    }
    this.write(DONE, encodeDone(this.nowNs, SEND_CALL, payload.length, NOTHING));
    return false;
  }

  private take(process: Process, call: Call): void {
    process.judge.work.call(call);
    if (call.kind !== CLOSE) process.calls.push(call);
  }

  private answer(call: Call): void {
    const { calls, judge } = this.running();
    calls.splice(calls.indexOf(call), 1);
    this.step();
    const { result, data } = this.outcome(call, judge);
    judge.work.answered(call.number, result, data);
    this.write(DONE, encodeDone(this.nowNs, call.number, result, data));
  }

  private outcome(call: Call, judge: Judge): { result: number; data: Uint8Array } {
    const place = this.troubles.findIndex(({ kind }) => kind === call.kind);
    const [entry] = place < 0 ? [] : this.troubles.splice(place, 1);
    const trouble = entry?.trouble;
    if (trouble !== undefined && "errno" in trouble) return { result: -trouble.errno, data: NOTHING };
    const { kind, name, offsetBytes, sizeBytes } = call;
    const limit = trouble?.bytes ?? Infinity;
    if (kind === OPEN) {
      const device = this.findDevice(name);
      if (device === undefined) return { result: -ENOENT, data: NOTHING };
      return { result: this.deviceNumber++, data: device.description() };
    }
    if (kind === READ) {
      const device = judge.work.deviceOf(call.device);
      const data = device.content.slice(offsetBytes, offsetBytes + Math.min(sizeBytes, limit));
      return { result: data.length, data };
    }
    if (kind === WRITE) return { result: Math.min(sizeBytes, limit), data: NOTHING };
    return { result: 0, data: NOTHING };
  }
}
