// The format of a log device as far as a checker must know it: bit i%8 of byte 1024 + i/8 is set where region i is clean.
// Read here without the core, so that the core's own claims can be held against it.

export const CLEAN_BITS_OFFSET = 1024;
const HEADER = [0x72, 0x52, 0x69, 0x4d, 2, 0, 0, 0] as const;

/** Whether `bytes`, which stand at `offsetBytes` of the device, hold the region's bit and say that it is clean. */
export function saysClean(bytes: Uint8Array, offsetBytes: number, region: number): boolean {
  const at = CLEAN_BITS_OFFSET + (region >>> 3) - offsetBytes;
  return at >= 0 && at < bytes.length && (((bytes[at] as number) >>> (region & 7)) & 1) === 1;
}

/** Whether the medium holds a log of `regionCount` regions. */
export function holdsLog(medium: Uint8Array, regionCount: number): boolean {
  const view = new DataView(medium.buffer, medium.byteOffset);
  return (
    HEADER.every((byte, i) => medium[i] === byte) && view.getBigUint64(HEADER.length, true) === BigInt(regionCount)
  );
}

/** Bytes that a log of `regionCount` regions takes on its device: whole words of 32 regions. */
export function logBytes(regionCount: number): number {
  return CLEAN_BITS_OFFSET + Math.ceil(regionCount / 32) * 4;
}

/** Writes the log of a mirror of `regionCount` regions, all of them clean. */
export function writeCleanLog(medium: Uint8Array, regionCount: number): void {
  medium.fill(0);
  medium.set(HEADER);
  new DataView(medium.buffer).setUint32(HEADER.length, regionCount, true);
  for (let region = 0; region < regionCount; region++) {
    const at = CLEAN_BITS_OFFSET + (region >>> 3);
    medium[at] = (medium[at] as number) | (1 << (region & 7));
  }
}
