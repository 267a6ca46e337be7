// One event as blocks: the input, the datagrams sent, the other effects. Copied from linear memory by words, in one piece,
// without an allocation: this runs on the request path.
//
// Invariants: an event's blocks are in this order, with none of another event between them. The written bytes depend only on the
// event, so that a replay can write its own and compare them.

import type { Abi } from "../abi.ts";
import type { Engine } from "../engine.ts";
import {
  bigEndian,
  COOKED_BY_US,
  COOKED_BYTES,
  COOKED_PORT_BYTES,
  COOKED_PROTOCOL,
  COOKED_TO_US,
  FROM_CORE,
  HOST_INPUT_BYTES,
  INTERFACE_HOST,
  INTERFACE_NETLINK,
  KIND_TRAP,
  PACKET_OVERHEAD_BYTES,
  pad4,
  pad8,
  STREAM_PACKET_BYTES,
  TO_CORE,
} from "./format.ts";
import { PacketWriter } from "./packet-writer.ts";
import type { TraceBuffer } from "./trace-buffer.ts";

/** A block's length for a datagram that is longer than a block can express. */
const ORIGINAL_BYTES_MAX = 0xffff_ffff;
const TRAP_TEXT_BYTES_MAX = 1024;

export class EventWriter {
  /** Bytes of the stream of effects of the last written event, 0 for none. */
  streamBytes = 0;
  private readonly abi: Abi;
  private readonly packets = new PacketWriter();
  /** Linear memory, by bytes and by words. */
  private memory: Uint8Array = new Uint8Array(0);
  private words: Int32Array = new Int32Array(0);
  /** The current event's datagrams sent, and the bytes of their packets. */
  private sendCount = 0;
  private sendBytes = 0;
  /** Bytes of the stream that still fit the current packet, and those of later packets. */
  private room = 0;
  private streamLeft = 0;

  constructor(private readonly engine: Engine) {
    this.abi = engine.abi;
  }

  /**
   * Appends the event whose input and effects stand in the engine's memory: to be called by a tap. Returns false where the
   * buffer has no room; nothing is written then. Without its input where that is what the caller knows already.
   */
  write(buffer: TraceBuffer, effectsBytes: number, withInput = true): boolean {
    this.renewViews();
    this.measure(effectsBytes);
    const streamPackets = Math.ceil(this.streamBytes / STREAM_PACKET_BYTES);
    const outputBytes = this.sendBytes + this.streamBytes + streamPackets * PACKET_OVERHEAD_BYTES;
    if (!this.begin(buffer, outputBytes, withInput)) return false;
    if (this.sendCount > 0) this.writeSends(effectsBytes);
    if (this.streamBytes > 0) this.writeStream(effectsBytes);
    this.packets.end();
    return true;
  }

  /** Appends the event whose input made the core trap, with the reason in words. */
  writeTrap(buffer: TraceBuffer, error: unknown, withInput = true): boolean {
    this.renewViews();
    const { packets } = this;
    const text = (error instanceof Error ? error.message : String(error)).slice(0, TRAP_TEXT_BYTES_MAX);
    const recordBytes = this.abi.EFFECT_PAYLOAD + pad8(text.length);
    if (!this.begin(buffer, PACKET_OVERHEAD_BYTES + recordBytes, withInput)) return false;
    packets.open(INTERFACE_HOST, recordBytes);
    packets.word(KIND_TRAP);
    packets.word(text.length);
    const payload = new Int32Array(pad8(text.length) / 4);
    const bytes = new Uint8Array(payload.buffer);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i) & 0x7f;
    packets.copy(bytes, payload, 0, bytes.length);
    packets.close(FROM_CORE);
    packets.end();
    return true;
  }

  /** Linear memory may have grown. */
  private renewViews(): void {
    const memory = this.engine.bytes();
    if (memory === this.memory) return;
    this.memory = memory;
    this.words = new Int32Array(memory.buffer);
  }

  private measure(effectsBytes: number): void {
    const { abi } = this;
    this.sendCount = 0;
    this.sendBytes = 0;
    this.streamBytes = 0;
    let records = 0;
    const end = abi.EFFECTS + effectsBytes;
    for (let record = abi.EFFECTS; record < end; records++) {
      const kind = this.word(record + abi.EFFECT_KIND);
      const size = this.word(record + abi.EFFECT_PAYLOAD_SIZE);
      this.streamBytes += abi.EFFECT_PAYLOAD;
      if (kind === abi.EFFECT_KIND_SEND) {
        this.sendCount++;
        this.sendBytes += PACKET_OVERHEAD_BYTES + COOKED_BYTES + pad4(size);
      } else {
        this.streamBytes += pad8(size);
        if (this.isWrite(kind)) this.streamBytes += pad8(this.word(record + abi.EFFECT_PAYLOAD + abi.HEAD_SIZE));
      }
      record += abi.EFFECT_PAYLOAD + pad8(size);
    }
    // An event with a single datagram as its effect needs no stream.
    if (records === 1 && this.sendCount === 1) this.streamBytes = 0;
  }

  private begin(buffer: TraceBuffer, outputBytes: number, withInput: boolean): boolean {
    const { abi, words } = this;
    const size = this.word(abi.INPUT_PAYLOAD_SIZE);
    const held = Math.min(size, abi.INPUT_PAYLOAD_BYTES_MAX);
    const inputBytes = withInput ? PACKET_OVERHEAD_BYTES + COOKED_BYTES + pad4(held) : 0;
    if (!buffer.reserve(inputBytes + outputBytes)) return false;
    const now = abi.INPUT_NOW >>> 2;
    this.packets.begin(buffer, this.engine.inputCount - 1, words[now] as number, words[now + 1] as number);
    if (withInput) this.writeInput(size, held);
    return true;
  }

  private writeInput(size: number, held: number): void {
    const { abi, packets } = this;
    const kind = this.word(abi.INPUT_KIND);
    if (kind === abi.INPUT_KIND_DATAGRAM) {
      packets.open(INTERFACE_NETLINK, COOKED_BYTES + held, Math.min(COOKED_BYTES + size, ORIGINAL_BYTES_MAX));
      this.cookedHeader(COOKED_TO_US, this.word(abi.INPUT_PORT));
    } else {
      packets.open(INTERFACE_HOST, HOST_INPUT_BYTES + held);
      packets.word(kind);
      packets.word(size);
    }
    packets.copy(this.memory, this.words, abi.INPUT_PAYLOAD, held);
    packets.close(TO_CORE);
  }

  private writeSends(effectsBytes: number): void {
    const { abi, packets } = this;
    const end = abi.EFFECTS + effectsBytes;
    for (let record = abi.EFFECTS; record < end; ) {
      const kind = this.word(record + abi.EFFECT_KIND);
      const size = this.word(record + abi.EFFECT_PAYLOAD_SIZE);
      const payload = record + abi.EFFECT_PAYLOAD;
      if (kind === abi.EFFECT_KIND_SEND) {
        packets.open(INTERFACE_NETLINK, COOKED_BYTES + size);
        this.cookedHeader(COOKED_BY_US, 0);
        packets.copy(this.memory, this.words, payload, size);
        packets.close(FROM_CORE);
      }
      record = payload + pad8(size);
    }
  }

  private cookedHeader(type: number, port: number): void {
    const { packets } = this;
    packets.word(type);
    packets.word(port === 0 ? 0 : bigEndian(COOKED_PORT_BYTES, port >>> 16));
    packets.word(bigEndian(port & 0xffff, 0));
    packets.word(COOKED_PROTOCOL);
  }

  private writeStream(effectsBytes: number): void {
    const { abi, packets } = this;
    this.room = 0;
    this.streamLeft = this.streamBytes;
    const end = abi.EFFECTS + effectsBytes;
    for (let record = abi.EFFECTS; record < end; ) {
      const kind = this.word(record + abi.EFFECT_KIND);
      const size = this.word(record + abi.EFFECT_PAYLOAD_SIZE);
      const payload = record + abi.EFFECT_PAYLOAD;
      if (kind === abi.EFFECT_KIND_SEND) {
        this.streamCopy(record, abi.EFFECT_PAYLOAD);
      } else {
        this.streamCopy(record, abi.EFFECT_PAYLOAD + size);
        if (this.isWrite(kind)) {
          // An address means nothing outside its engine, but the bytes at that address do.
          packets.blankLast();
          this.streamCopy(this.word(payload + abi.HEAD_BYTES), this.word(payload + abi.HEAD_SIZE));
        }
      }
      record = payload + pad8(size);
    }
    packets.close(FROM_CORE);
  }

  /** Whether the record ends with an address in linear memory of bytes that belong to it. */
  private isWrite(kind: number): boolean {
    return kind === this.abi.EFFECT_KIND_STATE_WRITE || kind === this.abi.EFFECT_KIND_WRITE;
  }

  /** Copies bytes into the stream and pads them with zeros to a multiple of 8. */
  private streamCopy(address: number, size: number): void {
    const { packets } = this;
    let from = address;
    let left = size;
    while (left > 0) {
      this.makeRoom();
      const part = Math.min(left, this.room);
      packets.copy(this.memory, this.words, from, part);
      if (((part + 3) >>> 2) & 1) packets.word(0);
      this.room -= pad8(part);
      from += part;
      left -= part;
    }
  }

  /** Begins the next packet of the stream if the current one is full. */
  private makeRoom(): void {
    if (this.room > 0) return;
    if (this.streamLeft < this.streamBytes) this.packets.close(FROM_CORE);
    this.room = Math.min(this.streamLeft, STREAM_PACKET_BYTES);
    this.streamLeft -= this.room;
    this.packets.open(INTERFACE_HOST, this.room);
  }

  private word(address: number): number {
    return (this.words[address >>> 2] as number) >>> 0;
  }
}
