// The netlink socket of the server: opened and bound by node-netlink, or that of the server before this one
// (socket-keeper.ts), and read and written by blocking calls.
//
// node-netlink receives on the event loop, which costs two epoll rounds and several allocations for each request and
// doubles the round trip. So its descriptor is taken over: the request thread waits in recvfrom, straight into and out
// of the core's memory, and never returns to its event loop while it serves.

import { readdirSync, readlinkSync } from "node:fs";
import { createRequire } from "node:module";
import type { RawNetlinkSocket } from "node-netlink";
import {
  closeDescriptor,
  EAGAIN,
  EINTR,
  ENOBUFS,
  errno,
  forceReceiveBuffer,
  MSG_DONTWAIT,
  MSG_TRUNC,
  makeBlocking,
  receiveBufferBytes,
  recvfrom,
  setReceiveTimeout,
  systemError,
} from "../system-calls.ts";
import {
  changeGroup,
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_DROP_MEMBERSHIP,
  SOCKADDR_NL_BYTES,
} from "./netlink-datagrams.ts";
import { connectorSocketOf, connectorSockets } from "./netlink-sockets.ts";

const NETLINK_CONNECTOR = 11;

/** Room for 10,082 requests of 204 bytes, as counted on Linux 6.18. The kernel drops what does not fit. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** What one of them takes of a receive buffer, as the kernel counts it. */
const REQUEST_ROOM_BYTES = 832;

/** What `receive` returns when the time set by `setTimeout` has passed without a datagram. */
export const TIMED_OUT = -1;
/** What `receive` returns when all has been received that had come before and during an overrun. */
export const DRAINED = -2;

export class ConnectorSocket {
  /** The netlink port the socket is bound to. */
  readonly port: number;
  readonly fd: number;
  /** The port that sent the datagram received last. */
  senderPort = 0;
  /** Times the receive buffer was full, so that requests were lost. */
  overruns = 0;
  /** A sentence, where the receive buffer is smaller than it should be. */
  readonly bufferWarning: string | undefined;
  /** From an overrun on the kernel drops all that comes, until the socket was found empty. */
  isDraining = false;
  /** What opened it, unless an earlier server did. */
  private readonly socket: RawNetlinkSocket | undefined;
  private readonly sender = new Uint32Array(SOCKADDR_NL_BYTES / 4);
  private readonly senderBytes = new Uint8Array(this.sender.buffer);
  private readonly senderSize = new Uint32Array([SOCKADDR_NL_BYTES]);

  /** Opens a socket, or goes on with one that an earlier server has left, and joins `group` of the connector. */
  constructor(
    group: number,
    { kept, bufferBytes = RECEIVE_BUFFER_BYTES }: { kept?: number; bufferBytes?: number } = {},
  ) {
    if (kept === undefined) {
      const sizes = { recvBufferSize: bufferBytes, sendBufferSize: bufferBytes };
      // To load it takes 30 ms, for which no server waits that goes on with a socket.
      const netlink = createRequire(import.meta.url)("node-netlink") as typeof import("node-netlink");
      this.socket = new netlink.RawNetlinkSocket(NETLINK_CONNECTOR, sizes);
      this.port = this.socket.address().port;
      this.fd = descriptorOf(this.port);
    } else {
      this.port = connectorSocketOf(kept)?.port as number;
      this.fd = kept;
      // The earlier server may have been about to wake.
      this.setTimeout(0);
    }
    const error = forceReceiveBuffer(this.fd, bufferBytes);
    // SO_RCVBUF, set before, gives no more than net.core.rmem_max.
    const gotBytes = receiveBufferBytes(this.fd);
    if (gotBytes < 2 * bufferBytes) this.bufferWarning = smallBufferWarning(gotBytes, bufferBytes, error);
    makeBlocking(this.fd);
    this.change(NETLINK_ADD_MEMBERSHIP, group);
  }

  /** How long `receive` waits, in µs; 0 for ever. */
  setTimeout(timeoutUs: number): void {
    setReceiveTimeout(this.fd, timeoutUs);
  }

  /** Waits for a datagram. Returns its size, which exceeds the buffer's where it did not fit, or TIMED_OUT or DRAINED. */
  receive(buffer: Uint8Array): number {
    return this.take(buffer, MSG_TRUNC);
  }

  /** The same without waiting. */
  look(buffer: Uint8Array): number {
    return this.take(buffer, MSG_TRUNC | MSG_DONTWAIT);
  }

  private take(buffer: Uint8Array, wanted: number): number {
    for (;;) {
      this.senderSize[0] = SOCKADDR_NL_BYTES;
      const flags = this.isDraining ? wanted | MSG_DONTWAIT : wanted;
      const size = recvfrom(this.fd, buffer, buffer.length, flags, this.senderBytes, this.senderSize);
      if (size >= 0) {
        this.senderPort = this.sender[1] as number;
        return size;
      }
      const error = errno();
      if (error === EAGAIN) {
        if (!this.isDraining) return TIMED_OUT;
        this.isDraining = false;
        return DRAINED;
      }
      if (error === ENOBUFS) {
        this.overruns++;
        this.isDraining = true;
      } else if (error !== EINTR) throw new Error(`Receiving from netlink failed with errno ${error}.`);
    }
  }

  /** Receives nothing new from `group`; what has come already can still be received. */
  leave(group: number): void {
    this.change(NETLINK_DROP_MEMBERSHIP, group);
  }

  close(): void {
    if (this.socket === undefined) closeDescriptor(this.fd);
    else this.socket.close();
  }

  private change(option: number, group: number): void {
    const error = changeGroup(this.fd, option, group);
    if (error !== 0) throw systemError("The kernel's group of the connector", error);
  }
}

function smallBufferWarning(gotBytes: number, bufferBytes: number, error: number): string {
  return (
    `The receive buffer holds about ${Math.floor(gotBytes / REQUEST_ROOM_BYTES)} requests of the kernel instead of ` +
    `${Math.floor((2 * bufferBytes) / REQUEST_ROOM_BYTES)} (errno ${error}): when many mirrors write at once, some may be ` +
    `lost and sent again. Give the server CAP_NET_ADMIN, or type: sudo sysctl net.core.rmem_max=${bufferBytes}`
  );
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
