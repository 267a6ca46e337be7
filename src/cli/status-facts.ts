// Looks at this machine for dm-ulog status: at the kernel's tables and the files, and at the server twice where that tells more.
//
// It asks nothing that a dead server would have to answer, with one exception, the health of legs: that is asked where the server has
// just been seen at work.

import { setTimeout as sleep } from "node:timers/promises";
import type { LogDescription } from "../common/console.ts";
import type { Status } from "../node/control/control-socket.ts";
import { readMirrorTables } from "../node/control/machine.ts";
import type { Onlooker } from "../node/control/status.ts";
import { deviceName, findIfThere, THIS_MACHINE } from "../node/devices/block-devices.ts";
import { type HealthReading, readLegHealth } from "../node/devices/leg-health.ts";
import { type DeclaredMirror, declaredNames, mirrorPath, readDeclared } from "../node/mirrors/mirror-files.ts";
import { absentDevices, identifier, legDevice, type MirrorState, stateOf } from "./declared.ts";
import { earlierOf, isBeingCopied, RESYNC_LOOK_MS } from "./resync-progress.ts";
import type { DeclaredFacts, KernelMirror, StatusFacts } from "./status-report.ts";

/** Between two looks at a resync. */
const LOOK_INTERVAL_MS = 500;
/** A description takes milliseconds, and people wait for this command. */
const SERVER_LIMIT_MS = 4000;
/** The request thread shows itself ten times in a second. Where it has not, the kernel may get no answer. */
const AT_WORK_SECONDS = 1;
const ENODEV = -19;

/** A look at the server. */
export interface Look {
  atMs: number;
  status: Status;
}

/** Everything but the server and what goes by it. */
export type Surroundings = Pick<StatusFacts, "mirrors" | "declared" | "device">;

/** `isAtOnce`: with one look at the server, so that how fast a resync goes stays unknown. */
export async function readStatusFacts(
  onlooker: Pick<Onlooker, "status">,
  mirrorsDir: string,
  { isAtOnce = false } = {},
): Promise<StatusFacts> {
  const surroundings = await readSurroundings(mirrorsDir);
  const first = await lookAt(onlooker);
  if ("error" in first) return { ...surroundings, server: first, health: NO_HEALTH };
  const [server, health] = await Promise.all([
    isAtOnce ? twoLooks(first, first) : lookOn(onlooker, first),
    readHealth(first.status, surroundings.mirrors),
  ]);
  return { ...surroundings, server, health };
}

const NO_HEALTH: HealthReading = { legs: new Map(), missing: "no server answers, and the kernel would wait for one" };

export async function readSurroundings(mirrorsDir: string): Promise<Surroundings> {
  const mirrors = readMirrorTables();
  const declared: DeclaredFacts[] = [];
  for (const name of declaredNames(mirrorsDir)) {
    declared.push(await readDeclaredFacts(mirrorsDir, name, Array.isArray(mirrors)));
  }
  return { mirrors, declared, device: describeDevice };
}

/** One look, or the sentence why there is none. */
export async function lookAt(onlooker: Pick<Onlooker, "status">): Promise<Look | { error: string }> {
  try {
    const status = await onlooker.status(SERVER_LIMIT_MS);
    return { atMs: performance.now(), status };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

/** The last look and one before it. */
export function twoLooks(before: Look, after: Look): Exclude<StatusFacts["server"], { error: string }> {
  return { before: before.status, after: after.status, seconds: (after.atMs - before.atMs) / 1000 };
}

/** Looks again where a resync is under way, and for 3 s where one does not seem to go on. */
async function lookOn(onlooker: Pick<Onlooker, "status">, first: Look): Promise<StatusFacts["server"]> {
  let last = first;
  if (!first.status.logs.some(isToBeCopied)) return twoLooks(first, first);
  do {
    await sleep(LOOK_INTERVAL_MS);
    const look = await lookAt(onlooker);
    if ("error" in look) return look;
    last = look;
  } while (last.atMs - first.atMs < RESYNC_LOOK_MS && last.status.logs.some((log) => isStill(log, first.status.logs)));
  return twoLooks(first, last);
}

function isToBeCopied({ state, outOfSyncRegions, device }: LogDescription): boolean {
  return state === "resumed" && outOfSyncRegions > 0 && device?.error == null;
}

function isStill(log: LogDescription, before: readonly LogDescription[]): boolean {
  return isToBeCopied(log) && !isBeingCopied(log, earlierOf(log, before) ?? log);
}

/** Of mirrors whose log the server has ready: the kernel would wait for another. */
export async function readHealth(
  { logs, busyDevices, silentSeconds }: Status,
  mirrors: StatusFacts["mirrors"],
): Promise<HealthReading> {
  if (!Array.isArray(mirrors)) return { legs: new Map(), missing: undefined };
  if (silentSeconds > AT_WORK_SECONDS) {
    const seconds = Math.round(silentSeconds);
    return {
      legs: new Map(),
      missing: `the server was last seen at work ${seconds} s ago, and the kernel would wait for it`,
    };
  }
  const isReady = ({ isLive, uuid }: KernelMirror) => {
    const ofMirror = logs.filter((log) => log.uuid === uuid);
    const isBusy = busyDevices.some((busy) => busy.uuid === uuid);
    return isLive && ofMirror.length > 0 && !isBusy && ofMirror.every(({ state }) => state !== "making");
  };
  return readLegHealth(mirrors.filter(isReady).map(({ name }) => name));
}

async function readDeclaredFacts(mirrorsDir: string, name: string, isKernelAsked: boolean): Promise<DeclaredFacts> {
  let path = `${mirrorsDir}/${name}.toml`;
  try {
    path = mirrorPath(mirrorsDir, name);
    const declared = readDeclared(mirrorsDir, name);
    const { mirror } = declared;
    const inKernel = isKernelAsked ? await placeInKernel(declared) : { state: null, legByNumbers: new Map() };
    return { name, path, found: { mirror, missing: absentDevices(mirror), ...inKernel } };
  } catch (error) {
    return { name, path, found: { error: (error as Error).message } };
  }
}

/** Throws sentences where the file does not make a table. */
async function placeInKernel(
  declared: DeclaredMirror,
): Promise<{ state: MirrorState | null; legByNumbers: Map<string, string> }> {
  try {
    const state = await stateOf(declared);
    const identify = identifier(declared);
    return { state, legByNumbers: new Map(declared.mirror.legs.map((leg) => [identify(legDevice(leg)), leg])) };
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    // The kernel's error, and no fault of the file. Without device-mapper there is no device.
    return { state: errno === ENODEV ? { state: "down" } : null, legByNumbers: new Map() };
  }
}

/** By numbers, or by the path that a table or a file has for it. */
function describeDevice(name: string): ReturnType<StatusFacts["device"]> {
  const found = findIfThere(THIS_MACHINE, name);
  const isNumbers = /^\d+:\d+$/.test(name);
  return {
    name: isNumbers ? deviceName(THIS_MACHINE, name) : name,
    numbers: found?.numbers ?? (isNumbers ? name : null),
    isPresent: found !== undefined,
  };
}
