// Records a server from outside: follows its flight recorder's file and writes what it finds to files of a trace. The server does
// not know of it. Each section begins with the state of the engine, as each half of the flight recorder does.
//
// Invariant: FILE ends with whole events, however this process ends. What was overwritten before it could be read is missing,
// and told.

import { statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { writeSectionEnd } from "../../common/trace/section.ts";
import { TraceBuffer } from "../../common/trace/trace-buffer.ts";
import { FlightFollower } from "../web/flight-follower.ts";
import type { LogPosition } from "./event-log.ts";
import { type RecordingOptions, TraceFiles } from "./trace-files.ts";

/** How often it looks for events, in ms. The smallest flight recorder fills in more than ten times that. */
const LOOK_INTERVAL_MS = 20;
const PIECE_BYTES_MAX = 1 << 20;
const END_BYTES = 256;

export class FlightRecording {
  private readonly files: TraceFiles;
  private follower: FlightFollower | undefined;
  private inode = -1n;
  /** Of the next event; undefined where a section is to begin. */
  private at: LogPosition | undefined;
  private isEnded = false;

  /** `flight` is the flight recorder's file. `tell` takes a sentence. Throws where FILE cannot be made. */
  constructor(
    private readonly flight: string,
    private readonly options: RecordingOptions,
    private readonly tell: (sentence: string) => void,
  ) {
    this.files = new TraceFiles(options);
  }

  /** Ends the recording soon: `run` resolves then. */
  end(): void {
    this.isEnded = true;
  }

  /** Records until it is ended, also over restarts of the server. Rejects where FILE cannot be written. */
  async run(): Promise<void> {
    while (!this.isEnded) {
      this.renew();
      while (this.takePiece());
      await sleep(LOOK_INTERVAL_MS);
    }
    while (this.takePiece());
    this.endSection();
    this.follower?.close();
    this.files.close();
  }

  /** A server that was started anew has another file. */
  private renew(): void {
    const found = statSync(this.flight, { bigint: true, throwIfNoEntry: false });
    if (found === undefined || found.ino === this.inode) return;
    while (this.takePiece());
    this.endSection();
    this.follower?.close();
    this.follower = new FlightFollower(this.flight);
    this.inode = found.ino;
  }

  /** Returns whether there was anything to write. */
  private takePiece(): boolean {
    const { follower, at } = this;
    if (follower === undefined) return false;
    if (at === undefined) return this.beginSection(follower, this.files.sizeBytes === 0);
    const piece = follower.read(at, PIECE_BYTES_MAX);
    if (piece === undefined) {
      this.tell("Events came faster than they could be written: some are missing in the recording.");
      this.endSection();
      return true;
    }
    if (piece.bytes.length === 0) return false;
    // With the next half a new file can begin, since that half begins with the state of the engine.
    if (piece.end.age !== at.age && this.files.sizeBytes >= this.options.sizeBytes) {
      this.endSection();
      this.files.beginFile();
      return true;
    }
    this.files.append([piece.bytes]);
    this.at = piece.end;
    return true;
  }

  private beginSection(follower: FlightFollower, isOldest: boolean): boolean {
    const beginning = follower.beginning(isOldest);
    if (beginning === undefined) return false;
    this.files.append([beginning.bytes]);
    this.at = beginning.at;
    return true;
  }

  private endSection(): void {
    if (this.at === undefined) return;
    this.at = undefined;
    const end = TraceBuffer.over(new Uint8Array(END_BYTES));
    writeSectionEnd(end, this.follower?.lastTimeNs ?? 0);
    this.files.append([end.content()]);
  }
}
