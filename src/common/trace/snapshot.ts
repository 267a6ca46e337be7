// A snapshot in a trace: linear memory in parts, one packet each, before a section's first event.
//
// An engine with wrong memory may do anything, even run forever. Each part therefore has a digest of itself and of all parts
// before it, and a part without bytes ends the snapshot, so that a damaged, missing or misplaced part is noticed.

import { Digest } from "../sim/digest.ts";
import {
  HOST_INPUT_BYTES,
  INTERFACE_HOST,
  KIND_SNAPSHOT_PART,
  PACKET_OVERHEAD_BYTES,
  PAGE_BYTES,
  SNAPSHOT_HEAD_BYTES,
  SNAPSHOT_PART_BYTES,
  TO_CORE,
  TWO_TO_32,
} from "./format.ts";
import { PacketReader, u64 } from "./packet.ts";
import { PacketWriter } from "./packet-writer.ts";
import type { TraceBuffer } from "./trace-buffer.ts";

/** The room that a buffer of fixed size needs for a part. */
export const SNAPSHOT_PACKET_BYTES_MAX =
  PACKET_OVERHEAD_BYTES + HOST_INPUT_BYTES + SNAPSHOT_HEAD_BYTES + SNAPSHOT_PART_BYTES;

export class SnapshotWriter {
  private readonly digest = new Digest();
  private readonly packets = new PacketWriter();
  private readonly words: Int32Array;
  private offset = 0;
  private isDone = false;

  /** `memory` is all of linear memory and must not change before `write` is done; `timeNs` is the core's. */
  constructor(
    private readonly memory: Uint8Array,
    private readonly firstEvent: number,
    private readonly timeNs: number,
  ) {
    this.words = new Int32Array(memory.buffer, memory.byteOffset, memory.length >>> 2);
  }

  /** Appends the rest of the snapshot. Returns false if the buffer is full; continue in another one then. */
  write(buffer: TraceBuffer): boolean {
    const { memory } = this;
    while (!this.isDone) {
      while (this.offset < memory.length && this.isZeroPage(this.offset)) this.offset += PAGE_BYTES;
      let end = this.offset;
      while (end < memory.length && end - this.offset < SNAPSHOT_PART_BYTES && !this.isZeroPage(end)) end += PAGE_BYTES;
      if (!this.writePart(buffer, end - this.offset)) return false;
      this.isDone = this.offset === memory.length && end === this.offset;
      this.offset = end;
    }
    return true;
  }

  private writePart(buffer: TraceBuffer, size: number): boolean {
    const { memory, offset, digest, packets, timeNs } = this;
    const captured = HOST_INPUT_BYTES + SNAPSHOT_HEAD_BYTES + size;
    if (!buffer.reserve(PACKET_OVERHEAD_BYTES + captured)) return false;
    addPart(digest, this.words, offset >>> 2, size, offset, memory.length);
    packets.begin(buffer, this.firstEvent, timeNs | 0, Math.floor(timeNs / TWO_TO_32));
    packets.open(INTERFACE_HOST, captured);
    packets.word(KIND_SNAPSHOT_PART);
    packets.word(SNAPSHOT_HEAD_BYTES + size);
    for (const value of [offset, memory.length]) {
      packets.word(value);
      packets.word(Math.floor(value / TWO_TO_32));
    }
    packets.word(digest.low);
    packets.word(digest.high);
    packets.copy(memory, this.words, offset, size);
    packets.close(TO_CORE);
    packets.end();
    return true;
  }

  private isZeroPage(offset: number): boolean {
    const { words } = this;
    const end = (offset + PAGE_BYTES) >>> 2;
    for (let i = offset >>> 2; i < end; i++) if (words[i] !== 0) return false;
    return true;
  }
}

function addPart(
  digest: Digest,
  words: Int32Array,
  first: number,
  size: number,
  offset: number,
  memoryBytes: number,
): void {
  digest.addWord(offset);
  digest.addWord(memoryBytes);
  digest.addWords(words, first, size >>> 2);
}

/** A part as it stands in a file. */
export interface SnapshotPart {
  memoryBytes: number;
  offset: number;
  /** Where its bytes begin in the file, and how many they are. */
  contentOffset: number;
  size: number;
}

/** The parts that begin at these offsets of a file, or null where they are not a whole snapshot. */
export function readSnapshot(words: Int32Array, offsets: readonly number[]): SnapshotPart[] | null {
  const packet = new PacketReader();
  const digest = new Digest();
  const parts: SnapshotPart[] = [];
  for (const fileOffset of offsets) {
    const at = fileOffset >>> 2;
    if (!packet.read(words, at, words[at + 1] as number)) return null;
    const head = packet.data + HOST_INPUT_BYTES / 4;
    const content = head + SNAPSHOT_HEAD_BYTES / 4;
    const size = packet.captured - HOST_INPUT_BYTES - SNAPSHOT_HEAD_BYTES;
    const [offset, memoryBytes] = [u64(words, head), u64(words, head + 2)];
    if (size < 0 || size % 4 !== 0 || offset + size > memoryBytes) return null;
    addPart(digest, words, content, size, offset, memoryBytes);
    if (digest.low !== words[head + 4] || digest.high !== words[head + 5]) return null;
    parts.push({ memoryBytes, offset, contentOffset: content * 4, size });
  }
  const last = parts.at(-1);
  return last !== undefined && last.size === 0 && last.offset === last.memoryBytes ? parts : null;
}
