// Writes a recording's file: a thread of its own, for a disk may take its time. It empties the ring that the request thread
// fills, writes headers and snapshots, changes files, and waits for room where the disk is full.

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { writeSectionEnd, writeSectionHeader } from "../common/trace/section.ts";
import { SNAPSHOT_PACKET_BYTES_MAX, SnapshotWriter } from "../common/trace/snapshot.ts";
import { TraceBuffer } from "../common/trace/trace-buffer.ts";
import type { LifeFacts } from "./recorder.ts";
import { type RecordingOptions, TraceFiles } from "./trace-files.ts";
import { type SectionMark, TraceRing } from "./trace-ring.ts";

export interface TraceThreadOptions {
  recording: RecordingOptions;
  facts: LifeFacts;
  ring: SharedArrayBuffer;
  /** Copies of linear memory, each before the mark that it belongs to. */
  snapshots: MessagePort;
}

/** What the thread tells the one that started it. */
export type TraceThreadMessage =
  | { kind: "ready" }
  /** There is no recording. */
  | { kind: "refused"; reason: string }
  | { kind: "stopped"; reason: string }
  /** After it has stopped, or after the request thread has lost events: with this event. */
  | { kind: "goes on"; event: number };

/** How late an event is written, at most, where there is nothing to hurry for. */
const LOOK_INTERVAL_MS = 50;
const WRITE_BYTES_MAX = 1024 * 1024;
/** After a failure the disk is looked at again and again, ever more seldom. */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 60_000;
/** A disk with less room than this is not tried again. */
const ROOM_BYTES_MIN = 1024 * 1024;

class TraceThread {
  private readonly ring: TraceRing;
  private readonly files: TraceFiles;
  private readonly part = TraceBuffer.over(new Uint8Array(SNAPSHOT_PACKET_BYTES_MAX));
  /** Bytes of the last section's beginning. */
  private beginningBytes = 0;
  /** Whether the file ends with events of the section in hand, and takes more. */
  private hasSection = false;
  private isChanging = false;
  private hasFailed = false;
  private retryAtMs = 0;
  private retryMs = RETRY_MS_MIN;

  /** Throws where the file cannot be made. */
  constructor(
    private readonly options: TraceThreadOptions,
    private readonly tell: (message: TraceThreadMessage) => void,
  ) {
    this.files = new TraceFiles(options.recording);
    this.ring = new TraceRing(options.ring);
  }

  /** Writes until the ring is ended and empty. */
  run(): void {
    const { ring } = this;
    for (;;) {
      // Looked at first: what comes before the end is in the ring by then.
      const { isEnded } = ring;
      while (this.takePiece());
      if (isEnded) break;
      if (this.retryAtMs !== 0 && performance.now() >= this.retryAtMs) this.retry();
      ring.wait(LOOK_INTERVAL_MS);
    }
    if (this.hasSection) this.attempt(() => this.files.append(this.sectionEnd()));
    this.files.close();
    this.options.snapshots.close();
  }

  /** Returns whether there was anything to do. */
  private takePiece(): boolean {
    const { ring, files } = this;
    const mark = ring.nextMark();
    if (mark !== undefined) {
      const memory = mark.start === "snapshot" ? this.takeSnapshot() : undefined;
      this.attempt(() => this.beginSection(mark, memory));
      ring.markTaken();
      return true;
    }
    const piece = ring.next(WRITE_BYTES_MAX);
    if (piece.length === 0) return false;
    if (this.hasSection) this.attempt(() => files.append([piece]));
    ring.consumed(piece.length);
    const limitBytes = Math.max(this.options.recording.sizeBytes, 2 * this.beginningBytes);
    if (this.hasSection && !this.isChanging && files.sizeBytes >= limitBytes) {
      this.isChanging = true;
      ring.wantSection();
    }
    return true;
  }

  private beginSection(mark: SectionMark, memory: Uint8Array | undefined): void {
    const { files } = this;
    if (this.isChanging) {
      if (this.hasSection) files.append(this.sectionEnd());
      files.beginFile();
      this.isChanging = false;
    }
    const before = files.sizeBytes;
    files.append(this.sectionBeginning(mark, memory));
    this.beginningBytes = files.sizeBytes - before;
    if (this.hasFailed || mark.isAfterLoss) this.tell({ kind: "goes on", event: mark.firstEvent });
    this.hasSection = true;
    this.hasFailed = false;
    this.retryMs = RETRY_MS_MIN;
  }

  /** Each part is to be written before the next is asked for. */
  private *sectionBeginning(mark: SectionMark, memory: Uint8Array | undefined): Generator<Uint8Array> {
    const { part } = this;
    const { start, firstEvent, timeNs } = mark;
    const { abiVersion, clockUnixNs } = this.ring;
    part.clear();
    writeSectionHeader(part, { ...this.options.facts, abiVersion, clockUnixNs, start, firstEvent });
    yield part.content();
    if (memory === undefined) return;
    const snapshot = new SnapshotWriter(memory, firstEvent, timeNs);
    for (let isWhole = false; !isWhole; ) {
      part.clear();
      isWhole = snapshot.write(part);
      yield part.content();
    }
  }

  private *sectionEnd(): Generator<Uint8Array> {
    this.part.clear();
    writeSectionEnd(this.part, this.ring.lastTimeNs);
    yield this.part.content();
  }

  private takeSnapshot(): Uint8Array {
    const copy = receiveMessageOnPort(this.options.snapshots)?.message as SharedArrayBuffer | undefined;
    if (copy === undefined) throw new Error("A section begins with a snapshot that was never taken.");
    return new Uint8Array(copy);
  }

  /** Where the disk refuses, nothing is taken until it has room. */
  private attempt(write: () => void): void {
    try {
      write();
    } catch (error) {
      if (!this.hasFailed) this.tell({ kind: "stopped", reason: (error as Error).message });
      this.hasSection = false;
      this.hasFailed = true;
      this.ring.setBlocked(true);
      this.retryAtMs = performance.now() + this.retryMs;
      this.retryMs = Math.min(2 * this.retryMs, RETRY_MS_MAX);
    }
  }

  private retry(): void {
    this.retryAtMs = 0;
    let roomBytes = 0;
    try {
      roomBytes = this.files.roomBytes();
    } catch {
      // The folder is gone. It may come back.
    }
    if (roomBytes < Math.max(ROOM_BYTES_MIN, 2 * this.beginningBytes)) {
      this.retryAtMs = performance.now() + RETRY_MS_MIN;
      return;
    }
    this.ring.setBlocked(false);
    this.ring.wantSection();
  }
}

const port = parentPort;
if (port === null) throw new Error("trace-thread is started by file-recording.ts, as a worker thread.");
const tell = (message: TraceThreadMessage) => port.postMessage(message);
let thread: TraceThread | undefined;
try {
  thread = new TraceThread(workerData as TraceThreadOptions, tell);
} catch (error) {
  tell({ kind: "refused", reason: (error as Error).message });
}
if (thread !== undefined) {
  tell({ kind: "ready" });
  thread.run();
}
