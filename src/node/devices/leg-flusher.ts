// Flushes the legs of a mirror: it finds them in the kernel's tables, then flushes all at once, each on an I/O thread.
//
// The kernel may be waiting for our own answer while it holds a lock that a look-up or a flush needs. Both therefore have a
// time limit, after which the core gets -ETIMEDOUT. At most one thread of a kind can hang, because look-ups take turns, and so
// do flushes of one leg. A request for a flush of a leg while one is under way needs a flush that begins later; all such
// requests share the next one.
//
// A mirror that is being removed leaves the kernel's list before it is suspended. The flusher therefore remembers the last known
// legs of a log and flushes them too. It forgets them with the log, or after one try if the list has other legs.

import { within } from "../endings.ts";
import { EIO, ENODEV, ETIMEDOUT } from "../system-calls.ts";
import type { IoJob, IoResult } from "./io-jobs.ts";

/** Less than the 15 s after which the kernel asks again. */
export const FLUSH_TIMEOUT_MS = 10_000;

const FIND = "find mirrors";

type Run = (job: IoJob) => Promise<IoResult>;

export class LegFlusher {
  /** By leg, or FIND. */
  private readonly running = new Map<string, Promise<IoResult>>();
  private readonly waiting = new Map<string, Promise<IoResult>>();
  /** By the log's handle. */
  private readonly seen = new Map<number, readonly string[]>();

  /** `run` does a job on an I/O thread. */
  constructor(
    private readonly run: Run,
    private readonly timeoutMs = FLUSH_TIMEOUT_MS,
  ) {}

  /**
   * Flushes the legs of the mirror whose log has this handle and UUID. Resolves with 0 or a negative errno (-ENODEV if no
   * legs are known). Never rejects.
   */
  async flush(handle: number, uuid: string): Promise<number> {
    try {
      return await within(this.findAndFlush(handle, uuid), this.timeoutMs, -ETIMEDOUT);
    } catch {
      return -EIO; // There was no thread for it.
    }
  }

  /** The log was removed. */
  forget(handle: number): void {
    this.seen.delete(handle);
  }

  private async findAndFlush(handle: number, uuid: string): Promise<number> {
    const { error, mirrors } = await this.inTurn(FIND, { kind: "find mirrors" });
    if (error !== 0) return error;
    const found = mirrors.filter((mirror) => mirror.uuid === uuid).flatMap((mirror) => mirror.legs);
    const legs = new Set([...found, ...(this.seen.get(handle) ?? [])]);
    if (found.length > 0) this.seen.set(handle, found);
    if (legs.size === 0) return -ENODEV;
    const results = await Promise.all([...legs].map((leg) => this.inTurn(leg, { kind: "flush leg", leg })));
    return results.find((result) => result.error !== 0)?.error ?? 0;
  }

  private inTurn(key: string, job: IoJob): Promise<IoResult> {
    const running = this.running.get(key);
    if (running === undefined) return this.start(key, job);
    let next = this.waiting.get(key);
    if (next === undefined) {
      const begin = (): Promise<IoResult> => {
        this.waiting.delete(key);
        return this.start(key, job);
      };
      next = running.then(begin, begin);
      this.waiting.set(key, next);
    }
    return next;
  }

  private start(key: string, job: IoJob): Promise<IoResult> {
    const running = this.run(job);
    this.running.set(key, running);
    const ended = (): void => {
      this.running.delete(key);
    };
    running.then(ended, ended);
    return running;
  }
}
