// Which regions an event speaks of, and what it does with them.

import type { Abi } from "../abi.ts";
import { readEvent, type TraceEffect, type TraceInput } from "./event.ts";
import { TWO_TO_32 } from "./format.ts";
import { latin1 } from "./packet.ts";
import type { Trace } from "./trace.ts";

export type Touch = "mark" | "clear" | "sync" | "unsync" | "ask";

/** A request of the kernel: its type without version bits, its payload, and the log that it names. */
export interface Request {
  type: number;
  luid: bigint;
  uuid: string;
  data: Uint8Array;
}

/** Whether an input has the headers of a request; the core checks further. */
export function isRequest(abi: Abi, { kind, payload }: TraceInput): boolean {
  if (kind !== abi.INPUT_KIND_DATAGRAM || payload.length < abi.FRAME_BYTES) return false;
  const view = viewOf(payload);
  return (
    view.getUint16(abi.NLMSG_TYPE, true) === abi.NLMSG_TYPE_DONE &&
    view.getUint32(abi.CN_IDX, true) === abi.CN_IDX_DM &&
    view.getUint32(abi.CN_VAL, true) === abi.CN_VAL_DM_USERSPACE_LOG
  );
}

/** The request in an input; null if the input is none of a log. */
export function requestOf(abi: Abi, input: TraceInput): Request | null {
  if (!isRequest(abi, input)) return null;
  const { payload } = input;
  const view = viewOf(payload);
  const size = Math.min(view.getUint32(abi.ULOG_DATA_SIZE, true), payload.length - abi.FRAME_BYTES);
  const uuid = payload.subarray(abi.ULOG_UUID, abi.ULOG_UUID + abi.UUID_BYTES);
  const end = uuid.indexOf(0);
  return {
    type: view.getUint32(abi.ULOG_TYPE, true) & abi.REQUEST_TYPE_MASK,
    luid: view.getBigUint64(abi.ULOG_LUID, true),
    uuid: latin1(uuid.subarray(0, end < 0 ? uuid.length : end)),
    data: payload.subarray(abi.ULOG_DATA, abi.ULOG_DATA + size),
  };
}

/** Calls `use` for every region that the request names. What is no request of a log names none. */
export function eachRegion(abi: Abi, input: TraceInput, use: (region: number, touch: Touch) => void): void {
  if (!isRequest(abi, input)) return;
  const { payload } = input;
  const view = viewOf(payload);
  const count = Math.min(view.getUint32(abi.ULOG_DATA_SIZE, true), payload.length - abi.FRAME_BYTES) >>> 3;
  const word = (index: number) => wordAt(view, abi.ULOG_DATA + index * 8);
  switch (view.getUint32(abi.ULOG_TYPE, true) & abi.REQUEST_TYPE_MASK) {
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

/** A u64. No log has a region beyond 32 bits, so what is above them must not be lost. */
function wordAt(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * TWO_TO_32;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
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
export function resyncWork(abi: Abi, { kind, payload }: TraceEffect): number | undefined {
  if (kind !== abi.EFFECT_KIND_SEND || payload.length < abi.FRAME_BYTES + 16) return undefined;
  const view = viewOf(payload);
  if ((view.getUint32(abi.ULOG_TYPE, true) & abi.REQUEST_TYPE_MASK) !== abi.REQUEST_GET_RESYNC_WORK) return undefined;
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
