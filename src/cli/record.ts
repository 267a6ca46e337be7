// dm-ulog record: makes the Node.js host record, stops that, or saves the contents of its flight recorder. The native host is
// recorded from outside, by this process.

import { resolve } from "node:path";
import { askToRecord, askToSaveFlight, askToStopRecording } from "../node/control/control-socket.ts";
import type { RecordingOptions } from "../node/recording/trace-files.ts";
import { controlSocketPath, flightPath } from "../node/state/runtime-paths.ts";

export interface RecordOptions {
  runtimeDir: string;
  stop?: boolean;
  save?: string;
  recordSize: number;
  recordFiles: number;
}

export async function record(file: string | undefined, options: RecordOptions): Promise<void> {
  const socketPath = controlSocketPath(options.runtimeDir);
  if ([file, options.stop, options.save].filter((choice) => choice !== undefined).length !== 1) {
    throw new Error("Give one of these: a FILE to record to, --stop, or --save FILE.");
  }
  const isNative = await hasNativeHost(options.runtimeDir);
  if (options.stop) {
    if (isNative)
      throw new Error("A recording of the native host is a process of its own. End that one: Ctrl-C, or kill.");
    const path = await askToStopRecording(socketPath);
    console.log(path === undefined ? "Nothing was being recorded." : `Recorded to ${path}.`);
  } else if (options.save !== undefined) {
    const path = resolve(options.save);
    if (isNative) await saveFlightOf(options.runtimeDir, path);
    else await askToSaveFlight(socketPath, path);
    console.log(`The server's last events are in ${path}.`);
  } else {
    const path = resolve(file as string);
    const { recordSize: sizeBytes, recordFiles: filesMax } = options;
    if (isNative) return follow(options.runtimeDir, { path, sizeBytes, filesMax });
    await askToRecord(socketPath, { path, sizeBytes, filesMax });
    console.log(`Recording to ${path}. To stop: dm-ulog record --stop`);
  }
}

async function hasNativeHost(runtimeDirectory: string): Promise<boolean> {
  const { NativeHost } = await import("../node/control/native-host.ts");
  const host = NativeHost.find(runtimeDirectory);
  host?.close();
  return host !== undefined;
}

async function saveFlightOf(runtimeDirectory: string, path: string): Promise<void> {
  const { saveFlight } = await import("../node/recording/flights.ts");
  saveFlight({ runtimeDirectory }, path);
}

/** Records until SIGINT or SIGTERM. */
async function follow(runtimeDirectory: string, options: RecordingOptions): Promise<void> {
  const { FlightRecording } = await import("../node/recording/flight-recording.ts");
  const tell = (sentence: string) => console.error(`dm-ulog: ${sentence}`);
  const recording = new FlightRecording(flightPath(runtimeDirectory), options, tell);
  process.once("SIGINT", () => recording.end());
  process.once("SIGTERM", () => recording.end());
  console.log(`Recording to ${options.path}. Press Ctrl-C to stop.`);
  await recording.run();
  console.log(`Recorded to ${options.path}.`);
}
