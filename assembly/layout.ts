// The memory map. Everything the core knows lives in linear memory, nothing in mutable globals: a copy of linear
// memory is a snapshot, copying it back restores it.
//
//   0        reserved, so that no address is 0
//   CORE     struct Core: counters, list of logs, free list of the arena
//   BUCKETS  heads of the hash chains that lead from (luid, uuid) to a log
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

/** Raised whenever an area, a record or the meaning of an export changes. */
export const ABI_VERSION: u32 = 1;

export const CORE: usize = 1024;
export const CORE_BYTES: usize = 1024;

export const BUCKETS: usize = CORE + CORE_BYTES;
export const BUCKET_COUNT: u32 = 1024;
export const BUCKETS_BYTES: usize = <usize>BUCKET_COUNT * 4;

export const INPUT: usize = BUCKETS + BUCKETS_BYTES;
export const INPUT_KIND: usize = INPUT;
export const INPUT_PAYLOAD_SIZE: usize = INPUT_KIND + 4;
export const INPUT_NOW: usize = INPUT_PAYLOAD_SIZE + 4;
export const INPUT_PORT: usize = INPUT_NOW + 8;
export const INPUT_PAYLOAD: usize = INPUT_PORT + 8;
/** Largest input payload, in bytes. A netlink message of the connector is at most 16 KiB. */
export const INPUT_PAYLOAD_BYTES_MAX: usize = 65536;

export const EFFECTS: usize = INPUT_PAYLOAD + INPUT_PAYLOAD_BYTES_MAX;
export const EFFECT_KIND: usize = 0;
export const EFFECT_PAYLOAD_SIZE: usize = EFFECT_KIND + 4;
export const EFFECT_PAYLOAD: usize = EFFECT_PAYLOAD_SIZE + 4;
export const EFFECTS_BYTES_MAX: usize = 65536;

/** Longest constructor string, in bytes. A message of today's kernels holds 332. */
export const CONSTRUCTOR_BYTES_MAX: u32 = 4096;

export const REPLY_DATA: usize = EFFECTS + EFFECTS_BYTES_MAX;
export const REPLY_DATA_BYTES: usize = <usize>CONSTRUCTOR_BYTES_MAX;

export const CONSTRUCTOR: usize = REPLY_DATA + REPLY_DATA_BYTES;
export const CONSTRUCTOR_BYTES: usize = 64;

export const AREAS_END: usize = CONSTRUCTOR + CONSTRUCTOR_BYTES;

// @ts-expect-error: decided when compiled
if (<i32>AREAS_END > ASC_MEMORY_BASE) ERROR("memoryBase in asconfig.json must not be below AREAS_END");

/** INPUT_KIND: a datagram that the netlink socket received. */
export const INPUT_KIND_DATAGRAM: u32 = 1;

/** EFFECT_KIND: send the payload to the kernel's netlink port. */
export const EFFECT_KIND_SEND: u32 = 1;
/** EFFECT_KIND: tell a person; the payload is a notice (see notices.ts), the console has the words. */
export const EFFECT_KIND_NOTICE: u32 = 2;
