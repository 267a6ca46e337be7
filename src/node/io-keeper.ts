// Manages the threads that wait for devices, because the request thread must not even wait for the start of one. It is a
// thread of its own with an event loop: the main thread's loop may be blocked by a terminal or a log that takes no output.
//
// It and its threads end by themselves when END comes, after the request thread has ended. Nobody may terminate them instead:
// koffi ends the whole process (SIGABRT) if a thread is terminated while it loads koffi.

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Bell } from "./bell.ts";
import { DeviceChannel } from "./device-channel.ts";
import type { IoThreadOptions, KeeperRequest, LegsFlushed } from "./io-jobs.ts";
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
    port.postMessage({ head: request.head, error } satisfies LegsFlushed);
    bell.ring();
  }
});
// Not the port's close event: nobody receives it if it comes while this thread starts.
parentPort?.once("message", () => {
  for (const channel of open) new DeviceChannel(channel).hangUp();
  threads.end();
  port.close();
});
threads.warmUp();
