// Opens trace files for the commands that read them.

import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import type { Abi } from "../common/abi.ts";
import { Console } from "../common/console.ts";
import { abiOf } from "../common/core-module.ts";
import { merge } from "../common/trace/edit.ts";
import { TraceError } from "../common/trace/format.ts";
import { goesOn } from "../common/trace/run.ts";
import { Trace } from "../common/trace/trace.ts";
import { wasmPath } from "./installation.ts";

/** Exit status of a command whose file is not a trace or cannot be used in this way. */
export const EXIT_UNUSABLE = 2;

/** A core from a file, with the numbers and words to read its memory. */
export interface Core {
  module: WebAssembly.Module;
  abi: Abi;
  console: Console;
}

/** The core at `path`, or the installed one. Throws a TraceError if it is not a core of this host's ABI version. */
export async function loadCore(path = wasmPath()): Promise<Core> {
  try {
    const wasm = readFileSync(path);
    const module = new WebAssembly.Module(wasm);
    const abi = abiOf(module);
    return { module, abi, console: await Console.create(wasm) };
  } catch (error) {
    throw new TraceError(`${path} cannot be used as a core: ${(error as Error).message}`);
  }
}

/** The trace in these files; several files are merged in the order of their events. Throws a TraceError. */
export function openTrace(paths: readonly string[], abi: Abi): Trace {
  return joinTraces(openTraces(paths, abi), abi);
}

/** Several traces as one, in the order of their events. Throws a TraceError. */
export function joinTraces(traces: readonly Trace[], abi: Abi): Trace {
  const [only] = traces;
  return traces.length === 1 && only !== undefined ? only : Trace.open(Buffer.concat(merge(traces)), abi);
}

/** Files that are replayed together, or one that cannot be opened, with the reason in `problem`. */
export interface RecordingFiles {
  files: string[];
  traces: Trace[];
  problem: string | null;
}

/**
 * Each file by itself, but for one that begins without a state of its own: it is with the file that holds the events before its
 * first, if that is given too.
 */
export function recordingsOf(paths: readonly string[], abi: Abi): RecordingFiles[] {
  const recordings: RecordingFiles[] = paths.map((path) => {
    try {
      return { files: [path], traces: [openOne(path, abi)], problem: null };
    } catch (error) {
      if (!(error instanceof TraceError)) throw error;
      return { files: [path], traces: [], problem: error.message };
    }
  });
  for (const later of [...recordings]) {
    const first = later.traces[0]?.sections[0];
    if (first?.start !== "unknown") continue;
    const earlier = recordings.find(
      (one) => one !== later && one.traces.some(({ sections }) => sections.some((section) => goesOn(section, first))),
    );
    if (earlier === undefined) continue;
    earlier.files.push(...later.files);
    earlier.traces.push(...later.traces);
    recordings.splice(recordings.indexOf(later), 1);
  }
  return recordings;
}

/** Each of several traces, for a caller that merges them. */
export function openTraces(paths: readonly string[], abi: Abi): Trace[] {
  return paths.map((path) => openOne(path, abi));
}

function openOne(path: string, abi: Abi): Trace {
  const file = readTraceFile(path);
  try {
    return Trace.open(file, abi);
  } catch (error) {
    throw error instanceof TraceError ? new TraceError(`${path}: ${error.message}`) : error;
  }
}

/** The bytes of a file. Throws a TraceError if it cannot be read. */
function readTraceFile(path: string): Uint8Array {
  try {
    const file = openSync(path, "r");
    try {
      return readWhole(file, new Uint8Array(fstatSync(file).size));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new TraceError(`${path} cannot be read: ${(error as Error).message}`);
  }
}

/** Reads in parts, because Node.js refuses to read more than 2 GiB at once. If the file shrinks meanwhile, the result is shorter. */
function readWhole(file: number, bytes: Uint8Array): Uint8Array {
  const PART_BYTES = 1 << 28;
  let size = 0;
  while (size < bytes.length) {
    const read = readSync(file, bytes, size, Math.min(PART_BYTES, bytes.length - size), size);
    if (read === 0) break;
    size += read;
  }
  return bytes.subarray(0, size);
}

/** Runs a command that reads traces. Returns its exit status, and prints a TraceError to stderr. */
export async function withTraceErrors(command: () => Promise<number>): Promise<number> {
  try {
    return await command();
  } catch (error) {
    if (!(error instanceof TraceError)) throw error;
    console.error(`dm-ulog: ${error.message}`);
    return EXIT_UNUSABLE;
  }
}
