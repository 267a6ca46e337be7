// Addresses and datagrams of netlink. Apart from the socket: every thread rings the bell, and only one opens a socket.

import { EAGAIN, errno, sendto, setsockopt } from "../system-calls.ts";
import { CN_IDX_DM } from "./netlink-sockets.ts";

const AF_NETLINK = 16;
export const SOCKADDR_NL_BYTES = 12;
const CN_VAL_DM_USERSPACE_LOG = 1;
const NLMSG_DONE = 3;
const SOL_NETLINK = 270;
export const NETLINK_ADD_MEMBERSHIP = 1;
export const NETLINK_DROP_MEMBERSHIP = 2;

/** struct nlmsghdr (length, type) and struct cn_msg (idx, val, seq, ack). */
const NLMSG_LEN = 0;
const NLMSG_TYPE = 4;
const CN_IDX = 16;
const CN_VAL = 20;
export const CN_SEQ = 24;
const CN_ACK = 28;
/** Both, and nothing behind them. */
export const BARE_BYTES = 36;

/** A sockaddr_nl for one port. */
export function netlinkAddress(port: number): Uint8Array {
  const address = new Uint32Array([AF_NETLINK, port, 0]);
  return new Uint8Array(address.buffer);
}

/** Joins or leaves a group. Returns 0 or a positive errno. */
export function changeGroup(fd: number, option: number, group: number): number {
  const bytes = new Uint8Array(new Uint32Array([group]).buffer);
  return setsockopt(fd, SOL_NETLINK, option, bytes, bytes.length) < 0 ? errno() : 0;
}

/** A bare acknowledgement, an answer without data, that asks the kernel to send a request again. */
export class AskAgain {
  readonly datagram = new Uint8Array(BARE_BYTES);
  private readonly view = new DataView(this.datagram.buffer);

  constructor() {
    this.view.setUint32(NLMSG_LEN, BARE_BYTES, true);
    this.view.setUint16(NLMSG_TYPE, NLMSG_DONE, true);
    this.view.setUint32(CN_IDX, CN_IDX_DM, true);
    this.view.setUint32(CN_VAL, CN_VAL_DM_USERSPACE_LOG, true);
    this.view.setUint32(CN_ACK, EAGAIN, true);
  }

  /** The datagram for the request of this number, good until the next call. */
  of(seq: number): Uint8Array {
    this.view.setUint32(CN_SEQ, seq >>> 0, true);
    return this.datagram;
  }
}

/** Sends the first `size` bytes as a datagram; returns 0 or a positive errno. */
export function sendDatagram(fd: number, datagram: Uint8Array, address: Uint8Array, size = datagram.length): number {
  return sendto(fd, datagram, size, 0, address, SOCKADDR_NL_BYTES) < 0 ? errno() : 0;
}
