// A thread that may wait: it does one job after another for io-keeper.ts.

import { parentPort, workerData } from "node:worker_threads";
import { Bell } from "../requests/bell.ts";
import { negativeErrno } from "../system-calls.ts";
import { DeviceChannel } from "./device-channel.ts";
import { findUserspaceMirrors, logUuids, readTables } from "./device-mapper.ts";
import { serveDevice } from "./device-thread.ts";
import { END, type IoJob, type IoResult, type IoThreadOptions } from "./io-jobs.ts";
import { flushLeg } from "./legs.ts";

const port = parentPort;
if (port === null) throw new Error("io-thread is started by io-threads.ts, as a worker thread.");
const { bell: sharedBell, runtimeDirectory } = workerData as IoThreadOptions;
const bell = new Bell(sharedBell);

port.on("message", (job: IoJob | typeof END) => {
  if (job === END) port.close();
  else port.postMessage(attempt(job));
});

function attempt(job: IoJob): IoResult {
  try {
    if (job.kind === "device") serveDevice(new DeviceChannel(job.channel), bell, runtimeDirectory);
    if (job.kind === "flush leg") flushLeg(job.leg, runtimeDirectory);
    if (job.kind === "find log UUIDs") return { error: 0, mirrors: [], uuids: logUuids(readTables()) };
    return { error: 0, mirrors: job.kind === "find mirrors" ? findUserspaceMirrors() : [] };
  } catch (error) {
    return { error: negativeErrno(error), mirrors: [] };
  }
}
