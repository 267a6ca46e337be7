// A service manager's end of NOTIFY_SOCKET: what a server tells it, message by message.

import koffi from "koffi";
import { MSG_DONTWAIT } from "../src/node/system-calls.ts";
import { unixAddress, unixDatagramSocket } from "../src/node/unix-sockets.ts";

const libc = koffi.load(null);
const bind: (fd: number, address: Uint8Array, addressBytes: number) => number = libc.func(
  "int bind(int, const void *, unsigned int)",
);
const recv: (fd: number, buffer: Uint8Array, size: number, flags: number) => number = libc.func(
  "intptr_t recv(int, void *, size_t, int)",
);

export class NotifySocket {
  readonly fd = unixDatagramSocket();
  private readonly buffer = Buffer.alloc(256);

  /** `name` is a path, or begins with an at sign. */
  constructor(name: string) {
    const address = unixAddress(name);
    if (bind(this.fd, address, address.length) !== 0) throw new Error(`${name}: errno ${koffi.errno()}`);
  }

  /** What was told first and not yet read; null if nothing was. */
  next(): string | null {
    const size = recv(this.fd, this.buffer, this.buffer.length, MSG_DONTWAIT);
    return size < 0 ? null : this.buffer.toString("utf8", 0, size);
  }

  /** All that was told and not yet read. */
  rest(): string[] {
    const told: string[] = [];
    for (let message = this.next(); message !== null; message = this.next()) told.push(message);
    return told;
  }
}
