// The jobs of the threads that may wait for a device.

import type { Head } from "../../common/engine.ts";
import type { UserspaceMirror } from "./device-mapper.ts";

/** A job for an I/O thread. */
export type IoJob =
  /** Serve a log device until it is closed. */
  | { kind: "device"; channel: SharedArrayBuffer }
  /** Find every mirror with a userspace log in the kernel's tables. */
  | { kind: "find mirrors" }
  /** Look in the kernel's tables for the UUID of every userspace log. */
  | { kind: "find log UUIDs" }
  /** Flush the write cache of a device, `major:minor`. */
  | { kind: "flush leg"; leg: string };

/** Sent to an I/O thread instead of a job, and to the keeper: no more jobs will come, so the thread shall end. */
export const END = "end";

/** The result of a job. */
export interface IoResult {
  /** 0, or a negative errno. */
  error: number;
  /** Of "find mirrors". */
  mirrors: UserspaceMirror[];
  /** Of "find log UUIDs". */
  uuids?: string[];
}

export interface IoThreadOptions {
  bell: SharedArrayBuffer;
  runtimeDirectory: string | undefined;
}

/** What the request thread asks of the keeper. */
export type KeeperRequest =
  | { kind: "device"; channel: SharedArrayBuffer }
  | { kind: "flush legs"; head: Head; uuid: string }
  /** The log of this handle was removed. */
  | { kind: "forget"; handle: number };

/** What the keeper tells the request thread, ringing the bell. */
export type KeeperReport = LegsFlushed | TablesRead;

/** The legs are flushed, or a negative errno. */
export interface LegsFlushed {
  kind: "legs flushed";
  head: Head;
  error: number;
}

/** The UUIDs of all userspace logs that the kernel's tables name, active and inactive. */
export interface TablesRead {
  kind: "tables read";
  uuids: string[];
}
