// The I/O threads: as many as there are jobs, and a few more that wait for the next job, because starting one takes 25 to
// 100 ms of processor time. Each costs 7 to 9 MB.

import { Worker } from "node:worker_threads";
import { END, type IoJob, type IoResult, type IoThreadOptions } from "./io-jobs.ts";

/**
 * Threads that are started in advance: a log device takes one and keeps it, and the look-up of its legs, which comes next, must
 * not wait for the start of another. If it did, a mirror that is removed soon could no longer be found.
 */
const IDLE_THREADS_MIN = 2;
/** How many idle threads are kept: enough to look up and flush the two legs of a mirror every few seconds. */
const IDLE_THREADS_MAX = 3;

export class IoThreads {
  private readonly idle: IoThread[] = [];
  /** Threads that are not up yet. */
  private starting = 0;
  private isEnding = false;

  constructor(private readonly options: IoThreadOptions) {}

  /** Starts the threads that wait for jobs, one after the other: writes may wait for the device that the first one opens. */
  warmUp(): void {
    if (this.starting === 0 && this.idle.length < IDLE_THREADS_MIN && !this.isEnding) this.idle.push(this.start());
  }

  /** Ends every thread when its job is done. No job may follow. */
  end(): void {
    this.isEnding = true;
    for (const thread of this.idle.splice(0)) thread.end();
  }

  /** Does a job on a thread of its own. Rejects if there is no thread for it, or if the thread is lost. */
  async run(job: IoJob): Promise<IoResult> {
    if (this.isEnding) throw new Error("The I/O threads are ending.");
    let thread = this.idle.pop();
    while (thread?.isLost) thread = this.idle.pop();
    thread ??= this.start();
    this.warmUp();
    const result = await thread.run(job);
    this.release(thread);
    return result;
  }

  private start(): IoThread {
    this.starting++;
    return new IoThread(this.options, () => {
      this.starting--;
      this.warmUp();
    });
  }

  private release(thread: IoThread): void {
    if (!this.isEnding && this.idle.length < IDLE_THREADS_MAX) this.idle.push(thread);
    else thread.end();
  }
}

/** One thread, which does one job at a time. */
class IoThread {
  isLost = false;
  private readonly worker: Worker;
  private done: (result: IoResult) => void = () => {};
  private lost: (error: Error) => void = () => {};

  /** `started` is called when it is up, or will never be. */
  constructor(options: IoThreadOptions, started: () => void) {
    this.worker = new Worker(new URL("./io-thread.js", import.meta.url), { workerData: options });
    let isTold = false;
    const tell = (): void => {
      if (!isTold) started();
      isTold = true;
    };
    this.worker.once("online", tell).once("exit", tell);
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

  /** If the thread is still starting, it reads this later. */
  end(): void {
    this.worker.postMessage(END);
  }
}
