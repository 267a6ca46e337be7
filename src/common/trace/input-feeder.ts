// Gives recorded inputs to an engine, word by word and without decoding, because there may be millions.

import type { Engine } from "../engine.ts";
import { addressOf } from "./address.ts";
import {
  COOKED_BYTES,
  HOST_INPUT_BYTES,
  LINKTYPE_NETLINK,
  PACKET_ORIGINAL,
  PACKET_TIME_HIGH,
  PACKET_TIME_LOW,
  TraceError,
} from "./format.ts";
import { PacketReader } from "./packet.ts";
import type { Trace } from "./trace.ts";

/** In place of a number of bytes: the core trapped. */
export const TRAPPED = -1;

const BULK_BYTES = 1024;

export class InputFeeder {
  /** Why the core trapped, if it did. */
  trap: unknown = null;
  private readonly packet = new PacketReader();
  private bytes: Uint8Array = new Uint8Array(0);
  private words: Int32Array = new Int32Array(0);

  constructor(private readonly trace: Trace) {}

  /**
   * Gives the engine the input of an event. Returns the bytes of effects that stand in its memory then, or TRAPPED. Throws a
   * TraceError where the file holds less than the input.
   */
  feed(engine: Engine, index: number): number {
    const { trace, packet } = this;
    const { words } = trace.view;
    const { abi } = engine;
    const at = (trace.events.offsets[index] as number) >>> 2;
    packet.read(words, at, words[at + 1] as number);
    const { data } = packet;
    const isNetlink = trace.sectionOf(index).links[packet.interfaceId] === LINKTYPE_NETLINK;
    const headBytes = isNetlink ? COOKED_BYTES : HOST_INPUT_BYTES;
    const held = packet.captured - headBytes;
    let kind = abi.INPUT_KIND_DATAGRAM;
    let port = abi.KERNEL_PORT;
    let size: number;
    if (isNetlink) {
      size = Math.max((words[at + PACKET_ORIGINAL] as number) >>> 0, packet.captured) - COOKED_BYTES;
      if (words[data + 1] !== 0) port = portOf(words[data + 1] as number, words[data + 2] as number);
    } else {
      kind = words[data] as number;
      size = (words[data + 1] as number) >>> 0;
    }
    if (held !== Math.min(size, abi.INPUT_PAYLOAD_BYTES_MAX)) {
      throw new TraceError(`Event ${addressOf(trace, index)} is damaged: its input is not all there.`);
    }
    this.copy(engine, data + headBytes / 4, held);
    try {
      return engine.handleRaw(
        kind,
        size,
        port,
        words[at + PACKET_TIME_LOW] as number,
        words[at + PACKET_TIME_HIGH] as number,
      );
    } catch (error) {
      this.trap = error;
      return TRAPPED;
    }
  }

  /** Copies a payload into the input area, to the exact byte: the bytes after it do not change. */
  private copy(engine: Engine, first: number, size: number): void {
    const target = engine.abi.INPUT_PAYLOAD;
    const bytes = engine.bytes();
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      this.words = new Int32Array(bytes.buffer);
    }
    const { view } = this.trace;
    if (size > BULK_BYTES) {
      bytes.set(view.bytes.subarray(first * 4, first * 4 + size), target);
      return;
    }
    const { words } = this;
    let to = target >>> 2;
    let from = first;
    for (const end = to + (size >>> 2); to < end; ) words[to++] = view.words[from++] as number;
    for (let i = size & ~3; i < size; i++) bytes[target + i] = view.bytes[first * 4 + i] as number;
  }
}

/** The port in a cooked header: four big-endian bytes that begin in the middle of a word. */
function portOf(first: number, second: number): number {
  const swapped = ((first >>> 8) & 0xff00) | (first >>> 24);
  return ((swapped << 16) | ((second & 0xff) << 8) | ((second >>> 8) & 0xff)) >>> 0;
}
