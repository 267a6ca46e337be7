// The control plane: describes an engine to people and programs, in words and plain objects.
//
// A console has its own instance of the core, called by as-bind, which allocates. It reads an engine's memory through a
// `MemorySource`, on the same thread or on another one, and never runs inside the engine that it describes.

import asBind from "#as-bind";
import { type Abi, readAbi } from "./abi.ts";
import { compileCore } from "./core-module.ts";
import type { Written } from "./json.ts";
import { printable } from "./printable.ts";

/** Copies of an engine's linear memory. An `Engine` is one. */
export interface MemorySource {
  /** A copy of `size` bytes from `address` on. */
  read(address: number, size: number): Uint8Array;
}

/** The log device of a disk log. */
export interface DeviceDescription {
  /** Both 0 for a regular file. */
  major: number;
  minor: number;
  /** Whether its content is known and marks can be made durable on it. */
  isReady: boolean;
  /** The first error since the last resume in words, or null while the device is alive. */
  error: string | null;
  /** Blocks of 4 KiB that the next flush writes. */
  urgentBlocks: number;
  /** Blocks of 4 KiB that are written after a quiet time. */
  lazyBlocks: number;
  /** Regions that are clean in memory but not yet on the device, because their legs may hold writes in a volatile cache. */
  unsettledRegions: number;
  /** Requests whose answer waits for the device. */
  waitingRequests: number;
}

/** A log as its record describes it. Counts are of regions; those of events are exact up to 2^53. */
export interface LogDescription {
  uuid: string;
  /** The kernel's number for one instance of a log, an unsigned 64-bit integer. JSON has it as a decimal string. */
  luid: bigint;
  /** The log type as the table names it, such as `clustered-core`. */
  type: string;
  /** "making" while the log is made, or comes from its state file: what else stands here is not true yet. */
  state: "making" | "created" | "resumed" | "suspending" | "suspended";
  lengthSectors: number;
  regionSizeSectors: number;
  regionCount: number;
  inSyncRegions: number;
  outOfSyncRegions: number;
  /** In sync and marked: writes are under way, or their clear has not come yet. */
  dirtyRegions: number;
  /** Regions out of sync whose resync has failed since the last resume. */
  failedRegions: number;
  /** The region that was handed out as resync work and not yet reported. */
  recoveringRegion: number | null;
  options: ("sync" | "nosync" | "block_on_error")[];
  constructor: string;
  /** Null for a core log. */
  device: DeviceDescription | null;
  memoryBytes: number;
  marks: number;
  clears: number;
  flushes: number;
  resynced: number;
  resyncFailures: number;
}

/** Counts since the engine was made, exact up to 2^53. */
export interface Counters {
  inputs: number;
  /** Requests answered with an error. */
  refused: number;
  /** All flushes, and those of disk logs that were answered without waiting for a write. */
  flushes: number;
  flushesWithoutWrite: number;
  /** Writes to log devices, and their bytes. */
  deviceWrites: number;
  deviceBytes: number;
  droppedForeign: number;
  droppedTruncated: number;
  droppedMalformed: number;
  /** By request type; `unknown` counts those of no type in the header. */
  requests: Record<string, number>;
}

export const REGION_STATES = ["clean", "dirty", "out of sync", "failed"] as const;
/**
 * The state of a region: in sync and not marked, in sync and marked, out of sync, or out of sync after a failed resync
 * of it.
 */
export type RegionState = (typeof REGION_STATES)[number];

interface ConsoleExports {
  describeLog(record: Uint8Array, address: number): string;
  describeCounters(area: Uint8Array): string;
  regionStates(pending: Uint8Array, failed: Uint8Array, marked: Uint8Array, first: number, count: number): Uint8Array;
  decodeDatagram(datagram: Uint8Array, fromKernel: number): string;
  explainErrno(error: number): string;
  describeNotice(payload: Uint8Array): string;
  priorityOfNotice(payload: Uint8Array): number;
  __collect(): void;
  readonly memory: WebAssembly.Memory;
}

/** How often to read a list of logs that keeps changing before giving up. */
const READ_ATTEMPTS = 100;

/** Describes engines to a person or a program, and puts their messages into words. Any number of engines can share one. */
export class Console {
  private constructor(
    private readonly core: ConsoleExports,
    /** The numbers of the core that this console runs. */
    readonly abi: Abi,
  ) {}

  /** `wasm` holds the bytes of the core. Rejects with a sentence if they are no dm-ulog core of this ABI version. */
  static async create(wasm: Uint8Array): Promise<Console> {
    const { exports } = await asBind.instantiate(wasm, {}).catch(async (error: unknown) => {
      // as-bind speaks of its own needs, compileCore of what is wrong with the bytes.
      await compileCore(wasm);
      throw error;
    });
    return new Console(exports as unknown as ConsoleExports, readAbi(exports));
  }

  /** Bytes of linear memory that this console has taken. */
  memoryBytes(): number {
    return this.core.memory.buffer.byteLength;
  }

  /** All logs, in order of creation. */
  logs(source: MemorySource): LogDescription[] {
    return this.readLogs(source, (record, address) => this.describe(record, address));
  }

  /** An engine's counters. */
  counters(source: MemorySource): Counters {
    const area = source.read(this.abi.CORE, this.abi.CORE_BYTES);
    return JSON.parse(this.collected(this.core.describeCounters(area))) as Counters;
  }

  /**
   * States of up to `count` regions from `first` on, as indices into REGION_STATES; fewer if the mirror ends earlier, none
   * if there is no such log. In a large range, a region may change while the others are being read.
   */
  regionStates(source: MemorySource, uuid: string, luid: bigint, first: number, count: number): Uint8Array {
    const found = this.readLogs(source, (record, address) => ({ record, address, log: this.describe(record, address) }))
      .filter(({ log }) => log.uuid === uuid && log.luid === luid)
      .at(0);
    if (found === undefined || first >= found.log.regionCount) return new Uint8Array(0);
    const wanted = Math.min(count, found.log.regionCount - first);
    const firstByte = first >>> 3;
    const size = ((first + wanted + 7) >>> 3) - firstByte;
    const bits = [this.abi.LOG_PENDING, this.abi.LOG_FAILED, this.abi.LOG_MARKED].map((field) => {
      const set = word(found.record, field) - found.address;
      return source.read(word(found.record, set + this.abi.REGION_SET_BITS) + firstByte, size);
    }) as [Uint8Array, Uint8Array, Uint8Array];
    const states = this.core.regionStates(...bits, first & 7, wanted).slice();
    return this.collected(states);
  }

  /** One datagram in words: a request of the kernel, or a reply to it. */
  decodeDatagram(datagram: Uint8Array, fromKernel: boolean): string {
    return this.collected(this.core.decodeDatagram(datagram, fromKernel ? 1 : 0));
  }

  /** An errno, positive or negative, as its name and a sentence. */
  explainErrno(error: number): string {
    return this.collected(this.core.explainErrno(error));
  }

  /** The payload of a notice effect as a sentence. */
  describeNotice(payload: Uint8Array): string {
    return this.collected(this.core.describeNotice(payload));
  }

  /** How urgent a notice is, as syslog numbers it: 3 error, 4 warning, 6 information. */
  priorityOfNotice(payload: Uint8Array): number {
    return this.collected(this.core.priorityOfNotice(payload));
  }

  private describe(record: Uint8Array, address: number): LogDescription {
    return logOfJson(JSON.parse(this.collected(this.core.describeLog(record, address))) as Written<LogDescription>);
  }

  /** Reads the list again if it changed in the meantime, because the source may be an engine on another thread. */
  private readLogs<T>(source: MemorySource, use: (record: Uint8Array, address: number) => T): T[] {
    const { abi } = this;
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      const area = source.read(abi.CORE, abi.CORE_BYTES);
      const records: { record: Uint8Array; address: number }[] = [];
      let address = word(area, abi.CORE_FIRST_LOG);
      while (address !== 0 && this.isUnchanged(source, area)) {
        const head = source.read(address, abi.LOG_BYTES);
        const record = source.read(address, word(head, abi.LOG_DESCRIBED_BYTES));
        records.push({ record, address });
        address = word(record, abi.LOG_NEXT);
      }
      if (this.isUnchanged(source, area)) return records.map(({ record, address }) => use(record, address));
    }
    throw new Error("Logs are created and removed too quickly to list them. Try again.");
  }

  private isUnchanged(source: MemorySource, area: Uint8Array): boolean {
    const now = source.read(this.abi.CORE, this.abi.CORE_BYTES);
    return word(now, this.abi.CORE_GENERATION) === word(area, this.abi.CORE_GENERATION);
  }

  /** Frees the call's allocations, because the core's garbage collector runs only on request. */
  private collected<T>(result: T): T {
    this.core.__collect();
    return result;
  }
}

/** A description that has been through JSON. */
export function logOfJson(log: Written<LogDescription>): LogDescription {
  return { ...log, luid: BigInt(log.luid) };
}

function word(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, 4).getUint32(0, true);
}

const UUID_ROOM_BYTES = 136;

/** The UUID of the log that has a handle in the engine behind `source`, or undefined. Only ASCII, and no control characters. */
export function nameOfHandle(source: MemorySource, abi: Abi, handle: number): string | undefined {
  const log = word(source.read(abi.HANDLES + 4 * handle, 4), 0);
  if (log === 0) return undefined;
  const text = source.read(log + abi.LOG_UUID, UUID_ROOM_BYTES);
  const end = text.indexOf(0);
  return printable(String.fromCharCode(...text.subarray(0, end < 0 ? text.length : end)));
}
