// The main thread's side of the live view: it starts and ends the view's thread.

import { Worker } from "node:worker_threads";
import { endOf } from "../endings.ts";
import type { Log } from "../log-level.ts";
import type { ViewThreadMessage, ViewThreadOptions } from "./view-thread.ts";

/** What to serve to viewers, and where. */
export interface LiveViewOptions {
  /** 0 is any that is free. */
  port: number;
  /** Of this machine. */
  address: string;
  /** The folder of the built page. */
  page: string;
  /** For tests. */
  stuckMs?: number;
}

/** Mebibytes of JavaScript objects: if the thread needs more, only this thread ends. */
const MEMORY = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16 };

export class LiveView {
  private constructor(
    readonly url: string,
    private readonly worker: Worker,
    private readonly exited: Promise<unknown>,
  ) {}

  /** Starts to serve the contents of the flight recorder at `flight`. Rejects with a sentence if that is impossible. */
  static async start({ stuckMs, ...options }: LiveViewOptions, flight: string, log: Log): Promise<LiveView> {
    const workerData: ViewThreadOptions = { ...options, flight, stuckMs };
    const worker = new Worker(new URL("./view-thread.js", import.meta.url), { workerData, resourceLimits: MEMORY });
    const exited = endOf(worker);
    let isServing = false;
    const url = await new Promise<string>((resolve, reject) => {
      worker.on("error", (error) => {
        reject(error);
        if (isServing) log(`The live view has ended: ${error.message}`, "warning");
      });
      worker.once("message", (message: ViewThreadMessage) => {
        if (message.kind === "serving") resolve(message.url);
        else reject(new Error(message.reason));
      });
    });
    isServing = true;
    return new LiveView(url, worker, exited);
  }

  /** Resolves when the thread has ended. */
  async stop(): Promise<void> {
    this.worker.postMessage("end");
    await this.exited;
  }
}
