// dm-ulog inspect: finds out from a file's content whether it is a trace or a log device, and shows it.

import { closeSync, openSync, readSync } from "node:fs";
import { BLOCK_SECTION, TraceError } from "../common/trace/format.ts";
import { isLog } from "../node/devices/log-header.ts";
import { inspectLog } from "./inspect-log.ts";
import { type InspectTraceOptions, inspectTrace } from "./inspect-trace.ts";
import { endQuietly } from "./quiet-end.ts";
import { withTraceErrors } from "./trace-files.ts";

export type InspectOptions = InspectTraceOptions;

const HEAD_BYTES = 16;

/** Returns the exit status: 2 if the file is neither. */
export function inspect(path: string, options: InspectOptions): Promise<number> {
  endQuietly(process.stdout);
  return withTraceErrors(async () => {
    const head = readHead(path);
    if (isLog(head)) {
      refuseFilters(options);
      return inspectLog(path, options.json === true);
    }
    if (head.length < 4 || head.readUInt32LE(0) !== BLOCK_SECTION) {
      throw new TraceError(`${path} is neither a trace of dm-ulog nor a log device: it has the header of neither.`);
    }
    return inspectTrace(path, options);
  });
}

function readHead(path: string): Buffer {
  try {
    const file = openSync(path, "r");
    try {
      const head = Buffer.alloc(HEAD_BYTES);
      return head.subarray(0, readSync(file, head, 0, HEAD_BYTES, 0));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new TraceError(`${path} cannot be read: ${(error as Error).message}`);
  }
}

function refuseFilters({ json, ...others }: InspectOptions): void {
  const [name] = Object.keys(others);
  if (name !== undefined) throw new TraceError(`This is a log device, which has no events: --${name} is for traces.`);
}
