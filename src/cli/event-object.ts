// An event of a trace as an object for programs. docs/trace-json.md describes each field; a test compares them.

import type { Abi } from "../common/abi.ts";
import { addressOf } from "../common/trace/address.ts";
import { readEvent, type TraceEffect, type TraceInput } from "../common/trace/event.ts";
import { eachRegion, isRequest, requestOf } from "../common/trace/event-regions.ts";
import { NO_LOG } from "../common/trace/event-table.ts";
import { KIND_TRAP } from "../common/trace/format.ts";
import { noticeOf } from "../common/trace/notice.ts";
import { latin1 } from "../common/trace/packet.ts";
import type { Trace } from "../common/trace/trace.ts";
import type { EventWords } from "../common/trace/words.ts";
import { unixNsOf } from "./trace-time.ts";

export function eventObject(trace: Trace, index: number, words: EventWords): object {
  const { input, effects, problem } = readEvent(trace, index);
  const { timesNs, logs } = trace.events;
  const log = logs[index] === NO_LOG ? undefined : trace.logs[logs[index] as number];
  const unixNs = unixNsOf(trace, index);
  return {
    address: addressOf(trace, index),
    section: trace.sectionOf(index).number,
    event: trace.numberOf(index),
    place: index,
    timeNs: timesNs[index],
    unixNs: unixNs === null ? null : String(unixNs),
    log: log?.uuid ?? null,
    luid: log === undefined ? null : String(log.luid),
    input: inputObject(trace.abi, input, words),
    effects: effects.map((effect) => effectObject(trace.abi, effect, words)),
    problem,
    isWhole: trace.isWhole(index),
  };
}

function inputObject(abi: Abi, input: TraceInput, words: EventWords): object {
  const said = { words: words.input(input) };
  const { kind, payload } = input;
  switch (kind) {
    case abi.INPUT_KIND_DATAGRAM:
      return isRequest(abi, input)
        ? { kind: "request", ...said, ...requestFields(abi, input, words) }
        : { kind: "datagram", ...said };
    case abi.INPUT_KIND_COMPLETION: {
      if (payload.length < abi.COMPLETION_DATA) return { kind: "other", ...said };
      const view = viewOf(payload);
      const effect = words.effectNames[view.getUint32(abi.COMPLETION_EFFECT, true)] ?? null;
      const error = view.getInt32(abi.COMPLETION_ERROR, true);
      return { kind: "completion", ...said, effect, ...headFields(abi, payload), error };
    }
    case abi.INPUT_KIND_RESTORE:
      if (payload.length < abi.HEAD_BYTES) return { kind: "other", ...said };
      return { kind: "restore", ...said, ...headFields(abi, payload) };
    case abi.INPUT_KIND_TICK:
      return { kind: "tick", ...said };
    case abi.INPUT_KIND_CONFIGURE:
      return { kind: "configure", ...said };
    case abi.INPUT_KIND_FORGET:
      return { kind: "forget", ...said };
    default:
      return { kind: "other", ...said };
  }
}

function requestFields(abi: Abi, input: TraceInput, words: EventWords): object {
  const request = requestOf(abi, input);
  const { type = 0, data = new Uint8Array(0) } = request ?? {};
  const regions: number[] = [];
  let inSync: boolean | null = null;
  eachRegion(abi, input, (region, touch) => {
    regions.push(region);
    if (touch === "sync" || touch === "unsync") inSync = touch === "sync";
  });
  const reconnects = type === abi.REQUEST_CTR ? data.at(-1) === 0 : null;
  const table = type === abi.REQUEST_CTR ? latin1(reconnects ? data.subarray(0, -1) : data) : null;
  return { type: typeOf(words, type), ...frameFields(abi, input.payload), regions, inSync, table, reconnects };
}

function effectObject(abi: Abi, effect: TraceEffect, words: EventWords): object {
  const said = { words: words.effect(effect) };
  const { kind, payload } = effect;
  if (kind === KIND_TRAP) return { kind: "trap", ...said };
  const name = words.effectNames[kind] ?? "other";
  if (kind === abi.EFFECT_KIND_SEND) {
    if (payload.length < abi.FRAME_BYTES) return { kind: "other", ...said };
    return { kind: "reply", ...said, ...replyFields(abi, payload, words) };
  }
  if (kind === abi.EFFECT_KIND_NOTICE) {
    const notice = noticeOf(abi, payload);
    if (notice === null) return { kind: "other", ...said };
    const { code, error, detail, luid, uuid } = notice;
    return { kind: "notice", ...said, code, error, detail: String(detail), log: uuid, luid: String(luid) };
  }
  if (kind === abi.EFFECT_KIND_WAKE) {
    return payload.length < 8
      ? { kind: "other", ...said }
      : { kind: "wake", ...said, atNs: Number(viewOf(payload).getBigUint64(0, true)) };
  }
  if (payload.length < abi.HEAD_BYTES) return { kind: "other", ...said };
  return { kind: name, ...said, ...headFields(abi, payload) };
}

function replyFields(abi: Abi, payload: Uint8Array, words: EventWords): object {
  const view = viewOf(payload);
  const type = view.getUint32(abi.ULOG_TYPE, true) & abi.REQUEST_TYPE_MASK;
  const size = Math.min(view.getUint32(abi.ULOG_DATA_SIZE, true), payload.length - abi.ULOG_DATA);
  const isText = type === abi.REQUEST_STATUS_INFO || type === abi.REQUEST_STATUS_TABLE || type === abi.REQUEST_CTR;
  const values: number[] = [];
  for (let at = 0; !isText && at + 8 <= size; at += 8) values.push(Number(view.getBigUint64(abi.ULOG_DATA + at, true)));
  const text = isText ? latin1(payload.subarray(abi.ULOG_DATA, abi.ULOG_DATA + size)).replace(/\0+$/, "") : null;
  const error = view.getInt32(abi.ULOG_ERROR, true);
  return { type: typeOf(words, type), ...frameFields(abi, payload), error, values, text };
}

/** What the frame of a request and of its reply say alike. */
function frameFields(abi: Abi, payload: Uint8Array): object {
  const view = viewOf(payload);
  return { seq: view.getUint32(abi.ULOG_SEQ, true), version: view.getUint32(abi.ULOG_VERSION, true) };
}

function headFields(abi: Abi, payload: Uint8Array): object {
  const view = viewOf(payload);
  return {
    handle: view.getUint32(abi.HEAD_HANDLE, true),
    sizeBytes: view.getUint32(abi.HEAD_SIZE, true),
    offsetBytes: Number(view.getBigUint64(abi.HEAD_OFFSET, true)),
  };
}

function typeOf(words: EventWords, type: number): string {
  return words.requestNames[type] ?? `type ${type}`;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
