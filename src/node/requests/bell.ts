// Wakes the request thread with a datagram to its netlink socket from the socket's own port, which only this process can
// use. The thread therefore waits on a single descriptor, whatever it waits for.

import { EBADF } from "../system-calls.ts";
import { netlinkAddress, sendDatagram } from "./netlink-datagrams.ts";

const RUNG = 0;
const FD = 1;
const PORT = 2;
const WORDS = 4;

const DATAGRAM = new Uint8Array(1);
const RETRY_MS = 1;

export class Bell {
  private readonly words: Int32Array;

  /** Every thread makes one from the same memory; the first thread also makes the memory. */
  constructor(readonly shared: SharedArrayBuffer = new SharedArrayBuffer(WORDS * 4)) {
    this.words = new Int32Array(shared);
    if (this.words[PORT] === 0) this.words[FD] = -1;
  }

  /** Request thread: sets its socket. Before that a ring is only noted. */
  hang(fd: number, port: number): void {
    Atomics.store(this.words, PORT, port);
    Atomics.store(this.words, FD, fd);
  }

  /** Any thread. One datagram stands for all rings until the request thread takes it. */
  ring(): void {
    if (Atomics.exchange(this.words, RUNG, 1) !== 0) return;
    const fd = Atomics.load(this.words, FD);
    if (fd < 0) return;
    const address = netlinkAddress(Atomics.load(this.words, PORT) >>> 0);
    // A lost ring would leave a request of the kernel unanswered. With a closed socket there is nobody to wake.
    for (;;) {
      const error = sendDatagram(fd, DATAGRAM, address);
      if (error === 0 || error === EBADF) return;
      Atomics.wait(this.words, WORDS - 1, 0, RETRY_MS);
    }
  }

  /** Request thread: takes the ring. Call this before looking for the reason of the ring. */
  taken(): void {
    Atomics.store(this.words, RUNG, 0);
  }
}
