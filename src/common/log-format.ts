// The format of a log on a device, which is the kernel's own `disk` log's (drivers/md/dm-log.c): header, then from
// LOG_BITS_OFFSET on bit i%8 of byte i/8, set where region i is clean. For those who read a device without the core, so that
// they can look at one that the core would refuse, and hold the core's claims against it. A test compares these numbers with
// the core's own (assembly/on-disk.ts).

/** u32: "MiRr", bytes 72 52 69 4d. */
export const LOG_MAGIC = 0x4d69_5272;
export const LOG_MAGIC_OFFSET = 0;
/** u32. Version 1 is the same on little-endian machines. */
export const LOG_VERSIONS: readonly number[] = [1, 2];
export const LOG_VERSION_OFFSET = 4;
/** u64. */
export const LOG_REGION_COUNT_OFFSET = 8;
/** Where "dmul" stands (u32), if the log names its mirror; then the form of what follows, 1 (u32), and the UUID. */
export const LOG_OWNER_OFFSET = 512;
export const LOG_OWNER_MAGIC = 0x6c75_6d64;
export const LOG_OWNER_FORM_OFFSET = 516;
export const LOG_OWNER_FORM = 1;
/** Padded with zeros. */
export const LOG_OWNER_UUID_OFFSET = 520;
export const LOG_OWNER_UUID_BYTES = 136;
export const LOG_BITS_OFFSET = 1024;
