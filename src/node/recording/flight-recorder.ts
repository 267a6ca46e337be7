// The flight recorder: an event log in a mapped file of the runtime directory, so that it outlives the process.

import { closeSync, existsSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { writeSectionEnd } from "../../common/trace/section.ts";
import { TraceBuffer } from "../../common/trace/trace-buffer.ts";
import { flightPath } from "../state/runtime-paths.ts";
import { allocateFile, mapFile, sizeOf } from "../system-calls.ts";
import { HEAD_BYTES, halfBytesOf, IS_RUNNING_OFFSET, type LogHead, logBytesOf, readLogHead } from "./event-log.ts";

/** Room for the blocks that end a section. */
const END_BYTES = 256;
/** A reader gives up after the halves have changed this many times. */
const ATTEMPTS_MAX = 20;

/** Creates or replaces the file, with about `sizeBytes`, and returns its path. Throws with `errno` if there is no room. */
export function createFlight(directory: string, sizeBytes: number): string {
  const path = flightPath(directory);
  rmSync(path, { force: true });
  const fd = openSync(path, "w", 0o600);
  try {
    allocateFile(fd, logBytesOf(halfBytesOf(sizeBytes)));
    return path;
  } catch (error) {
    rmSync(path);
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** The memory of the flight recorder's event log. Throws with `errno`. */
export function mapFlight(path: string): Uint8Array {
  const fd = openSync(path, "r+");
  try {
    return mapFile(fd, sizeOf(fd), { isTouched: true }).bytes;
  } finally {
    closeSync(fd);
  }
}

/**
 * The contents of a flight recorder's file as a trace whose sections begin where the halves do; also while it is being written.
 * Undefined if there is no such file, or if it is empty.
 */
export function readFlight(path: string): Uint8Array | undefined {
  if (!existsSync(path)) return undefined;
  const fd = openSync(path, "r");
  try {
    const size = sizeOf(fd);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const before = readHead(fd);
      if (before === undefined || size < logBytesOf(before.halfBytes)) return undefined;
      const trace = readHalves(fd, before);
      const after = readHead(fd);
      if (before.halves.every(({ age }, i) => age === after?.halves[i]?.age)) return trace;
    }
    throw new Error("The flight recorder changed too fast to be read. Try again.");
  } finally {
    closeSync(fd);
  }
}

/** Whether there is a flight recorder whose server is running, or did not end normally. */
export function isFlightRunning(path: string): boolean {
  if (!existsSync(path)) return false;
  const fd = openSync(path, "r");
  try {
    return readHead(fd)?.isRunning === true;
  } finally {
    closeSync(fd);
  }
}

/** Nobody misses the server of this flight recorder any more. It must have stopped writing. */
export function endFlight(path: string): void {
  const fd = openSync(path, "r+");
  try {
    writeSync(fd, new Uint8Array(4), 0, 4, IS_RUNNING_OFFSET);
  } finally {
    closeSync(fd);
  }
}

function readHalves(fd: number, { halfBytes, halves, timeNs }: LogHead): Uint8Array | undefined {
  const parts = halves.filter(({ usedBytes }) => usedBytes > 0 && usedBytes <= halfBytes);
  if (parts.length === 0) return undefined;
  const trace = new Uint8Array(parts.reduce((sum, { usedBytes }) => sum + usedBytes, END_BYTES));
  const buffer = TraceBuffer.over(trace);
  for (const { index, usedBytes } of parts) {
    readSync(fd, trace, buffer.size, usedBytes, HEAD_BYTES + index * halfBytes);
    buffer.size += usedBytes;
  }
  writeSectionEnd(buffer, timeNs);
  return buffer.content();
}

function readHead(fd: number): LogHead | undefined {
  const head = new Uint8Array(HEAD_BYTES);
  readSync(fd, head, 0, head.length, 0);
  return readLogHead(head);
}
