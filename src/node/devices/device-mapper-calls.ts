// A call of the kernel's device-mapper (include/uapi/linux/dm-ioctl.h). It is a head of 312 bytes with room behind it, for what the call
// brings and for the answer (all little endian, as the machine is):
//
//   +0 version u32[3]   +12 bytes in all u32   +16 where what is behind the head begins u32   +20 targets u32   +24 openings i32
//   +28 flags u32   +32 number of the event u32   +40 device u64   +48 name char[128]   +176 UUID char[129]
//
//   a target of a table to load   +0 first sector u64   +8 sectors u64   +20 bytes to the next one u32   +24 type char[16]   +40 text

import { closeSync, openSync } from "node:fs";
import { ENODEV, errno, ioctl, systemError, uninterrupted } from "../system-calls.ts";
import type { Target } from "./device-mapper.ts";

const CONTROL = "/dev/mapper/control";
const HEAD_BYTES = 312;
const TARGET_BYTES = 40;
const VERSION_MAJOR = 4;
/** Read and written by the kernel, type 0xfd, then the command in the low byte. */
const IOCTL = (0xc000_0000 + HEAD_BYTES * 0x1_0000 + 0xfd00) >>> 0;
const BUFFER_FULL = 1 << 8;
const BUFFER_BYTES_FIRST = 16 * 1024;
const BUFFER_BYTES_MAX = 16 * 1024 * 1024;

/** Commands and flags. */
export const DM = {
  LIST_DEVICES: 2,
  DEV_CREATE: 3,
  DEV_REMOVE: 4,
  DEV_SUSPEND: 6,
  DEV_STATUS: 7,
  TABLE_LOAD: 9,
  TABLE_CLEAR: 10,
  TABLE_STATUS: 12,
  LIST_VERSIONS: 13,
  DEV_ARM_POLL: 16,
  SUSPEND: 1 << 1,
  STATUS_TABLE: 1 << 4,
  ACTIVE_PRESENT: 1 << 5,
  INACTIVE_PRESENT: 1 << 6,
  NOFLUSH: 1 << 11,
  QUERY_INACTIVE: 1 << 12,
  UEVENT_GENERATED: 1 << 13,
} as const;

export interface Call {
  command: number;
  flags?: number;
  /** Where the name is not given. */
  device?: bigint;
  name?: string;
  uuid?: string;
  /** Goes out as the number of the event: for udev. */
  cookie?: number;
  targets?: readonly Target[];
}

/** Runs something with the device through which device-mapper is asked. Throws with `errno`: -ENODEV where there is none. */
export function withControl<T>(run: (control: number) => T): T {
  const control = openControl();
  try {
    return run(control);
  } finally {
    closeSync(control);
  }
}

export function openControl(): number {
  try {
    return openSync(CONTROL, "r+");
  } catch (error) {
    const { code, errno } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw systemError(`${CONTROL} does not exist`, ENODEV);
    if (code !== "EACCES") throw error;
    throw Object.assign(new Error("This needs root: put sudo before the command."), { code, errno });
  }
}

/** Returns the answer. A call that changes a mirror may take as long as the server and the devices do. Throws with `errno`. */
export function call(
  control: number,
  { command, flags = 0, device = 0n, name = "", uuid = "", cookie = 0, targets = [] }: Call,
): Buffer {
  const behind = Buffer.concat(targets.map(encodeTarget));
  for (let size = Math.max(BUFFER_BYTES_FIRST, HEAD_BYTES + behind.length); size <= BUFFER_BYTES_MAX; size *= 2) {
    const buffer = Buffer.alloc(size);
    buffer.writeUInt32LE(VERSION_MAJOR, 0);
    buffer.writeUInt32LE(size, 12);
    buffer.writeUInt32LE(HEAD_BYTES, 16);
    buffer.writeUInt32LE(targets.length, 20);
    buffer.writeUInt32LE(flags, 28);
    buffer.writeUInt32LE(cookie, 32);
    buffer.writeBigUInt64LE(device, 40);
    buffer.write(name, 48, 127, "latin1");
    buffer.write(uuid, 176, 128, "latin1");
    behind.copy(buffer, HEAD_BYTES);
    // A signal makes the kernel begin a suspend again, and a mirror does not survive that: the second one waits for ever for a resync that
    // the first one stopped (mirror_presuspend of drivers/md/dm-raid1.c, seen on Linux 6.1).
    const error = uninterrupted(() => (ioctl(control, IOCTL + command, buffer) < 0 ? errno() : 0));
    if (error !== 0) throw systemError(`device-mapper command ${command}`, error);
    if ((flagsOf(buffer) & BUFFER_FULL) === 0) return buffer;
  }
  throw new Error(`The kernel's answer exceeds ${BUFFER_BYTES_MAX} bytes.`);
}

export function flagsOf(answer: Buffer): number {
  return answer.readUInt32LE(28);
}

/** One target, which begins at the mirror's first sector. */
function encodeTarget({ type, text, lengthSectors }: Target): Buffer {
  const bytes = (TARGET_BYTES + text.length + 8) & ~7;
  const buffer = Buffer.alloc(bytes);
  buffer.writeBigUInt64LE(BigInt(lengthSectors), 8);
  buffer.writeUInt32LE(bytes, 20);
  buffer.write(type, 24, 15, "latin1");
  buffer.write(text, TARGET_BYTES, "latin1");
  return buffer;
}
