// The events of a source with the state of the core at any of them. Position p is the state after the first p events.

import type { Abi } from "../../common/abi.ts";
import { abiOf } from "../../common/core-module.ts";
import type { Engine } from "../../common/engine.ts";
import { readEvent } from "../../common/trace/event.ts";
import { TraceError } from "../../common/trace/format.ts";
import { goesOn } from "../../common/trace/run.ts";
import { TimeTravel } from "../../common/trace/time-travel.ts";
import type { Trace } from "../../common/trace/trace.ts";
import type { Source } from "../sources/source.ts";
import { EventIndex } from "./event-index.ts";

/** Events between two looks at the clock. */
const SLICE_EVENTS = 1024;

export class Timeline {
  readonly abi: Abi;
  readonly index: EventIndex;
  position = 0;
  /** The core in the state at the position; null if the trace does not hold it. */
  engine: Engine | null = null;
  /** Why the state is unknown from some event on, in words; null if it is known. */
  problem: string | null = null;
  private knownEnd = Infinity;
  private readonly travel: TimeTravel;
  /** Holds events of which only the input and the effects are known. */
  private scratch: ArrayBuffer | null = null;

  constructor(
    module: WebAssembly.Module,
    readonly source: Source,
  ) {
    this.abi = abiOf(module);
    this.index = new EventIndex(this.abi, source.trace);
    this.travel = new TimeTravel(source.trace, module, {
      onScouted: (event, engine, effectsBytes) => {
        this.observe(event, engine.bytes().buffer as ArrayBuffer, effectsBytes, true);
      },
    });
    this.seek(0);
  }

  get trace(): Trace {
    return this.source.trace;
  }

  /** Events that can be shown. */
  get length(): number {
    return this.index.length;
  }

  /** Whether every event of the trace can be shown. */
  get isComplete(): boolean {
    return this.length === this.source.eventCount;
  }

  /** Processes new events for about `budgetMs`. Returns whether all are processed. */
  pass(budgetMs: number): boolean {
    const endMs = performance.now() + budgetMs;
    const { trace, travel, source } = this;
    travel.extend();
    while (this.length < source.eventCount) {
      const { firstIndex, eventCount } = trace.sectionOf(this.length);
      const end = Math.min(source.eventCount, firstIndex + eventCount, this.length + SLICE_EVENTS);
      if (this.isKnown(this.length)) this.scout(end);
      else this.observeRecorded(end);
      if (performance.now() >= endMs) break;
    }
    return this.isComplete;
  }

  /** Shows the state after the first `position` events, or after all where there are fewer. */
  seek(position: number): void {
    this.position = Math.max(0, Math.min(position, this.length));
    this.engine = this.engineAt(this.position);
  }

  /** The core after the first `position` events; null where the trace does not tell. Good until the next call and `seek`. */
  engineAt(position: number): Engine | null {
    const { travel, trace } = this;
    const event = Math.max(0, position - 1);
    if (event >= trace.eventCount || !this.isKnown(event)) return null;
    return position === 0 ? travel.seekBefore(0) : travel.seek(event);
  }

  private isKnown(event: number): boolean {
    return event < this.knownEnd && this.travel.canSeek(event);
  }

  /** Events that cannot be replayed can still be shown. */
  private scout(end: number): void {
    try {
      this.travel.prepare(end - this.length);
    } catch (error) {
      if (!(error instanceof TraceError)) throw error;
      this.problem = error.message;
      this.knownEnd = this.length;
    }
  }

  /** Processes events of a section with an unknown state: only their recording is known. */
  private observeRecorded(end: number): void {
    const { abi, trace } = this;
    this.scratch ??= new ArrayBuffer(abi.AREAS_END);
    const bytes = new Uint8Array(this.scratch);
    const view = new DataView(this.scratch);
    while (this.length < end) {
      const { input, effects } = readEvent(trace, this.length);
      bytes.set(input.payload, abi.INPUT_PAYLOAD);
      let at = abi.EFFECTS;
      for (const { kind, payload } of effects) {
        view.setUint32(at + abi.EFFECT_KIND, kind, true);
        view.setUint32(at + abi.EFFECT_PAYLOAD_SIZE, payload.length, true);
        bytes.set(payload, at + abi.EFFECT_PAYLOAD);
        at += abi.EFFECT_PAYLOAD + ((payload.length + 7) & ~7);
      }
      this.observe(this.length, this.scratch, at - abi.EFFECTS, false);
    }
  }

  /** Whether an event is the first of an engine, as far as is known. */
  private beginsLife(event: number): boolean {
    const { sections } = this.trace;
    const section = this.trace.sectionOf(event);
    if (section.firstIndex !== event) return false;
    const before = sections[sections.indexOf(section) - 1];
    return before === undefined || !goesOn(before, section);
  }

  private observe(event: number, memory: ArrayBuffer, effectsBytes: number, isState: boolean): void {
    if (this.beginsLife(event)) this.index.beginLife();
    this.index.observe(memory, effectsBytes, isState);
  }
}
