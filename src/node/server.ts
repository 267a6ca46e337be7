// The server's other thread: starts the request thread, listens to what it has to say, looks into its memory.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Console, type MemorySource } from "../common/console.ts";
import { netlinkAddress, sendDatagram } from "./connector-socket.ts";
import { Mailbox } from "./mailbox.ts";
import type { RequestThreadMessage, RequestThreadOptions } from "./request-thread.ts";

export interface ServerOptions {
  /** Bytes of the core. */
  wasm: Uint8Array;
  /** A sentence for the server's log. */
  log: (sentence: string) => void;
  /** The request path has ended by itself, and with it the service. */
  failed: (error: Error) => void;
  /** The netlink port taken for the kernel's; left out, it is the kernel's own. A benchmark plays the kernel with it. */
  kernelPort?: number;
}

const BELL = new Uint8Array(1);

export class Server implements MemorySource {
  private constructor(
    /** The control plane of this server; reads through `this`. */
    readonly console: Console,
    /** The netlink port that requests are received on. */
    readonly port: number,
    private readonly fd: number,
    private readonly mailbox: Mailbox,
    private readonly worker: Worker,
  ) {}

  /** Starts to serve. Rejects where the socket cannot be had. */
  static async start(options: ServerOptions): Promise<Server> {
    const console = await Console.create(options.wasm);
    const mailbox = new Mailbox();
    const workerData: RequestThreadOptions = {
      wasm: options.wasm,
      mailbox: mailbox.shared,
      kernelPort: options.kernelPort ?? 0,
    };
    const worker = new Worker(new URL("./request-thread.js", import.meta.url), { workerData });
    const listening = await new Promise<Extract<RequestThreadMessage, { kind: "listening" }>>((resolve, reject) => {
      worker.once("error", reject);
      worker.once("message", resolve);
    });
    worker.removeAllListeners("error");
    const server = new Server(console, listening.port, listening.fd, mailbox, worker);
    worker.on("error", options.failed);
    worker.on("message", (message: RequestThreadMessage) => {
      if (message.kind === "notice") options.log(console.describeNotice(message.payload));
      if (message.kind === "send failed") options.log(`A reply could not be sent: errno ${message.errno}.`);
    });
    // A process that exits waits for its threads, and this one waits for the kernel.
    process.on("exit", server.stopNow);
    return server;
  }

  /** A copy of the engine's memory. Blocks this thread until the request thread has answered. */
  read(address: number, size: number): Uint8Array {
    return this.mailbox.read(address, size, () => this.ring());
  }

  /** Ends the request thread. Requests it has received are answered first. */
  async stop(): Promise<void> {
    const exited = once(this.worker, "exit");
    this.stopNow();
    await exited;
    process.off("exit", this.stopNow);
  }

  private readonly stopNow = (): void => {
    this.mailbox.requestStop();
    this.ring();
  };

  private ring(): void {
    sendDatagram(this.fd, BELL, netlinkAddress(this.port));
  }
}
