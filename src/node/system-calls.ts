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

export const setsockopt: (fd: number, level: number, option: number, value: Uint8Array, valueBytes: number) => number =
  libc.func("int setsockopt(int, int, int, const void *, unsigned int)");
export const getsockopt: (
  fd: number,
  level: number,
  option: number,
  value: Uint8Array,
  valueBytes: Uint32Array,
) => number = libc.func("int getsockopt(int, int, int, void *, void *)");
const fcntl: (fd: number, command: number, argument: number) => number = libc.func("int fcntl(int, int, int)");
const getrusage: (who: number, usage: Uint8Array) => number = libc.func("int getrusage(int, void *)");
const close: (fd: number) => number = libc.func("int close(int)");
const flock: (fd: number, operation: number) => number = libc.func("int flock(int, int)");

const lseek: (fd: number, offset: number, whence: number) => number = libc.func("int64_t lseek(int, int64_t, int)");
/** The third argument is read and written by the kernel. Returns -1 on failure; then `errno()` tells why. */
export const ioctl: (fd: number, request: number, argument: Uint8Array) => number = libc.func(
  "int ioctl(int, unsigned long, void *)",
);
const mmap: (address: null, size: number, protection: number, flags: number, fd: number, offset: number) => bigint =
  libc.func("void *mmap(void *, size_t, int, int, int, int64_t)");
const munmap: (address: bigint, size: number) => number = libc.func("int munmap(void *, size_t)");
const posixFallocate: (fd: number, offset: number, size: number) => number = libc.func(
  "int posix_fallocate(int, int64_t, int64_t)",
);
const pthreadSigmask: (how: number, set: Uint8Array, before: Uint8Array | null) => number = libc.func(
  "int pthread_sigmask(int, const void *, void *)",
);
const exitGroup: (status: number) => void = libc.func("void _exit(int)");

export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const EINTR = koffi.os.errno.EINTR as number;
export const EAGAIN = koffi.os.errno.EAGAIN as number;
export const EBADF = koffi.os.errno.EBADF as number;
export const EIO = koffi.os.errno.EIO as number;
export const EBUSY = koffi.os.errno.EBUSY as number;
export const ENODEV = koffi.os.errno.ENODEV as number;
export const ENXIO = koffi.os.errno.ENXIO as number;
// koffi does not list this one; it is the same on every architecture.
export const ENOTBLK = 15;
export const ENOBUFS = koffi.os.errno.ENOBUFS as number;
export const ETIMEDOUT = koffi.os.errno.ETIMEDOUT as number;

const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const O_NONBLOCK = 0o4000;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const SEEK_END = 2;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
/** The same on x86, ARM, RISC-V, LoongArch and PowerPC; where it means nothing, pages come one by one. */
const MAP_POPULATE = 0x8000;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const S_IFBLK = 0o060000;
const SIGSET_BYTES = 128;
const SIG_BLOCK = 0;
const SIG_SETMASK = 2;

const RUSAGE_THREAD = 1;
/** struct rusage: two times of two words, then counts, of which the involuntary switches are the last. */
const usage = new BigInt64Array(18);
const usageBytes = new Uint8Array(usage.buffer);

/** How often the kernel took the processor from this thread though it had not done. */
export function involuntarySwitches(): number {
  return getrusage(RUSAGE_THREAD, usageBytes) < 0 ? 0 : Number(usage[17]);
}

/** Runs something that no signal can interrupt but SIGKILL: others come when it is done. It must not wait for a promise. */
export function uninterrupted<T>(run: () => T): T {
  const before = new Uint8Array(SIGSET_BYTES);
  pthreadSigmask(SIG_BLOCK, new Uint8Array(SIGSET_BYTES).fill(0xff), before);
  try {
    return run();
  } finally {
    pthreadSigmask(SIG_SETMASK, before, null);
  }
}

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

/** Another descriptor of the same opening, or -1 where `fd` is none. */
export function duplicate(fd: number): number {
  return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/** Closes what Node.js has not opened itself: it would warn of that. */
export function closeDescriptor(fd: number): void {
  close(fd);
}

/** Takes the lock of an open file, which the kernel frees with the process. Returns whether it was free. */
export function tryLock(fd: number): boolean {
  return flock(fd, LOCK_EX | LOCK_NB) === 0;
}

/** The same for a lock that others may share. One that this opening of the file has already becomes this one. */
export function shareLock(fd: number): boolean {
  return flock(fd, LOCK_SH | LOCK_NB) === 0;
}

/** An error as Node.js makes them for its own system calls: `errno` is negative. Takes a positive errno. */
export function systemError(what: string, positiveErrno: number): NodeJS.ErrnoException {
  return Object.assign(new Error(`${what}: errno ${positiveErrno}`), { errno: -positiveErrno });
}

/** The negative errno of an error of Node.js or of `systemError`; -EIO for any other. */
export function negativeErrno(error: unknown): number {
  const { errno: value } = error as NodeJS.ErrnoException;
  return typeof value === "number" && value < 0 ? value : -EIO;
}

const timeval = new BigInt64Array(2);
const timevalBytes = new Uint8Array(timeval.buffer);

/** Lets a blocking receive end with EAGAIN after this many µs without a datagram; 0 for never. Costs about 0.5 µs. */
export function setReceiveTimeout(fd: number, timeoutUs: number): void {
  timeval[0] = BigInt(Math.floor(timeoutUs / 1e6));
  timeval[1] = BigInt(timeoutUs % 1e6);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timevalBytes, timevalBytes.length) < 0) {
    throw systemError("The receive timeout could not be set", errno());
  }
}

const optionWord = new Int32Array(1);
const optionBytes = new Uint8Array(optionWord.buffer);

/**
 * Gives a socket a receive buffer beyond what net.core.rmem_max permits, which takes CAP_NET_ADMIN. The kernel doubles
 * `bytes`, for what it needs itself. Returns 0 or a positive errno.
 */
export function forceReceiveBuffer(fd: number, bytes: number): number {
  optionWord[0] = bytes;
  return setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, optionBytes, optionBytes.length) === 0 ? 0 : errno();
}

/** The size of a socket's receive buffer in bytes, as the kernel counts it: doubled. Throws with `errno`. */
export function receiveBufferBytes(fd: number): number {
  if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, optionBytes, new Uint32Array([optionBytes.length])) < 0) {
    throw systemError("getsockopt", errno());
  }
  return optionWord[0] as number;
}

/** Size in bytes of an open file or block device. */
export function sizeOf(fd: number): number {
  const size = lseek(fd, 0, SEEK_END);
  if (size < 0) throw systemError("lseek", errno());
  return size;
}

/** Adds flags to those of an open file. Returns whether the file takes them. */
export function addFlags(fd: number, added: number): boolean {
  const flags = fcntl(fd, F_GETFL, 0);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | added) === 0;
}

/**
 * Allocates `size` bytes of a file from `offset` on, which makes it longer where it ends before: a later store there cannot run out of
 * space. Throws with `errno`.
 */
export function allocateFile(fd: number, size: number, offset = 0): void {
  const error = posixFallocate(fd, offset, size);
  if (error !== 0) throw systemError("posix_fallocate", error);
}

export interface Mapping {
  address: bigint;
  bytes: Uint8Array;
}

/**
 * Maps a whole file, shared, readable and writable. With `isTouched` no later access waits for the first look at its page.
 * Throws with `errno`.
 */
export function mapFile(fd: number, size: number, { isTouched = false } = {}): Mapping {
  const flags = isTouched ? MAP_SHARED | MAP_POPULATE : MAP_SHARED;
  const address = mmap(null, size, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (address === MAP_FAILED) throw systemError("mmap", errno());
  return { address, bytes: new Uint8Array(koffi.view(address, size)) };
}

/** Whoever still looks at `bytes` afterwards crashes the process: drop every reference first. */
export function unmapFile({ address, bytes }: Mapping): void {
  munmap(address, bytes.length);
}

/** Makes a block device node that only its owner may open. Throws with `errno`. */
export function makeBlockNode(path: string, rdev: number): void {
  // Before glibc 2.33 this was no symbol of the library; hence not among those above.
  const mknod: (path: string, mode: number, rdev: number) => number = libc.func(
    "int mknod(const char *, unsigned int, uint64_t)",
  );
  if (mknod(path, S_IFBLK | 0o600, rdev) < 0) throw systemError(`mknod ${path}`, errno());
}

/** The address of an array's first byte. It is the same in every thread, and stays, for shared memory. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes);
}

/** Ends the process without waiting for threads that hang in a system call. */
export function exitNow(status: number): void {
  exitGroup(status);
}

const prctl: (option: number, a: number, b: number, c: number, d: number) => number = libc.func(
  "int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)",
);
const mlock: (address: bigint, size: number) => number = libc.func("int mlock(uintptr_t, size_t)");
const execve: (path: string, args: (string | null)[], environment: (string | null)[]) => number = libc.func(
  "int execve(const char *, const char **, const char **)",
);
const PR_SET_IO_FLUSHER = 57;
const PR_GET_IO_FLUSHER = 58;

/** Whether the kernel keeps this thread from freeing memory by writing to disks. */
export function getIoFlusher(): boolean {
  return prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) === 1;
}

/** Returns 0 or a positive errno. Goes for this thread and the ones it starts from now on, also after `execute`. */
export function setIoFlusher(): number {
  return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) === 0 ? 0 : errno();
}

/** Keeps a range of addresses in memory. Returns 0 or a positive errno. */
export function lockMemory(address: bigint, size: number): number {
  return mlock(address, size) === 0 ? 0 : errno();
}

/**
 * Becomes another program, with the same process id, open standard streams and the `kept` descriptors. Returns a positive errno if
 * it fails.
 */
export function execute(
  path: string,
  args: string[],
  environment: NodeJS.ProcessEnv,
  kept: readonly number[] = [],
): number {
  // Node.js has marked every descriptor as its own alone.
  for (const fd of [0, 1, 2, ...kept]) fcntl(fd, F_SETFD, 0);
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  execve(path, [...args, null], [...variables, null]);
  return errno();
}
