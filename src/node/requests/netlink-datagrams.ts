// Addresses and datagrams of netlink. Apart from the socket: every thread rings the bell, and only one opens a socket.

import { errno, sendto } from "../system-calls.ts";

const AF_NETLINK = 16;
export const SOCKADDR_NL_BYTES = 12;

/** A sockaddr_nl for one port. */
export function netlinkAddress(port: number): Uint8Array {
  const address = new Uint32Array([AF_NETLINK, port, 0]);
  return new Uint8Array(address.buffer);
}

/** Sends the first `size` bytes as a datagram; returns 0 or a positive errno. */
export function sendDatagram(fd: number, datagram: Uint8Array, address: Uint8Array, size = datagram.length): number {
  return sendto(fd, datagram, size, 0, address, SOCKADDR_NL_BYTES) < 0 ? errno() : 0;
}
