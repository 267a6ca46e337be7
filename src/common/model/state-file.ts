// The state file of a log: what outlives the server, so that the next one knows what this one knew. Everything stands in it
// twice.
//
//   offset       size
//        0        200  magic u64, check u64, luid u64, serial u64, life u32, was resumed u32, reconnects u32, marks in doubt
//                      u32, device behind u32, bytes of the UUID u32, bytes of the constructor's string u32, 0 u32; UUID 136
//      200        200  the same once more
//      400          n  the constructor's string, padded to 8
//        …          n  the same once more
//        …  3 × 8 × m  three sets of regions, a bit for each region in m words of 64: two whose union is what is out of sync,
//                      and the marked ones
//        …  3 × 8 × m  the same once more
//
// The check is FNV-1a of 64 bits over the header from the luid on and the constructor's string.

import { latin1, viewOf } from "./wire.ts";

const HEADER_BYTES = 200;
const TEXT_AT = 2 * HEADER_BYTES;
/** "dmulog", version 4. */
const MAGIC = 0x0004_676f_6c75_6d64n;
const LUID_AT = 16;
const UUID_AT = 64;
const UUID_ROOM = 136;
const SETS = 3;
const MARKED_SET = 2;

export type Life = "created" | "resumed" | "suspending" | "suspended";
/** Whether the marks of a server were lost, and whether its writes have ended since. */
export type Doubt = "none" | "marks" | "ends";

const LIVES = new Map<number, Life>([
  [1, "created"],
  [2, "resumed"],
  [4, "suspending"],
  [8, "suspended"],
]);
const DOUBTS: readonly (Doubt | undefined)[] = ["none", "marks", "ends"];

export interface StateHeader {
  readonly luid: bigint;
  readonly uuid: string;
  readonly text: string;
  readonly life: Life;
  readonly wasResumed: boolean;
  readonly reconnects: boolean;
  readonly doubt: Doubt;
  readonly isDeviceBehind: boolean;
}

/** What the next server would know. */
export interface StoredLog extends StateHeader {
  readonly outOfSync: Set<number>;
  readonly marked: Set<number>;
}

/** Where the parts of a file stand. */
interface Layout {
  readonly textBytes: number;
  readonly setsAt: number;
  readonly setBytes: number;
  readonly fileBytes: number;
}

function layoutOf(textBytes: number, regionCount: number): Layout {
  const setsAt = TEXT_AT + 2 * ((textBytes + 7) & ~7);
  const setBytes = Math.ceil(regionCount / 64) * 8;
  return { textBytes, setsAt, setBytes, fileBytes: setsAt + 2 * SETS * setBytes };
}

export class StateFile {
  private readonly layout: Layout;

  /** `bytes` are the file's own; its log's constructor has such a string and so many regions. */
  constructor(
    readonly bytes: Uint8Array,
    text: string,
    regionCount: number,
  ) {
    this.layout = layoutOf(text.length, regionCount);
  }

  /** Whether the file has the size that such a log's has. */
  get hasRightSize(): boolean {
    return this.bytes.length === this.layout.fileBytes;
  }

  /** Returns false where that is beyond the file. */
  write(offsetBytes: number, bytes: Uint8Array): boolean {
    if (offsetBytes + bytes.length > this.bytes.length) return false;
    this.bytes.set(bytes, offsetBytes);
    return true;
  }

  /** The header, if both copies are whole and say the same; otherwise null. */
  header(): StateHeader | null {
    const { textBytes } = this.layout;
    const [first, second] = [0, 1].map((copy) => readHeader(this.bytes, copy, copy, textBytes));
    if (first == null || second == null) return null;
    const isSame = this.bytes.subarray(0, HEADER_BYTES).every((byte, i) => byte === this.bytes[HEADER_BYTES + i]);
    return isSame ? first : null;
  }

  /** What is wrong of a region, in words; null where both copies say this of it. */
  problemOf(region: number, isOutOfSync: boolean, isMarked: boolean): string | null {
    for (const copy of [0, 1]) {
      const saysOutOfSync = this.hasRegion(copy, 0, region) || this.hasRegion(copy, 1, region);
      if (saysOutOfSync !== isOutOfSync) return `copy ${copy + 1} has it ${isOutOfSync ? "in" : "out of"} sync`;
      const saysMarked = this.hasRegion(copy, MARKED_SET, region);
      if (saysMarked !== isMarked) return `copy ${copy + 1} has it ${isMarked ? "not marked" : "marked"}`;
    }
    return null;
  }

  /** Whether a write to this place is one of the marks. */
  isOfMarks(offsetBytes: number): boolean {
    const { setsAt, setBytes } = this.layout;
    return offsetBytes >= setsAt + MARKED_SET * setBytes && offsetBytes < setsAt + SETS * setBytes;
  }

  /** Whether no region is marked in the file. */
  hasNoMarks(): boolean {
    const { setsAt, setBytes } = this.layout;
    const from = setsAt + MARKED_SET * setBytes;
    return this.bytes.subarray(from, from + setBytes).every((byte) => byte === 0);
  }

  private hasRegion(copy: number, set: number, region: number): boolean {
    const { setsAt, setBytes } = this.layout;
    const byte = this.bytes[setsAt + (copy * SETS + set) * setBytes + (region >>> 3)] as number;
    return ((byte >>> (region & 7)) & 1) === 1;
  }
}

/**
 * What a server makes of a file: of headers and strings the first copy whose check holds, of sets both together. Null for
 * what is no state file. `countOf` gives the regions of a constructor's string, null where it is refused.
 */
export function readStateFile(bytes: Uint8Array, countOf: (text: string) => number | null): StoredLog | null {
  if (bytes.length < TEXT_AT) return null;
  for (const copy of [0, 1]) {
    for (const textCopy of [0, 1]) {
      const textBytes = viewOf(bytes).getUint32(copy * HEADER_BYTES + 56, true);
      const header = readHeader(bytes, copy, textCopy, textBytes);
      if (header === null) continue;
      const regionCount = countOf(header.text);
      if (regionCount === null) return null;
      const file = new StateFile(bytes, header.text, regionCount);
      return file.hasRightSize ? { ...header, ...setsOf(bytes, textBytes, regionCount) } : null;
    }
  }
  return null;
}

/** The first whole header that the first part of a file has; null where it has none. */
export function firstHeader(bytes: Uint8Array): StateHeader | null {
  if (bytes.length < TEXT_AT) return null;
  for (const copy of [0, 1]) {
    for (const textCopy of [0, 1]) {
      const header = readHeader(bytes, copy, textCopy, viewOf(bytes).getUint32(copy * HEADER_BYTES + 56, true));
      if (header !== null) return header;
    }
  }
  return null;
}

function setsOf(bytes: Uint8Array, textBytes: number, regionCount: number): Pick<StoredLog, "outOfSync" | "marked"> {
  const { setsAt, setBytes } = layoutOf(textBytes, regionCount);
  const outOfSync = new Set<number>();
  const marked = new Set<number>();
  for (let set = 0; set < 2 * SETS; set++) {
    const target = set % SETS === MARKED_SET ? marked : outOfSync;
    for (let region = 0; region < regionCount; region++) {
      const byte = bytes[setsAt + set * setBytes + (region >>> 3)] as number;
      if ((byte >>> (region & 7)) & 1) target.add(region);
    }
  }
  return { outOfSync, marked };
}

function readHeader(bytes: Uint8Array, copy: number, textCopy: number, textBytes: number): StateHeader | null {
  const textAt = TEXT_AT + textCopy * ((textBytes + 7) & ~7);
  if (textAt + textBytes > bytes.length) return null;
  const header = bytes.subarray(copy * HEADER_BYTES, (copy + 1) * HEADER_BYTES);
  const view = viewOf(header);
  const text = bytes.subarray(textAt, textAt + textBytes);
  if (view.getBigUint64(0, true) !== MAGIC || view.getUint32(56, true) !== textBytes) return null;
  if (view.getBigUint64(8, true) !== checkOf(header.subarray(LUID_AT), text)) return null;
  const life = LIVES.get(view.getUint32(32, true));
  const doubt = DOUBTS[view.getUint32(44, true)];
  const uuid = header.subarray(UUID_AT, UUID_AT + UUID_ROOM);
  const uuidBytes = uuid.indexOf(0);
  if (life === undefined || doubt === undefined || uuidBytes < 1 || uuidBytes !== view.getUint32(52, true)) return null;
  return {
    luid: view.getBigUint64(LUID_AT, true),
    uuid: latin1(uuid.subarray(0, uuidBytes)),
    text: latin1(text),
    life,
    wasResumed: view.getUint32(36, true) !== 0,
    reconnects: view.getUint32(40, true) !== 0,
    doubt,
    isDeviceBehind: view.getUint32(48, true) !== 0,
  };
}

function checkOf(...parts: Uint8Array[]): bigint {
  let mixed = 0xcbf2_9ce4_8422_2325n;
  for (const part of parts) {
    for (const byte of part) mixed = BigInt.asUintN(64, (mixed ^ BigInt(byte)) * 0x0000_0100_0000_01b3n);
  }
  return mixed;
}
