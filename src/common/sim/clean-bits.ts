// The clean bits of a log device as a checker reads and makes them, without the core.

import {
  LOG_BITS_OFFSET,
  LOG_MAGIC,
  LOG_MAGIC_OFFSET,
  LOG_REGION_COUNT_OFFSET,
  LOG_VERSION_OFFSET,
  LOG_VERSIONS,
} from "../log-format.ts";

const VERSION = Math.max(...LOG_VERSIONS);

/** Whether `bytes`, which stand at `offsetBytes` of the device, hold the region's bit and say that it is clean. */
export function saysClean(bytes: Uint8Array, offsetBytes: number, region: number): boolean {
  const at = LOG_BITS_OFFSET + (region >>> 3) - offsetBytes;
  return at >= 0 && at < bytes.length && (((bytes[at] as number) >>> (region & 7)) & 1) === 1;
}

/** Whether the medium holds a log of `regionCount` regions. */
export function holdsLog(medium: Uint8Array, regionCount: number): boolean {
  const view = new DataView(medium.buffer, medium.byteOffset);
  return (
    view.getUint32(LOG_MAGIC_OFFSET, true) === LOG_MAGIC &&
    view.getUint32(LOG_VERSION_OFFSET, true) === VERSION &&
    view.getBigUint64(LOG_REGION_COUNT_OFFSET, true) === BigInt(regionCount)
  );
}

/** Bytes that a log of `regionCount` regions takes on its device: whole words of 32 regions. */
export function logBytes(regionCount: number): number {
  return LOG_BITS_OFFSET + Math.ceil(regionCount / 32) * 4;
}

/** Writes the log of a mirror of `regionCount` regions, all of them clean. */
export function writeCleanLog(medium: Uint8Array, regionCount: number): void {
  medium.fill(0);
  const view = new DataView(medium.buffer, medium.byteOffset);
  view.setUint32(LOG_MAGIC_OFFSET, LOG_MAGIC, true);
  view.setUint32(LOG_VERSION_OFFSET, VERSION, true);
  view.setBigUint64(LOG_REGION_COUNT_OFFSET, BigInt(regionCount), true);
  for (let region = 0; region < regionCount; region++) {
    const at = LOG_BITS_OFFSET + (region >>> 3);
    medium[at] = (medium[at] as number) | (1 << (region & 7));
  }
}
