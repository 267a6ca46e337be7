// A network namespace of this process' own, so that what a test multicasts to the connector's group reaches no other server
// of the machine, and no other server's socket is seen. Needs CAP_NET_ADMIN and CAP_SYS_ADMIN. There is no connector of the
// kernel in it: a socket of the test plays that.

import { createRequire } from "node:module";

const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi").default;
const libc = koffi.load(null);
const CLONE_NEWNET = 0x4000_0000;
const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 0o2004003;
const NETLINK_CONNECTOR = 11;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_BROADCAST_ERROR = 4;
const CN_IDX_DM = 7;

type Call<T extends unknown[]> = (...given: T) => number;
const unshare: Call<[flags: number]> = libc.func("int unshare(int)");
const socket: Call<[domain: number, type: number, protocol: number]> = libc.func("int socket(int, int, int)");
const bind: Call<[fd: number, address: Uint8Array, size: number]> = libc.func(
  "int bind(int, const void *, unsigned int)",
);
const setsockopt: Call<[fd: number, level: number, option: number, value: Uint8Array, size: number]> = libc.func(
  "int setsockopt(int, int, int, const void *, unsigned int)",
);
const sendto: Call<[fd: number, data: Uint8Array, size: number, flags: number, address: Uint8Array, bytes: number]> =
  libc.func("intptr_t sendto(int, const void *, size_t, int, const void *, unsigned int)");
const recv: Call<[fd: number, buffer: Uint8Array, size: number, flags: number]> = libc.func(
  "intptr_t recv(int, void *, size_t, int)",
);
const close: Call<[fd: number]> = libc.func("int close(int)");

/** To be called before any thread is started and any socket is opened. Returns whether it could be had. */
export function enterNetworkNamespace(): boolean {
  return process.platform === "linux" && unshare(CLONE_NEWNET) === 0;
}

function address(port: number, groups: number): Uint8Array {
  return new Uint8Array(new Uint32Array([AF_NETLINK, port, groups]).buffer);
}

function word(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer);
}

/** A socket of the connector that sends and receives when it is told to, and not else. */
export class ConnectorPeer {
  private readonly fd: number;
  private readonly buffer = new Uint8Array(65536);

  constructor(
    readonly port: number,
    bufferBytes: number,
  ) {
    this.fd = socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, NETLINK_CONNECTOR);
    if (this.fd < 0 || bind(this.fd, address(port, 0), 12) < 0) throw new Error(`No socket: errno ${koffi.errno()}`);
    this.option(SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes);
  }

  /** Joins the kernel's group. With `isLoud`, what finds its buffer full is an error for the sender. */
  join(isLoud: boolean): void {
    this.option(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, CN_IDX_DM);
    if (isLoud) this.option(SOL_NETLINK, NETLINK_BROADCAST_ERROR, 1);
  }

  /** As the kernel sends a request: to all members of the group. Returns 0 or a positive errno. */
  multicast(datagram: Uint8Array): number {
    const sent = sendto(this.fd, datagram, datagram.length, 0, address(0, 1 << (CN_IDX_DM - 1)), 12);
    // There is no kernel's socket here, to which it would go too.
    const ECONNREFUSED = koffi.os.errno.ECONNREFUSED as number;
    return sent >= 0 || koffi.errno() === ECONNREFUSED ? 0 : koffi.errno();
  }

  /** A copy of what has come, or undefined where nothing has. */
  receive(): Uint8Array | undefined {
    const size = recv(this.fd, this.buffer, this.buffer.length, 0);
    return size < 0 ? undefined : this.buffer.slice(0, size);
  }

  close(): void {
    close(this.fd);
  }

  private option(level: number, option: number, value: number): void {
    if (setsockopt(this.fd, level, option, word(value), 4) < 0) {
      throw new Error(`Socket option ${option} cannot be set: errno ${koffi.errno()}`);
    }
  }
}
