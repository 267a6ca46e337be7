// Reads blocks word by word. It does not trust the file: a length is valid only if the block also ends with it.

import {
  BLOCK_BYTES_MIN,
  DIRECTION_MASK,
  OPTION_END,
  OPTION_FLAGS,
  OPTION_FLAGS_HEAD,
  OPTION_PACKET_ID,
  OPTION_PACKET_ID_HEAD,
  PACKET_CAPTURED,
  PACKET_DATA,
  PACKET_INTERFACE,
  PACKET_OVERHEAD_BYTES,
  pad4,
  TWO_TO_32,
} from "./format.ts";

/** Bytes of a file, by words and by bytes. */
export interface FileView {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
}

/** A view of a file's bytes; those that do not begin at a multiple of 4 are copied once. */
export function fileView(file: Uint8Array): FileView {
  const bytes = file.byteOffset % 4 === 0 ? file : file.slice();
  return { bytes, words: new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2) };
}

/** The length of the block at a word, or 0 if there is no complete block. */
export function blockBytes(words: Int32Array, at: number, endBytes: number): number {
  const offset = at * 4;
  if (offset + BLOCK_BYTES_MIN > endBytes) return 0;
  const total = words[at + 1] as number;
  if (total < BLOCK_BYTES_MIN || (total & 3) !== 0 || offset + total > endBytes) return 0;
  return words[at + (total >>> 2) - 1] === total ? total : 0;
}

/** Calls `visit` with each option that stands between two words: its code, the offset of its value in bytes, the value's length. */
export function eachOption(
  words: Int32Array,
  first: number,
  end: number,
  visit: (code: number, offset: number, length: number) => void,
): void {
  for (let at = first; at < end; ) {
    const head = words[at] as number;
    const code = head & 0xffff;
    const length = head >>> 16;
    const next = at + 1 + (pad4(length) >>> 2);
    if (code === OPTION_END || next > end) return;
    visit(code, (at + 1) * 4, length);
    at = next;
  }
}

/** One packet block at a time. */
export class PacketReader {
  interfaceId = 0;
  /** First word of the data, and its bytes. */
  data = 0;
  captured = 0;
  direction = 0;
  /** Event number. */
  number = 0;

  /** Reads the packet block at a word; its length is known to be right. Returns false if it does not belong to a trace. */
  read(words: Int32Array, at: number, total: number): boolean {
    const captured = words[at + PACKET_CAPTURED] as number;
    const room = total - PACKET_OVERHEAD_BYTES;
    if (captured < 0 || captured > room || pad4(captured) > room) return false;
    const options = at + PACKET_DATA + (pad4(captured) >>> 2);
    this.interfaceId = words[at + PACKET_INTERFACE] as number;
    this.data = at + PACKET_DATA;
    this.captured = captured;
    if (words[options] === OPTION_FLAGS_HEAD && words[options + 2] === OPTION_PACKET_ID_HEAD) {
      this.direction = (words[options + 1] as number) & DIRECTION_MASK;
      this.number = u64(words, options + 3);
      return true;
    }
    return this.searchOptions(words, options, at + (total >>> 2) - 1);
  }

  /** Another tool may have added options, or put them in another order. */
  private searchOptions(words: Int32Array, first: number, end: number): boolean {
    let found = 0;
    eachOption(words, first, end, (code, offset, length) => {
      if (code === OPTION_FLAGS && length === 4) {
        this.direction = (words[offset >>> 2] as number) & DIRECTION_MASK;
        found |= 1;
      } else if (code === OPTION_PACKET_ID && length === 8) {
        this.number = u64(words, offset >>> 2);
        found |= 2;
      }
    });
    return found === 3;
  }
}

/** A u64 as a number; above 2^53 it is not exact. */
export function u64(words: Int32Array, at: number): number {
  return ((words[at] as number) >>> 0) + ((words[at + 1] as number) >>> 0) * TWO_TO_32;
}

/** Bytes as characters, one for each. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
