// The kernel's side of the wire: encodes requests and decodes replies. The simulated kernel, tests and benchmarks use it in
// place of a real kernel.

import type { Abi, AbiName } from "./abi.ts";

/** The length field of a connector message has 16 bits. */
const MESSAGE_BYTES_MAX = 0xffff;
const LUID_MAX = 2n ** 64n - 1n;
const TWO_TO_32 = 0x1_0000_0000;
const NO_DATA: readonly number[] = [];
/** The core's names of request types, by the kernel's: each is put together once. */
const abiNames = new Map<string, AbiName>();

/** Request types by the header's names without DM_ULOG_. */
export type RequestName =
  Extract<AbiName, `REQUEST_${string}`> extends `REQUEST_${infer Name}`
    ? Exclude<Name, "TYPE_MASK" | "TYPE_MAX" | "VERSION_MAX">
    : never;

/** A request of the kernel. */
export interface Request {
  type: RequestName | number;
  uuid: string;
  luid: bigint;
  seq: number;
  /** Protocol version; by default the newest one. */
  version?: number;
  /** The payload; numbers and bigints stand for u64 each. */
  data?: Uint8Array | readonly (number | bigint)[];
}

/** The parts of an answer that the kernel uses. */
export interface Reply {
  seq: number;
  /** 0, or a negative errno. */
  error: number;
  data: Uint8Array;
}

/**
 * The datagram that the kernel sends for a request, padded to 4 bytes as netlink does. Throws a sentence where no kernel could send
 * it: a UUID of more than 128 bytes, a luid beyond 64 bits, a type that has no such name, too much data.
 */
export function encodeRequest(abi: Abi, request: Request): Uint8Array {
  const { uuid, luid, seq, data = NO_DATA } = request;
  const dataBytes = data instanceof Uint8Array ? data.length : 8 * data.length;
  if (abi.ULOG_HEADER_BYTES + dataBytes > MESSAGE_BYTES_MAX)
    throw new RangeError(`${dataBytes} bytes of data do not fit a request.`);
  if (typeof luid !== "bigint" || luid < 0n || luid > LUID_MAX)
    throw new RangeError(`The luid ${luid} is no bigint from 0 to 2^64 - 1.`);
  const messageBytes = abi.FRAME_BYTES + dataBytes;
  const frame = new Uint8Array((messageBytes + 3) & ~3);
  const view = new DataView(frame.buffer);
  view.setUint32(abi.NLMSG_LEN, messageBytes, true);
  view.setUint16(abi.NLMSG_TYPE, abi.NLMSG_TYPE_DONE, true);
  view.setUint32(abi.CN_IDX, abi.CN_IDX_DM, true);
  view.setUint32(abi.CN_VAL, abi.CN_VAL_DM_USERSPACE_LOG, true);
  view.setUint32(abi.CN_SEQ, seq, true);
  view.setUint16(abi.CN_LEN, abi.ULOG_HEADER_BYTES + dataBytes, true);
  view.setBigUint64(abi.ULOG_LUID, luid, true);
  putUuid(abi, frame, uuid);
  view.setUint32(abi.ULOG_VERSION, request.version ?? abi.REQUEST_VERSION_MAX, true);
  view.setUint32(abi.ULOG_SEQ, seq, true);
  view.setUint32(abi.ULOG_TYPE, requestType(abi, request.type), true);
  view.setUint32(abi.ULOG_DATA_SIZE, dataBytes, true);
  if (data instanceof Uint8Array) frame.set(data, abi.ULOG_DATA);
  else for (let i = 0; i < data.length; i++) putU64(view, abi.ULOG_DATA + 8 * i, data[i] as number | bigint);
  return frame;
}

/** Decodes a reply as the kernel does. Throws if its lengths contradict each other, which no kernel would accept. */
export function decodeReply(abi: Abi, datagram: Uint8Array): Reply {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
  const dataSize = view.getUint32(abi.ULOG_DATA_SIZE, true);
  const lengths = [
    view.getUint32(abi.NLMSG_LEN, true) - abi.FRAME_BYTES,
    view.getUint16(abi.CN_LEN, true) - abi.ULOG_HEADER_BYTES,
    datagram.length - abi.FRAME_BYTES,
  ];
  if (lengths.some((length) => length !== dataSize)) {
    throw new Error(`A reply whose lengths contradict each other: data_size ${dataSize}, others ${lengths}`);
  }
  return {
    seq: view.getUint32(abi.ULOG_SEQ, true),
    error: view.getInt32(abi.ULOG_ERROR, true),
    data: datagram.slice(abi.ULOG_DATA),
  };
}

/** A payload's u64 at `index`, as a number. */
export function u64At(data: Uint8Array, index: number): number {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  return view.getUint32(index * 8, true) + view.getUint32(index * 8 + 4, true) * TWO_TO_32;
}

export function asciiBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** The number of a request type. Throws a sentence where no request has that name. */
export function requestType(abi: Abi, type: RequestName | number): number {
  if (typeof type === "number") return type;
  let name = abiNames.get(type);
  if (name === undefined) {
    name = `REQUEST_${type}`;
    if (abi[name] === undefined)
      throw new RangeError(
        `There is no request ${type}. Types have the header's names without DM_ULOG_, such as MARK_REGION.`,
      );
    abiNames.set(type, name);
  }
  return abi[name];
}

function putUuid(abi: Abi, frame: Uint8Array, uuid: string): void {
  if (uuid.length >= abi.UUID_BYTES)
    throw new RangeError(`The UUID has ${uuid.length} characters; the kernel's have at most ${abi.UUID_BYTES - 1}.`);
  for (let at = 0; at < uuid.length; at++) {
    const code = uuid.charCodeAt(at);
    if (code > 0xff) throw new RangeError(`The UUID ${uuid} has characters of more than one byte.`);
    frame[abi.ULOG_UUID + at] = code;
  }
}

/** A BigInt would cost an allocation, and most numbers need none. */
function putU64(view: DataView, at: number, value: number | bigint): void {
  if (typeof value === "bigint" || value < 0) {
    view.setBigUint64(at, BigInt(value), true);
    return;
  }
  view.setUint32(at, value, true);
  view.setUint32(at + 4, Math.floor(value / TWO_TO_32), true);
}
