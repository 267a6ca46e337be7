// dm-ulog trace: cuts and merges trace files.

import { closeSync, openSync, realpathSync, writeSync } from "node:fs";
import { cut, merge } from "../common/trace/edit.ts";
import { TraceError } from "../common/trace/format.ts";
import { formatCount } from "./sizes.ts";
import { loadCore, openTrace, openTraces, withTraceErrors } from "./trace-files.ts";
import { between, type Position } from "./trace-position.ts";

export interface CutOptions {
  from?: Position;
  to?: Position;
  core?: string;
  output: string;
}

/** Returns the exit status. */
export function cutTrace(path: string, { from, to, core: corePath, output }: CutOptions): Promise<number> {
  return withTraceErrors(async () => {
    refuseInput([path], output);
    const core = await loadCore(corePath);
    const trace = openTrace([path], core.abi);
    const isFrom = between(trace, from, undefined);
    const isUpTo = between(trace, undefined, to);
    let first = 0;
    while (first < trace.eventCount && !isFrom(first)) first++;
    let end = trace.eventCount;
    while (end > first && !isUpTo(end - 1)) end--;
    if (first === end) throw new TraceError("The trace has no event there: check --from and --to.");
    writePieces(output, cut(trace, first, end, core.module));
    console.log(`${output}: ${formatCount(end - first)} events of ${formatCount(trace.eventCount)}.`);
    return 0;
  });
}

/** Returns the exit status. */
export function mergeTraces(paths: string[], { output }: { output: string }): Promise<number> {
  return withTraceErrors(async () => {
    refuseInput(paths, output);
    const { abi } = await loadCore();
    const traces = openTraces(paths, abi);
    writePieces(output, merge(traces));
    for (const [i, { problem }] of traces.entries())
      if (problem !== null) console.error(`dm-ulog: ${paths[i]}: ${problem}`);
    const events = openTrace([output], abi).eventCount;
    console.log(`${output}: ${formatCount(events)} events of ${paths.length} files.`);
    return 0;
  });
}

/** Writing to a file that is being read would destroy it. */
function refuseInput(paths: readonly string[], output: string): void {
  const real = (path: string) => {
    try {
      return realpathSync(path);
    } catch {
      return null;
    }
  };
  const target = real(output);
  if (target !== null && paths.some((path) => real(path) === target)) {
    throw new TraceError(`${output} is an input file: write to another file.`);
  }
}

function writePieces(path: string, pieces: readonly Uint8Array[]): void {
  const file = openSync(path, "w");
  try {
    for (const piece of pieces) {
      for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at);
    }
  } finally {
    closeSync(file);
  }
}
