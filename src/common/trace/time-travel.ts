// Restores the engine after any event of a trace, forwards and backwards: from the nearest copy of its memory and the events
// after it.

import { Engine } from "../engine.ts";
import { TraceError } from "./format.ts";
import { InputFeeder } from "./input-feeder.ts";
import { MemorySnapshots } from "./memory-snapshots.ts";
import { type Run, runsOf, startRun } from "./run.ts";
import type { Trace } from "./trace.ts";

/** Options of a time travel. */
export interface TimeTravelOptions {
  /** The limit for all copies of memory, in bytes; 256 MiB by default. With fewer copies, seeking takes longer. */
  memoryBytes?: number;
  /** The distance between two copies, in the work of ordinary events; 16,384 by default. */
  stepEvents?: number;
  /** Sees every event once, those of an engine in order: it has just been taken, `effectsBytes` of effects stand at EFFECTS. */
  onScouted?: (index: number, engine: Engine, effectsBytes: number) => void;
}

/** A run, and the copies made of its engine so far. */
interface History {
  run: Run;
  readonly snapshots: MemorySnapshots;
  /** Goes through the run once; null before it begins, and after it is done if another run follows. */
  scout: Engine | null;
  /** Index of the event that the scout takes next. */
  next: number;
  workSinceCopy: number;
}

/** Goes to the requested events. */
interface Traveller {
  run: Run;
  engine: Engine;
  /** The last event that the engine has taken; the one before the run's first where it has taken none. */
  index: number;
}

const MEMORY_BYTES_DEFAULT = 256 * 1024 * 1024;
const STEP_EVENTS_DEFAULT = 16_384;
/** Handling this many bytes of blocks, or passing over this much linear memory, equals the work of one ordinary event. */
const BYTES_PER_EVENT = 8192;

/** Takes an engine to any event of a trace. Going back takes no longer than going forward. */
export class TimeTravel {
  private readonly histories: History[] = [];
  private knownEvents = -1;
  private readonly feeder: InputFeeder;
  private readonly memoryBytes: number;
  private stepWork: number;
  private traveller: Traveller | null = null;

  /** `module` is the core that the trace was recorded with, or one with the same records in memory. */
  constructor(
    private readonly trace: Trace,
    private readonly module: WebAssembly.Module,
    private readonly options: TimeTravelOptions = {},
  ) {
    this.extend();
    this.feeder = new InputFeeder(trace);
    this.memoryBytes = options.memoryBytes ?? MEMORY_BYTES_DEFAULT;
    this.stepWork = options.stepEvents ?? STEP_EVENTS_DEFAULT;
  }

  /** Adds the events by which the trace has grown. */
  extend(): void {
    if (this.knownEvents === this.trace.eventCount) return;
    this.knownEvents = this.trace.eventCount;
    runsOf(this.trace).forEach((run, i) => {
      const history = this.histories[i];
      const isUnknown = run.section.start === "unknown";
      if (history === undefined) {
        const next = isUnknown ? run.endIndex : run.firstIndex;
        this.histories.push({ run, snapshots: new MemorySnapshots(), scout: null, next, workSinceCopy: 0 });
        return;
      }
      if (this.traveller?.run === history.run) this.traveller.run = run;
      history.run = run;
      if (isUnknown) history.next = run.endIndex;
    });
  }

  /** The size of all copies, in bytes. */
  get snapshotBytes(): number {
    return this.histories.reduce((sum, { snapshots }) => sum + snapshots.bytes, 0);
  }

  /** Events that `prepare` still has to handle, for a progress bar. */
  get unpreparedEvents(): number {
    return this.histories.reduce((sum, { run, next }) => sum + run.endIndex - next, 0);
  }

  /** Whether the engine's state is known at an event, which is not the case in a section with `start unknown`. */
  canSeek(index: number): boolean {
    return this.historyOf(index).run.section.start !== "unknown";
  }

  /**
   * Makes the copies that later make ways short, going through at most so many events. Returns whether all are made. Where
   * it was not called, `seek` makes those up to where it goes. Throws a TraceError where the file is damaged.
   */
  prepare(eventsMax = Infinity): boolean {
    let left = eventsMax;
    for (const history of this.histories) {
      const from = history.next;
      this.scoutTo(history, Math.min(from + left, history.run.endIndex));
      left -= history.next - from;
    }
    return this.unpreparedEvents === 0;
  }

  /**
   * The engine after an event. It is the same object as before where that is possible: whoever wants to keep its state takes
   * a snapshot. Throws a TraceError where the state is not known, or the file is damaged.
   */
  seek(index: number): Engine {
    return this.travel(this.historyOf(index), index);
  }

  /** The engine before an event. */
  seekBefore(index: number): Engine {
    return this.travel(this.historyOf(index), index - 1);
  }

  private historyOf(index: number): History {
    const history = this.histories.find(({ run }) => index >= run.firstIndex && index < run.endIndex);
    if (history === undefined) throw new TraceError(`The trace has no event at place ${index}.`);
    return history;
  }

  private travel(history: History, index: number): Engine {
    this.scoutTo(history, index + 1);
    const traveller = this.travellerBefore(history, index);
    while (traveller.index < index) {
      this.feeder.feed(traveller.engine, traveller.index + 1);
      traveller.index++;
    }
    return traveller.engine;
  }

  /** A traveller of the run that has not passed the event, and is no further from it than the nearest copy. */
  private travellerBefore({ run, snapshots }: History, index: number): Traveller {
    const nearest = Math.max(snapshots.latest(index), run.firstIndex - 1);
    const { traveller } = this;
    if (traveller?.run === run && traveller.index <= index && traveller.index >= nearest) return traveller;
    const engine =
      nearest < run.firstIndex
        ? startRun(this.trace, run, this.module)
        : this.restored(snapshots, nearest, traveller?.engine ?? new Engine(this.module));
    this.traveller = { run, engine, index: nearest };
    return this.traveller;
  }

  /** An engine with the memory that it had after an event, the given one if that will do. */
  private restored(snapshots: MemorySnapshots, index: number, given: Engine): Engine {
    let engine = given;
    if (!snapshots.restore(index, engine)) {
      engine = new Engine(this.module);
      snapshots.restore(index, engine);
    }
    engine.inputCount = this.trace.numberOf(index) + 1;
    return engine;
  }

  private scoutTo(history: History, until: number): void {
    const { run } = history;
    while (history.next < until) {
      history.scout ??= startRun(this.trace, run, this.module);
      const { scout } = history;
      const effectsBytes = this.feeder.feed(scout, history.next);
      this.options.onScouted?.(history.next, scout, effectsBytes);
      history.workSinceCopy += this.workOf(history.next, scout);
      // Copying a large memory is work too.
      const copyWork = scout.bytes().length / BYTES_PER_EVENT;
      if (history.workSinceCopy >= Math.max(this.stepWork, copyWork)) this.copy(history, scout);
      history.next++;
    }
    if (history.next === run.endIndex && history !== this.histories.at(-1)) history.scout = null;
  }

  /** Copies the engine after the event that it has just taken. */
  private copy(history: History, engine: Engine): void {
    history.workSinceCopy = 0;
    history.snapshots.take(history.next, engine);
    while (this.snapshotBytes > this.memoryBytes) {
      // Future steps are as long as the remaining ones.
      this.stepWork *= 2;
      for (const { snapshots } of this.histories) snapshots.thin();
    }
  }

  /** What it costs to replay an event, in ordinary events: some pass over a whole bitmap. */
  private workOf(index: number, engine: Engine): number {
    const { events, abi } = this.trace;
    const type = events.types[index];
    const passes =
      events.kinds[index] === abi.INPUT_KIND_DATAGRAM &&
      (type === abi.REQUEST_CTR || type === abi.REQUEST_RESUME || type === abi.REQUEST_POSTSUSPEND);
    const bytes = this.trace.endOf(index) - (events.offsets[index] as number);
    return 1 + (bytes + (passes ? engine.bytes().length : 0)) / BYTES_PER_EVENT;
  }
}
