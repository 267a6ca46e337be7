// What happens between marks and the device, as spans of time: flushes that wait, writes under way.

import type { Abi } from "../../common/abi.ts";
import { CODE_COMPLETION } from "./codes.ts";
import { type EventIndex, FLAG_WRITE } from "./event-index.ts";

export interface Span {
  event: number;
  fromNs: number;
  /** Infinity if its end is not in the trace. */
  toNs: number;
  /** Extents of a write. */
  extents: number;
}

/** Regions that an event marks. */
export interface MarkCount {
  event: number;
  atNs: number;
  regions: number;
}

export interface Batches {
  marks: MarkCount[];
  /** Flushes from request to answer; of length 0 if they waited for no write. */
  flushes: Span[];
  writes: Span[];
}

/** Events before those in sight whose spans may reach into them. */
const LOOK_BACK_EVENTS = 400;

/** Spans of the log's events from `first` to `end` (excluded), and of those before that have not ended there. */
export function batchesOf(abi: Abi, index: EventIndex, log: number, first: number, end: number): Batches {
  const batches: Batches = { marks: [], flushes: [], writes: [] };
  const written = CODE_COMPLETION + abi.EFFECT_KIND_WRITE;
  const open: { span: Span; left: number }[] = [];
  for (let event = Math.max(0, first - LOOK_BACK_EVENTS); event < end; event++) {
    if (index.log(event) !== log) continue;
    const atNs = index.timeNs(event);
    const code = index.code.at(event);
    const marks = index.marks.at(event) - (event === 0 ? 0 : index.marks.at(event - 1));
    if (marks > 0 && event >= first) batches.marks.push({ event, atNs, regions: marks });
    if (code === abi.REQUEST_FLUSH) {
      const answerNs = index.answerNs.at(event);
      batches.flushes.push({
        event,
        fromNs: atNs,
        toNs: Number.isNaN(answerNs) ? Infinity : atNs + answerNs,
        extents: 0,
      });
    }
    // One batch of writes is under way at a time: the next completions are its own.
    if (code === written && open[0] !== undefined && --open[0].left === 0) {
      open[0].span.toNs = atNs;
      open.shift();
    }
    if (index.flags.at(event) & FLAG_WRITE) {
      const extents = index.writes.at(event) - (event === 0 ? 0 : index.writes.at(event - 1));
      const span: Span = { event, fromNs: atNs, toNs: Infinity, extents };
      batches.writes.push(span);
      open.push({ span, left: extents });
    }
  }
  const startNs = index.timeNs(first);
  const isInSight = ({ toNs }: Span) => toNs >= startNs;
  return { ...batches, flushes: batches.flushes.filter(isInSight), writes: batches.writes.filter(isInSight) };
}
