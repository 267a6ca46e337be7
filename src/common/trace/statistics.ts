// Figures of a trace's events: requests by type and how long each waited, marks and flushes, what was written.
//
// Times are the core's clock, which stands still during an event: a request that is answered by its own event waited 0 ns.

import type { Abi } from "../abi.ts";
import { readEvent, type TraceEffect, type TraceEvent } from "./event.ts";
import { NO_LOG } from "./event-table.ts";
import { KIND_TRAP } from "./format.ts";
import type { Trace } from "./trace.ts";

/** A summary of values; all 0 if there are none. */
export interface Distribution {
  count: number;
  mean: number;
  median: number;
  /** 99 of 100 are not above it. */
  p99: number;
  max: number;
}

export interface RequestFigures {
  /** REQUEST_…, or an unknown number. */
  type: number;
  count: number;
  /** Answers with an error. */
  refused: number;
  /** Requests whose answer the trace does not have. */
  unanswered: number;
  /** Answered by the event of the request itself. */
  answeredAtOnce: number;
  /** From request to answer, ns, of all that were answered. */
  roundTripNs: Distribution;
}

export interface TraceStatistics {
  events: number;
  firstNs: number;
  lastNs: number;
  requests: RequestFigures[];
  /** Inputs other than requests, by their kind. */
  completions: number;
  failedCompletions: number;
  ticks: number;
  /** Regions marked from one flush of a log to its next. */
  marksPerFlush: Distribution;
  flushes: {
    /** Flushes of logs that have a device according to the trace. */
    ofDiskLogs: number;
    /** Of these, the ones answered at once: without waiting for a write. */
    withoutWrite: number;
    /** Flushes that were answered together when a write was done. */
    perWrite: Distribution;
  };
  /** Writes to log devices. */
  deviceWrites: number;
  deviceBytes: number;
  legFlushes: number;
  stateWrites: number;
  stateBytes: number;
  notices: number;
  traps: number;
}

interface Waiting {
  type: number;
  timeNs: number;
  index: number;
}

/** Figures of the events with these indices, which come in order; of all events where left out. */
export function traceStatistics(trace: Trace, indices: Iterable<number> = everyIndex(trace)): TraceStatistics {
  const counter = new Counter(trace);
  for (const index of indices) counter.add(index);
  return counter.result();
}

class Counter {
  private readonly abi: Abi;
  private readonly diskLogs: ReadonlySet<number>;
  private readonly waiting = new Map<string, Waiting>();
  private readonly marks = new Map<number, number>();
  private readonly marksPerFlush: number[] = [];
  private readonly flushesPerWrite: number[] = [];
  private readonly byType = new Map<number, { figures: RequestFigures; roundTripsNs: number[] }>();
  private readonly figures: TraceStatistics = {
    ...{ events: 0, firstNs: 0, lastNs: 0, requests: [], completions: 0, failedCompletions: 0, ticks: 0 },
    ...{ marksPerFlush: distribution([]), flushes: { ofDiskLogs: 0, withoutWrite: 0, perWrite: distribution([]) } },
    ...{ deviceWrites: 0, deviceBytes: 0, legFlushes: 0, stateWrites: 0, stateBytes: 0, notices: 0, traps: 0 },
  };

  constructor(private readonly trace: Trace) {
    this.abi = trace.abi;
    this.diskLogs = logsWithDevice(trace);
  }

  add(index: number): void {
    const { trace, abi, figures } = this;
    const { timesNs, kinds, logs } = trace.events;
    const timeNs = timesNs[index] as number;
    if (figures.events++ === 0) figures.firstNs = timeNs;
    figures.lastNs = timeNs;
    const event = readEvent(trace, index);
    const isRequest = kinds[index] === abi.INPUT_KIND_DATAGRAM && logs[index] !== NO_LOG;
    if (isRequest) this.request(index, timeNs, event);
    else if (kinds[index] === abi.INPUT_KIND_TICK) figures.ticks++;
    else if (kinds[index] === abi.INPUT_KIND_COMPLETION) this.completion(event);
    let flushes = 0;
    for (const effect of event.effects) if (this.effect(index, timeNs, effect)) flushes++;
    if (!isRequest && flushes > 0) this.flushesPerWrite.push(flushes);
  }

  result(): TraceStatistics {
    const { figures, byType } = this;
    for (const { type } of this.waiting.values()) this.ofType(type).figures.unanswered++;
    figures.requests = [...byType.values()].map(({ figures: one, roundTripsNs }) => ({
      ...one,
      roundTripNs: distribution(roundTripsNs),
    }));
    figures.requests.sort((one, other) => other.count - one.count);
    figures.marksPerFlush = distribution(this.marksPerFlush);
    figures.flushes.perWrite = distribution(this.flushesPerWrite);
    return figures;
  }

  private request(index: number, timeNs: number, { input }: TraceEvent): void {
    const { abi, trace, marks } = this;
    const type = trace.events.types[index] as number;
    const log = trace.events.logs[index] as number;
    const regions = trace.events.regionCounts[index] as number;
    this.ofType(type).figures.count++;
    const key = keyOf(input.payload, abi);
    // After a power cut the kernel counts from 1 again.
    const before = this.waiting.get(key);
    if (before !== undefined) this.ofType(before.type).figures.unanswered++;
    this.waiting.set(key, { type, timeNs, index });
    if (type === abi.REQUEST_MARK_REGION) marks.set(log, (marks.get(log) ?? 0) + regions);
    if (type !== abi.REQUEST_FLUSH) return;
    this.marksPerFlush.push((marks.get(log) ?? 0) + regions);
    marks.set(log, 0);
    if (this.diskLogs.has(log)) this.figures.flushes.ofDiskLogs++;
  }

  private completion({ input }: TraceEvent): void {
    this.figures.completions++;
    if (input.payload.length < this.abi.COMPLETION_DATA) return;
    if (viewOf(input.payload).getInt32(this.abi.COMPLETION_ERROR, true) !== 0) this.figures.failedCompletions++;
  }

  /** Returns whether it is the answer to a flush. */
  private effect(index: number, timeNs: number, { kind, payload, written }: TraceEffect): boolean {
    const { abi, figures } = this;
    switch (kind) {
      case abi.EFFECT_KIND_SEND:
        return this.answer(index, timeNs, payload);
      case abi.EFFECT_KIND_WRITE:
        figures.deviceWrites++;
        figures.deviceBytes += written?.length ?? 0;
        break;
      case abi.EFFECT_KIND_STATE_WRITE:
        figures.stateWrites++;
        figures.stateBytes += written?.length ?? 0;
        break;
      case abi.EFFECT_KIND_FLUSH_LEGS:
        figures.legFlushes++;
        break;
      case abi.EFFECT_KIND_NOTICE:
        figures.notices++;
        break;
      case KIND_TRAP:
        figures.traps++;
        break;
      default:
    }
    return false;
  }

  private answer(index: number, timeNs: number, payload: Uint8Array): boolean {
    const { abi, trace } = this;
    if (payload.length < abi.FRAME_BYTES) return false;
    const key = keyOf(payload, abi);
    const asked = this.waiting.get(key);
    if (asked === undefined) return false;
    this.waiting.delete(key);
    const { figures, roundTripsNs } = this.ofType(asked.type);
    roundTripsNs.push(timeNs - asked.timeNs);
    if (asked.index === index) figures.answeredAtOnce++;
    if (viewOf(payload).getInt32(abi.ULOG_ERROR, true) !== 0) figures.refused++;
    if (asked.type !== abi.REQUEST_FLUSH) return false;
    if (asked.index === index && this.diskLogs.has(trace.events.logs[index] as number)) {
      this.figures.flushes.withoutWrite++;
    }
    return true;
  }

  private ofType(type: number): { figures: RequestFigures; roundTripsNs: number[] } {
    let known = this.byType.get(type);
    if (known === undefined) {
      const roundTripNs = distribution([]);
      const figures = { type, count: 0, refused: 0, unanswered: 0, answeredAtOnce: 0, roundTripNs };
      known = { figures, roundTripsNs: [] };
      this.byType.set(type, known);
    }
    return known;
  }
}

/** Logs that a completion of a device operation names. */
function logsWithDevice({ abi, events, eventCount }: Trace): ReadonlySet<number> {
  const logs = new Set<number>();
  for (let i = 0; i < eventCount; i++) {
    const isDevice = events.types[i] !== abi.EFFECT_KIND_FLUSH_LEGS && events.logs[i] !== NO_LOG;
    if (events.kinds[i] === abi.INPUT_KIND_COMPLETION && isDevice) logs.add(events.logs[i] as number);
  }
  return logs;
}

/** What a request and its answer have in common: the log and the number. */
function keyOf(frame: Uint8Array, abi: Abi): string {
  const view = viewOf(frame);
  return `${view.getBigUint64(abi.ULOG_LUID, true)} ${view.getUint32(abi.ULOG_SEQ, true)}`;
}

export function distribution(values: readonly number[]): Distribution {
  if (values.length === 0) return { count: 0, mean: 0, median: 0, p99: 0, max: 0 };
  const sorted = Float64Array.from(values).sort();
  const count = sorted.length;
  // The smallest value that this share of all does not exceed.
  const at = (share: number) => sorted[Math.ceil(count * share) - 1] as number;
  const mean = sorted.reduce((sum, value) => sum + value, 0) / count;
  return { count, mean, median: at(0.5), p99: at(0.99), max: sorted[count - 1] as number };
}

function* everyIndex({ eventCount }: Trace): Iterable<number> {
  for (let index = 0; index < eventCount; index++) yield index;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
