// The main thread's side of the live view: starts its thread, and ends it.

import { Worker } from "node:worker_threads";
import { endOf } from "../endings.ts";
import type { Log } from "../log-level.ts";
import type { ViewThreadMessage, ViewThreadOptions } from "./view-thread.ts";

/** What is served to those who look on, and where. */
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

/** Mebibytes of JavaScript objects: a thread that takes more ends, and no other. */
const MEMORY = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16 };

export class LiveView {
  private constructor(
    readonly url: string,
    private readonly worker: Worker,
    private readonly exited: Promise<unknown>,
  ) {}

  /** Starts to serve what the flight recorder at `flight` holds. Rejects with a sentence where that cannot be. */
  static async start({ stuckMs, ...options }: LiveViewOptions, flight: string, log: Log): Promise<LiveView> {
    const workerData: ViewThreadOptions = { ...options, flight, stuckMs };
    const worker = new Worker(new URL("./view-thread.js", import.meta.url), { workerData, resourceLimits: MEMORY });
    const exited = endOf(worker);
    let isServing = false;
    const url = await new Promise<string>((resolve, reject) => {
      worker.on("error", (error) => {
        reject(error);
        if (isServing) log(`There is no view any more: ${error.message}`, "warning");
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
