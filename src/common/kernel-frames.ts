// The kernel's side of the wire: encodes requests and decodes replies. The simulated kernel, tests and benchmarks use it in
// place of a real kernel.

import type { Abi, AbiName } from "./abi.ts";

/** The length field of a connector message has 16 bits. */
const MESSAGE_BYTES_MAX = 0xffff;

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
  checkNames(abi, request);
  const data = request.data instanceof Uint8Array ? request.data : words(request.data ?? []);
  if (abi.ULOG_HEADER_BYTES + data.length > MESSAGE_BYTES_MAX)
    throw new RangeError(`${data.length} bytes of data do not fit a request.`);
  const messageBytes = abi.FRAME_BYTES + data.length;
  const frame = new Uint8Array((messageBytes + 3) & ~3);
  const view = new DataView(frame.buffer);
  view.setUint32(abi.NLMSG_LEN, messageBytes, true);
  view.setUint16(abi.NLMSG_TYPE, abi.NLMSG_TYPE_DONE, true);
  view.setUint32(abi.CN_IDX, abi.CN_IDX_DM, true);
  view.setUint32(abi.CN_VAL, abi.CN_VAL_DM_USERSPACE_LOG, true);
  view.setUint32(abi.CN_SEQ, request.seq, true);
  view.setUint16(abi.CN_LEN, abi.ULOG_HEADER_BYTES + data.length, true);
  view.setBigUint64(abi.ULOG_LUID, request.luid, true);
  frame.set(asciiBytes(request.uuid), abi.ULOG_UUID);
  view.setUint32(abi.ULOG_VERSION, request.version ?? abi.REQUEST_VERSION_MAX, true);
  view.setUint32(abi.ULOG_SEQ, request.seq, true);
  view.setUint32(abi.ULOG_TYPE, requestType(abi, request.type), true);
  view.setUint32(abi.ULOG_DATA_SIZE, data.length, true);
  frame.set(data, abi.ULOG_DATA);
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
  return Number(new DataView(data.buffer, data.byteOffset, data.length).getBigUint64(index * 8, true));
}

export function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The number of a request type. Throws a sentence where no request has that name. */
export function requestType(abi: Abi, type: RequestName | number): number {
  const number = typeof type === "number" ? type : abi[`REQUEST_${type}`];
  if (number === undefined)
    throw new RangeError(
      `There is no request ${type}. Types have the header's names without DM_ULOG_, such as MARK_REGION.`,
    );
  return number;
}

function checkNames(abi: Abi, { uuid, luid }: Request): void {
  if (uuid.length >= abi.UUID_BYTES)
    throw new RangeError(`The UUID has ${uuid.length} characters; the kernel's have at most ${abi.UUID_BYTES - 1}.`);
  if (!/^[\0-\xff]*$/.test(uuid)) throw new RangeError(`The UUID ${uuid} has characters of more than one byte.`);
  if (typeof luid !== "bigint" || luid !== BigInt.asUintN(64, luid))
    throw new RangeError(`The luid ${luid} is no bigint from 0 to 2^64 - 1.`);
}

function words(values: readonly (number | bigint)[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values, BigInt).buffer);
}
