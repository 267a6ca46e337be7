// Writes a recording's file, on a thread of its own because a disk may be slow. It follows the event log that the request
// thread writes, adds headers and snapshots, rotates files, and waits for room if the disk is full.

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { writeSectionEnd, writeSectionHeader } from "../../common/trace/section.ts";
import { SNAPSHOT_PACKET_BYTES_MAX, SnapshotWriter } from "../../common/trace/snapshot.ts";
import { TraceBuffer } from "../../common/trace/trace-buffer.ts";
import { EventLogReader } from "./event-log.ts";
import { mapFlight } from "./flight-recorder.ts";
import type { LifeFacts } from "./recorder.ts";
import { RecordingChannel, type SectionMark } from "./recording-channel.ts";
import { type RecordingOptions, TraceFiles } from "./trace-files.ts";

export interface TraceThreadOptions {
  recording: RecordingOptions;
  facts: LifeFacts;
  channel: SharedArrayBuffer;
  /** The event log: memory, or the path of the flight recorder. */
  log: SharedArrayBuffer | string;
  /** Copies of linear memory, each before the mark that it belongs to. */
  snapshots: MessagePort;
}

/** Messages of this thread to the thread that started it. */
export type TraceThreadMessage =
  | { kind: "ready" }
  /** The recording could not start. */
  | { kind: "refused"; reason: string }
  | { kind: "stopped"; reason: string }
  | { kind: "lags" }
  /** The recording continues with this event after it has paused or lagged. */
  | { kind: "goes on"; event: number };

/** The longest delay of an event if nothing is urgent. */
const LOOK_INTERVAL_MS = 50;
/** After a failure the thread tries the disk again, at growing intervals. */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 60_000;
/** The thread does not try again while the disk has less room than this. */
const ROOM_BYTES_MIN = 1024 * 1024;

class TraceThread {
  private readonly channel: RecordingChannel;
  private readonly files: TraceFiles;
  private readonly part = TraceBuffer.over(new Uint8Array(SNAPSHOT_PACKET_BYTES_MAX));
  /** From the first mark on: then the log is there. */
  private reader: EventLogReader | undefined;
  /** Bytes of the last section's beginning. */
  private beginningBytes = 0;
  /** Whether the file ends with events of the current section, so that more can be appended. */
  private hasSection = false;
  private isChanging = false;
  /** Whether the log says that events are missing, but not yet that the recording continues. */
  private isInterrupted = false;
  private retryAtMs = 0;
  private retryMs = RETRY_MS_MIN;

  /** Throws where the file cannot be made. */
  constructor(
    private readonly options: TraceThreadOptions,
    private readonly tell: (message: TraceThreadMessage) => void,
  ) {
    this.files = new TraceFiles(options.recording);
    this.channel = new RecordingChannel(options.channel);
  }

  /** Writes until the recording has ended and all of it is in the file. */
  run(): void {
    const { channel } = this;
    for (;;) {
      // Checked first: when the end is set, the log already holds everything before it.
      const { isEnded } = channel;
      while (this.takePiece());
      if (isEnded) break;
      if (this.retryAtMs !== 0 && performance.now() >= this.retryAtMs) this.retry();
      channel.wait(LOOK_INTERVAL_MS);
    }
    if (this.hasSection) this.attempt(() => this.files.append(this.sectionEnd()));
    this.files.close();
    this.options.snapshots.close();
  }

  /** Returns whether there was anything to do. */
  private takePiece(): boolean {
    if (this.retryAtMs !== 0) return false;
    const { channel, files } = this;
    const mark = channel.marked;
    if (mark !== undefined && (!this.hasSection || this.reader?.isAt(mark.at))) {
      const memory = this.takeMark(mark);
      this.attempt(() => this.beginSection(mark, memory));
      return true;
    }
    const { reader } = this;
    if (!this.hasSection || reader === undefined) return false;
    const piece = reader.next(mark?.at);
    if (piece?.length === 0) return false;
    const before = files.sizeBytes;
    if (piece !== undefined) this.attempt(() => files.append([piece]));
    if (!this.hasSection) return true;
    if (piece === undefined || !reader.isThere()) {
      this.lag(before);
      return true;
    }
    reader.consumed(piece.length);
    const limitBytes = Math.max(this.options.recording.sizeBytes, 2 * this.beginningBytes);
    if (!this.isChanging && files.sizeBytes >= limitBytes) {
      this.isChanging = true;
      channel.wantSection();
    }
    return true;
  }

  /** The next events are overwritten. */
  private lag(wholeBytes: number): void {
    this.attempt(() => this.files.cutTo(wholeBytes));
    this.hasSection = false;
    if (!this.isInterrupted) this.tell({ kind: "lags" });
    this.isInterrupted = true;
    if (this.channel.marked === undefined) this.channel.wantSection();
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
    if (this.isInterrupted) this.tell({ kind: "goes on", event: mark.firstEvent });
    this.hasSection = true;
    this.isInterrupted = false;
    this.retryMs = RETRY_MS_MIN;
  }

  /** The caller must write each part before it asks for the next. */
  private *sectionBeginning(mark: SectionMark, memory: Uint8Array | undefined): Generator<Uint8Array> {
    const { part } = this;
    const { start, firstEvent, timeNs } = mark;
    const { abiVersion, clockUnixNs } = this.channel;
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
    writeSectionEnd(this.part, this.reader?.lastTimeNs ?? 0);
    yield this.part.content();
  }

  /** Continues at the mark. Returns the copy of linear memory that belongs to it. */
  private takeMark({ at, start }: SectionMark): Uint8Array | undefined {
    const { log, snapshots } = this.options;
    this.reader ??= new EventLogReader(typeof log === "string" ? mapFlight(log) : new Uint8Array(log));
    this.reader.moveTo(at);
    this.channel.markTaken();
    if (start === "fresh") return undefined;
    const copy = receiveMessageOnPort(snapshots)?.message as SharedArrayBuffer | undefined;
    if (copy === undefined) throw new Error("A section begins with a snapshot that was never taken.");
    return new Uint8Array(copy);
  }

  /** After the disk has refused a write, nothing is written until it has room. */
  private attempt(write: () => void): void {
    try {
      write();
    } catch (error) {
      if (!this.isInterrupted) this.tell({ kind: "stopped", reason: (error as Error).message });
      this.hasSection = false;
      this.isInterrupted = true;
      this.retryAtMs = performance.now() + this.retryMs;
      this.retryMs = Math.min(2 * this.retryMs, RETRY_MS_MAX);
    }
  }

  private retry(): void {
    let roomBytes = 0;
    try {
      roomBytes = this.files.roomBytes();
    } catch {
      // The folder does not exist any more. It may come back.
    }
    if (roomBytes < Math.max(ROOM_BYTES_MIN, 2 * this.beginningBytes)) {
      this.retryAtMs = performance.now() + RETRY_MS_MIN;
      return;
    }
    this.retryAtMs = 0;
    // An earlier mark is useless now.
    const { marked } = this.channel;
    if (marked !== undefined) this.takeMark(marked);
    this.channel.wantSection();
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
