// Follows the inputs that a core gets and the effects that it asks for, from its first input on, and holds each of them
// against the rules. Where the core has freedom (when to write, which region to hand out, what to put into one write) the
// conversation takes what it chose, and asks only whether it may.

import type { Abi } from "../abi.ts";
import type { TraceEvent } from "../trace/event.ts";
import { KIND_TRAP } from "../trace/format.ts";
import { takeCompletion } from "./completions.ts";
import { firstConstructor } from "./constructing.ts";
import { takeEffect } from "./effects.ts";
import type { Expectation } from "./expectation.ts";
import { type Held, HeldRequests } from "./held.ts";
import { KnownLogs } from "./known-logs.ts";
import { endLoad } from "./load.ts";
import { type LogModel, REGIONS_FOLLOWED_MAX } from "./log-model.ts";
import { expect } from "./requests.ts";
import { Restoring } from "./restoring.ts";
import { demand, RuleViolation } from "./violation.ts";
import {
  type Answer,
  firstForeignByte,
  hasAgreeingLengths,
  latin1,
  type Request,
  type RequestName,
  readAnswer,
  readRequest,
  seqOf,
  viewOf,
} from "./wire.ts";

/** A request that has no answer yet. */
interface Waiting {
  readonly request: Request;
  readonly expectation: Expectation;
  /** So many of its kind wait that the core may have let it go. */
  mayStay: boolean;
}

/** What of a recorded event the model looks at. */
export type ModelEvent = Pick<TraceEvent, "input" | "effects">;

const UUID_ROOM = 136;

export class Conversation {
  readonly logs = new KnownLogs();
  readonly restoring: Restoring;
  /** When the host is to wake the core, ns; 0 for never. */
  wakeAtNs = 0n;
  /** A log that the event in hand has begun, and those that earlier ones have and that have no handle yet. */
  newborn: LogModel | null = null;
  private readonly unborn = new Set<LogModel>();
  private readonly held: HeldRequests;
  /** Requests and events so far. */
  requestCount = 0;
  eventCount = 0;
  private event: ModelEvent = NO_EVENT;
  private waiting: Waiting[] = [];
  private current: Waiting | null = null;
  /** It came with an earlier event: the one in hand has other effects too. */
  private isLate = false;
  /** Logs that the event in hand speaks of. */
  private readonly touched = new Set<LogModel>();
  private hasTrapped = false;

  /** A log of more than `regionsMax` regions is a ModelLimit. */
  constructor(
    readonly abi: Abi,
    readonly regionsMax = REGIONS_FOLLOWED_MAX,
  ) {
    this.restoring = new Restoring(this);
    this.held = new HeldRequests(abi.HELD_BYTES);
  }

  /** Takes the next event. Throws a RuleViolation where it breaks a rule; nothing that follows can be judged then. */
  take(event: ModelEvent): void {
    if (this.hasTrapped) return;
    this.event = event;
    this.eventCount++;
    this.current = null;
    this.isLate = false;
    this.newborn = null;
    this.touched.clear();
    this.takeInput();
    for (const effect of event.effects) {
      // What the core would have said is not known; that it trapped is told by whoever runs it.
      if (effect.kind === KIND_TRAP) this.hasTrapped = true;
      else if (effect.kind === this.abi.EFFECT_KIND_SEND) this.takeAnswer(effect.payload);
      else takeEffect(this, effect);
    }
    if (!this.hasTrapped) this.lookAtEnd();
  }

  // ---- for those who take parts of an event

  /** The answer that the event in hand gives to a request; null where it gives none. */
  answerAtOnce({ seq }: Request): Answer | null {
    const { EFFECT_KIND_SEND } = this.abi;
    const sent = this.event.effects.find(({ kind, payload }) => {
      return kind === EFFECT_KIND_SEND && hasAgreeingLengths(payload) && seqOf(payload) === seq;
    });
    return sent === undefined ? null : readAnswer(sent.payload);
  }

  /** Whether the event in hand has an effect of this kind for a log. */
  hasEffect(kind: number, log: LogModel): boolean {
    return this.event.effects.some(
      (effect) => effect.kind === kind && viewOf(effect.payload).getUint32(0, true) === log.handle,
    );
  }

  /** Whether the event in hand writes the header of a log's state file: what comes last, when it is whole. */
  writesHeader(log: LogModel): boolean {
    const { abi } = this;
    return this.event.effects.some(({ kind, payload }) => {
      if (kind !== abi.EFFECT_KIND_STATE_WRITE) return false;
      const view = viewOf(payload);
      return view.getUint32(abi.HEAD_HANDLE, true) === log.handle && view.getBigUint64(abi.HEAD_OFFSET, true) === 0n;
    });
  }

  /** Whether the event in hand removes the state file of a handle. */
  removesState(handle: number): boolean {
    const { EFFECT_KIND_STATE_DELETE } = this.abi;
    return this.event.effects.some(({ kind, payload }) => {
      return kind === EFFECT_KIND_STATE_DELETE && viewOf(payload).getUint32(0, true) === handle;
    });
  }

  get inputKind(): number {
    return this.event.input.kind;
  }

  /** Whether there are as many logs as there can be. */
  get isFull(): boolean {
    return this.logs.count + this.unborn.size + this.restoring.count >= this.abi.HANDLE_COUNT;
  }

  /** Whether the core goes on at once: what it does in slices may not be at its end. */
  get isAtWork(): boolean {
    const { timeLow, timeHigh } = this.event.input;
    return this.wakeAtNs !== 0n && this.wakeAtNs <= (BigInt(timeHigh >>> 0) << 32n) + BigInt(timeLow >>> 0);
  }

  /** A log that the host hears of for the first time, of those that fit what it hears; null where there is none. */
  firstUnborn(fits: (log: LogModel) => boolean): LogModel | null {
    const { newborn } = this;
    if (newborn !== null && newborn.handle === null) return newborn;
    return [...this.unborn].find(fits) ?? null;
  }

  /** A log has got its handle. */
  born(log: LogModel, handle: number): void {
    this.unborn.delete(log);
    this.logs.giveHandle(log, handle);
  }

  touch(log: LogModel): void {
    this.touched.add(log);
  }

  /** Whether a request of this name waits for the log. */
  isAsked(log: LogModel, name: RequestName): boolean {
    return this.waiting.some(({ request, expectation }) => expectation.log === log && request.name === name);
  }

  /** No request finds a log any more, and by the end of this event it has no state file. */
  letGo(log: LogModel): void {
    this.touch(log);
    this.logs.letGo(log);
  }

  // ---- inputs

  private takeInput(): void {
    const { abi } = this;
    const { kind, payload, sizeBytes, senderPort } = this.event.input;
    if (kind === abi.INPUT_KIND_DATAGRAM) this.takeDatagram(readRequest(payload, sizeBytes, senderPort));
    else if (sizeBytes !== payload.length) return;
    else if (kind === abi.INPUT_KIND_COMPLETION) takeCompletion(this, payload);
    else if (kind === abi.INPUT_KIND_TICK) this.takeTick();
    else if (kind === abi.INPUT_KIND_RESTORE) this.restoring.take(payload);
    else if (kind === abi.INPUT_KIND_FORGET) this.takeForget(payload);
  }

  private takeDatagram(request: Request | null): void {
    if (request === null) {
      const { length } = this.event.effects;
      demand("R1", length === 0, "a datagram that is no request", "no effect", `${length} effects`);
      return;
    }
    this.requestCount++;
    this.restoring.kernelSpeaks();
    if (this.mustWait(request)) {
      const { length } = this.event.effects.filter(({ kind }) => kind !== this.abi.EFFECT_KIND_WAKE);
      demand("R49", length === 0, request, "no effect before its log is whole", `${length} effects`);
      this.held.add({ request, makes: null });
    } else this.current = this.takeRequest(request);
  }

  /** Returns null for a constructor whose log is made in slices. */
  private takeRequest(request: Request): Waiting | null {
    const expectation = expect(this, request);
    const { log } = expectation;
    if (log !== null) this.touch(log);
    if (log !== null && log === this.newborn && this.isMadeLater(log, request)) {
      log.notWhole = "making";
      if (log.handle === null) this.unborn.add(log);
      this.held.add({ request, makes: log });
      return null;
    }
    const waiting = { request, expectation, mayStay: false };
    this.waiting.push(waiting);
    return waiting;
  }

  /** Whether neither an answer nor the opening of its device shows that the log is whole. */
  private isMadeLater(log: LogModel, request: Request): boolean {
    return log.isLargeFor(this.abi.SLICE_WORDS) && this.answerAtOnce(request) === null && !this.opensUnknown(log);
  }

  /** Whether the event in hand opens the log's device under a handle that is not known. */
  private opensUnknown({ table }: LogModel): boolean {
    const { abi } = this;
    return this.event.effects.some(({ kind, payload }) => {
      if (kind !== abi.EFFECT_KIND_OPEN || latin1(payload.subarray(abi.HEAD_BYTES)) !== table.device) return false;
      return this.logs.ofHandle(viewOf(payload).getUint32(abi.HEAD_HANDLE, true)) === null;
    });
  }

  private mustWait(request: Request): boolean {
    const log = this.logs.find(request.luid, request.uuid);
    const isNotWhole = log !== null && log.notWhole !== null;
    return isNotWhole || this.restoring.isComing(request) || this.held.hasOf(request);
  }

  /** A tick takes the earliest request whose log is whole. */
  private takeHeld(): void {
    for (const held of this.held.inOrder) {
      const { request } = held;
      const log = this.logs.find(request.luid, request.uuid);
      if (log?.notWhole === "making") {
        if (request.name !== "CTR" || !this.showsAnswer(log, request)) continue;
        this.held.remove(held);
        this.takeFirst(log, held);
        return;
      }
      if (log?.notWhole === "repairing" || this.restoring.isComing(request)) continue;
      this.held.remove(held);
      this.current = this.takeRequest(request);
      this.isLate = true;
      return;
    }
  }

  private showsAnswer(log: LogModel, request: Request): boolean {
    return this.answerAtOnce(request) !== null || this.opensUnknown(log);
  }

  /** The constructor of a log that is whole now. */
  private takeFirst(log: LogModel, { request }: Held): void {
    log.notWhole = null;
    this.touch(log);
    const waiting = { request, expectation: firstConstructor(request, log), mayStay: false };
    this.waiting.push(waiting);
    this.current = waiting;
    this.isLate = true;
  }

  /** A request that came while as many of its kind waited as the core keeps may have pushed the oldest out. */
  private makeRoom({ request, expectation }: Waiting): void {
    const isOfMarks = ({ name }: Request) => name === "FLUSH" || name === "SET_REGION_SYNC";
    const kept = isOfMarks(request) ? this.abi.MARK_WAITERS_MAX : 1;
    const alike = this.waiting.filter((other) => {
      const isAlike = other.request.name === request.name || (isOfMarks(request) && isOfMarks(other.request));
      return isAlike && other.expectation.log === expectation.log && expectation.log !== null;
    });
    for (const other of alike.slice(0, Math.max(0, alike.length - kept))) other.mayStay = true;
  }

  private takeTick(): void {
    this.wakeAtNs = 0n;
    this.takeHeld();
    for (const log of this.logs.all) this.touch(log);
  }

  private takeForget(payload: Uint8Array): void {
    const { abi } = this;
    if (payload.length < abi.FORGET_UUID + UUID_ROOM) return;
    const view = viewOf(payload);
    const field = payload.subarray(abi.FORGET_UUID, abi.FORGET_UUID + UUID_ROOM);
    const uuid = latin1(field.subarray(0, Math.max(field.indexOf(0), 0)));
    const log = this.logs.ofHandle(view.getUint32(abi.HEAD_HANDLE, true));
    if (log === null || log.isLetGo || log.name !== uuid || log.luid !== view.getBigUint64(abi.FORGET_LUID, true))
      return;
    this.letGo(log);
  }

  // ---- answers

  private takeAnswer(payload: Uint8Array): void {
    demand("R2", hasAgreeingLengths(payload), "an answer", "lengths that agree", `${payload.length} bytes with others`);
    const seq = seqOf(payload);
    const ofSeq = this.waiting.filter(({ request }) => request.seq === seq);
    demand("R3", ofSeq.length > 0, "an answer", "a request that waits for it", `an answer to #${seq}`);
    const answered = ofSeq.find(({ request }) => firstForeignByte(request.headers, payload) < 0);
    if (answered === undefined) {
      const { request } = ofSeq[0] as Waiting;
      const at = firstForeignByte(request.headers, payload);
      throw new RuleViolation("R2", request, "the request's own headers", `another byte ${at}`);
    }
    this.waiting = this.waiting.filter((other) => other !== answered);
    const { expectation } = answered;
    if (expectation.log !== null) this.touch(expectation.log);
    expectation.judge(readAnswer(payload));
  }

  // ---- the end of an event

  private lookAtEnd(): void {
    const { current } = this;
    if (current !== null) this.lookAtRequest(current);
    for (const log of this.touched) this.lookAtLog(log);
    this.restoring.lookAtEnd();
    this.demandProgress();
  }

  private lookAtRequest(current: Waiting): void {
    const { request, expectation } = current;
    const { abi } = this;
    const isHarmless = ({ kind }: { kind: number }) =>
      kind === abi.EFFECT_KIND_SEND || kind === abi.EFFECT_KIND_NOTICE || kind === abi.EFFECT_KIND_WAKE;
    if (expectation.isWithoutEffect && !this.isLate) {
      const effect = this.event.effects.find((one) => !isHarmless(one) && !this.restoring.owns(one));
      demand("R12", effect === undefined, request, "no effect but an answer", `effect ${effect?.kind}`);
    }
    if (request.name === "CLEAR_REGION" && !this.isLate) {
      const writes = this.event.effects.some(({ kind }) => kind === abi.EFFECT_KIND_WRITE);
      demand("R41", !writes, request, "no write to the device", "one");
    }
    if (!this.waiting.includes(current)) return;
    demand("R4", expectation.mayWait, request, "an answer at once", "none");
    this.makeRoom(current);
  }

  private lookAtLog(log: LogModel): void {
    const { disk, mirror } = log;
    if (!this.isAtWork || !log.isLargeFor(this.abi.SLICE_WORDS)) endLoad(log);
    const hasFailedToOpen = disk !== null && !disk.isConstructed && disk.openError !== 0;
    const isOver = log.isLetGo || hasFailedToOpen;
    if (log.isLetGo) demand("R47", log.stateFile === null, log.name, "no state file of a log that is gone", "one");
    if (isOver && (disk === null || (!disk.isOpen && disk.underWay.size === 0))) this.remove(log);
    if (disk === null || log.isLetGo) return;
    if (disk.openError !== 0) {
      demand("R15", !disk.isOpen, log.name, "a device that cannot be used to be closed", "one that stays open");
    }
    const workers = [...mirror.logs].filter((one) => one.disk !== null && one.takesWork && !one.isLetGo);
    demand("R20", workers.length <= 1, log.name, "one luid that takes work", `${workers.length}`);
    const isIdle = disk.underWay.size === 0 && this.wakeAtNs === 0n;
    const mustGoOn = log.takesWork && disk.isReady && !disk.hasFailed && !log.isEnding && disk.lagging.size > 0;
    if (!mustGoOn || !isIdle) return;
    const [region] = disk.lagging;
    const expected = `something under way for region ${region}, which the device does not call clean`;
    throw new RuleViolation("R40", log.name, expected, "no wake-up and nothing under way");
  }

  /** A log is gone. */
  private remove(log: LogModel): void {
    this.unborn.delete(log);
    this.logs.remove(log);
    const left = this.waiting.filter(({ expectation }) => expectation.log === log);
    const lost = left.find(({ mayStay }) => !mayStay);
    if (lost !== undefined) {
      throw new RuleViolation("R5", lost.request, "an answer before its log is gone", "none");
    }
    this.waiting = this.waiting.filter((one) => !left.includes(one));
  }

  private demandProgress(): void {
    if (this.wakeAtNs !== 0n) return;
    for (const { request } of this.held.inOrder) {
      demand("R49", this.restoring.isComing(request), request, "a wake-up while its log is made", "none");
    }
    for (const { request, expectation, mayStay } of this.waiting) {
      const { log } = expectation;
      if (log === null || mayStay) continue;
      const goesOn = [...log.mirror.logs].some(({ disk }) => disk !== null && disk.underWay.size > 0);
      demand("R5", goesOn, request, "something under way while it waits", "nothing");
    }
  }
}

const NO_EVENT: ModelEvent = {
  input: { kind: 0, payload: new Uint8Array(0), sizeBytes: 0, senderPort: 0, timeLow: 0, timeHigh: 0 },
  effects: [],
};
