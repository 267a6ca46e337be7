// Saves flight recorders: on request, when the server fails, and when a new server finds that the one before it was killed.

import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crashDirectory, flightPath, lostFlightPath } from "../state/runtime-paths.ts";
import { endFlight, isFlightRunning, readFlight } from "./flight-recorder.ts";
import { checkReplaceable } from "./trace-files.ts";

/** How many traces of crashes are kept, numbered from 1 on; older ones are deleted. */
const KEPT_MAX = 4;
const KEPT_NAME = /^crash-(\d{1,9})\.pcapng$/;

export interface FlightFolders {
  runtimeDirectory: string;
  /** Folder for traces of crashes; by default a folder of the runtime directory. */
  crashDirectory?: string | undefined;
}

/** Writes the current contents of the flight recorder to a file. Throws an Error with a sentence if it is empty or cannot be written. */
export function saveFlight({ runtimeDirectory }: FlightFolders, path: string): void {
  const flight = readFlight(flightPath(runtimeDirectory));
  if (flight === undefined)
    throw new Error("The server has no flight recorder: it was started with --flight-recorder 0.");
  checkReplaceable(path);
  writeFileSync(path, flight, { mode: 0o600 });
}

/** Saves the events before a failure of this server. Returns a sentence that names the file, or says why there is none. */
export function keepFlight(folders: FlightFolders): string | undefined {
  return keep(flightPath(folders.runtimeDirectory), folders);
}

/**
 * The same for a server that has failed and ends now. It writes to memory alone: a folder on a disk may lie on a mirror that waits
 * for this server, so the next one saves the events there. One crash leaves one trace.
 */
export function keepLastFlight(folders: FlightFolders): string | undefined {
  const { runtimeDirectory } = folders;
  const flight = flightPath(runtimeDirectory);
  if (folders.crashDirectory !== undefined) {
    if (!isFlightRunning(flight)) return undefined;
    return `The next server saves the last events in ${folders.crashDirectory}. Until then they are in ${flight}.`;
  }
  const sentence = keep(flight, folders);
  if (sentence !== undefined) endFlight(flight);
  return sentence;
}

/** Moves the flight recorder of an earlier server aside before this one makes its own. It takes hardly any time. */
export function putFlightAside({ runtimeDirectory }: FlightFolders): void {
  const path = flightPath(runtimeDirectory);
  if (isFlightRunning(path)) renameSync(path, lostFlightPath(runtimeDirectory));
}

/** Saves the flight recorder that was moved aside. Returns a sentence that names the file, or undefined if there is none. */
export function keepLostFlight(folders: FlightFolders): string | undefined {
  const lost = lostFlightPath(folders.runtimeDirectory);
  const sentence = keep(lost, folders);
  rmSync(lost, { force: true });
  return sentence === undefined ? undefined : `The previous server was killed or crashed. ${sentence}`;
}

function keep(flight: string, folders: FlightFolders): string | undefined {
  const directory = folders.crashDirectory ?? crashDirectory(folders.runtimeDirectory);
  try {
    const found = readFlight(flight);
    if (found === undefined) return undefined;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const kept = numbersIn(directory);
    const number = Math.max(0, ...kept) + 1;
    const path = join(directory, nameOf(number));
    writeFileSync(path, found, { mode: 0o600 });
    for (const old of kept) if (old <= number - KEPT_MAX) rmSync(join(directory, nameOf(old)));
    return `Its last events are in ${path}: show them with dm-ulog inspect, and attach the file to a report.`;
  } catch (error) {
    return `Its flight recorder could not be saved: ${(error as Error).message}.`;
  }
}

function nameOf(number: number): string {
  return `crash-${number}.pcapng`;
}

function numbersIn(directory: string): number[] {
  return readdirSync(directory).flatMap((name) => Number(KEPT_NAME.exec(name)?.[1] ?? []) || []);
}
