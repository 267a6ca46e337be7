// Replay: gives every recorded input to an engine and compares its output with the recording, byte for byte.
//
// It writes the output as a recorder would and compares these blocks with the file's: equal blocks mean equal output. It decodes
// them only if they differ.

import type { Engine } from "../engine.ts";
import { Digest } from "../sim/digest.ts";
import { type Difference, findDifference } from "./difference.ts";
import { NO_LOG } from "./event-table.ts";
import { EventWriter } from "./event-writer.ts";
import { COOKED_BYTES, INTERFACE_NETLINK, pad4, TraceError } from "./format.ts";
import { InputFeeder, TRAPPED } from "./input-feeder.ts";
import { PacketReader } from "./packet.ts";
import { type Run, runsOf, startRun } from "./run.ts";
import type { Trace } from "./trace.ts";
import { TraceBuffer } from "./trace-buffer.ts";

/** The result of a replay. */
export interface ReplaySummary {
  /** Whether all outputs were as recorded. */
  isEqual: boolean;
  /** The first event that was not as recorded. */
  difference: Difference | null;
  /** Events that were as recorded. */
  events: number;
  /** How many of them were requests, by REQUEST_…; those of unknown types at 0. */
  requests: number[];
  /** Of the outputs of these events, 16 hexadecimal digits: the same from every host. README.md says how it is made. */
  digest: string;
  /** Events of sections whose state at the beginning is unknown. */
  skippedEvents: number;
  /** Number of the event in whose outputs the file was cut, and which is not counted; null where none is. */
  cutEvent: number | null;
  /** Its place in the trace. */
  cutIndex: number | null;
  /** Why the trace ends before its file does. */
  problem: string | null;
}

/** A replay in pieces; `replay` does all of it in one call. */
export class Replayer {
  /** Events to replay, and those that were replayed. */
  readonly total: number;
  done = 0;
  /** The engine of the run in hand, after the last event that was replayed. */
  engine: Engine | null = null;
  private readonly requests: number[];
  private readonly digest = new Digest();
  private readonly feeder: InputFeeder;
  private readonly scratch = TraceBuffer.growing();
  private readonly packet = new PacketReader();
  private readonly runs: readonly Run[];
  private readonly skippedEvents: number;
  private writer: EventWriter | null = null;
  private runNumber = -1;
  private index = 0;
  private events = 0;
  private cutIndex: number | null = null;
  private difference: Difference | null = null;

  /**
   * Throws a TraceError where nothing can be replayed. `module` is any core of the trace's ABI version. `runs` are all of
   * the trace where left out.
   */
  constructor(
    private readonly trace: Trace,
    private readonly module: WebAssembly.Module,
    runs: readonly Run[] = runsOf(trace),
  ) {
    this.runs = runs.filter(({ section }) => section.start !== "unknown");
    if (this.runs.length === 0) {
      throw new TraceError(
        "The trace does not say what the engine knew at its beginning: it can be looked at, not replayed.",
      );
    }
    const count = (some: readonly Run[]) => some.reduce((sum, run) => sum + run.endIndex - run.firstIndex, 0);
    this.total = count(this.runs);
    this.skippedEvents = count(runs) - this.total;
    this.requests = new Array<number>(trace.abi.REQUEST_TYPE_MAX + 1).fill(0);
    this.feeder = new InputFeeder(trace);
  }

  /**
   * Replays at most so many events more. Returns whether the replay is over: at the end, or at a difference. Throws a
   * TraceError where the file holds less than an input, or a snapshot is damaged.
   */
  step(eventsMax: number): boolean {
    for (let left = eventsMax; left > 0; left--) {
      if (this.difference !== null) return true;
      while (this.runNumber < 0 || this.index === (this.runs[this.runNumber] as Run).endIndex) {
        if (this.runNumber === this.runs.length - 1) return true;
        this.startRun(this.runs[++this.runNumber] as Run);
      }
      this.replayEvent(this.index++);
    }
    return this.difference !== null || this.done === this.total;
  }

  /** Whether an event was not as recorded. Nothing is replayed after it. */
  get hasDifference(): boolean {
    return this.difference !== null;
  }

  /** The result so far. */
  summary(): ReplaySummary {
    const { difference, events, requests, digest, skippedEvents, cutIndex } = this;
    return {
      isEqual: difference === null,
      difference,
      events,
      requests: [...requests],
      digest: digest.toString(),
      skippedEvents,
      cutEvent: cutIndex === null ? null : this.trace.numberOf(cutIndex),
      cutIndex,
      problem: this.trace.problem,
    };
  }

  private startRun(run: Run): void {
    this.engine = startRun(this.trace, run, this.module);
    this.writer = new EventWriter(this.engine);
    this.index = run.firstIndex;
  }

  private replayEvent(index: number): void {
    const { trace, scratch, feeder } = this;
    const engine = this.engine as Engine;
    const writer = this.writer as EventWriter;
    const effectsBytes = feeder.feed(engine, index);
    scratch.clear();
    if (effectsBytes === TRAPPED) writer.writeTrap(scratch, feeder.trap, false);
    else writer.write(scratch, effectsBytes, false);
    this.done++;
    if (!this.isAsRecorded(index)) {
      this.difference = findDifference(trace, index, scratch.content(), engine);
      if (this.difference !== null) return;
      if (!trace.isWhole(index)) {
        this.cutIndex = index;
        return;
      }
    }
    this.count(index);
    if (effectsBytes !== TRAPPED) this.digestOutputs(writer.streamBytes);
  }

  /** Whether the file has the very blocks that the replay has written, behind that of the input. */
  private isAsRecorded(index: number): boolean {
    const { trace, scratch } = this;
    const recorded = trace.view.words;
    const input = (trace.events.offsets[index] as number) >>> 2;
    const first = input + ((recorded[input + 1] as number) >>> 2);
    if (trace.endOf(index) - first * 4 !== scratch.size) return false;
    const { words } = scratch;
    const count = scratch.size >>> 2;
    for (let i = 0; i < count; i++) if (recorded[first + i] !== words[i]) return false;
    return true;
  }

  private count(index: number): void {
    this.events++;
    const { kinds, types, logs } = this.trace.events;
    const { abi } = this.trace;
    if (kinds[index] !== abi.INPUT_KIND_DATAGRAM || logs[index] === NO_LOG) return;
    const type = types[index] as number;
    const known = type <= abi.REQUEST_TYPE_MAX ? type : 0;
    this.requests[known] = (this.requests[known] as number) + 1;
  }

  /** Each datagram with its length before it, then the stream of effects with its length before it. */
  private digestOutputs(streamBytes: number): void {
    const { digest, packet } = this;
    const { words, size } = this.scratch;
    const end = size >>> 2;
    let hasStream = false;
    for (let at = 0; at < end; ) {
      const total = words[at + 1] as number;
      packet.read(words, at, total);
      let first = packet.data;
      let bytes = packet.captured;
      if (packet.interfaceId === INTERFACE_NETLINK) {
        first += COOKED_BYTES / 4;
        bytes -= COOKED_BYTES;
        digest.addWord(bytes);
      } else if (!hasStream) {
        hasStream = true;
        digest.addWord(streamBytes);
      }
      digest.addWords(words, first, pad4(bytes) >>> 2);
      at += total >>> 2;
    }
  }
}

/** Options of a replay. */
export interface ReplayOptions {
  /** Called now and then with the events replayed and those to replay. */
  onProgress?: (done: number, total: number) => void;
}

const PROGRESS_EVENTS = 65_536;

/** Replays a whole trace. Throws a TraceError if it cannot be replayed completely. */
export function replay(trace: Trace, module: WebAssembly.Module, { onProgress }: ReplayOptions = {}): ReplaySummary {
  const replayer = new Replayer(trace, module);
  while (!replayer.step(PROGRESS_EVENTS)) onProgress?.(replayer.done, replayer.total);
  onProgress?.(replayer.done, replayer.total);
  return replayer.summary();
}
