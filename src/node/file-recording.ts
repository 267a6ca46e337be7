// The main thread's side of a recording: starts the thread that writes the file, tells the request thread, and puts what
// either says into words.

import { once } from "node:events";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { LifeFacts, RecorderNews, RecorderOrder, RecordingTarget } from "./recorder.ts";
import type { RecordingOptions } from "./trace-files.ts";
import { TraceRing } from "./trace-ring.ts";
import type { TraceThreadMessage, TraceThreadOptions } from "./trace-thread.ts";

/** How long a recording that ends is waited for, in ms: its disk may hang. */
const END_TIMEOUT_MS = 2000;

interface Current {
  path: string;
  ring: TraceRing;
  worker: Worker;
  ended: Promise<unknown>;
}

export class FileRecording {
  private current: Current | undefined;

  /** `orders` leads to the request thread, `ring` wakes it. */
  constructor(
    private readonly facts: LifeFacts,
    private readonly orders: MessagePort,
    private readonly ring: () => void,
    private readonly log: (sentence: string) => void,
  ) {}

  /** The file that is being written, if one is. */
  get path(): string | undefined {
    return this.current?.path;
  }

  /** Records from the next event on. Rejects with a sentence where it cannot be done. */
  async start(options: RecordingOptions): Promise<void> {
    const { target, ready } = this.prepare(options);
    await ready;
    this.order({ kind: "record", target }, [target.snapshots]);
    this.log(`Recording to ${options.path}.`);
  }

  /** Starts the file's thread for a request thread that is to be given `target`. `ready` rejects with a sentence. */
  prepare(options: RecordingOptions): { target: RecordingTarget; ready: Promise<void> } {
    if (this.current !== undefined) {
      throw new Error(`The server records to ${this.current.path}. End that first: dm-ulog record --stop`);
    }
    const { path } = options;
    const ring = new TraceRing();
    ring.warmUp();
    const { port1: snapshots, port2 } = new MessageChannel();
    const workerData: TraceThreadOptions = {
      recording: options,
      facts: this.facts,
      ring: ring.shared,
      snapshots: port2,
    };
    const worker = new Worker(new URL("./trace-thread.js", import.meta.url), { workerData, transferList: [port2] });
    const current: Current = { path, ring, worker, ended: once(worker, "exit").catch(() => {}) };
    this.current = current;
    return { target: { ring: ring.shared, snapshots }, ready: this.listen(current) };
  }

  /** Resolves with the file when all of it is written, or with undefined where nothing was recorded. */
  async stop(): Promise<string | undefined> {
    const { current } = this;
    if (current === undefined) return undefined;
    this.order({ kind: "stop recording" }, []);
    await this.end(current);
    this.log(`Recorded to ${current.path}.`);
    return current.path;
  }

  /** Writes what the request thread has left, for one that is gone. Resolves with whether all is written. */
  async finish(): Promise<boolean> {
    const { current } = this;
    if (current === undefined) return true;
    current.ring.end();
    return this.end(current);
  }

  /** What the request thread has to say, in words. */
  describe(news: RecorderNews): string {
    if (news.kind === "recording lags") {
      return `The recording loses events from number ${news.event} on: ${this.path ?? "its file"} is written too slowly.`;
    }
    return (
      `Invariant ${news.invariant} of the engine does not hold after event ${news.event - 1}. The server goes on, but ` +
      "what it says of its logs cannot be relied on."
    );
  }

  private listen(current: Current): Promise<void> {
    const { path, worker } = current;
    return new Promise<void>((resolve, reject) => {
      const isOver = (error: Error) => {
        reject(error);
        if (this.current !== current) return;
        this.current = undefined;
        this.order({ kind: "stop recording" }, []);
      };
      worker.on("error", (error) => {
        this.log(`The recording to ${path} has ended: ${error.message}`);
        isOver(error);
      });
      worker.on("message", (message: TraceThreadMessage) => {
        if (message.kind === "ready") resolve();
        else if (message.kind === "refused") isOver(new Error(message.reason));
        else this.log(sentenceOf(message, path));
      });
    });
  }

  private async end(current: Current): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), END_TIMEOUT_MS);
    });
    const hasEnded = await Promise.race([current.ended.then(() => true), timeout]);
    clearTimeout(timer);
    if (!hasEnded) {
      this.log(`The end of the recording is not written: the disk of ${current.path} does not answer.`);
      void current.worker.terminate();
    }
    if (this.current === current) this.current = undefined;
    return hasEnded;
  }

  private order(order: RecorderOrder, transfer: MessagePort[]): void {
    this.orders.postMessage(order, transfer);
    this.ring();
  }
}

function sentenceOf(
  message: Extract<TraceThreadMessage, { reason: string } | { event: number }>,
  path: string,
): string {
  if (message.kind === "goes on") return `The recording to ${path} goes on with event ${message.event}.`;
  return `The recording to ${path} has stopped, and goes on when it can: ${message.reason}`;
}
