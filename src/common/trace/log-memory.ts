// Reads an engine's logs straight from its linear memory: the addresses of their records and bitmaps. Addresses are valid until
// the next input; bitmaps are not copied.

import type { Abi } from "../abi.ts";

/** A log in memory. Counts are of regions. */
export interface LogMemory {
  /** Address of its record. */
  address: number;
  /** Luid and UUID as one string, which identifies a log from event to event. */
  key: string;
  luid: bigint;
  uuid: string;
  regionCount: number;
  outOfSync: number;
  failed: number;
  /** In sync and marked. */
  dirty: number;
  /** The region that was handed out to be resynced, or null. */
  recovering: number | null;
  /** Where the search for resync work continues. */
  cursor: number;
  /** Addresses of the bits of each set, level 0. */
  pendingBits: number;
  failedBits: number;
  markedBits: number;
  /** Null for a core log. */
  disk: DiskMemory | null;
}

export interface DiskMemory {
  /** Address of the bits of what the device was last handed: 1 where a region is clean there. */
  cleanBits: number;
  imageBytes: number;
  urgentBlocks: number;
  lazyBlocks: number;
}

export function logKey(luid: bigint, uuid: string): string {
  return `${luid.toString(16)} ${uuid}`;
}

/** Every log, in order of creation. */
export function readLogs(abi: Abi, memory: ArrayBuffer): LogMemory[] {
  const view32 = new Uint32Array(memory);
  const logs: LogMemory[] = [];
  for (let at = view32[(abi.CORE + abi.CORE_FIRST_LOG) >>> 2] as number; at !== 0; ) {
    logs.push(readLog(abi, memory, at));
    at = view32[(at + abi.LOG_NEXT) >>> 2] as number;
  }
  return logs;
}

export function readLog(abi: Abi, memory: ArrayBuffer, address: number): LogMemory {
  const view32 = new Uint32Array(memory);
  const word = (at: number) => view32[at >>> 2] as number;
  const pending = word(address + abi.LOG_PENDING);
  const failed = word(address + abi.LOG_FAILED);
  const marked = word(address + abi.LOG_MARKED);
  const disk = word(address + abi.LOG_DISK);
  const luid = new DataView(memory).getBigUint64(address + abi.LOG_LUID, true);
  const uuid = textAt(memory, address + abi.LOG_UUID, abi.UUID_BYTES);
  const regionCount = word(address + abi.LOG_REGION_COUNT);
  const recovering = word(address + abi.LOG_RECOVERING);
  const failedCount = word(failed + abi.REGION_SET_POPULATION);
  return {
    address,
    key: logKey(luid, uuid),
    luid,
    uuid,
    regionCount,
    outOfSync: word(pending + abi.REGION_SET_POPULATION) + failedCount,
    failed: failedCount,
    dirty: word(address + abi.LOG_DIRTY_COUNT),
    recovering: recovering < regionCount ? recovering : null,
    cursor: word(address + abi.LOG_CURSOR),
    pendingBits: word(pending + abi.REGION_SET_BITS),
    failedBits: word(failed + abi.REGION_SET_BITS),
    markedBits: word(marked + abi.REGION_SET_BITS),
    disk:
      disk === 0
        ? null
        : {
            cleanBits: word(disk + abi.DISK_IMAGE) + abi.BITS_OFFSET,
            imageBytes: word(disk + abi.DISK_IMAGE_BYTES),
            urgentBlocks: word(word(disk + abi.DISK_URGENT) + abi.REGION_SET_POPULATION),
            lazyBlocks: word(word(disk + abi.DISK_LAZY) + abi.REGION_SET_POPULATION),
          },
  };
}

/** Characters up to a NUL. */
export function textAt(memory: ArrayBuffer, address: number, sizeBytes: number): string {
  const bytes = new Uint8Array(memory, address, sizeBytes);
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? sizeBytes : end));
}
