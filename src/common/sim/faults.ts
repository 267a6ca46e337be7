// Deliberate faults: what a careless server, host, device or kernel might do. Each must be found by the checkers; that is
// how they are known to look.

import type { Abi } from "../abi.ts";
import type { Head } from "../engine.ts";
import { asciiBytes, requestType } from "../kernel-frames.ts";
import { type LogDevice, SECTOR_BYTES } from "./log-device.ts";
import { firstRegion, type LogSets } from "./log-view.ts";
import type { Random } from "./random.ts";

/** What becomes of a request: the engine gets it; or it is answered as done, and reaches the engine too, late, or never. */
export type Verdict = "deliver" | "answer-and-deliver" | "answer-and-keep" | "answer-only";

/** Sits between kernel and engine, and may change datagrams in place. */
export interface Tamper {
  request?(datagram: Uint8Array): Verdict;
  /** The request that stands in for `datagram`. */
  replace?(datagram: Uint8Array): Uint8Array;
  /** `sets` reads what the server's logs know now, by luid and UUID. */
  reply?(datagram: Uint8Array, sets: () => Map<string, LogSets>): void;
  /** Whether requests that were kept are given to the engine now, after `datagram` has been. */
  releases?(datagram: Uint8Array): boolean;
}

/** Sits between core and host, and may do otherwise than the core asked. */
export interface HostTamper {
  /** What is written to the device in place of `bytes`. */
  written?(device: LogDevice, offsetBytes: number, bytes: Uint8Array): Uint8Array;
  /** Whether the core hears that the write is done when it has only begun. */
  endsWriteEarly?(): boolean;
  /** False where the core hears of failed writes as of others. */
  hearsFailures?(): boolean;
  /** Whether the core hears that the legs are flushed though nobody flushed them. */
  forgetsLegFlush?(): boolean;
  /** What is stored in the state file in place of `bytes`; null for nothing. */
  stored?(head: Head, bytes: Uint8Array): Uint8Array | null;
}

/** A mistake that is put into the simulation, to see that it is found. */
export interface Fault {
  readonly name: string;
  readonly sentence: string;
  /** What happens to datagrams. */
  readonly tamper?: (frame: Frame, random: Random) => Tamper;
  /** The mirror does not wait for the mark. */
  readonly writesBeforeMark?: boolean;
  /** A server that starts again takes up a state that is older than its end. */
  readonly restoresOldState?: boolean;
  /** What happens to what the core asks of its host. */
  readonly host?: (random: Random) => HostTamper;
  /** Writes of a dead server reach the device when its successor works there already. */
  readonly orphansLinger?: boolean;
}

/** Reads and writes the fields of a request or reply that faults are about. */
export class Frame {
  constructor(private readonly abi: Abi) {}

  is(datagram: Uint8Array, ...types: Parameters<typeof requestType>[1][]): boolean {
    const type = view(datagram).getUint32(this.abi.ULOG_TYPE, true);
    return types.some((name) => requestType(this.abi, name) === type);
  }

  /** Number of u64 in the payload. */
  wordCount(datagram: Uint8Array): number {
    return view(datagram).getUint32(this.abi.ULOG_DATA_SIZE, true) >>> 3;
  }

  word(datagram: Uint8Array, index: number): bigint {
    return view(datagram).getBigUint64(this.abi.ULOG_DATA + index * 8, true);
  }

  setWord(datagram: Uint8Array, index: number, value: bigint): void {
    view(datagram).setBigUint64(this.abi.ULOG_DATA + index * 8, value, true);
  }

  isRefusal(datagram: Uint8Array): boolean {
    return view(datagram).getInt32(this.abi.ULOG_ERROR, true) !== 0;
  }

  /** As `sets` of a Tamper names the log that a datagram is about. */
  logKey(datagram: Uint8Array): string {
    const { abi } = this;
    const uuid = datagram.subarray(abi.ULOG_UUID, abi.ULOG_UUID + abi.UUID_BYTES);
    const length = uuid.indexOf(0);
    return `${view(datagram).getBigUint64(abi.ULOG_LUID, true)} ${String.fromCharCode(...uuid.subarray(0, length))}`;
  }

  /** The reply that says "done" and carries nothing. */
  doneReply(request: Uint8Array): Uint8Array {
    const { abi } = this;
    const reply = request.slice(0, abi.FRAME_BYTES);
    view(reply).setUint32(abi.NLMSG_LEN, abi.FRAME_BYTES, true);
    view(reply).setUint16(abi.CN_LEN, abi.ULOG_HEADER_BYTES, true);
    view(reply).setUint32(abi.ULOG_DATA_SIZE, 0, true);
    return reply;
  }

  /** A constructor request that says `nosync` too, where it says nothing of the kind. */
  withNosync(request: Uint8Array): Uint8Array {
    const { abi } = this;
    const bytes = view(request).getUint32(abi.ULOG_DATA_SIZE, true);
    const text = String.fromCharCode(...request.subarray(abi.ULOG_DATA, abi.ULOG_DATA + bytes));
    if (/sync/.test(text)) return request;
    const data = asciiBytes(text.replace(/(\0?)$/, " nosync$1"));
    const longer = new Uint8Array(abi.FRAME_BYTES + data.length);
    longer.set(request.subarray(0, abi.FRAME_BYTES));
    longer.set(data, abi.ULOG_DATA);
    view(longer).setUint32(abi.NLMSG_LEN, longer.length, true);
    view(longer).setUint16(abi.CN_LEN, abi.ULOG_HEADER_BYTES + data.length, true);
    view(longer).setUint32(abi.ULOG_DATA_SIZE, data.length, true);
    return longer;
  }
}

function view(datagram: Uint8Array): DataView {
  return new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
}

/** One in so many of the requests that a fault is about meets it. */
const RARITY = 8;
/** Bytes of a log device that the core writes at least. */
const BLOCK_BYTES = 4096;

export const FAULTS: readonly Fault[] = [
  {
    name: "marks-dropped",
    sentence: "Some MARK and FLUSH requests are answered as done but never reach the log.",
    tamper: (frame, random) => ({
      request: (datagram) =>
        frame.is(datagram, "MARK_REGION", "FLUSH") && frame.wordCount(datagram) > 0 && random.oneIn(RARITY)
          ? "answer-only"
          : "deliver",
    }),
  },
  {
    name: "mark-group-short",
    sentence: "The last region of some groups of marks is skipped.",
    tamper: (frame, random) => ({
      request: (datagram) => {
        const count = frame.wordCount(datagram);
        if (frame.is(datagram, "MARK_REGION", "FLUSH") && count > 1 && random.oneIn(RARITY)) {
          frame.setWord(datagram, count - 1, frame.word(datagram, 0));
        }
        return "deliver";
      },
    }),
  },
  {
    name: "writes-before-mark",
    sentence: "The mirror writes to its legs before the mark is answered.",
    writesBeforeMark: true,
  },
  {
    name: "clear-late",
    sentence: "Some CLEAR requests are answered at once but carried out after the next mark.",
    tamper: (frame, random) => ({
      request: (datagram) =>
        frame.is(datagram, "CLEAR_REGION") && random.oneIn(RARITY) ? "answer-and-keep" : "deliver",
      releases: (datagram) => frame.is(datagram, "MARK_REGION", "FLUSH") && frame.wordCount(datagram) > 0,
    }),
  },
  {
    name: "sync-wrong-region",
    sentence: "Some SET_REGION_SYNC requests reach the log with the lowest bit of the region changed.",
    tamper: (frame, random) => ({
      request: (datagram) => {
        if (frame.is(datagram, "SET_REGION_SYNC") && random.oneIn(RARITY)) {
          frame.setWord(datagram, 0, frame.word(datagram, 0) ^ 1n);
        }
        return "deliver";
      },
    }),
  },
  {
    name: "sync-wrong-state",
    sentence: "A SET_REGION_SYNC that says out of sync reaches the log as in sync.",
    tamper: (frame) => ({
      request: (datagram) => {
        if (frame.is(datagram, "SET_REGION_SYNC")) frame.setWord(datagram, 1, 1n);
        return "deliver";
      },
    }),
  },
  {
    name: "resync-work-hidden",
    sentence: "GET_RESYNC_WORK says that there is none while an eighth of the regions is still out of sync.",
    tamper: (frame) => ({
      reply: (datagram) => {
        if (!frame.is(datagram, "GET_RESYNC_WORK") || frame.isRefusal(datagram)) return;
        if (frame.word(datagram, 1) % 8n !== 0n) return;
        frame.setWord(datagram, 0, 0n);
        frame.setWord(datagram, 1, 0n);
      },
    }),
  },
  {
    name: "sync-count-high",
    sentence: "GET_SYNC_COUNT always says that every region is in sync.",
    tamper: (frame) => ({
      reply: (datagram) => {
        if (frame.is(datagram, "GET_SYNC_COUNT") && !frame.isRefusal(datagram)) frame.setWord(datagram, 0, 1n << 32n);
      },
    }),
  },
  {
    name: "in-sync-always",
    sentence: "IN_SYNC says yes for regions that are out of sync.",
    tamper: (frame) => ({
      reply: (datagram) => {
        if (frame.is(datagram, "IN_SYNC") && !frame.isRefusal(datagram)) frame.setWord(datagram, 0, 1n);
      },
    }),
  },
  {
    name: "constructor-nosync",
    sentence: "A new log treats every region as in sync although its table does not say so.",
    tamper: (frame) => ({
      replace: (datagram) => (frame.is(datagram, "CTR") ? frame.withNosync(datagram) : datagram),
    }),
  },
  {
    name: "state-old",
    sentence: "A new server restores its logs as they were some requests before the previous server's end.",
    restoresOldState: true,
  },
  {
    name: "state-write-lost",
    sentence: "Some words never reach a state file.",
    host: (random) => ({ stored: (head, bytes) => (isWord(head) && random.oneIn(RARITY) ? null : bytes) }),
  },
  {
    name: "state-bit-lost",
    sentence: "Some words reach a state file without one of their bits: a mark, or that a region is out of sync.",
    host: (random) => ({
      stored: (head, bytes) => (isWord(head) && random.oneIn(RARITY) ? withoutBit(bytes) : bytes),
    }),
  },
  {
    name: "state-bit-added",
    sentence: "Some words reach a state file with one bit too many: a region in sync is out of sync, or marked.",
    host: (random) => ({
      stored: (head, bytes) => (isWord(head) && random.oneIn(RARITY) ? withFirstBit(bytes) : bytes),
    }),
  },
  {
    name: "flush-answered-early",
    sentence: "Some FLUSH requests are answered as done when the log has only started them.",
    tamper: (frame, random) => ({
      request: (datagram) =>
        frame.is(datagram, "FLUSH") && frame.wordCount(datagram) > 0 && random.oneIn(RARITY)
          ? "answer-and-deliver"
          : "deliver",
    }),
  },
  {
    name: "write-done-early",
    sentence: "The core is told that a write is durable when it has only started.",
    host: (random) => ({ endsWriteEarly: () => random.oneIn(RARITY) }),
  },
  {
    name: "write-skips-block",
    sentence: "Some writes leave out one of their 4 KiB blocks and are reported as done.",
    host: (random) => ({
      written: (device, offset, bytes) =>
        random.oneIn(RARITY) ? leftOut(device, offset, bytes, BLOCK_BYTES, random) : bytes,
    }),
  },
  {
    name: "write-torn",
    sentence: "Some writes leave out one of their sectors and are reported as done.",
    host: (random) => ({
      written: (device, offset, bytes) => leftOut(device, offset, bytes, SECTOR_BYTES, random),
    }),
  },
  {
    name: "write-stale",
    sentence: "Some writes repeat the data of the previous write to the same place.",
    host: (random) => {
      const last = new Map<string, Uint8Array>();
      return {
        written: (device, offset, bytes) => {
          const place = `${device.name.path} ${offset} ${bytes.length}`;
          const before = last.get(place);
          last.set(place, bytes);
          return before !== undefined && random.oneIn(RARITY) ? before : bytes;
        },
      };
    },
  },
  {
    name: "write-failure-hidden",
    sentence: "The core is told that failed writes succeeded.",
    host: () => ({ hearsFailures: () => false }),
  },
  {
    name: "leg-flush-forgotten",
    sentence: "The core is told that the legs are flushed, but nobody flushed them.",
    host: (random) => ({ forgetsLegFlush: () => random.oneIn(2) }),
  },
  {
    name: "orphans-linger",
    sentence: "Writes of a dead server reach the device when the next server already uses it.",
    orphansLinger: true,
  },
];

/** What another server answers, though nothing is wrong with it: to compare with. It breaks no property. */
export const POLICIES: readonly Fault[] = [
  {
    name: "lowest-region-hint",
    sentence: "As cmirrord: IS_REMOTE_RECOVERING's hint is the lowest region out of sync, so writes above it wait.",
    tamper: (frame) => ({
      reply: (datagram, sets) => {
        if (!frame.is(datagram, "IS_REMOTE_RECOVERING") || frame.isRefusal(datagram)) return;
        const lowest = firstRegion(sets().get(frame.logKey(datagram))?.outOfSync);
        // Where none is out of sync the core says so itself.
        if (lowest !== null) frame.setWord(datagram, 1, BigInt(lowest));
      },
    }),
  },
];

/** Whether a state write is of one word of one set, as marks, clears and sync states are stored. */
function isWord({ sizeBytes }: Head): boolean {
  return sizeBytes === 8;
}

function withoutBit(bytes: Uint8Array): Uint8Array {
  const at = bytes.findIndex((byte) => byte !== 0);
  return bytes.map((byte, i) => (i === at ? byte & (byte - 1) : byte));
}

function withFirstBit(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, i) => (i === 0 ? byte | 1 : byte));
}

/** What is written where one part of `partBytes` is not: there the medium stays as it is. */
function leftOut(
  { medium }: LogDevice,
  offsetBytes: number,
  bytes: Uint8Array,
  partBytes: number,
  random: Random,
): Uint8Array {
  const at = random.below(Math.ceil(bytes.length / partBytes)) * partBytes;
  const end = Math.min(at + partBytes, bytes.length);
  const written = bytes.slice();
  written.set(medium.subarray(offsetBytes + at, offsetBytes + end), at);
  return written;
}

/** The fault or policy of that name; throws with the names there are. */
export function findFault(name: string): Fault {
  const known = [...FAULTS, ...POLICIES];
  const fault = known.find((candidate) => candidate.name === name);
  if (fault === undefined) {
    throw new Error(`There is no fault "${name}". The faults are: ${known.map((f) => f.name).join(", ")}.`);
  }
  return fault;
}
