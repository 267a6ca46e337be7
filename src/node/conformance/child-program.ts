// A host's program as a child process, for a caller that waits for each of its frames.

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { type Frame, FrameReader } from "../../common/conformance/frames.ts";
import type { Ending, Host, Program } from "../../common/conformance/program.ts";

export type ToProgram = { readonly what: "write"; readonly bytes: Uint8Array } | { readonly what: "kill" };

export type FromProgram =
  | { readonly what: "data"; readonly bytes: Uint8Array }
  | { readonly what: "ended"; readonly words: string; readonly isOrderly: boolean };

export interface StartProgram {
  readonly command: string;
  readonly words: readonly string[];
  readonly port: MessagePort;
  /** Counts messages, for those who wait for one. */
  readonly signal: Int32Array;
}

/** A killed process is gone sooner; one that hangs in the kernel never is. */
const KILL_MS = 10_000;
/** What of a stream that is none of frames is shown. */
const GARBAGE_BYTES = 40;

/** One thread has all programs as its children. */
let thread: Worker | undefined;

class ChildProgram implements Program {
  private readonly reader = new FrameReader();
  private readonly port: MessagePort;
  private readonly signal = new Int32Array(new SharedArrayBuffer(4));
  private ending: Ending | null = null;

  constructor(
    command: string,
    words: readonly string[],
    private readonly limitMs: number,
  ) {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const message: StartProgram = { command, words, port: port2, signal: this.signal };
    thread ??= new Worker(new URL("./program-thread.js", import.meta.url));
    thread.unref();
    thread.postMessage(message, [port2]);
  }

  write(frame: Uint8Array): void {
    this.tell({ what: "write", bytes: frame });
  }

  read(): Frame | Ending {
    const endMs = performance.now() + this.limitMs;
    for (;;) {
      const frame = this.reader.next();
      if (typeof frame === "string") {
        return { how: "garbage", words: `has written what is no frame: ${frame}${this.beginning()}`, isOrderly: false };
      }
      if (frame !== null) return frame;
      if (this.ending !== null) return this.inTheMidst(this.ending);
      if (!this.receive(endMs)) {
        const words = `has written nothing more for ${this.limitMs / 1000} s${this.beginning()}`;
        return { how: "silent", words, isOrderly: false };
      }
    }
  }

  kill(): void {
    this.tell({ what: "kill" });
    const endMs = performance.now() + KILL_MS;
    while (this.ending === null && this.receive(endMs));
    this.port.close();
  }

  private tell(message: ToProgram): void {
    this.port.postMessage(message);
  }

  /** Takes one message; false if none comes in time. */
  private receive(endMs: number): boolean {
    for (;;) {
      const seen = Atomics.load(this.signal, 0);
      const received = receiveMessageOnPort(this.port) as { message: FromProgram } | undefined;
      if (received !== undefined) {
        const { message } = received;
        if (message.what === "data") this.reader.add(message.bytes);
        else this.ending = { how: "ended", words: message.words, isOrderly: message.isOrderly };
        return true;
      }
      const leftMs = endMs - performance.now();
      if (leftMs <= 0 || Atomics.wait(this.signal, 0, seen, leftMs) === "timed-out") return false;
    }
  }

  private inTheMidst(ending: Ending): Ending {
    const { length } = this.reader.left;
    if (length === 0) return ending;
    return { ...ending, words: `${ending.words}, ${length} bytes into a frame`, isOrderly: false };
  }

  /** The beginning of what is no frame, as text where it is text. */
  private beginning(): string {
    const { left } = this.reader;
    if (left.length === 0) return "";
    const shown = String.fromCharCode(...left.subarray(0, GARBAGE_BYTES));
    return `; it begins with ${JSON.stringify(shown)}`;
  }
}

/** A command that is started with the name of the directory as its last word. */
export class ChildHost implements Host {
  constructor(
    private readonly command: string,
    private readonly words: readonly string[],
    private readonly directory: string,
    private readonly limitMs: number,
  ) {}

  start(): Program {
    return new ChildProgram(this.command, [...this.words, this.directory], this.limitMs);
  }
}
