// Manages the threads that wait for devices, because the request thread must not even wait for the start of one. It is a
// thread of its own with an event loop: the main thread's loop may be blocked by a terminal or a log that takes no output.
//
// It and its threads end by themselves when END comes, after the request thread has ended. Nobody may terminate them instead:
// koffi ends the whole process (SIGABRT) if a thread is terminated while it loads koffi.

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Bell } from "../requests/bell.ts";
import { DeviceChannel } from "./device-channel.ts";
import type { IoThreadOptions, KeeperReport, KeeperRequest } from "./io-jobs.ts";
import { IoThreads } from "./io-threads.ts";
import { LegFlusher } from "./leg-flusher.ts";

export interface KeeperOptions extends IoThreadOptions {
  /** To the request thread. */
  port: MessagePort;
}

const { port, bell: sharedBell, runtimeDirectory } = workerData as KeeperOptions;
const bell = new Bell(sharedBell);
const threads = new IoThreads({ bell: sharedBell, runtimeDirectory });
/** The channels of devices that have a thread. */
const open = new Set<SharedArrayBuffer>();
const flusher = new LegFlusher((job) => threads.run(job));
/** How often the kernel's tables are looked at for logs that they have no more. */
const TABLES_INTERVAL_MS = 60_000;
const FIRST_TABLES_MS = 5000;
let isEnding = false;
let nextTables: NodeJS.Timeout | undefined;

/** Tells which logs the tables name, from now on every minute; nothing where they cannot be read. One look at a time. */
async function readTables(): Promise<void> {
  try {
    const { error, uuids } = await threads.run({ kind: "find log UUIDs" });
    if (error === 0 && uuids !== undefined) tell({ kind: "tables read", uuids });
  } catch {
    // No thread could be had for it, or they are ending.
  }
  if (!isEnding) nextTables = setTimeout(readTables, TABLES_INTERVAL_MS);
}

function tell(report: KeeperReport): void {
  port.postMessage(report);
  bell.ring();
}

port.on("message", async (request: KeeperRequest) => {
  if (request.kind === "device") {
    open.add(request.channel);
    try {
      await threads.run({ kind: "device", channel: request.channel });
    } catch {
      // The thread's current job and its later ones fail with -EIO.
      new DeviceChannel(request.channel).die();
      bell.ring();
    }
    open.delete(request.channel);
  } else if (request.kind === "forget") flusher.forget(request.handle);
  else {
    const error = await flusher.flush(request.head.handle, request.uuid);
    tell({ kind: "legs flushed", head: request.head, error });
  }
});
// Not the port's close event: nobody receives it if it comes while this thread starts.
parentPort?.once("message", () => {
  isEnding = true;
  clearTimeout(nextTables);
  for (const channel of open) new DeviceChannel(channel).hangUp();
  threads.end();
  port.close();
});
threads.warmUp();
// The request thread has just looked itself, and a device that writes wait for needs the first thread.
nextTables = setTimeout(readTables, FIRST_TABLES_MS);
