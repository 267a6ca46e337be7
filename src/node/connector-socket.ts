// The netlink socket of the server: opened, bound and subscribed by node-netlink, read and written by blocking calls.
//
// node-netlink receives on the event loop, which costs two epoll rounds and several allocations for each request and
// doubles the round trip. So its descriptor is taken over: the request thread waits in recvfrom, straight into and out
// of the core's memory, and never returns to its event loop while it serves.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { RawNetlinkSocket } from "node-netlink";
import {
  EAGAIN,
  EINTR,
  ENOBUFS,
  errno,
  MSG_TRUNC,
  makeBlocking,
  recvfrom,
  sendto,
  setReceiveTimeout,
} from "./system-calls.ts";

const NETLINK_CONNECTOR = 11;
const AF_NETLINK = 16;
const SOCKADDR_NL_BYTES = 12;

/** Room for a few thousand requests: the kernel drops what does not fit, and each dropped one waits 15 s. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/** What `receive` returns when the time set by `setTimeout` has passed without a datagram. */
export const TIMED_OUT = -1;

export class ConnectorSocket {
  /** The netlink port the socket is bound to. */
  readonly port: number;
  readonly fd: number;
  /** The port that sent the datagram received last. */
  senderPort = 0;
  /** Times the receive buffer overflowed, so that the kernel lost requests it will send again. */
  overruns = 0;
  private readonly socket: RawNetlinkSocket;
  private readonly sender = new Uint32Array(SOCKADDR_NL_BYTES / 4);
  private readonly senderBytes = new Uint8Array(this.sender.buffer);
  private readonly senderSize = new Uint32Array([SOCKADDR_NL_BYTES]);

  /** Opens the socket and joins `group` of the connector. */
  constructor(group: number) {
    this.socket = new RawNetlinkSocket(NETLINK_CONNECTOR, {
      recvBufferSize: RECEIVE_BUFFER_BYTES,
      sendBufferSize: RECEIVE_BUFFER_BYTES,
    });
    this.socket.addMembership(group);
    this.port = this.socket.address().port;
    this.fd = descriptorOf(this.port);
    makeBlocking(this.fd);
  }

  /** How long `receive` waits, in µs; 0 for ever. */
  setTimeout(timeoutUs: number): void {
    setReceiveTimeout(this.fd, timeoutUs);
  }

  /** Waits for a datagram. Returns its size, which exceeds the buffer's where it did not fit, or TIMED_OUT. */
  receive(buffer: Uint8Array): number {
    for (;;) {
      this.senderSize[0] = SOCKADDR_NL_BYTES;
      const size = recvfrom(this.fd, buffer, buffer.length, MSG_TRUNC, this.senderBytes, this.senderSize);
      if (size >= 0) {
        this.senderPort = this.sender[1] as number;
        return size;
      }
      const error = errno();
      if (error === EAGAIN) return TIMED_OUT;
      if (error === ENOBUFS) this.overruns++;
      else if (error !== EINTR) throw new Error(`Receiving from netlink failed with errno ${error}.`);
    }
  }

  /** Receives nothing new from `group`; what has come already can still be received. */
  leave(group: number): void {
    this.socket.dropMembership(group);
  }

  close(): void {
    this.socket.close();
  }
}

/** A sockaddr_nl for one port. */
export function netlinkAddress(port: number): Uint8Array {
  const address = new Uint32Array([AF_NETLINK, port, 0]);
  return new Uint8Array(address.buffer);
}

/** Sends a datagram; returns 0 or a positive errno. */
export function sendDatagram(fd: number, datagram: Uint8Array, address: Uint8Array): number {
  return sendto(fd, datagram, datagram.length, 0, address, SOCKADDR_NL_BYTES) < 0 ? errno() : 0;
}

/** The descriptor of this process' connector socket with a given port: node-netlink keeps it to itself. */
function descriptorOf(port: number): number {
  const socket = connectorSockets().find((entry) => entry.port === port);
  for (const name of readdirSync("/proc/self/fd")) {
    let target = "";
    try {
      target = readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      continue; // Another thread closed it meanwhile.
    }
    if (socket !== undefined && target === `socket:[${socket.inode}]`) return Number(name);
  }
  throw new Error(`The netlink socket with port ${port} was not found in /proc/self/fd.`);
}

/** Every socket of the connector in this network namespace, as /proc/net/netlink lists them. */
export function connectorSockets(): { port: number; groups: number; inode: string }[] {
  return readFileSync("/proc/net/netlink", "utf8")
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => Number(fields[1]) === NETLINK_CONNECTOR)
    .map((fields) => ({
      port: Number(fields[2]),
      groups: Number.parseInt(fields[3] ?? "0", 16),
      inode: fields[9] ?? "",
    }));
}
