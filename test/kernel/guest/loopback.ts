import { loadLibc } from "./libc.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
/** From linux/sockios.h and linux/if.h. */
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
const IFREQ_BYTES = 40;
const IFREQ_FLAGS = 16;

/** Brings up the guest's loopback interface, which gets 127.0.0.1 with that. It has no other. */
export function raiseLoopback(mainPath: string): void {
  const libc = loadLibc(mainPath);
  const socket = libc.func("int socket(int, int, int)")(AF_INET, SOCK_DGRAM, 0) as number;
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write("lo");
  request.writeInt16LE(IFF_UP, IFREQ_FLAGS);
  const error = libc.func("int ioctl(int, unsigned long, void *)")(socket, SIOCSIFFLAGS, request) as number;
  libc.func("int close(int)")(socket);
  if (error !== 0) throw new Error("The loopback interface cannot be brought up");
}
