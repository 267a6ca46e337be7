// Waiting for something that may never end: a thread or a flush whose disk hangs.

import { once } from "node:events";
import type { Worker } from "node:worker_threads";

/** Resolves like `promise`, or with `late` if that takes longer than `ms` milliseconds. */
export async function within<T, Late>(promise: Promise<T>, ms: number, late: Late): Promise<T | Late> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<Late>((resolve) => {
    timer = setTimeout(() => resolve(late), ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves with whether it ended within `ms` milliseconds. */
export function endsWithin(ended: Promise<unknown>, ms: number): Promise<boolean> {
  return within(
    ended.then(() => true),
    ms,
    false,
  );
}

/** Resolves when the thread has ended, however it ends. */
export async function endOf(worker: Worker): Promise<void> {
  // A thread that has already ended gives no event, and has no number.
  if (worker.threadId !== -1) await once(worker, "exit").catch(() => {});
}
