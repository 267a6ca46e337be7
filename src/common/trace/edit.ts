// Cuts and merges traces. Blocks are copied unchanged; the state before the first event of a piece is taken from its section or
// computed by a replay. Results are lists of pieces, to be written one after another.

import type { Engine } from "../engine.ts";
import { addressOf } from "./address.ts";
import { TraceError } from "./format.ts";
import { Replayer } from "./replay.ts";
import { type Run, runsOf } from "./run.ts";
import { type SectionFacts, writeSectionEnd, writeSectionHeader } from "./section.ts";
import { SnapshotWriter } from "./snapshot.ts";
import type { Section, Trace } from "./trace.ts";
import { TraceBuffer } from "./trace-buffer.ts";

/**
 * The events from index `from` to before index `to`, as a trace of its own. Where it begins in the midst of a section, the
 * state there is got by a replay on `module`, the core that it was recorded with. Throws a TraceError where that is not
 * possible, or there is no such event.
 */
export function cut(trace: Trace, from: number, to: number, module: WebAssembly.Module): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (const run of runsOf(trace)) {
    const first = Math.max(from, run.firstIndex);
    const end = Math.min(to, run.endIndex);
    if (first >= end) continue;
    pieces.push(first === run.firstIndex ? headOf(trace, run.section) : headAt(trace, run, first, module));
    pieces.push(...eventsOf(trace, first, end));
    if (trace.isWhole(end - 1)) pieces.push(endAfter(trace, end - 1));
  }
  if (pieces.length === 0) throw new TraceError(`The trace has no event from place ${from} to before place ${to}.`);
  return pieces;
}

/** Events of a section of one of several traces, by their indices in that trace. */
interface Part {
  readonly trace: Trace;
  readonly section: Section;
  first: number;
  end: number;
}

/**
 * All events of several traces as one. Sections of one life come in the order of their events, each event once; lives come in
 * the order of their first times where all of these are known, else in that of the traces. A section that holds nothing new
 * is left out; where two overlap, the earlier one ends where the later one brings a state of its own. An event whose outputs
 * may have been cut is left out too.
 */
export function merge(traces: readonly Trace[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (const life of livesOf(traces)) {
    let before: Part | undefined;
    for (const part of withoutRepetitions(life)) {
      const { trace, section, first, end } = part;
      if (before === undefined || !continues(before, part)) {
        if (before !== undefined) pieces.push(endAfter(before.trace, before.end - 1));
        pieces.push(headOf(trace, section));
      }
      pieces.push(...eventsOf(trace, first, end));
      before = part;
    }
    if (before !== undefined) pieces.push(endAfter(before.trace, before.end - 1));
  }
  if (pieces.length === 0) throw new TraceError("There is no whole event in these traces.");
  return pieces;
}

/** The sections with events, those of one life together and in the order of their events. */
function livesOf(traces: readonly Trace[]): Part[][] {
  const lives = new Map<string, Part[]>();
  for (const [number, trace] of traces.entries()) {
    for (const section of trace.sections) {
      const first = section.firstIndex;
      let end = first + section.eventCount;
      if (end > first && !trace.isWhole(end - 1)) end--;
      if (end === first) continue;
      const key = section.life === "" ? `section ${first} of trace ${number}` : `life ${section.life}`;
      const known = lives.get(key);
      const part = { trace, section, first, end };
      if (known === undefined) lives.set(key, [part]);
      else known.push(part);
    }
  }
  const ordered = [...lives.values()].map((parts) => ({
    parts: parts.sort((one, other) => one.section.firstEvent - other.section.firstEvent),
    unixNs: unixNsOf(parts[0] as Part),
  }));
  if (ordered.every(({ unixNs }) => unixNs !== null)) {
    ordered.sort((one, other) => Number((one.unixNs as bigint) - (other.unixNs as bigint)));
  }
  return ordered.map(({ parts }) => parts);
}

/** Unix time of a part's first event, in ns; null if unknown. */
function unixNsOf({ trace, section, first }: Part): bigint | null {
  const clock = section.clockUnixNs;
  return clock === null ? null : clock + BigInt(trace.events.timesNs[first] as number);
}

/** An event's number in its engine's life; also of the event that would follow the part. */
function numberAt({ section }: Part, index: number): number {
  return section.firstEvent + index - section.firstIndex;
}

/** Makes sure that no event of a life is written twice. */
function withoutRepetitions(life: readonly Part[]): Part[] {
  const kept: Part[] = [];
  /** The number after the last event that is kept. */
  let next = 0;
  for (const part of life) {
    const { section, end } = part;
    if (kept.length > 0 && numberAt(part, end) <= next) continue;
    if (section.start === "unknown") {
      if (kept.length > 0) part.first += Math.max(0, next - section.firstEvent);
    } else {
      for (let last = kept.at(-1); last !== undefined; last = kept.at(-1)) {
        last.end = Math.min(last.end, last.section.firstIndex + section.firstEvent - last.section.firstEvent);
        if (last.end > last.first) break;
        kept.pop();
      }
    }
    kept.push(part);
    next = numberAt(part, end);
  }
  return kept;
}

/** Whether a part without a state of its own continues where the part before it ends. */
function continues(before: Part, part: Part): boolean {
  return part.section.start === "unknown" && numberAt(part, part.first) === numberAt(before, before.end);
}

/** The bytes of a section before its first event. */
function headOf(trace: Trace, section: Section): Uint8Array {
  if (section.isBegunByGap) return makeHead(section, null, 0);
  return trace.view.bytes.subarray(section.offset, trace.events.offsets[section.firstIndex]);
}

/** A head with the state before an event in the middle of a run. */
function headAt(trace: Trace, run: Run, index: number, module: WebAssembly.Module): Uint8Array {
  const section = trace.sectionOf(index);
  const firstEvent = trace.numberOf(index);
  if (run.section.start === "unknown") return makeHead({ ...section, firstEvent }, null, 0);
  const replayer = new Replayer(trace, module, [run]);
  replayer.step(index - run.firstIndex);
  const { difference } = replayer.summary();
  if (difference !== null) {
    const where = `a replay parts from the trace at event ${addressOf(trace, difference.index)}`;
    throw new TraceError(`The state before event ${addressOf(trace, index)} cannot be got: ${where}.`);
  }
  const timeNs = trace.events.timesNs[index - 1] as number;
  return makeHead({ ...section, start: "snapshot", firstEvent }, replayer.engine, timeNs);
}

function makeHead(facts: SectionFacts, engine: Engine | null, timeNs: number): Uint8Array {
  const buffer = TraceBuffer.growing();
  writeSectionHeader(buffer, facts);
  if (engine !== null) new SnapshotWriter(engine.bytes(), facts.firstEvent, timeNs).write(buffer);
  return buffer.content();
}

/** The blocks of consecutive events of one run. */
function eventsOf(trace: Trace, first: number, end: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let index = first; index < end; ) {
    const section = trace.sectionOf(index);
    const last = Math.min(end, section.firstIndex + section.eventCount);
    pieces.push(trace.view.bytes.subarray(trace.events.offsets[index], trace.endOf(last - 1)));
    index = last;
  }
  return pieces;
}

function endAfter(trace: Trace, index: number): Uint8Array {
  const buffer = TraceBuffer.growing(64);
  writeSectionEnd(buffer, trace.events.timesNs[index] as number);
  return buffer.content();
}
