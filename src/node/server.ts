// The server's other thread: starts the request thread, listens to what it has to say, looks into its memory.

import { once } from "node:events";
import { MessageChannel, Worker } from "node:worker_threads";
import { Console, type MemorySource } from "../common/console.ts";
import type { EngineOptions } from "../common/engine.ts";
import { Bell } from "./bell.ts";
import type { KeeperOptions } from "./io-keeper.ts";
import { Mailbox } from "./mailbox.ts";
import type { RequestThreadMessage, RequestThreadOptions } from "./request-thread.ts";
import { stateDirectory } from "./runtime-paths.ts";

export interface ServerOptions {
  /** Bytes of the core. */
  wasm: Uint8Array;
  /** A sentence for the server's log. */
  log: (sentence: string) => void;
  /** The request path has ended by itself, and with it the service. */
  failed: (error: Error) => void;
  /** The netlink port taken for the kernel's; left out, it is the kernel's own. A benchmark plays the kernel with it. */
  kernelPort?: number;
  /** What is to be chosen about disk logs. */
  engineOptions?: EngineOptions;
  /** Where the logs' state outlives this process. Left out, it does not: for benchmarks and tests. */
  runtimeDirectory?: string;
}

/** How long `stop` waits for threads that are in the middle of something, in ms. */
const STOP_TIMEOUT_MS = 2000;

export class Server implements MemorySource {
  private constructor(
    /** The control plane of this server; reads through `this`. */
    readonly console: Console,
    /** The netlink port that requests are received on. */
    readonly port: number,
    private readonly bell: Bell,
    private readonly mailbox: Mailbox,
    private readonly worker: Worker,
    private readonly keeper: Worker,
  ) {}

  /** Starts to serve. Rejects where the socket cannot be had. */
  static async start(options: ServerOptions): Promise<Server> {
    const console = await Console.create(options.wasm);
    const mailbox = new Mailbox();
    const bell = new Bell();
    const { runtimeDirectory } = options;
    const { port1: keeperEnd, port2: requestEnd } = new MessageChannel();
    const keeperOptions: KeeperOptions = { bell: bell.shared, runtimeDirectory, port: keeperEnd };
    const keeper = new Worker(new URL("./io-keeper.js", import.meta.url), {
      workerData: keeperOptions,
      transferList: [keeperEnd],
    });
    keeper.on("error", options.failed);
    const requestOptions: RequestThreadOptions = {
      wasm: options.wasm,
      mailbox: mailbox.shared,
      bell: bell.shared,
      engineOptions: options.engineOptions ?? {},
      keeper: requestEnd,
      stateDirectory: runtimeDirectory === undefined ? undefined : stateDirectory(runtimeDirectory),
      kernelPort: options.kernelPort ?? 0,
    };
    const worker = new Worker(new URL("./request-thread.js", import.meta.url), {
      workerData: requestOptions,
      transferList: [requestEnd],
    });
    let failed: (error: Error) => void = () => {};
    worker.on("error", (error) => failed(error));
    const port = await new Promise<number>((resolve, reject) => {
      failed = reject;
      worker.on("message", (message: RequestThreadMessage) => {
        const sentence = sentenceOf(message, console);
        if (sentence !== undefined) options.log(sentence);
        if (message.kind === "listening") resolve(message.port);
      });
    }).catch(async (error) => {
      await keeper.terminate();
      throw error;
    });
    failed = options.failed;
    const server = new Server(console, port, bell, mailbox, worker, keeper);
    // A process that exits waits for its threads, and this one waits for the kernel.
    process.on("exit", server.stopNow);
    return server;
  }

  /** A copy of the engine's memory. Blocks this thread until the request thread has answered. */
  read(address: number, size: number): Uint8Array {
    return this.mailbox.read(address, size, () => this.bell.ring());
  }

  /**
   * Ends all threads. Requests that were received are answered first. Resolves with whether all have ended: a thread
   * whose log device hangs does not, and the process cannot end by itself.
   */
  async stop(): Promise<boolean> {
    const exited = once(this.worker, "exit");
    this.stopNow();
    await exited;
    process.off("exit", this.stopNow);
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), STOP_TIMEOUT_MS);
    });
    const ended = await Promise.race([this.keeper.terminate().then(() => true), timeout]);
    clearTimeout(timer);
    return ended;
  }

  private readonly stopNow = (): void => {
    this.mailbox.requestStop();
    this.bell.ring();
  };
}

function sentenceOf(message: RequestThreadMessage, console: Console): string | undefined {
  switch (message.kind) {
    case "notice":
      return console.describeNotice(message.payload);
    case "send failed":
      return `A reply could not be sent: errno ${message.errno}.`;
    case "state not kept":
      return (
        `A log's state could not be kept (handle ${message.handle}, errno ${-message.errno}): if this server is started ` +
        "again while that log is in use, its mirror is resynced."
      );
    default:
      return undefined;
  }
}
