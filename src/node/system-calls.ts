// System calls that Node.js does not offer, through koffi. Linux numbers of include/uapi; the same on every
// architecture that koffi and node-netlink ship binaries for.

import koffi from "koffi";

const libc = koffi.load(null);

/** Blocks until a datagram is there. Returns its full size (with MSG_TRUNC), or -1; then `errno()` tells why. */
export const recvfrom: (
  fd: number,
  buffer: Uint8Array,
  size: number,
  flags: number,
  address: Uint8Array,
  addressBytes: Uint32Array,
) => number = libc.func("intptr_t recvfrom(int, void *, size_t, int, void *, void *)");

export const sendto: (
  fd: number,
  buffer: Uint8Array,
  size: number,
  flags: number,
  address: Uint8Array,
  addressBytes: number,
) => number = libc.func("intptr_t sendto(int, const void *, size_t, int, const void *, unsigned int)");

const fcntl: (fd: number, command: number, argument: number) => number = libc.func("int fcntl(int, int, int)");
const flock: (fd: number, operation: number) => number = libc.func("int flock(int, int)");

export const MSG_TRUNC = 0x20;
export const EINTR = koffi.os.errno.EINTR as number;
export const ENOBUFS = koffi.os.errno.ENOBUFS as number;

const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const LOCK_EX = 2;
const LOCK_NB = 4;

/** The error of the last call that failed on this thread, as a positive errno. */
export function errno(): number {
  return koffi.errno();
}

/** Lets reads of `fd` wait. */
export function makeBlocking(fd: number): void {
  const flags = fcntl(fd, F_GETFL, 0);
  if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
    throw new Error(`fcntl on descriptor ${fd} failed with errno ${errno()}`);
  }
}

/** Takes the lock of an open file, which the kernel frees with the process. Returns whether it was free. */
export function tryLock(fd: number): boolean {
  return flock(fd, LOCK_EX | LOCK_NB) === 0;
}
