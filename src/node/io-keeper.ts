// Keeps the threads that wait for devices, for the request thread, which must not even wait for the start of one. A
// thread of its own, with an event loop: the main thread's may be held up by a terminal or a log that takes no more.

import { type MessagePort, workerData } from "node:worker_threads";
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
const flusher = new LegFlusher((job) => threads.run(job));

port.on("message", async (request: KeeperRequest) => {
  if (request.kind === "device") {
    try {
      await threads.run({ kind: "device", channel: request.channel });
    } catch {
      // What the thread was doing, or would be asked to do, fails with -EIO.
      new DeviceChannel(request.channel).die();
      bell.ring();
    }
  } else if (request.kind === "forget") flusher.forget(request.handle);
  else {
    const error = await flusher.flush(request.head.handle, request.uuid);
    port.postMessage({ head: request.head, error } satisfies LegsFlushed);
    bell.ring();
  }
});
threads.warmUp();
