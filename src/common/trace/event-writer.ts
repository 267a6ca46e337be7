// One event as blocks: the input, the datagrams sent, the other effects. Copied from linear memory by words, in one piece,
// without an allocation: this runs on the request path.
//
// Invariants: an event's blocks stand in this order, none of another event between them; what is written depends on the
// event alone, so that a replay may write its own and compare the bytes.

import type { Abi } from "../abi.ts";
import type { Engine } from "../engine.ts";
import {
  BLOCK_PACKET,
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
  OPTION_END,
  OPTION_FLAGS,
  OPTION_PACKET_ID,
  PACKET_DATA,
  PACKET_OVERHEAD_BYTES,
  pad4,
  pad8,
  STREAM_PACKET_BYTES,
  TO_CORE,
  TWO_TO_32,
} from "./format.ts";
import { TraceBuffer } from "./trace-buffer.ts";

const FLAGS_HEAD = OPTION_FLAGS | (4 << 16);
const PACKET_ID_HEAD = OPTION_PACKET_ID | (8 << 16);
/** A block's length for a datagram that was longer than a block can tell. */
const ORIGINAL_BYTES_MAX = 0xffff_ffff;
/** From here on a copy by the machine's own means is faster than one by words, though it allocates a view. */
const BULK_BYTES = 1024;
const TRAP_TEXT_BYTES_MAX = 1024;

export class EventWriter {
  private readonly abi: Abi;
  private source: Uint8Array = new Uint8Array(0);
  private sourceWords: Int32Array = new Int32Array(0);
  private target = TraceBuffer.growing(0);
  /** Where the next word is written. */
  private at = 0;
  /** Of the event written last: bytes of its stream of effects, 0 for none. */
  streamBytes = 0;
  private sendCount = 0;
  private sendBytes = 0;
  private number = 0;
  private numberHigh = 0;
  /** Bytes of the stream that the packet in hand still takes, and those of later packets. */
  private room = 0;
  private streamLeft = 0;
  /** All of the packet in hand. */
  private packetBytes = 0;

  constructor(private readonly engine: Engine) {
    this.abi = engine.abi;
  }

  /**
   * Appends the event whose input and effects stand in the engine's memory: to be called by a tap. Returns false where the
   * buffer has no room; nothing is written then. Without its input where that is what the caller knows already.
   */
  write(buffer: TraceBuffer, effectsBytes: number, withInput = true): boolean {
    this.look();
    this.measure(effectsBytes);
    const streamPackets = Math.ceil(this.streamBytes / STREAM_PACKET_BYTES);
    const outputBytes = this.sendBytes + this.streamBytes + streamPackets * PACKET_OVERHEAD_BYTES;
    if (!this.begin(buffer, outputBytes, withInput)) return false;
    if (this.sendCount > 0) this.writeSends(effectsBytes);
    if (this.streamBytes > 0) this.writeStream(effectsBytes);
    buffer.size = this.at * 4;
    return true;
  }

  /** Appends the event whose input made the core trap, with the reason in words. */
  writeTrap(buffer: TraceBuffer, error: unknown, withInput = true): boolean {
    this.look();
    const text = (error instanceof Error ? error.message : String(error)).slice(0, TRAP_TEXT_BYTES_MAX);
    const recordBytes = HOST_INPUT_BYTES + pad8(text.length);
    if (!this.begin(buffer, PACKET_OVERHEAD_BYTES + recordBytes, withInput)) return false;
    this.openPacket(INTERFACE_HOST, recordBytes, recordBytes);
    const { words } = buffer;
    words[this.at++] = KIND_TRAP;
    words[this.at++] = text.length;
    words.fill(0, this.at, this.at + (pad8(text.length) >>> 2));
    for (let i = 0; i < text.length; i++) buffer.bytes[this.at * 4 + i] = text.charCodeAt(i) & 0x7f;
    this.at += pad8(text.length) >>> 2;
    this.closePacket(FROM_CORE);
    buffer.size = this.at * 4;
    return true;
  }

  /** Renews what dies when linear memory grows. */
  private look(): void {
    const bytes = this.engine.bytes();
    if (bytes !== this.source) {
      this.source = bytes;
      this.sourceWords = new Int32Array(bytes.buffer);
    }
    this.number = this.engine.inputCount - 1;
    this.numberHigh = Math.floor(this.number / TWO_TO_32);
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
    // One datagram and nothing else says all by itself.
    if (records === 1 && this.sendCount === 1) this.streamBytes = 0;
  }

  private begin(buffer: TraceBuffer, outputBytes: number, withInput: boolean): boolean {
    const { abi } = this;
    const size = this.word(abi.INPUT_PAYLOAD_SIZE);
    const held = Math.min(size, abi.INPUT_PAYLOAD_BYTES_MAX);
    const inputBytes = withInput ? PACKET_OVERHEAD_BYTES + COOKED_BYTES + pad4(held) : 0;
    if (!buffer.reserve(inputBytes + outputBytes)) return false;
    this.target = buffer;
    this.at = buffer.size >>> 2;
    if (withInput) this.writeInput(size, held);
    return true;
  }

  private writeInput(size: number, held: number): void {
    const { abi } = this;
    const kind = this.word(abi.INPUT_KIND);
    if (kind === abi.INPUT_KIND_DATAGRAM) {
      const original = Math.min(COOKED_BYTES + size, ORIGINAL_BYTES_MAX);
      this.openPacket(INTERFACE_NETLINK, COOKED_BYTES + held, original);
      this.cookedHeader(COOKED_TO_US, this.word(abi.INPUT_PORT));
    } else {
      this.openPacket(INTERFACE_HOST, HOST_INPUT_BYTES + held, HOST_INPUT_BYTES + held);
      this.target.words[this.at++] = kind;
      this.target.words[this.at++] = size;
    }
    this.copy(abi.INPUT_PAYLOAD, held);
    this.closePacket(TO_CORE);
  }

  private writeSends(effectsBytes: number): void {
    const { abi } = this;
    const end = abi.EFFECTS + effectsBytes;
    for (let record = abi.EFFECTS; record < end; ) {
      const size = this.word(record + abi.EFFECT_PAYLOAD_SIZE);
      if (this.word(record + abi.EFFECT_KIND) === abi.EFFECT_KIND_SEND) {
        this.openPacket(INTERFACE_NETLINK, COOKED_BYTES + size, COOKED_BYTES + size);
        this.cookedHeader(COOKED_BY_US, 0);
        this.copy(record + abi.EFFECT_PAYLOAD, size);
        this.closePacket(FROM_CORE);
      }
      record += abi.EFFECT_PAYLOAD + pad8(size);
    }
  }

  private writeStream(effectsBytes: number): void {
    const { abi } = this;
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
          // An address means nothing outside the engine that gave it; the bytes there do.
          const { words } = this.target;
          words[this.at - 2] = 0;
          words[this.at - 1] = 0;
          this.streamCopy(this.word(payload + abi.HEAD_BYTES), this.word(payload + abi.HEAD_SIZE));
        }
      }
      record = payload + pad8(size);
    }
    this.closePacket(FROM_CORE);
  }

  /** Whether the record ends with an address in linear memory, of bytes that are part of what it says. */
  private isWrite(kind: number): boolean {
    return kind === this.abi.EFFECT_KIND_STATE_WRITE || kind === this.abi.EFFECT_KIND_WRITE;
  }

  /** Copies bytes into the stream and pads them with zeros to a multiple of 8. */
  private streamCopy(address: number, size: number): void {
    let from = address;
    let left = size;
    while (left > 0) {
      this.makeRoom();
      const part = Math.min(left, this.room);
      const startedAt = this.at;
      this.copy(from, part);
      if ((this.at - startedAt) & 1) this.target.words[this.at++] = 0;
      this.room -= pad8(part);
      from += part;
      left -= part;
    }
  }

  /** Begins the next packet of the stream where the one in hand is full. */
  private makeRoom(): void {
    if (this.room > 0) return;
    if (this.streamLeft < this.streamBytes) this.closePacket(FROM_CORE);
    this.room = Math.min(this.streamLeft, STREAM_PACKET_BYTES);
    this.streamLeft -= this.room;
    this.openPacket(INTERFACE_HOST, this.room, this.room);
  }

  private openPacket(interfaceId: number, captured: number, original: number): void {
    const { words } = this.target;
    const { sourceWords, abi, at } = this;
    const nowWord = abi.INPUT_NOW >>> 2;
    this.packetBytes = PACKET_OVERHEAD_BYTES + pad4(captured);
    words[at] = BLOCK_PACKET;
    words[at + 1] = this.packetBytes;
    words[at + 2] = interfaceId;
    words[at + 3] = sourceWords[nowWord + 1] as number;
    words[at + 4] = sourceWords[nowWord] as number;
    words[at + 5] = captured;
    words[at + 6] = original;
    this.at = at + PACKET_DATA;
  }

  private closePacket(direction: number): void {
    const { words } = this.target;
    const { at, number, numberHigh } = this;
    words[at] = FLAGS_HEAD;
    words[at + 1] = direction;
    words[at + 2] = PACKET_ID_HEAD;
    words[at + 3] = number;
    words[at + 4] = numberHigh;
    words[at + 5] = OPTION_END;
    words[at + 6] = this.packetBytes;
    this.at = at + 7;
  }

  private cookedHeader(type: number, port: number): void {
    const { words } = this.target;
    const { at } = this;
    words[at] = type;
    words[at + 1] = port === 0 ? 0 : bigEndian(COOKED_PORT_BYTES, port >>> 16);
    words[at + 2] = bigEndian(port & 0xffff, 0);
    words[at + 3] = COOKED_PROTOCOL;
    this.at = at + 4;
  }

  /** Copies bytes of linear memory to where the next word is written, padded with zeros to a word. */
  private copy(address: number, size: number): void {
    const { words, bytes } = this.target;
    if (size > BULK_BYTES || (address & 3) !== 0) {
      bytes.set(this.source.subarray(address, address + size), this.at * 4);
      this.at += size >>> 2;
      if (size & 3) {
        const end = this.at * 4 + 4;
        bytes.fill(0, end - 4 + (size & 3), end);
        this.at++;
      }
      return;
    }
    const { sourceWords } = this;
    let from = address >>> 2;
    let to = this.at;
    const end = to + (size >>> 2);
    while (to < end) words[to++] = sourceWords[from++] as number;
    if (size & 3) words[to++] = (sourceWords[from] as number) & ((1 << ((size & 3) * 8)) - 1);
    this.at = to;
  }

  private word(address: number): number {
    return (this.sourceWords[address >>> 2] as number) >>> 0;
  }
}
