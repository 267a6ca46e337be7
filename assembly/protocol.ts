// The bytes of one message, as the kernel sends it and takes it back (x86-64 and every other little-endian machine).
//
//   offset size
//        0   16  struct nlmsghdr         include/uapi/linux/netlink.h
//       16   20  struct cn_msg           include/uapi/linux/connector.h
//       36  160  struct dm_ulog_request  include/uapi/linux/dm-log-userspace.h
//      196    n  payload, n = dm_ulog_request.data_size
//
// Invariant: nlmsg_len = 16 + 20 + cn_msg.len and cn_msg.len = 160 + data_size. A frame that breaks it is malformed.

export const NLMSG_LEN: usize = 0; // u32, header included
export const NLMSG_TYPE: usize = NLMSG_LEN + 4; // u16
export const NLMSG_FLAGS: usize = NLMSG_TYPE + 2; // u16
export const NLMSG_SEQ: usize = NLMSG_FLAGS + 2; // u32
export const NLMSG_PID: usize = NLMSG_SEQ + 4; // u32
export const NLMSG_HEADER_BYTES: usize = NLMSG_PID + 4;

export const CN_IDX: usize = NLMSG_HEADER_BYTES; // u32
export const CN_VAL: usize = CN_IDX + 4; // u32
export const CN_SEQ: usize = CN_VAL + 4; // u32
export const CN_ACK: usize = CN_SEQ + 4; // u32
export const CN_LEN: usize = CN_ACK + 4; // u16, cn_msg excluded
export const CN_FLAGS: usize = CN_LEN + 2; // u16
export const CN_HEADER_BYTES: usize = CN_FLAGS + 2 - CN_IDX;

/** DM_UUID_LEN of linux/dm-ioctl.h: 128 characters and a NUL. */
export const UUID_BYTES: usize = 129;
/** What the core's own records pad a UUID to with zeros. */
export const UUID_ROOM: usize = (UUID_BYTES + 7) & ~7;

export const ULOG_LUID: usize = NLMSG_HEADER_BYTES + CN_HEADER_BYTES; // u64
export const ULOG_UUID: usize = ULOG_LUID + 8; // char[129], then 3 bytes of padding
export const ULOG_VERSION: usize = ULOG_UUID + UUID_BYTES + 3; // u32
export const ULOG_ERROR: usize = ULOG_VERSION + 4; // i32
export const ULOG_SEQ: usize = ULOG_ERROR + 4; // u32
export const ULOG_TYPE: usize = ULOG_SEQ + 4; // u32, only the low 8 bits name the request
export const ULOG_DATA_SIZE: usize = ULOG_TYPE + 4; // u32
export const ULOG_DATA: usize = ULOG_DATA_SIZE + 4;
export const ULOG_HEADER_BYTES: usize = ULOG_DATA - ULOG_LUID;

/** All headers of a message; its payload begins here. */
export const FRAME_BYTES: usize = ULOG_DATA;

/** NLMSG_DONE: what the connector sends every message as. */
export const NLMSG_TYPE_DONE: u32 = 3;
/** CN_IDX_DM, also the multicast group to join. */
export const CN_IDX_DM: u32 = 7;
/** CN_VAL_DM_USERSPACE_LOG. */
export const CN_VAL_DM_USERSPACE_LOG: u32 = 1;
/** The netlink port of the kernel: a datagram from any other port is not the kernel's. */
export const KERNEL_PORT: u32 = 0;

export const REQUEST_CTR: u32 = 1;
export const REQUEST_DTR: u32 = 2;
export const REQUEST_PRESUSPEND: u32 = 3;
export const REQUEST_POSTSUSPEND: u32 = 4;
export const REQUEST_RESUME: u32 = 5;
export const REQUEST_GET_REGION_SIZE: u32 = 6;
export const REQUEST_IS_CLEAN: u32 = 7;
export const REQUEST_IN_SYNC: u32 = 8;
export const REQUEST_FLUSH: u32 = 9;
export const REQUEST_MARK_REGION: u32 = 10;
export const REQUEST_CLEAR_REGION: u32 = 11;
export const REQUEST_GET_RESYNC_WORK: u32 = 12;
export const REQUEST_SET_REGION_SYNC: u32 = 13;
export const REQUEST_GET_SYNC_COUNT: u32 = 14;
export const REQUEST_STATUS_INFO: u32 = 15;
export const REQUEST_STATUS_TABLE: u32 = 16;
export const REQUEST_IS_REMOTE_RECOVERING: u32 = 17;
/** Request types run from 1 to this. */
export const REQUEST_TYPE_MAX: u32 = REQUEST_IS_REMOTE_RECOVERING;
/** DM_ULOG_REQUEST_MASK. */
export const REQUEST_TYPE_MASK: u32 = 0xff;

/** Lowest and highest DM_ULOG_REQUEST_VERSION whose messages this core understands. */
export const REQUEST_VERSION_MIN: u32 = 1;
export const REQUEST_VERSION_MAX: u32 = 3;

/** Most bytes of status text a reply carries, and the zeros that stand for it where the log is unknown. */
export const STATUS_INFO_BYTES_MAX: u32 = 64;

export const ESRCH: i32 = 3;
export const EIO: i32 = 5;
export const EAGAIN: i32 = 11;
export const ENOMEM: i32 = 12;
export const EBUSY: i32 = 16;
export const EINVAL: i32 = 22;
