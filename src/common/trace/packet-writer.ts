// Writes packet blocks by words into a buffer that has room for them.

import {
  BLOCK_PACKET,
  OPTION_END,
  OPTION_FLAGS_HEAD,
  OPTION_PACKET_ID_HEAD,
  PACKET_DATA,
  PACKET_OVERHEAD_BYTES,
  pad4,
  TWO_TO_32,
} from "./format.ts";
import { TraceBuffer } from "./trace-buffer.ts";

/** From this size on, the built-in copy is faster than one word by word, although it allocates a view. */
const BULK_BYTES = 1024;

export class PacketWriter {
  /** Where the next word is written, of the buffer's words. */
  at = 0;
  private buffer = TraceBuffer.growing(0);
  private numberLow = 0;
  private numberHigh = 0;
  private timeLow = 0;
  private timeHigh = 0;
  /** Bytes of the current block. */
  private blockBytes = 0;

  /** What follows are packets of one event, appended to `buffer`. The time is in halves. */
  begin(buffer: TraceBuffer, number: number, timeLow: number, timeHigh: number): void {
    this.buffer = buffer;
    this.at = buffer.size >>> 2;
    this.numberLow = number | 0;
    this.numberHigh = Math.floor(number / TWO_TO_32);
    this.timeLow = timeLow;
    this.timeHigh = timeHigh;
  }

  /** The packets are in the buffer from now on. */
  end(): void {
    this.buffer.size = this.at * 4;
  }

  /** Begins a packet with so many bytes of data, which are to be written next. */
  open(interfaceId: number, captured: number, original = captured): void {
    const { words } = this.buffer;
    const { at } = this;
    this.blockBytes = PACKET_OVERHEAD_BYTES + pad4(captured);
    words[at] = BLOCK_PACKET;
    words[at + 1] = this.blockBytes;
    words[at + 2] = interfaceId;
    words[at + 3] = this.timeHigh;
    words[at + 4] = this.timeLow;
    words[at + 5] = captured;
    words[at + 6] = original;
    this.at = at + PACKET_DATA;
  }

  close(direction: number): void {
    const { words } = this.buffer;
    const { at } = this;
    words[at] = OPTION_FLAGS_HEAD;
    words[at + 1] = direction;
    words[at + 2] = OPTION_PACKET_ID_HEAD;
    words[at + 3] = this.numberLow;
    words[at + 4] = this.numberHigh;
    words[at + 5] = OPTION_END;
    words[at + 6] = this.blockBytes;
    this.at = at + 7;
  }

  word(word: number): void {
    this.buffer.words[this.at++] = word;
  }

  /** Overwrites the last two words with zeros. */
  blankLast(): void {
    const { words } = this.buffer;
    words[this.at - 2] = 0;
    words[this.at - 1] = 0;
  }

  /** Copies bytes and pads them with zeros to a word. `sourceWords` are `source` by words. */
  copy(source: Uint8Array, sourceWords: Int32Array, address: number, size: number): void {
    const { words, bytes } = this.buffer;
    if (size > BULK_BYTES || (address & 3) !== 0) {
      const to = this.at * 4;
      bytes.set(source.subarray(address, address + size), to);
      for (let i = size; i & 3; i++) bytes[to + i] = 0;
      this.at += pad4(size) >>> 2;
      return;
    }
    let from = address >>> 2;
    let to = this.at;
    const end = to + (size >>> 2);
    while (to < end) words[to++] = sourceWords[from++] as number;
    if (size & 3) words[to++] = (sourceWords[from] as number) & ((1 << ((size & 3) * 8)) - 1);
    this.at = to;
  }
}
