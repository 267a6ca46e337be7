// What is asked of the threads that may wait for a device.

import type { Head } from "../common/engine.ts";
import type { UserspaceMirror } from "./device-mapper.ts";

/** A job for an I/O thread. */
export type IoJob =
  /** Serve a log device until it is closed. */
  | { kind: "device"; channel: SharedArrayBuffer }
  /** Look in the kernel's tables for every mirror whose log is a userspace one. */
  | { kind: "find mirrors" }
  /** Flush the write cache of a device, `major:minor`. */
  | { kind: "flush leg"; leg: string };

/** Told to an I/O thread instead of a job, and to the keeper: there will be no more, the thread is to end. */
export const END = "end";

/** What came of it. */
export interface IoResult {
  /** 0, or a negative errno. */
  error: number;
  /** Of "find mirrors". */
  mirrors: UserspaceMirror[];
}

export interface IoThreadOptions {
  bell: SharedArrayBuffer;
  runtimeDirectory: string | undefined;
}

/** What the request thread asks of the keeper. */
export type KeeperRequest =
  | { kind: "device"; channel: SharedArrayBuffer }
  | { kind: "flush legs"; head: Head; uuid: string }
  /** The log of this handle is gone. */
  | { kind: "forget"; handle: number };

/** What the keeper tells the request thread, ringing the bell: the legs are flushed, or a negative errno. */
export interface LegsFlushed {
  head: Head;
  error: number;
}
