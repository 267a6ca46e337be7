// How another thread reads the engine's memory: it names an address and a size, rings, and waits. The bell wakes the request
// thread, which copies the memory between two requests. One read copies at most MAILBOX_DATA_BYTES, so it delays a request by no
// more than that.
//
// Invariant: there is one reader, the control plane's thread, and it reads one piece at a time.

const STATE = 0;
const ADDRESS = 1;
const SIZE = 2;
const STOP = 3;
const OVERRUNS = 4;
const LEAVE = 5;
const HEAD_BYTES = 64;
const MAILBOX_DATA_BYTES = 65536;

const IDLE = 0;
const ASKED = 1;

/** The request thread answers within microseconds. If it takes this long, it has ended or is stuck in the kernel. */
const ANSWER_TIMEOUT_MS = 5000;

export class Mailbox {
  private readonly words: Int32Array;
  private readonly data: Uint8Array;

  /** Both threads make one from the same memory; the first makes the memory too. */
  constructor(readonly shared: SharedArrayBuffer = new SharedArrayBuffer(HEAD_BYTES + MAILBOX_DATA_BYTES)) {
    this.words = new Int32Array(shared, 0, HEAD_BYTES / 4);
    this.data = new Uint8Array(shared, HEAD_BYTES);
  }

  /** Reader: a copy of `size` bytes at `address`. `ring` wakes the request thread. Blocks until it has answered. */
  read(address: number, size: number, ring: () => void): Uint8Array {
    const copy = new Uint8Array(size);
    for (let done = 0; done < size; done += MAILBOX_DATA_BYTES) {
      const part = Math.min(MAILBOX_DATA_BYTES, size - done);
      this.words[ADDRESS] = address + done;
      this.words[SIZE] = part;
      Atomics.store(this.words, STATE, ASKED);
      ring();
      // An answer is seen before its notification is sent: the one that wakes may be that of the answer before.
      while (Atomics.load(this.words, STATE) === ASKED) {
        if (Atomics.wait(this.words, STATE, ASKED, ANSWER_TIMEOUT_MS) === "timed-out") {
          throw new Error(`The request thread has not answered for ${ANSWER_TIMEOUT_MS / 1000} s.`);
        }
      }
      copy.set(this.data.subarray(0, part), done);
    }
    return copy;
  }

  /** Reader: tells the request thread to end when it is woken next, and whether to leave what comes to the next server. */
  requestStop(leavesSocket = false): void {
    Atomics.store(this.words, LEAVE, leavesSocket ? 1 : 0);
    Atomics.store(this.words, STOP, 1);
  }

  /** Request thread: whether to end. */
  stopRequested(): boolean {
    return Atomics.load(this.words, STOP) !== 0;
  }

  /** Request thread: whether what comes is the next server's. */
  leavesSocket(): boolean {
    return Atomics.load(this.words, LEAVE) !== 0;
  }

  /** Reader: how often the kernel lost requests to a full receive buffer, as of the last look. */
  get overruns(): number {
    return (this.words[OVERRUNS] as number) >>> 0;
  }

  /** Request thread: answers the look that was asked for, if any. */
  answer(memory: Uint8Array, overruns = 0): void {
    if (Atomics.load(this.words, STATE) !== ASKED) return;
    this.words[OVERRUNS] = overruns;
    const address = (this.words[ADDRESS] as number) >>> 0;
    const size = this.words[SIZE] as number;
    this.data.set(memory.subarray(address, address + size));
    Atomics.store(this.words, STATE, IDLE);
    Atomics.notify(this.words, STATE);
  }
}
