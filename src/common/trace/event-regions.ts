// Which regions an event speaks of, and what it does with them.

import type { Abi } from "../abi.ts";
import { readEvent, type TraceEffect, type TraceInput } from "./event.ts";
import type { Trace } from "./trace.ts";

export type Touch = "mark" | "clear" | "sync" | "unsync" | "ask";

/** Calls `use` for every region that the request names. What is no request of a log names none. */
export function eachRegion(abi: Abi, input: TraceInput, use: (region: number, touch: Touch) => void): void {
  if (input.kind !== abi.INPUT_KIND_DATAGRAM || input.payload.length < abi.FRAME_BYTES) return;
  const { payload } = input;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const count = Math.min(view.getUint32(abi.ULOG_DATA_SIZE, true), payload.length - abi.FRAME_BYTES) >>> 3;
  // A region number fits the lower half; what is larger is none of any log.
  const word = (index: number) => view.getUint32(abi.ULOG_DATA + index * 8, true);
  switch (view.getUint32(abi.ULOG_TYPE, true) & 0xff) {
    case abi.REQUEST_MARK_REGION:
    case abi.REQUEST_FLUSH:
      for (let i = 0; i < count; i++) use(word(i), "mark");
      return;
    case abi.REQUEST_CLEAR_REGION:
      for (let i = 0; i < count; i++) use(word(i), "clear");
      return;
    case abi.REQUEST_SET_REGION_SYNC:
      if (count === 2) use(word(0), word(1) === 0 ? "unsync" : "sync");
      return;
    case abi.REQUEST_IS_CLEAN:
    case abi.REQUEST_IN_SYNC:
    case abi.REQUEST_IS_REMOTE_RECOVERING:
      if (count > 0) use(word(0), "ask");
      return;
    default:
  }
}

/** Whether an event speaks of a region: its request names it, or is told to resync it. */
export function speaksOf(trace: Trace, index: number, region: number): boolean {
  const { abi } = trace;
  const { input, effects } = readEvent(trace, index);
  let isNamed = effects.some((effect) => resyncWork(abi, effect) === region);
  eachRegion(abi, input, (named) => {
    isNamed ||= named === region;
  });
  return isNamed;
}

/** The region that an answer hands out as resync work. */
function resyncWork(abi: Abi, { kind, payload }: TraceEffect): number | undefined {
  if (kind !== abi.EFFECT_KIND_SEND || payload.length < abi.FRAME_BYTES + 16) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  if ((view.getUint32(abi.ULOG_TYPE, true) & 0xff) !== abi.REQUEST_GET_RESYNC_WORK) return undefined;
  return view.getUint32(abi.ULOG_DATA, true) === 1 ? view.getUint32(abi.ULOG_DATA + 8, true) : undefined;
}

/** An event in the history of a region. */
export interface RegionEvent {
  event: number;
  touch: Touch;
}

/**
 * Events of log number `log` that name `region`, among events `from` to `to` (excluded), forwards or, where `to` is less,
 * backwards; at most `most`.
 */
export function historyOf(
  abi: Abi,
  trace: Trace,
  log: number,
  region: number,
  from: number,
  to: number,
  most: number,
): RegionEvent[] {
  const found: RegionEvent[] = [];
  const step = to < from ? -1 : 1;
  const { logs, regionCounts } = trace.events;
  for (let event = from; event !== to && found.length < most; event += step) {
    if (logs[event] !== log || regionCounts[event] === 0) continue;
    eachRegion(abi, readEvent(trace, event).input, (named, touch) => {
      if (named === region && touch !== "ask") found.push({ event, touch });
    });
  }
  return found;
}
