// The clean bits of a log on a device, in the format of the kernel's own `disk` log (drivers/md/dm-log.c).
//
//   offset size
//        0    4  magic 0x4D695272, "MiRr" read as bytes 72 52 69 4d
//        4    4  version 2; version 1 is the same on little-endian machines
//        8    8  number of regions
//       16  496  not used
//      512    4  "dmul" where it is known whose log it is. The kernel's log carries along the bytes that it does not use.
//      516    4  1, the form of what follows
//      520  136  the UUID of the mirror's log, padded with zeros
//     1024    n  clean bits: bit i%8 of byte i/8 is set where region i is clean; bits beyond the last region are 0

export const DISK_MAGIC: u32 = 0x4d69_5272;
export const DISK_VERSION: u32 = 2;
export const DISK_VERSION_OLD: u32 = 1;
export const DISK_MAGIC_AT: usize = 0;
export const DISK_VERSION_AT: usize = DISK_MAGIC_AT + 4;
export const DISK_REGIONS_AT: usize = DISK_VERSION_AT + 4;
export const OWNER_AT: usize = 512;
export const OWNER_MAGIC: u32 = 0x6c75_6d64;
export const OWNER_FORM_AT: usize = OWNER_AT + 4;
export const OWNER_FORM: u32 = 1;
export const OWNER_UUID_AT: usize = OWNER_FORM_AT + 4;
/** Where the clean bits begin, in bytes. */
export const BITS_OFFSET: u32 = 1024;

export const SECTOR_BYTES: u32 = 512;
/** What direct I/O needs: images begin and blocks end on multiples of it. */
export const PAGE_BYTES: u32 = 4096;

/** Bytes of header and bits, of which the kernel's log has whole words of 32. */
export function bytesOnDisk(regions: u32): u64 {
  return <u64>BITS_OFFSET + (((<u64>regions + 31) >>> 5) << 2);
}

/** Blocks of `blockBytes` that the header and the clean bits of `regions` regions take. */
export function blocksOnDisk(regions: u32, blockBytes: u32): u32 {
  return (BITS_OFFSET + ((regions - 1) >>> 3)) / blockBytes + 1;
}
