// Sockets of the unix domain that Node.js lacks, datagrams and packets, and descriptors sent through them (SCM_RIGHTS), through
// koffi. What may wait has a time limit.

import koffi from "koffi";
import { closeDescriptor, EINTR, errno, getsockopt, MSG_DONTWAIT, setsockopt, systemError } from "./system-calls.ts";

const libc = koffi.load(null);

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const SOCK_SEQPACKET_CLOEXEC = 0o2000005;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const POLLIN = 1;
/** Connections that wait to be accepted. */
const BACKLOG = 4;

const Part = koffi.struct({ bytes: "uintptr_t", size: "size_t" });
const MessageHeader = koffi.struct({
  address: "uintptr_t",
  addressBytes: "uint32_t",
  parts: "uintptr_t",
  partCount: "size_t",
  control: "uintptr_t",
  controlBytes: "size_t",
  flags: "int",
});
/** A control message with one descriptor. */
const Rights = koffi.struct({ size: "size_t", level: "int", type: "int", descriptor: "int" });
const RIGHTS_SIZE = koffi.offsetof(Rights, "descriptor") + koffi.sizeof("int");

type AddressCall = (fd: number, address: Uint8Array, addressBytes: number) => number;
const socket: (domain: number, type: number, protocol: number) => number = libc.func("int socket(int, int, int)");
const socketpair: (domain: number, type: number, protocol: number, ends: Int32Array) => number = libc.func(
  "int socketpair(int, int, int, void *)",
);
const bind: AddressCall = libc.func("int bind(int, const void *, unsigned int)");
const connect: AddressCall = libc.func("int connect(int, const void *, unsigned int)");
const listen: (fd: number, backlog: number) => number = libc.func("int listen(int, int)");
const accept4: (fd: number, address: null, addressBytes: null, flags: number) => number = libc.func(
  "int accept4(int, void *, void *, int)",
);
const recv: (fd: number, buffer: Uint8Array, size: number, flags: number) => number = libc.func(
  "intptr_t recv(int, void *, size_t, int)",
);
const send: (fd: number, data: Uint8Array, size: number, flags: number) => number = libc.func(
  "intptr_t send(int, const void *, size_t, int)",
);
const sendmsg: (fd: number, message: object, flags: number) => number = libc.func("sendmsg", "intptr_t", [
  "int",
  koffi.pointer(MessageHeader),
  "int",
]);
const recvmsg: (fd: number, message: object, flags: number) => number = libc.func("recvmsg", "intptr_t", [
  "int",
  koffi.inout(koffi.pointer(MessageHeader)),
  "int",
]);
const poll: (waiting: Int16Array, count: number, timeoutMs: number) => number = libc.func(
  "int poll(void *, unsigned long, int)",
);

/** A datagram socket. Throws with `errno`. */
export function unixDatagramSocket(): number {
  return checked("socket", socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0));
}

/** A sockaddr_un: a path, or after `@` a name that is in no file system. */
export function unixAddress(name: string): Uint8Array {
  const characters = Buffer.from(name.startsWith("@") ? `\0${name.slice(1)}` : name);
  const address = Buffer.alloc(2 + characters.length);
  address.writeUInt16LE(AF_UNIX, 0);
  characters.copy(address, 2);
  return address;
}

/** Two sockets for packets, connected with each other. Throws with `errno`. */
export function packetPair(): [one: number, other: number] {
  const ends = new Int32Array(2);
  checked("socketpair", socketpair(AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, ends));
  return [ends[0] as number, ends[1] as number];
}

/** Listens for packets at a path where nothing is. Throws with `errno`. */
export function listenForPackets(path: string): number {
  const address = unixAddress(path);
  return prepared((fd) => {
    checked("bind", bind(fd, address, address.length));
    checked("listen", listen(fd, BACKLOG));
  });
}

/** Connects to who listens for packets at a path; nothing on the connection waits longer than this. Throws with `errno`. */
export function connectForPackets(path: string, limitMs: number): number {
  const address = unixAddress(path);
  return prepared((fd) => {
    const limit = new BigInt64Array([BigInt(Math.floor(limitMs / 1000)), BigInt((limitMs % 1000) * 1000)]);
    const limitBytes = new Uint8Array(limit.buffer);
    for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) {
      checked("setsockopt", setsockopt(fd, SOL_SOCKET, option, limitBytes, limitBytes.length));
    }
    checked("connect", connect(fd, address, address.length));
  });
}

/** Takes a connection of a process of this one's user. Returns -1 where it is another's, or is gone. */
export function acceptOwn(listener: number): number {
  const fd = accept4(listener, null, null, SOCK_CLOEXEC);
  if (fd < 0 || isOwnPeer(fd)) return fd;
  closeDescriptor(fd);
  return -1;
}

/** Whether the process at the other end was started by this one's user. */
export function isOwnPeer(fd: number): boolean {
  // pid, uid, gid
  const credentials = new Uint32Array(3);
  const bytes = new Uint8Array(credentials.buffer);
  return (
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, bytes, new Uint32Array([bytes.length])) === 0 &&
    credentials[1] === process.geteuid?.()
  );
}

/** Waits until one of these has something to read, or has ended. Returns which; nothing after `timeoutMs`, which is -1 for never. */
export function waitForAny(descriptors: readonly number[], timeoutMs: number): number[] {
  // struct pollfd: a descriptor of four bytes, then two words of two.
  const waiting = new Int16Array(4 * descriptors.length);
  const asDescriptors = new Int32Array(waiting.buffer);
  for (const [i, fd] of descriptors.entries()) {
    asDescriptors[2 * i] = fd;
    waiting[4 * i + 2] = POLLIN;
  }
  if (poll(waiting, descriptors.length, timeoutMs) <= 0) return [];
  return descriptors.filter((_, i) => waiting[4 * i + 3] !== 0);
}

/** The byte that has come, "end" where the other side has ended, or undefined where nothing has come yet. */
export function receiveByte(fd: number): number | "end" | undefined {
  const byte = new Uint8Array(1);
  const size = recv(fd, byte, 1, MSG_DONTWAIT);
  if (size === 1) return byte[0] as number;
  return size === 0 || (errno() !== koffi.os.errno.EAGAIN && errno() !== EINTR) ? "end" : undefined;
}

/** Returns whether it was sent. */
export function sendByte(fd: number, byte: number): boolean {
  return send(fd, Uint8Array.of(byte), 1, MSG_NOSIGNAL) === 1;
}

/**
 * Sends bytes and with them a descriptor, to `address` or to whom the socket is connected with. Waits for nobody. Returns 0 or a
 * positive errno.
 */
export function sendDescriptor(to: number, data: Uint8Array, descriptor: number, address?: Uint8Array): number {
  const rights = room(koffi.sizeof(Rights));
  koffi.encode(rights, Rights, { size: RIGHTS_SIZE, level: SOL_SOCKET, type: SCM_RIGHTS, descriptor });
  const bytes = copied(data);
  const name = address === undefined ? undefined : copied(address);
  const sent = sendmsg(to, headerOf(bytes, rights, rights.length, name), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? errno() : 0;
}

/** Waits for a byte and a descriptor with it. Returns the descriptor, or -1 where none came. */
export function receiveDescriptor(from: number): number {
  const rights = room(koffi.sizeof(Rights));
  // Not one byte more than one descriptor needs: there would be room for a second, which nobody closes.
  const header = headerOf(room(1), rights, RIGHTS_SIZE);
  let size: number;
  do size = recvmsg(from, header, MSG_CMSG_CLOEXEC);
  while (size < 0 && errno() === EINTR);
  if (size !== 1 || header.controlBytes < RIGHTS_SIZE) return -1;
  const { level, type, descriptor } = koffi.decode(rights, Rights);
  return level === SOL_SOCKET && type === SCM_RIGHTS ? descriptor : -1;
}

function headerOf(bytes: Uint8Array, control: Uint8Array, controlBytes: number, name?: Uint8Array) {
  const part = room(koffi.sizeof(Part));
  koffi.encode(part, Part, { bytes: koffi.address(bytes), size: bytes.length });
  return {
    address: name === undefined ? 0 : koffi.address(name),
    addressBytes: name?.length ?? 0,
    parts: koffi.address(part),
    partCount: 1,
    control: koffi.address(control),
    controlBytes,
    flags: 0,
    // What the addresses point to lives as long as this.
    held: [bytes, control, name, part],
  };
}

/** Memory that stays where it is, unlike that of a small array. */
function room(size: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(size));
}

function copied(bytes: Uint8Array): Uint8Array {
  const copy = room(bytes.length);
  copy.set(bytes);
  return copy;
}

function prepared(prepare: (fd: number) => void): number {
  const fd = checked("socket", socket(AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0));
  try {
    prepare(fd);
    return fd;
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}

function checked(what: string, result: number): number {
  if (result < 0) throw systemError(what, errno());
  return result;
}
