// What the header of a log on a device says, read without the core.

import {
  LOG_BITS_OFFSET,
  LOG_MAGIC,
  LOG_MAGIC_OFFSET,
  LOG_OWNER_FORM,
  LOG_OWNER_FORM_OFFSET,
  LOG_OWNER_MAGIC,
  LOG_OWNER_OFFSET,
  LOG_OWNER_UUID_BYTES,
  LOG_OWNER_UUID_OFFSET,
  LOG_REGION_COUNT_OFFSET,
} from "../../common/log-format.ts";

/** Magic, version and number of regions. */
const HEAD_BYTES = 16;

/** Whether a file with this beginning is a log device. */
export function isLog(head: Buffer): boolean {
  return head.length >= HEAD_BYTES && head.readUInt32LE(LOG_MAGIC_OFFSET) === LOG_MAGIC;
}

/** Regions of the dirty log on a device with this beginning, or null if it holds none. */
export function logRegionsOf(head: Buffer): number | null {
  return isLog(head) ? Number(head.readBigUInt64LE(LOG_REGION_COUNT_OFFSET)) : null;
}

/** The UUID in the header of a log, or null where it names nobody. */
export function ownerOf(head: Buffer): string | null {
  if (head.length < LOG_BITS_OFFSET || head.readUInt32LE(LOG_OWNER_OFFSET) !== LOG_OWNER_MAGIC) return null;
  if (head.readUInt32LE(LOG_OWNER_FORM_OFFSET) !== LOG_OWNER_FORM) return "of a later version of dm-ulog";
  const room = head.subarray(LOG_OWNER_UUID_OFFSET, LOG_OWNER_UUID_OFFSET + LOG_OWNER_UUID_BYTES);
  const end = room.indexOf(0);
  return room.toString("latin1", 0, end < 0 ? room.length : end);
}

/** What to type so that a device holds no log any more: wipefs does not know logs. */
export function clearLog(name: string): string {
  return `dd if=/dev/zero of=${name} bs=1k count=1 conv=notrunc`;
}
