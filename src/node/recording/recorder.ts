// The tap on the request thread's engine: it writes each event into an event log, which is the flight recorder and the source of
// a recording's file.
//
// Invariants: nothing here waits, and an event is written once, after the answer to it was sent. Snapshots are taken in `settle`,
// between two inputs, when the kernel has its answers: for the flight recorder by this thread, if the engine is small; for a
// recording as a plain copy of linear memory, which the file's thread encodes.

import type { MessagePort } from "node:worker_threads";
import type { Engine, EngineTap } from "../../common/engine.ts";
import { EventWriter } from "../../common/trace/event-writer.ts";
import { TWO_TO_32 } from "../../common/trace/format.ts";
import { type SectionFacts, type Start, writeSectionHeader } from "../../common/trace/section.ts";
import { SnapshotWriter } from "../../common/trace/snapshot.ts";
import { EventLog } from "./event-log.ts";
import { RecordingChannel } from "./recording-channel.ts";

/** Facts that are the same in every section of an engine's life. */
export type LifeFacts = Pick<SectionFacts, "application" | "coreSha256" | "life">;

/** The source of a recording's file. */
export interface RecordingTarget {
  channel: SharedArrayBuffer;
  /** The memory of an event log, for an engine without a flight recorder; those with one are recorded from that. */
  log: SharedArrayBuffer | undefined;
  /** Carries the copies of linear memory. */
  snapshots: MessagePort;
}

/** An order from the main thread. */
export type RecorderOrder = { kind: "record"; target: RecordingTarget } | { kind: "stop recording" };

/** An invariant of the core is violated before the event of this number. */
export interface Violation {
  invariant: number;
  event: number;
}

/**
 * The flight recorder copies logs of at most this much memory, and of at most half of one of its halves. For a larger engine it
 * keeps events without the state before them.
 */
const SNAPSHOT_LOGS_BYTES_MAX = 16 * 1024 * 1024;
/** The file's thread is woken after 2 MiB. */
const WAKE_SHIFT = 21;

export class Recorder implements EngineTap {
  private readonly writer: EventWriter;
  /** Of the flight recorder, or of a recording; null for neither. */
  private log: EventLog | null;
  private channel: RecordingChannel | null = null;
  private snapshots: MessagePort | null = null;
  /** An event was too large: no event is written until both halves have begun again. */
  private hasGap = false;
  private isViolated = false;
  private effectsBytes = 0;
  private timeLow = 0;
  private timeHigh = 0;

  /** `flight` is the memory of the flight recorder. `clockUnixNs` is Unix time at the core's time 0, in ns. */
  constructor(
    private readonly engine: Engine,
    private readonly facts: LifeFacts,
    private readonly clockUnixNs: bigint,
    private readonly flight: Uint8Array | undefined,
    private readonly tell: (violation: Violation) => void,
  ) {
    this.writer = new EventWriter(engine);
    this.log = flight === undefined ? null : new EventLog(flight);
    if (this.log !== null) this.beginHalf(this.log, engine.isFresh ? "fresh" : "snapshot");
    this.setTap();
  }

  obey(order: RecorderOrder): void {
    if (order.kind === "record") this.start(order.target);
    else this.stop();
  }

  /** Begins a recording. An engine that has already handled events is recorded from its next event on, with a snapshot. */
  start({ channel, log, snapshots }: RecordingTarget): void {
    if (log !== undefined) this.log = new EventLog(new Uint8Array(log));
    this.channel = new RecordingChannel(channel);
    this.channel.introduce(this.engine.abi.ABI_VERSION, this.clockUnixNs);
    this.snapshots = snapshots;
    this.beginSection(this.channel);
    this.setTap();
  }

  /** Ends the recording, if there is one. */
  stop(): void {
    this.channel?.end();
    this.snapshots?.close();
    this.channel = null;
    this.snapshots = null;
    if (this.flight === undefined) this.log = null;
    this.setTap();
  }

  /** The server ends normally. */
  close(): void {
    this.stop();
    this.log?.close();
    this.engine.tap = null;
  }

  handled(effectsBytes: number): void {
    this.effectsBytes = effectsBytes;
  }

  /** The answer has been sent, so the kernel does not wait for the following work. */
  carriedOut(): void {
    const { log, effectsBytes } = this;
    if (log === null || this.hasGap) return;
    const { buffer } = log;
    const start = buffer.size;
    if (this.writer.write(buffer, effectsBytes)) this.written(log, start);
    else this.writeInOtherHalf(log, () => this.writer.write(log.buffer, effectsBytes));
  }

  trapped(error: unknown): void {
    const { log } = this;
    if (log === null || this.hasGap) return;
    const start = log.buffer.size;
    if (this.writer.writeTrap(log.buffer, error)) this.written(log, start);
    else this.writeInOtherHalf(log, () => this.writer.writeTrap(log.buffer, error));
  }

  /** Begins a half or a section if necessary. Call it between two inputs, when all effects are carried out. */
  settle(): void {
    const { log, channel } = this;
    if (log === null) return;
    if (this.hasGap || log.isNearlyFull) {
      log.turn(this.hasGap);
      this.beginHalf(log, "snapshot");
    }
    if (channel?.isSectionDue) this.beginSection(channel);
  }

  /** An event stands in the log's buffer from there on. */
  private written(log: EventLog, start: number): void {
    const { words, size } = log.buffer;
    const first = start >>> 2;
    this.timeHigh = words[first + 3] as number;
    this.timeLow = words[first + 4] as number;
    log.publish(this.timeLow, this.timeHigh);
    if (this.channel !== null && size >>> WAKE_SHIFT !== start >>> WAKE_SHIFT) this.channel.wake();
  }

  /** A large event came before `settle`: the memory before it is lost, but a replay of the half before leads to it. */
  private writeInOtherHalf(log: EventLog, write: () => boolean): void {
    log.turn(false);
    this.beginHalf(log, "unknown", this.engine.inputCount - 1);
    const start = log.buffer.size;
    this.hasGap = !write();
    if (!this.hasGap) this.written(log, start);
  }

  private beginSection(channel: RecordingChannel): void {
    const { engine, log } = this;
    if (log === null) return;
    const start = engine.isFresh ? "fresh" : "snapshot";
    if (start === "snapshot") {
      const memory = engine.bytes();
      const copy = new SharedArrayBuffer(memory.length);
      new Uint8Array(copy).set(memory);
      this.snapshots?.postMessage(copy);
    }
    channel.mark({ at: log.position, start, firstEvent: engine.inputCount, timeNs: this.timeNs });
  }

  private beginHalf(log: EventLog, start: Start, firstEvent = this.engine.inputCount): void {
    const { buffer } = log;
    const begin = (start: Start) => {
      buffer.clear();
      const { facts, clockUnixNs } = this;
      const abiVersion = this.engine.abi.ABI_VERSION;
      writeSectionHeader(buffer, { ...facts, clockUnixNs, abiVersion, start, firstEvent });
    };
    this.hasGap = false;
    if (this.flight !== undefined) {
      begin(start);
      if (start === "snapshot" && !this.writeSnapshot(log)) begin("unknown");
    }
    log.publishBeginning();
  }

  /** Returns whether all of it fitted and room is left. */
  private writeSnapshot({ buffer, halfBytes }: EventLog): boolean {
    const { engine } = this;
    const memory = engine.bytes();
    const logsBytes = memory.length - engine.abi.AREAS_END;
    if (logsBytes > Math.min(SNAPSHOT_LOGS_BYTES_MAX, halfBytes / 2)) return false;
    this.checkInvariants();
    return new SnapshotWriter(memory, engine.inputCount, this.timeNs).write(buffer);
  }

  /** Checks the invariants once for each half of the flight recorder, if that takes no longer than the snapshot. */
  private checkInvariants(): void {
    if (this.isViolated) return;
    const invariant = this.engine.violatedInvariant();
    if (invariant === 0) return;
    this.isViolated = true;
    this.tell({ invariant, event: this.engine.inputCount });
  }

  private setTap(): void {
    this.engine.tap = this.log === null ? null : this;
  }

  private get timeNs(): number {
    return (this.timeLow >>> 0) + (this.timeHigh >>> 0) * TWO_TO_32;
  }
}
