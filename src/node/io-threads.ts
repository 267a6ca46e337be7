// The I/O threads: as many as there are jobs, and a few more that wait for the next job, since starting one takes 25 to
// 100 ms of a processor. Each costs 7 to 9 MB.

import { Worker } from "node:worker_threads";
import type { IoJob, IoResult, IoThreadOptions } from "./io-jobs.ts";

/** Threads kept without a job: enough to look up and flush the two legs of a mirror every few seconds. */
const IDLE_THREADS_MAX = 3;

export class IoThreads {
  private readonly idle: IoThread[] = [];

  constructor(private readonly options: IoThreadOptions) {}

  /** Starts a thread that waits for a job, so that the first one need not wait for it. */
  warmUp(): void {
    this.release(new IoThread(this.options));
  }

  /** Does a job on a thread of its own. Rejects where there is no thread for it, or it is lost. */
  async run(job: IoJob): Promise<IoResult> {
    let thread = this.idle.pop();
    while (thread?.isLost) thread = this.idle.pop();
    thread ??= new IoThread(this.options);
    // A log device keeps its thread; the look-up of its legs, which comes next, should not wait for the start of one.
    if (this.idle.length === 0) this.warmUp();
    const result = await thread.run(job);
    this.release(thread);
    return result;
  }

  private release(thread: IoThread): void {
    if (this.idle.length < IDLE_THREADS_MAX) this.idle.push(thread);
    else thread.end();
  }
}

/** One thread, which does one job at a time. */
class IoThread {
  isLost = false;
  private readonly worker: Worker;
  private done: (result: IoResult) => void = () => {};
  private lost: (error: Error) => void = () => {};

  constructor(options: IoThreadOptions) {
    this.worker = new Worker(new URL("./io-thread.js", import.meta.url), { workerData: options });
    this.worker.on("message", (result: IoResult) => this.done(result));
    this.worker.on("error", (error) => {
      this.isLost = true;
      this.lost(error);
    });
  }

  run(job: IoJob): Promise<IoResult> {
    return new Promise((resolve, reject) => {
      this.done = resolve;
      this.lost = reject;
      this.worker.postMessage(job);
    });
  }

  end(): void {
    void this.worker.terminate();
  }
}
