// The memory map. Everything the core knows lives in linear memory, nothing in mutable globals: a copy of linear
// memory is a snapshot, copying it back restores it.
//
//   0        reserved, so that no address is 0
//   CORE     struct Core: counters, list of logs, free lists
//   BUCKETS  heads of the hash chains: from (luid, uuid) to a log, from a UUID to a mirror, from a device to a disk log
//   HANDLES  the log of each handle; FREE_HANDLES the set of those without one
//   DEADLINES  a heap of the logs that want to be woken, the earliest first
//   MIRRORS  one record for each UUID
//   HELD     requests that wait for logs to become whole
//   INPUT    one input: header, then its payload
//   EFFECTS  what the last input asks the host to do, records one behind the other
//   REPLY_DATA, CONSTRUCTOR  what one request needs for its own duration
//   AREAS_END <= memory base of the compiler: static data and the console's heap
//   the rest pages of the arena: logs and their bitmaps
//
// Each address is the one before it plus its size. Hosts read the exported values and type none of them.
//
//   input   +0 kind u32   +4 payload bytes u32   +8 now u64 (ns)   +16 sender port u32   +20 zero   +24 payload
//   effect  +0 kind u32   +4 payload bytes u32   +8 payload, padded with zeros to a multiple of 8
//
// Every log has a handle, a small number that names its device and its state file between core and host. Where an
// effect or a completion speaks of one, its payload begins with this head:
//
//   +0 handle u32   +4 size u32   +8 offset u64   +16 ticket u64   +24 what the kind adds

import {
  BUCKET_COUNT,
  CONSTRUCTOR_BYTES_MAX,
  EFFECTS_BYTES_MAX,
  HANDLE_COUNT,
  HELD_BYTES,
  INPUT_PAYLOAD_BYTES_MAX,
} from "./limits";

/** Raised whenever an area, a record or the meaning of an export changes. */
export const ABI_VERSION: u32 = 5;

export const CORE: usize = 1024;
export const CORE_BYTES: usize = 1024;

export const BUCKETS_BYTES: usize = <usize>BUCKET_COUNT * 4;
export const LOG_BUCKETS: usize = CORE + CORE_BYTES;
export const MIRROR_BUCKETS: usize = LOG_BUCKETS + BUCKETS_BYTES;
export const DEVICE_BUCKETS: usize = MIRROR_BUCKETS + BUCKETS_BYTES;

export const HANDLES: usize = DEVICE_BUCKETS + BUCKETS_BYTES;
export const HANDLES_BYTES: usize = <usize>HANDLE_COUNT * 4;

/** A region set's record, whose members are handles, and its bits; `handles.ts` checks that they fit. */
export const FREE_HANDLES: usize = HANDLES + HANDLES_BYTES;
export const FREE_HANDLES_BYTES: usize = 64 + (((<usize>HANDLE_COUNT >>> 6) + 1) << 3) + 16;

export const DEADLINES: usize = FREE_HANDLES + FREE_HANDLES_BYTES;
export const DEADLINES_BYTES: usize = <usize>HANDLE_COUNT * 4;

export const MIRRORS: usize = DEADLINES + DEADLINES_BYTES;
export const MIRROR_BYTES: usize = 24;
export const MIRRORS_BYTES: usize = <usize>HANDLE_COUNT * MIRROR_BYTES;

export const HELD: usize = MIRRORS + MIRRORS_BYTES;

export const INPUT: usize = HELD + HELD_BYTES;
export const INPUT_KIND: usize = INPUT;
export const INPUT_PAYLOAD_SIZE: usize = INPUT_KIND + 4;
export const INPUT_NOW: usize = INPUT_PAYLOAD_SIZE + 4;
export const INPUT_PORT: usize = INPUT_NOW + 8;
export const INPUT_PAYLOAD: usize = INPUT_PORT + 8;

export const EFFECTS: usize = INPUT_PAYLOAD + INPUT_PAYLOAD_BYTES_MAX;
export const EFFECT_KIND: usize = 0;
export const EFFECT_PAYLOAD_SIZE: usize = EFFECT_KIND + 4;
export const EFFECT_PAYLOAD: usize = EFFECT_PAYLOAD_SIZE + 4;

export const REPLY_DATA: usize = EFFECTS + EFFECTS_BYTES_MAX;
export const REPLY_DATA_BYTES: usize = <usize>CONSTRUCTOR_BYTES_MAX;

export const CONSTRUCTOR: usize = REPLY_DATA + REPLY_DATA_BYTES;
export const CONSTRUCTOR_BYTES: usize = 64;

export const AREAS_END: usize = CONSTRUCTOR + CONSTRUCTOR_BYTES;

// @ts-expect-error: decided when compiled
if (<i32>AREAS_END > ASC_MEMORY_BASE) ERROR("memoryBase in asconfig.json must not be below AREAS_END");

/** INPUT_KIND: a datagram that the netlink socket received. */
export const INPUT_KIND_DATAGRAM: u32 = 1;
/**
 * INPUT_KIND: an effect on a log's device or legs is done. The head repeats that of the effect, then:
 * +24 kind of the effect u32   +28 error i32, 0 or a negative errno
 * OPEN: +32 size of the device in bytes u64   +40 major u32   +44 minor u32, both 0 for a regular file
 *       +48 st_dev u64   +56 st_ino u64, by which one regular file is told from another
 * READ: +32 the bytes read, as many as asked for
 * An operation that did less than was asked for has failed with -EIO.
 */
export const INPUT_KIND_COMPLETION: u32 = 2;
/** INPUT_KIND: the time of the last wake effect has come. No payload. */
export const INPUT_KIND_TICK: u32 = 3;
/**
 * INPUT_KIND: a part of the state file of a log that an earlier server kept, the first part at offset 0, each
 * RESTORE_BYTES long but the last. Head: handle, size of this part, its offset, ticket = size of the whole file; +24 the bytes.
 */
export const INPUT_KIND_RESTORE: u32 = 4;

/**
 * INPUT_KIND: options; a field that is 0 stays as it was. +0 quiet time u64 (ns)   +8 most regions lazily clean u32
 * +12 block size u32, a power of two from 4096 to 65536 bytes, for logs made from now on; what does not fit is ignored
 * +16 one more than the most regions to mark ahead of a sequential writer, u32, at most 4097   +20 zero
 */
export const INPUT_KIND_CONFIGURE: u32 = 5;
export const CONFIGURE_QUIET_NS: usize = 0;
export const CONFIGURE_LAZY_REGIONS: usize = CONFIGURE_QUIET_NS + 8;
export const CONFIGURE_BLOCK_BYTES: usize = CONFIGURE_LAZY_REGIONS + 4;
export const CONFIGURE_AHEAD_REGIONS: usize = CONFIGURE_BLOCK_BYTES + 4;
export const CONFIGURE_BYTES: usize = CONFIGURE_AHEAD_REGIONS + 8;

/**
 * INPUT_KIND: the kernel has no table any more, active or inactive, that names this log: it was removed while nobody
 * listened. The log goes, and its device is closed without another write. Head, then +24 luid u64   +32 uuid char[136].
 * What names no log is ignored.
 */
export const INPUT_KIND_FORGET: u32 = 6;
export const FORGET_LUID: usize = 24;
export const FORGET_UUID: usize = FORGET_LUID + 8;

export const HEAD_HANDLE: usize = 0;
export const HEAD_SIZE: usize = HEAD_HANDLE + 4;
export const HEAD_OFFSET: usize = HEAD_SIZE + 4;
export const HEAD_TICKET: usize = HEAD_OFFSET + 8;
export const HEAD_BYTES: usize = HEAD_TICKET + 8;

export const COMPLETION_EFFECT: usize = HEAD_BYTES;
export const COMPLETION_ERROR: usize = COMPLETION_EFFECT + 4;
export const COMPLETION_DATA: usize = COMPLETION_ERROR + 4;
export const COMPLETION_DEVICE_BYTES: usize = COMPLETION_DATA;
export const COMPLETION_MAJOR: usize = COMPLETION_DEVICE_BYTES + 8;
export const COMPLETION_MINOR: usize = COMPLETION_MAJOR + 4;
export const COMPLETION_FILE_SYSTEM: usize = COMPLETION_MINOR + 4;
export const COMPLETION_INODE: usize = COMPLETION_FILE_SYSTEM + 8;
export const COMPLETION_OPEN_BYTES: usize = COMPLETION_INODE + 8;

/** RESTORE: where the part's bytes stand. */
export const RESTORE_DATA: usize = HEAD_BYTES;

/** EFFECT_KIND: send the payload to the kernel's netlink port. */
export const EFFECT_KIND_SEND: u32 = 1;
/** EFFECT_KIND: tell a person; the payload is a notice (see notices.ts), the console has the words. */
export const EFFECT_KIND_NOTICE: u32 = 2;
/** EFFECT_KIND: open the log device for direct reading and writing. Head, then at +24 its path or major:minor. */
export const EFFECT_KIND_OPEN: u32 = 3;
/** EFFECT_KIND: read `size` bytes at `offset` of the device. Head. */
export const EFFECT_KIND_READ: u32 = 4;
/**
 * EFFECT_KIND: write `size` bytes of linear memory to `offset` of the device; complete once they are durable. Head, then
 * +24 address in linear memory u32   +28 zero. The bytes do not change before the completion.
 */
export const EFFECT_KIND_WRITE: u32 = 5;
/** EFFECT_KIND: close the device; nothing is under way on it. Head. No completion. */
export const EFFECT_KIND_CLOSE: u32 = 6;
/** EFFECT_KIND: flush the write caches of the legs of the log's mirror. Head, then +24 luid u64   +32 uuid char[136]. */
export const EFFECT_KIND_FLUSH_LEGS: u32 = 7;
/** EFFECT_KIND: send a tick at this time. +0 time u64 (ns, as in INPUT_NOW), 0 for never. Replaces the one before. */
export const EFFECT_KIND_WAKE: u32 = 8;
/** EFFECT_KIND: make the log's state file, `offset` bytes of zeros. Head. State effects are done when the next one begins. */
export const EFFECT_KIND_STATE_CREATE: u32 = 9;
/**
 * EFFECT_KIND: write `size` bytes of linear memory to `offset` of the state file, and then the same bytes once more to the
 * offset in `ticket`. Head, then +24 address u32   +28 zero.
 */
export const EFFECT_KIND_STATE_WRITE: u32 = 10;
/** EFFECT_KIND: remove the log's state file. Head. */
export const EFFECT_KIND_STATE_DELETE: u32 = 11;

/** OPEN: where the device's name stands; it ends with the payload, without a NUL. */
export const OPEN_NAME: usize = HEAD_BYTES;
/** WRITE and STATE_WRITE: where the bytes stand in linear memory, u32. */
export const WRITE_ADDRESS: usize = HEAD_BYTES;
/** FLUSH_LEGS: u64, then the UUID, which a NUL ends. */
export const FLUSH_LEGS_LUID: usize = HEAD_BYTES;
export const FLUSH_LEGS_UUID: usize = FLUSH_LEGS_LUID + 8;
/** WAKE: u64. */
export const WAKE_TIME: usize = 0;
