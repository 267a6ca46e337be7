// The messages between the kernel and a server, read after linux/dm-log-userspace.h, linux/connector.h and linux/netlink.h.
// The offsets and numbers are typed here once more, so that a mistake in the core's own table is not repeated by the model.

const NETLINK_BYTES = 16;
const CONNECTOR_BYTES = 20;
const ULOG_BYTES = 160;
/** All headers of a message; its data begins here. */
export const HEADERS_BYTES = NETLINK_BYTES + CONNECTOR_BYTES + ULOG_BYTES;
const NLMSG_DONE = 3;
const CN_IDX_DM = 7;
const CN_VAL_DM_USERSPACE_LOG = 1;
const KERNEL_PORT = 0;
const LUID_AT = 36;
const UUID_AT = 44;
const UUID_BYTES = 129;
const VERSION_AT = 176;
const ERROR_AT = 180;
const SEQ_AT = 184;
const TYPE_AT = 188;
const DATA_SIZE_AT = 192;
const TYPE_MASK = 0xff;
const TWO_TO_32 = 0x1_0000_0000;

/** The requests in the order of their numbers, from 1 on. */
export const REQUEST_NAMES = [
  "CTR",
  "DTR",
  "PRESUSPEND",
  "POSTSUSPEND",
  "RESUME",
  "GET_REGION_SIZE",
  "IS_CLEAN",
  "IN_SYNC",
  "FLUSH",
  "MARK_REGION",
  "CLEAR_REGION",
  "GET_RESYNC_WORK",
  "SET_REGION_SYNC",
  "GET_SYNC_COUNT",
  "STATUS_INFO",
  "STATUS_TABLE",
  "IS_REMOTE_RECOVERING",
] as const;
export type RequestName = (typeof REQUEST_NAMES)[number];

/** Negative errnos that answers carry. */
export const ESRCH = -3;
export const EIO = -5;
export const ENOMEM = -12;
export const EBUSY = -16;
export const EINVAL = -22;

export interface Request {
  /** Null where there is no such request. */
  readonly name: RequestName | null;
  readonly version: number;
  readonly seq: number;
  readonly luid: bigint;
  /** Up to its NUL. */
  readonly uuid: string;
  /** Whether it is one: not empty, and with a NUL within its field. */
  readonly hasUuid: boolean;
  readonly data: Uint8Array;
  /** What the data is in most requests. */
  readonly numbers: readonly number[];
  readonly headers: Uint8Array;
}

export interface Answer {
  /** 0 or a negative errno. */
  readonly error: number;
  readonly data: Uint8Array;
  readonly headers: Uint8Array;
}

/** A datagram as a request of the kernel; null where it is none, or was cut. `sizeBytes` is what the host says it had. */
export function readRequest(bytes: Uint8Array, sizeBytes: number, senderPort: number): Request | null {
  if (senderPort !== KERNEL_PORT || sizeBytes !== bytes.length || sizeBytes < HEADERS_BYTES) return null;
  const view = viewOf(bytes);
  if (view.getUint16(4, true) !== NLMSG_DONE) return null;
  if (view.getUint32(16, true) !== CN_IDX_DM || view.getUint32(20, true) !== CN_VAL_DM_USERSPACE_LOG) return null;
  const messageBytes = view.getUint32(0, true);
  const dataBytes = view.getUint32(DATA_SIZE_AT, true);
  const isWhole = messageBytes === HEADERS_BYTES + dataBytes && view.getUint16(32, true) === ULOG_BYTES + dataBytes;
  // Netlink pads a datagram to a multiple of 4 bytes.
  if (!isWhole || sizeBytes < messageBytes || sizeBytes > ((messageBytes + 3) & ~3)) return null;
  const own = bytes.slice();
  const end = own.indexOf(0, UUID_AT);
  const uuidEnd = end < 0 || end >= UUID_AT + UUID_BYTES ? -1 : end - UUID_AT;
  const data = own.subarray(HEADERS_BYTES, messageBytes);
  return {
    name: REQUEST_NAMES[(view.getUint32(TYPE_AT, true) & TYPE_MASK) - 1] ?? null,
    version: view.getUint32(VERSION_AT, true),
    seq: view.getUint32(SEQ_AT, true),
    luid: view.getBigUint64(LUID_AT, true),
    uuid: latin1(own.subarray(UUID_AT, UUID_AT + (uuidEnd < 0 ? UUID_BYTES : uuidEnd))),
    hasUuid: uuidEnd > 0,
    data,
    numbers: u64s(data),
    headers: own.subarray(0, HEADERS_BYTES),
  };
}

/** What a server sends, as an answer. */
export function readAnswer(bytes: Uint8Array): Answer {
  return {
    error: viewOf(bytes).getInt32(ERROR_AT, true),
    data: bytes.subarray(HEADERS_BYTES),
    headers: bytes.subarray(0, HEADERS_BYTES),
  };
}

/** Whether the lengths of an answer agree with each other. */
export function hasAgreeingLengths(bytes: Uint8Array): boolean {
  if (bytes.length < HEADERS_BYTES) return false;
  const view = viewOf(bytes);
  const dataBytes = bytes.length - HEADERS_BYTES;
  return (
    view.getUint32(0, true) === bytes.length &&
    view.getUint16(32, true) === ULOG_BYTES + dataBytes &&
    view.getUint32(DATA_SIZE_AT, true) === dataBytes
  );
}

/** The first byte of the headers in which an answer may not differ from its request, and does; -1 where there is none. */
export function firstForeignByte(request: Uint8Array, answer: Uint8Array): number {
  for (let at = 0; at < HEADERS_BYTES; at++) {
    const isLength = at < 4 || at === 32 || at === 33 || at >= DATA_SIZE_AT;
    const isError = at >= ERROR_AT && at < SEQ_AT;
    if (!isLength && !isError && request[at] !== answer[at]) return at;
  }
  return -1;
}

/** The sequence number by which the kernel finds who waits for an answer. */
export function seqOf(headers: Uint8Array): number {
  return viewOf(headers).getUint32(SEQ_AT, true);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The numbers of 64 bits that data consists of, exact up to 2^53: far above any count of regions. */
export function u64s(data: Uint8Array): number[] {
  const view = viewOf(data);
  const numbers: number[] = [];
  for (let at = 0; at + 8 <= data.length; at += 8) {
    numbers.push(view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_TO_32);
  }
  return numbers;
}

/** Bytes as characters. */
export function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
