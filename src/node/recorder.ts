// The tap on the request thread's engine: writes each event into the flight recorder, and into the ring of a recording.
//
// Invariants: nothing here waits. An event is encoded once. Snapshots are taken in `settle`, between two inputs, when the
// kernel has its answers: of the flight recorder by this thread, where the engine is small; of a recording as a bare copy
// of linear memory, which the file's thread encodes.

import type { MessagePort } from "node:worker_threads";
import type { Engine, EngineTap } from "../common/engine.ts";
import { EventWriter } from "../common/trace/event-writer.ts";
import { type SectionFacts, type Start, writeSectionHeader } from "../common/trace/section.ts";
import { SnapshotWriter } from "../common/trace/snapshot.ts";
import { TraceBuffer } from "../common/trace/trace-buffer.ts";
import type { FlightRecorder } from "./flight-recorder.ts";
import { TraceRing } from "./trace-ring.ts";

/** What every section of an engine's life says. */
export type LifeFacts = Pick<SectionFacts, "application" | "coreSha256" | "life">;

/** Where recorded events go, and the port by which copies of linear memory follow. */
export interface RecordingTarget {
  ring: SharedArrayBuffer;
  snapshots: MessagePort;
}

/** What the main thread asks for. */
export type RecorderOrder = { kind: "record"; target: RecordingTarget } | { kind: "stop recording" };

/** What a person should hear. */
export type RecorderNews =
  /** The file's thread is too slow: from this event on nothing is recorded, until the thread tells that it goes on. */
  { kind: "recording lags"; event: number } | { kind: "invariant violated"; invariant: number; event: number };

/**
 * The flight recorder copies logs of at most so much memory, and of at most half of one of its halves. Of an engine with more
 * it keeps events without what the engine knew before them.
 */
const SNAPSHOT_MEMORY_BYTES_MAX = 16 * 1024 * 1024;
const SCRATCH_BYTES = 1024 * 1024;
/** A scratch buffer that an enormous event made larger than this is given back. */
const SCRATCH_BYTES_MAX = 4 * SCRATCH_BYTES;

export class Recorder implements EngineTap {
  private readonly writer: EventWriter;
  private scratch = TraceBuffer.growing(0);
  private ring: TraceRing | null = null;
  private snapshots: MessagePort | null = null;
  /** The recording needs a section before it can take an event. */
  private isLost = false;
  /** The flight recorder lacks the last event: only a section can go on. */
  private hasGap = false;
  private isViolated = false;
  private timeLow = 0;
  private timeHigh = 0;

  constructor(
    private readonly engine: Engine,
    private readonly facts: LifeFacts,
    private readonly clockUnixNs: bigint,
    private readonly flight: FlightRecorder | undefined,
    private readonly tell: (news: RecorderNews) => void,
  ) {
    this.writer = new EventWriter(engine);
    if (flight !== undefined) this.beginFlight(flight);
    this.setTap();
  }

  /** Begins a recording; an engine that has done something is recorded from its next event on, with a snapshot. */
  start({ ring, snapshots }: RecordingTarget): void {
    this.ring = new TraceRing(ring);
    this.ring.introduce(this.engine.abi.ABI_VERSION, this.clockUnixNs);
    this.snapshots = snapshots;
    this.isLost = false;
    this.beginSection(this.ring);
    this.setTap();
  }

  obey(order: RecorderOrder): void {
    if (order.kind === "record") this.start(order.target);
    else this.stop();
  }

  /** Ends the recording, if there is one. */
  stop(): void {
    this.ring?.end();
    this.snapshots?.close();
    this.ring = null;
    this.snapshots = null;
    this.setTap();
  }

  /** The server ends as it should. */
  close(): void {
    this.stop();
    this.flight?.close();
    this.engine.tap = null;
  }

  handled(effectsBytes: number): void {
    const buffer = this.flight === undefined || this.hasGap ? this.emptyScratch() : this.flight.buffer;
    const start = buffer.size;
    if (this.writer.write(buffer, effectsBytes)) {
      this.written(buffer, start);
      return;
    }
    this.hasGap = true;
    if (this.ring === null) return;
    const scratch = this.emptyScratch();
    if (this.writer.write(scratch, effectsBytes)) this.written(scratch, 0);
    else this.lose();
  }

  trapped(error: unknown): void {
    const buffer = this.flight === undefined || this.hasGap ? this.emptyScratch() : this.flight.buffer;
    const start = buffer.size;
    if (this.writer.writeTrap(buffer, error)) this.written(buffer, start);
  }

  /** Begins what has to begin. To be called between two inputs, when all effects are carried out. */
  settle(): void {
    const { flight, ring } = this;
    if (flight !== undefined && (this.hasGap || flight.isNearlyFull)) {
      flight.turn();
      this.beginFlight(flight);
    }
    if (ring !== null && (this.isLost || ring.isSectionWanted) && ring.takesMark) this.beginSection(ring);
  }

  /** An event stands in the buffer from there on. */
  private written(buffer: TraceBuffer, start: number): void {
    const { words } = buffer;
    const first = start >>> 2;
    this.timeHigh = words[first + 3] as number;
    this.timeLow = words[first + 4] as number;
    if (buffer === this.flight?.buffer) this.flight.publish(this.timeLow, this.timeHigh);
    if (this.ring === null || this.isLost) return;
    if (!this.ring.push(words, first, buffer.size - start)) this.lose();
  }

  private lose(): void {
    if (this.isLost) return;
    this.isLost = true;
    // Where the file cannot be written, its thread has told so.
    if (this.ring?.isBlocked === false) this.tell({ kind: "recording lags", event: this.engine.inputCount - 1 });
  }

  private beginSection(ring: TraceRing): void {
    const { engine } = this;
    const firstEvent = engine.inputCount;
    const start = engine.isFresh ? "fresh" : "snapshot";
    if (start === "snapshot") {
      const memory = engine.bytes();
      const copy = new SharedArrayBuffer(memory.length);
      new Uint8Array(copy).set(memory);
      this.snapshots?.postMessage(copy);
    }
    ring.mark({ start, firstEvent, timeNs: this.timeNs, isAfterLoss: this.isLost });
    this.isLost = false;
  }

  private beginFlight(flight: FlightRecorder): void {
    const { engine } = this;
    const { buffer } = flight;
    const begin = (start: Start) => {
      buffer.clear();
      writeSectionHeader(buffer, {
        ...this.facts,
        clockUnixNs: this.clockUnixNs,
        abiVersion: engine.abi.ABI_VERSION,
        start,
        firstEvent: engine.inputCount,
      });
    };
    this.hasGap = false;
    begin(engine.isFresh ? "fresh" : "snapshot");
    if (!engine.isFresh && !this.writeFlightSnapshot(flight)) begin("unknown");
    flight.publish(this.timeLow, this.timeHigh);
  }

  /** Returns whether all of it is there, and leaves room. */
  private writeFlightSnapshot({ buffer, capacityBytes }: FlightRecorder): boolean {
    const { engine } = this;
    const memory = engine.bytes();
    const logsBytes = memory.length - engine.abi.AREAS_END;
    if (logsBytes > Math.min(SNAPSHOT_MEMORY_BYTES_MAX, capacityBytes / 2)) return false;
    this.checkInvariants();
    return new SnapshotWriter(memory, engine.inputCount, this.timeNs).write(buffer);
  }

  /** Once for each half of the flight recorder, where that takes no longer than the snapshot. */
  private checkInvariants(): void {
    if (this.isViolated) return;
    const invariant = this.engine.violatedInvariant();
    if (invariant === 0) return;
    this.isViolated = true;
    this.tell({ kind: "invariant violated", invariant, event: this.engine.inputCount });
  }

  private emptyScratch(): TraceBuffer {
    if (this.scratch.bytes.length === 0 || this.scratch.bytes.length > SCRATCH_BYTES_MAX) {
      this.scratch = TraceBuffer.growing(SCRATCH_BYTES);
    }
    this.scratch.clear();
    return this.scratch;
  }

  private setTap(): void {
    this.engine.tap = this.flight === undefined && this.ring === null ? null : this;
  }

  private get timeNs(): number {
    return (this.timeLow >>> 0) + (this.timeHigh >>> 0) * 0x1_0000_0000;
  }
}
