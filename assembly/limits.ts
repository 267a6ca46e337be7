// How much of each thing a build can hold: constants that every limit of the core comes from.
//
// The build `small` makes them tiny, so that tests, the fuzzer and the simulation reach every limit within seconds. What
// holds at a limit must hold in both: nothing acknowledged is lost, nobody is told to ask again at once, no effect is cut.

// @ts-expect-error: the target `small` of asconfig.json defines it
const IS_SMALL: bool = isDefined(DM_ULOG_SMALL);

/** Logs that can exist at once. */
export const HANDLE_COUNT: u32 = IS_SMALL ? 8 : 4096;

/** Hash chains of logs, of mirrors and of log devices. A power of two. */
export const BUCKET_COUNT: u32 = IS_SMALL ? 2 : 1024;

/** Longest constructor string, in bytes. A message of today's kernels holds 332. */
export const CONSTRUCTOR_BYTES_MAX: u32 = IS_SMALL ? 384 : 4096;

/** Bytes of one part of a restored state file. The first part must hold everything but the sets. */
export const RESTORE_BYTES: u32 = IS_SMALL ? 1280 : 16384;

/** The most that one READ asks for, in bytes. */
export const READ_BYTES_MAX: u32 = IS_SMALL ? 1024 : 65536;

/** Largest input payload, in bytes. A netlink message of the connector is at most 16 KiB; what is read is more. */
export const INPUT_PAYLOAD_BYTES_MAX: usize = IS_SMALL ? 1536 : 69632;

/**
 * Disk logs of one mirror that can be found at once. A kernel has two, of its active and its inactive table; more are left
 * over from destructors that nobody heard, and the oldest of them goes when there would be too many.
 */
export const LUIDS_MAX: u32 = IS_SMALL ? 3 : 8;

/** Writes of one batch. What is left over goes out in the next batch, and whoever waits for it waits for that one too. */
export const EXTENTS_MAX: u32 = IS_SMALL ? 4 : 4096;

/** Largest write, in bytes. */
export const EXTENT_BYTES_MAX: u32 = IS_SMALL ? 8192 : 16777216;

/**
 * Words of 64 regions that one input works through where a log is made, saved, or met with its device: some 0.1 ms of work, and 3 ms
 * where the machine takes 0.1 ms for a page that is touched first. The rest follows with inputs of its own, so that nobody waits for
 * the size of another's mirror. Each request waits for one of them, and a write consists of several.
 */
export const SLICE_WORDS: u32 = IS_SMALL ? 100 : 2048;

/**
 * Words that one batch of all that is left composes: some 2 ms of work. The rest follows with further batches, or, where nothing had to
 * be written, with ticks.
 */
export const COMPOSED_WORDS_MAX: u32 = IS_SMALL ? 5120 : 524288;

/** Bytes of requests that wait for logs to become whole. The largest that there is must fit. */
export const HELD_BYTES: usize = IS_SMALL ? 2048 : 73728;

/** Lazy blocks that one input composes: at 4 KiB each some 0.1 ms of work. The rest follows with the next input. */
export const LAZY_BLOCKS_MAX: u32 = IS_SMALL ? 3 : 64;

/**
 * Regions that a writer has marked one behind the other before the device learns ahead where it goes. Writers at random places
 * come to so many by chance in no mirror worth the name.
 */
export const AHEAD_AFTER: u32 = IS_SMALL ? 2 : 8;

/** Requests of one log that wait until marks are durable. A kernel has three or four outstanding at the most. */
export const MARK_WAITERS_MAX: u32 = IS_SMALL ? 2 : 16;

/** Requests of one log and of one kind that wait for a constructor, a resume, a suspend or a destructor. */
export const LIFE_WAITERS_MAX: u32 = IS_SMALL ? 1 : 4;

/** Bytes of effects of one input; `budget.ts` proves that they are enough. */
export const EFFECTS_BYTES_MAX: usize = IS_SMALL ? 19456 : 1048576;
