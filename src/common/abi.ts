// The core's memory map and protocol constants, read from the exports of the module. This file lists their names for the
// compiler, but no values.

const NAMES = [
  "ABI_VERSION",
  "AREAS_END",
  "CORE",
  "CORE_BYTES",
  "CORE_FIRST_LOG",
  "CORE_GENERATION",
  "HANDLES",
  "HANDLE_COUNT",
  "HELD_BYTES",
  "INPUT_KIND",
  "INPUT_PAYLOAD_SIZE",
  "INPUT_NOW",
  "INPUT_PORT",
  "INPUT_PAYLOAD",
  "INPUT_PAYLOAD_BYTES_MAX",
  "INPUT_KIND_DATAGRAM",
  "INPUT_KIND_COMPLETION",
  "INPUT_KIND_TICK",
  "INPUT_KIND_RESTORE",
  "INPUT_KIND_CONFIGURE",
  "INPUT_KIND_FORGET",
  "FORGET_LUID",
  "FORGET_UUID",
  "CONFIGURE_BYTES",
  "HEAD_HANDLE",
  "HEAD_SIZE",
  "HEAD_OFFSET",
  "HEAD_TICKET",
  "HEAD_BYTES",
  "COMPLETION_EFFECT",
  "COMPLETION_ERROR",
  "COMPLETION_DATA",
  "COMPLETION_DEVICE_BYTES",
  "COMPLETION_MAJOR",
  "COMPLETION_MINOR",
  "COMPLETION_FILE_SYSTEM",
  "COMPLETION_INODE",
  "COMPLETION_OPEN_BYTES",
  "RESTORE_BYTES",
  "READ_BYTES_MAX",
  "EXTENTS_MAX",
  "MARK_WAITERS_MAX",
  "SLICE_WORDS",
  "EFFECTS",
  "EFFECTS_BYTES_MAX",
  "EFFECT_KIND",
  "EFFECT_PAYLOAD_SIZE",
  "EFFECT_PAYLOAD",
  "EFFECT_KIND_SEND",
  "EFFECT_KIND_NOTICE",
  "EFFECT_KIND_OPEN",
  "EFFECT_KIND_READ",
  "EFFECT_KIND_WRITE",
  "EFFECT_KIND_CLOSE",
  "EFFECT_KIND_FLUSH_LEGS",
  "EFFECT_KIND_WAKE",
  "EFFECT_KIND_STATE_CREATE",
  "EFFECT_KIND_STATE_WRITE",
  "EFFECT_KIND_STATE_DELETE",
  "LOG_BYTES",
  "LOG_NEXT",
  "LOG_LUID",
  "LOG_UUID",
  "LOG_REGION_COUNT",
  "LOG_DESCRIBED_BYTES",
  "LOG_PENDING",
  "LOG_FAILED",
  "LOG_MARKED",
  "LOG_DIRTY_COUNT",
  "LOG_RECOVERING",
  "LOG_CURSOR",
  "LOG_DISK",
  "DISK_IMAGE",
  "DISK_IMAGE_BYTES",
  "DISK_URGENT",
  "DISK_LAZY",
  "BITS_OFFSET",
  "REGION_SET_BITS",
  "REGION_SET_POPULATION",
  "NLMSG_LEN",
  "NLMSG_TYPE",
  "NLMSG_FLAGS",
  "NLMSG_SEQ",
  "NLMSG_PID",
  "NLMSG_HEADER_BYTES",
  "NLMSG_TYPE_DONE",
  "CN_IDX",
  "CN_VAL",
  "CN_SEQ",
  "CN_ACK",
  "CN_LEN",
  "CN_FLAGS",
  "CN_IDX_DM",
  "CN_VAL_DM_USERSPACE_LOG",
  "KERNEL_PORT",
  "ULOG_LUID",
  "ULOG_UUID",
  "ULOG_VERSION",
  "ULOG_ERROR",
  "ULOG_SEQ",
  "ULOG_TYPE",
  "ULOG_DATA_SIZE",
  "ULOG_DATA",
  "ULOG_HEADER_BYTES",
  "UUID_BYTES",
  "FRAME_BYTES",
  "REQUEST_CTR",
  "REQUEST_DTR",
  "REQUEST_PRESUSPEND",
  "REQUEST_POSTSUSPEND",
  "REQUEST_RESUME",
  "REQUEST_GET_REGION_SIZE",
  "REQUEST_IS_CLEAN",
  "REQUEST_IN_SYNC",
  "REQUEST_FLUSH",
  "REQUEST_MARK_REGION",
  "REQUEST_CLEAR_REGION",
  "REQUEST_GET_RESYNC_WORK",
  "REQUEST_SET_REGION_SYNC",
  "REQUEST_GET_SYNC_COUNT",
  "REQUEST_STATUS_INFO",
  "REQUEST_STATUS_TABLE",
  "REQUEST_IS_REMOTE_RECOVERING",
  "REQUEST_TYPE_MASK",
  "REQUEST_TYPE_MAX",
  "REQUEST_VERSION_MAX",
  "ESRCH",
  "ENOMEM",
  "EINVAL",
] as const;

/** The core's exports other than functions, by their exported names. */
export type AbiName = (typeof NAMES)[number];

/** Addresses, offsets, sizes in bytes and protocol numbers of the core, by their exported names. */
export type Abi = Readonly<Record<AbiName, number>>;

/** The ABI version that this host is written for. */
const ABI_VERSION_EXPECTED = 5;

/** Reads the tables; throws if the module is not a dm-ulog core of this ABI version. */
export function readAbi(exports: Record<string, unknown>): Abi {
  const abi: Record<string, number> = {};
  for (const name of NAMES) {
    const exported = exports[name] as { value?: unknown } | undefined;
    if (typeof exported?.value !== "number") {
      throw new Error(`The module is not a dm-ulog core: it does not export ${name}. Build it with npm run build.`);
    }
    abi[name] = exported.value;
  }
  const read = abi as Abi;
  if (read.ABI_VERSION !== ABI_VERSION_EXPECTED) {
    throw new Error(
      `The core has ABI version ${read.ABI_VERSION}, this host needs ${ABI_VERSION_EXPECTED}. Use both from one build.`,
    );
  }
  // A copy by spreading: an object filled by computed names stays a hash table, and each of its reads would be a look-up.
  return { ...read };
}
