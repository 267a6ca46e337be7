// One event, decoded for display.

import type { Abi } from "../abi.ts";
import {
  BLOCK_PACKET,
  COOKED_BY_US,
  COOKED_BYTES,
  COOKED_PROTOCOL,
  HOST_INPUT_BYTES,
  LINKTYPE_NETLINK,
  LINKTYPE_USER0,
  PACKET_ORIGINAL,
  PACKET_TIME_HIGH,
  PACKET_TIME_LOW,
  pad8,
  TO_CORE,
} from "./format.ts";
import { blockBytes, type FileView, PacketReader } from "./packet.ts";
import type { Trace } from "./trace.ts";

/** An input from the host to the core. */
export interface TraceInput {
  /** INPUT_KIND_…. */
  kind: number;
  /** The content of the input area. */
  payload: Uint8Array;
  /** The size that the host claimed: larger than the payload if a datagram did not fit. */
  sizeBytes: number;
  /** The netlink port that a datagram came from. */
  senderPort: number;
  /** The core's time, ns, in two halves. */
  timeLow: number;
  timeHigh: number;
}

/** An effect that the core asked for. */
export interface TraceEffect {
  /** EFFECT_KIND_…, or KIND_TRAP: the core trapped, and the payload has the words. */
  kind: number;
  /** For a write, the address in linear memory is replaced by zeros. */
  payload: Uint8Array;
  /** Of a write: the bytes. */
  written: Uint8Array | null;
}

/** Arrays are views of the file where that is possible. */
export interface TraceEvent {
  input: TraceInput;
  /** In the core's order. */
  effects: TraceEffect[];
  /** What is wrong with the blocks, in words; null if nothing is. The readable part is present. */
  problem: string | null;
}

/** The packets of one event. */
export interface EventPackets {
  input: TraceInput | null;
  /** Datagrams sent. */
  sends: Uint8Array[];
  /** The stream of effects, joined from its packets; null if the event has none. */
  stream: Uint8Array | null;
  /** What is wrong with the header of an output, in words; null if nothing is. */
  problem: string | null;
}

const DEFAULT_LINKS = [LINKTYPE_NETLINK, LINKTYPE_USER0];
const NO_INPUT: TraceInput = {
  kind: 0,
  payload: new Uint8Array(0),
  sizeBytes: 0,
  senderPort: 0,
  timeLow: 0,
  timeHigh: 0,
};

/** Decodes an event of a trace. */
export function readEvent(trace: Trace, index: number): TraceEvent {
  return decodePackets(readEventPackets(trace, index), trace.abi);
}

export function readEventPackets(trace: Trace, index: number): EventPackets {
  const { links } = trace.sectionOf(index);
  const from = trace.events.offsets[index] as number;
  return readPackets(trace.view, from, trace.endOf(index), trace.numberOf(index), trace.abi, links);
}

/** Reads the packets of one event between two offsets. Blocks of other tools are skipped. */
export function readPackets(
  view: FileView,
  from: number,
  to: number,
  number: number,
  abi: Abi,
  links: readonly number[] = DEFAULT_LINKS,
): EventPackets {
  const packets: EventPackets = { input: null, sends: [], stream: null, problem: null };
  const { words } = view;
  const reader = new PacketReader();
  const parts: Uint8Array[] = [];
  for (let offset = from; offset < to; ) {
    const at = offset >>> 2;
    const total = blockBytes(words, at, to);
    if (total === 0) break;
    offset += total;
    if (words[at] !== BLOCK_PACKET || !reader.read(words, at, total) || reader.number !== number) continue;
    const isNetlink = links[reader.interfaceId] === LINKTYPE_NETLINK;
    if (!isNetlink && links[reader.interfaceId] !== LINKTYPE_USER0) continue;
    const data = view.bytes.subarray(reader.data * 4, reader.data * 4 + reader.captured);
    if (reader.direction === TO_CORE) {
      packets.input = readInput(words, at, data, reader, isNetlink, abi);
    } else {
      packets.problem ??= outputProblem(words, at, reader, isNetlink, packets.input);
      if (isNetlink) packets.sends.push(data.subarray(Math.min(COOKED_BYTES, data.length)));
      else parts.push(data);
    }
  }
  if (parts.length > 0) packets.stream = joined(parts);
  return packets;
}

function outputProblem(
  words: Int32Array,
  at: number,
  reader: PacketReader,
  isNetlink: boolean,
  input: TraceInput | null,
): string | null {
  if (words[at + PACKET_TIME_LOW] !== input?.timeLow || words[at + PACKET_TIME_HIGH] !== input?.timeHigh) {
    return "an output has another time than its input";
  }
  if (words[at + PACKET_ORIGINAL] !== reader.captured) return "an output is not all there";
  if (!isNetlink) return null;
  const cooked = [COOKED_BY_US, 0, 0, COOKED_PROTOCOL];
  const isRight = reader.captured >= COOKED_BYTES && cooked.every((word, i) => words[reader.data + i] === word);
  return isRight ? null : "the header before a datagram is none of dm-ulog's";
}

function readInput(
  words: Int32Array,
  at: number,
  data: Uint8Array,
  reader: PacketReader,
  isNetlink: boolean,
  abi: Abi,
): TraceInput | null {
  const time = { timeLow: words[at + PACKET_TIME_LOW] as number, timeHigh: words[at + PACKET_TIME_HIGH] as number };
  if (isNetlink) {
    if (data.length < COOKED_BYTES) return null;
    const original = (words[at + PACKET_ORIGINAL] as number) >>> 0;
    const hasPort = words[reader.data + 1] !== 0;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    return {
      ...time,
      kind: abi.INPUT_KIND_DATAGRAM,
      payload: data.subarray(COOKED_BYTES),
      sizeBytes: Math.max(original, data.length) - COOKED_BYTES,
      senderPort: hasPort ? view.getUint32(6) : abi.KERNEL_PORT,
    };
  }
  if (data.length < HOST_INPUT_BYTES) return null;
  return {
    ...time,
    kind: (words[reader.data] as number) >>> 0,
    payload: data.subarray(HOST_INPUT_BYTES),
    sizeBytes: (words[reader.data + 1] as number) >>> 0,
    senderPort: 0,
  };
}

/** Puts the effects of an event into the core's order. */
export function decodePackets({ input, sends, stream, problem: around }: EventPackets, abi: Abi): TraceEvent {
  const event: TraceEvent = { input: input ?? NO_INPUT, effects: [], problem: around };
  if (input === null) event.problem = "its input is shorter than the head of one";
  else if (input.payload.length !== Math.min(input.sizeBytes, abi.INPUT_PAYLOAD_BYTES_MAX)) {
    event.problem = `its input has ${input.payload.length} bytes of ${input.sizeBytes}`;
  }
  const waiting = [...sends];
  if (stream === null) {
    if (waiting.length > 1) event.problem = "it sends several datagrams and does not say in which order";
    for (const payload of waiting) event.effects.push({ kind: abi.EFFECT_KIND_SEND, payload, written: null });
    return event;
  }
  const problem = decodeStream(stream, waiting, abi, event.effects);
  event.problem ??= problem ?? (waiting.length > 0 ? "it sends more datagrams than its effects say" : null);
  return event;
}

/** Adds the effects of a stream, taking the datagrams that it sends from `waiting`. Returns what is wrong with it, or null. */
function decodeStream(stream: Uint8Array, waiting: Uint8Array[], abi: Abi, effects: TraceEffect[]): string | null {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.length);
  let at = 0;
  const take = (size: number): Uint8Array | null => {
    if (at + pad8(size) > stream.length) return null;
    const taken = stream.subarray(at, at + size);
    at += pad8(size);
    return taken;
  };
  while (at < stream.length) {
    const cut = `the record at byte ${at} of its effects ends before it should`;
    const head = take(abi.EFFECT_PAYLOAD);
    if (head === null) return cut;
    const kind = view.getUint32(head.byteOffset - stream.byteOffset + abi.EFFECT_KIND, true);
    const size = view.getUint32(head.byteOffset - stream.byteOffset + abi.EFFECT_PAYLOAD_SIZE, true);
    if (kind === abi.EFFECT_KIND_SEND) {
      const payload = waiting.shift();
      if (payload?.length !== size) return `the datagram of ${size} bytes that its effects speak of is not there`;
      effects.push({ kind, payload, written: null });
      continue;
    }
    const payload = take(size);
    if (payload === null) return cut;
    let written: Uint8Array | null = null;
    if (kind === abi.EFFECT_KIND_WRITE || kind === abi.EFFECT_KIND_STATE_WRITE) {
      const sizeAt = payload.byteOffset - stream.byteOffset + abi.HEAD_SIZE;
      written = size < abi.HEAD_BYTES ? null : take(view.getUint32(sizeAt, true));
      if (written === null) return cut;
    }
    effects.push({ kind, payload, written });
  }
  return null;
}

function joined(parts: Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0] as Uint8Array;
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
