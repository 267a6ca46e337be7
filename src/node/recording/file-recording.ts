// The main thread's side of a recording: it starts the thread that writes the file, informs the request thread, and puts the
// messages of both into words.

import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { endOf, endsWithin } from "../endings.ts";
import type { Log } from "../log-level.ts";
import { halfBytesOf, logBytesOf } from "./event-log.ts";
import { FLIGHT_BYTES_DEFAULT } from "./flight-sizes.ts";
import type { LifeFacts, RecorderOrder, RecordingTarget } from "./recorder.ts";
import { RecordingChannel } from "./recording-channel.ts";
import type { RecordingOptions } from "./trace-files.ts";
import type { TraceThreadMessage, TraceThreadOptions } from "./trace-thread.ts";

/** How long to wait for the end of a recording, in ms: its disk may hang. */
const END_TIMEOUT_MS = 2000;

interface Current {
  path: string;
  channel: RecordingChannel;
  /** Undefined before it is launched. */
  worker: Worker | undefined;
  /** Resolves when the thread is ready, or when it could not start. */
  started: Promise<void>;
}

export class FileRecording {
  private current: Current | undefined;

  /** `flight` is the path of the flight recorder, if there is one; `orders` leads to the request thread, `ring` wakes it. */
  constructor(
    private readonly facts: LifeFacts,
    private readonly flight: string | undefined,
    private readonly orders: MessagePort,
    private readonly ring: () => void,
    private readonly log: Log,
  ) {}

  /** The file that is being written, if one is. */
  get path(): string | undefined {
    return this.current?.path;
  }

  /** Records from the next event on. Rejects with a sentence if it cannot. */
  async start(options: RecordingOptions): Promise<void> {
    const { target, launch } = this.prepare(options);
    await launch();
    this.order({ kind: "record", target }, [target.snapshots]);
    this.log(`Recording to ${options.path}.`, "info");
  }

  /**
   * The target for a request thread that is about to start. `launch` starts the file's thread, which may happen later, because
   * the event log keeps what it has to write. It rejects with a sentence if the recording is impossible.
   */
  prepare(options: RecordingOptions): { target: RecordingTarget; launch: () => Promise<void> } {
    if (this.current !== undefined) {
      throw new Error(`The server already records to ${this.current.path}. Stop that first: dm-ulog record --stop`);
    }
    const { path } = options;
    const channel = new RecordingChannel();
    const log = this.flight === undefined ? sharedLog() : undefined;
    const { port1: snapshots, port2 } = new MessageChannel();
    const workerData: TraceThreadOptions = {
      recording: options,
      facts: this.facts,
      channel: channel.shared,
      log: this.flight ?? (log as SharedArrayBuffer),
      snapshots: port2,
    };
    const current: Current = { path, channel, worker: undefined, started: Promise.resolve() };
    this.current = current;
    const launch = () => {
      const worker = new Worker(new URL("./trace-thread.js", import.meta.url), { workerData, transferList: [port2] });
      current.worker = worker;
      const started = this.listen(current, worker);
      current.started = started.catch(() => {});
      return started;
    };
    return { target: { channel: channel.shared, log, snapshots }, launch };
  }

  /** Resolves with the file when all of it is written, or with undefined if nothing was being recorded. */
  async stop(): Promise<string | undefined> {
    const { current } = this;
    if (current === undefined) return undefined;
    await current.started;
    this.order({ kind: "stop recording" }, []);
    await this.end(current);
    this.log(`Recorded to ${current.path}.`, "info");
    return current.path;
  }

  /** Writes the rest of the events of a request thread that has ended. Resolves with whether all is written. */
  async finish(): Promise<boolean> {
    const { current } = this;
    if (current === undefined) return true;
    current.channel.end();
    return this.end(current);
  }

  private listen(current: Current, worker: Worker): Promise<void> {
    const { path } = current;
    return new Promise<void>((resolve, reject) => {
      const isOver = (error: Error) => {
        reject(error);
        if (this.current !== current) return;
        this.current = undefined;
        this.order({ kind: "stop recording" }, []);
      };
      worker.on("error", (error) => {
        this.log(`The recording to ${path} has ended: ${error.message}`, "warning");
        isOver(error);
      });
      worker.on("message", (message: TraceThreadMessage) => {
        if (message.kind === "ready") resolve();
        else if (message.kind === "refused") isOver(new Error(message.reason));
        else this.log(sentenceOf(message, path), message.kind === "goes on" ? "info" : "warning");
      });
    });
  }

  private async end(current: Current): Promise<boolean> {
    const { worker } = current;
    const hasEnded = worker === undefined || (await endsWithin(endOf(worker), END_TIMEOUT_MS));
    if (!hasEnded) {
      this.log(`The end of the recording is missing, because the disk of ${current.path} does not respond.`, "warning");
    }
    if (this.current === current) this.current = undefined;
    return hasEnded;
  }

  private order(order: RecorderOrder, transfer: MessagePort[]): void {
    this.orders.postMessage(order, transfer);
    this.ring();
  }
}

/** Memory for an event log, with its pages already allocated, so that the request thread need not wait for them. */
function sharedLog(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(logBytesOf(halfBytesOf(FLIGHT_BYTES_DEFAULT)));
  new Uint8Array(memory).fill(0);
  return memory;
}

function sentenceOf(message: TraceThreadMessage, path: string): string {
  switch (message.kind) {
    case "stopped":
      return `The recording to ${path} has paused and will continue when possible: ${message.reason}`;
    case "lags":
      return `The recording loses events, because the disk of ${path} is too slow.`;
    case "goes on":
      return `The recording to ${path} continues with event ${message.event}.`;
    case "refused":
      return message.reason;
    case "ready":
      return `Ready to record to ${path}.`;
  }
}
