// dm-ulog record: makes the running server record, stops that, or saves the contents of its flight recorder.

import { resolve } from "node:path";
import { askToRecord, askToSaveFlight, askToStopRecording } from "../node/control-socket.ts";
import { controlSocketPath } from "../node/runtime-paths.ts";

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
  if (options.stop) {
    const path = await askToStopRecording(socketPath);
    console.log(path === undefined ? "Nothing was being recorded." : `Recorded to ${path}.`);
  } else if (options.save !== undefined) {
    const path = resolve(options.save);
    await askToSaveFlight(socketPath, path);
    console.log(`The server's last events are in ${path}.`);
  } else {
    const path = resolve(file as string);
    const { recordSize: sizeBytes, recordFiles: filesMax } = options;
    await askToRecord(socketPath, { path, sizeBytes, filesMax });
    console.log(`Recording to ${path}. To stop: dm-ulog record --stop`);
  }
}
